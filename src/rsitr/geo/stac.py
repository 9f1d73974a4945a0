"""Scenes out of STAC: items, collections and catalogues, with the dates and sensors that they state."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pystac
from pystac.stac_io import DefaultStacIO

from rsitr.errors import SceneError
from rsitr.geo.files import SCENE_SUFFIXES, is_url, name_of
from rsitr.geo.metadata import SceneDate
from rsitr.geo.sources import TIMEOUT_S, Source, open_bucket

__all__ = ["read_stac"]

SHOWN = ("visual", "image", "data", "analytic")  # assets of these names, or the one image there is
NOT_SHOWN = frozenset({"thumbnail", "overview", "metadata", "mask", "cloud", "data-mask"})
IMAGE_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/png", "image/jpeg")
UNREADABLE = (
    *(pystac.STACError, pystac.STACTypeError, http.client.HTTPException),
    *(OSError, ValueError, KeyError, TypeError, AttributeError),
)
"""What pystac and the servers' answers raise where a catalogue is none."""


class _Reader(DefaultStacIO):
    """Reads a catalogue from a folder or from a server; one from a server never leads to files on this machine."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self.is_remote = is_url(start)

    def read_text_from_href(self, href: str) -> str:
        """The text of one file."""
        if href.startswith("s3://"):
            with open_bucket().open_input_stream(href.removeprefix("s3://")) as stream:
                return str(stream.read().decode("utf-8"))
        if is_url(href):
            with urllib.request.urlopen(href, timeout=TIMEOUT_S) as answer:
                return str(answer.read().decode("utf-8"))
        if self.is_remote:
            raise SceneError(f"{href}: a catalogue on a server may not lead to files on this machine")
        return _local_path(href).read_text(encoding="utf-8")


def read_stac(location: str) -> list[Source]:
    """One scene for each item; an item without an image that can be shown says so.

    Of an item's assets that is taken which shows colours as people see them (`visual`), else the one image it has.

    Raises:
        SceneError: this is no STAC item, collection or catalogue, or it cannot be read to its end.
    """
    try:
        found = _read(location, _Reader(location))
        return [_source(item, location) for item in _items(found)]
    except SceneError:
        raise
    except UNREADABLE as error:
        cause: BaseException | None = error
        while cause is not None:  # pystac wraps what a reader says
            if isinstance(cause, SceneError):
                raise cause from None
            cause = cause.__cause__
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SceneError(f"{location}: not a STAC item, collection or catalogue that can be read ({reason})") from error


def _read(location: str, reader: _Reader) -> Any:
    """An item, a collection, a catalogue; or the answer of a STAC API, which is a FeatureCollection of items."""
    content = reader.read_json(location)
    if content.get("type") != "FeatureCollection":
        return pystac.read_dict(content, href=location, stac_io=reader)
    items = [pystac.Item.from_dict(item, href=location) for item in content["features"]]
    if not items:
        raise ValueError("a FeatureCollection without items")
    return items


def _items(found: Any) -> Iterator[pystac.Item]:
    if isinstance(found, pystac.Item):
        yield found
    elif isinstance(found, pystac.Catalog):  # a collection is one, too
        yield from found.get_items(recursive=True)
    else:
        yield from found


def _source(item: pystac.Item, catalogue: str) -> Source:
    taken = item.datetime or item.common_metadata.start_datetime
    sensor = item.common_metadata.platform or item.common_metadata.constellation
    date = None if taken is None else SceneDate(taken.date(), "STAC item")
    asset = _shown(item)
    if asset is None:
        names = ", ".join(sorted(item.assets)) or "none"
        problem = f"no asset of this STAC item is one image of what people see (its assets: {names})"
        return Source(f"{catalogue}#{item.id}", problem=problem)
    href = asset.get_absolute_href() or asset.href
    if is_url(href):
        return Source(href, date=date, sensor=sensor)
    if is_url(catalogue):
        return Source(f"{catalogue}#{item.id}", problem="its asset is a file of the server's, not an address")
    try:
        return Source(_local_path(href).resolve(), date=date, sensor=sensor)
    except SceneError as error:
        return Source(f"{catalogue}#{item.id}", problem=str(error))


def _local_path(href: str) -> Path:
    """A file that is named by its path or by a `file://` address, in which percent-codes stand for what they code.

    Raises:
        SceneError: the address names a file of another machine.
    """
    if not href.startswith("file://"):
        return Path(href)
    host, _, path = href.removeprefix("file://").partition("/")
    if host not in {"", "localhost"}:
        raise SceneError(f"{href}: a file of the machine {host}; copy it here, or name it by its path")
    return Path("/" + unquote(path, errors="surrogateescape"))


def _shown(item: pystac.Item) -> pystac.Asset | None:
    images = {name: asset for name, asset in item.assets.items() if _is_image(name, asset)}
    for name, asset in images.items():
        if name == "visual" or "visual" in (asset.roles or ()):
            return asset
    for name in SHOWN:
        if name in images:
            return images[name]
    return next(iter(images.values())) if len(images) == 1 else None


def _is_image(name: str, asset: pystac.Asset) -> bool:
    if NOT_SHOWN & {name, *(asset.roles or ())}:
        return False
    kind = (asset.media_type or "").split(";")[0].strip().lower()
    return kind in IMAGE_TYPES if kind else Path(name_of(asset.href)).suffix.lower() in SCENE_SUFFIXES
