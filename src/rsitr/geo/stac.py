"""Scenes out of STAC: items, collections and catalogues, with the dates and sensors that they state."""

from __future__ import annotations

import http.client
import json
import re
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pystac
from pystac.stac_io import DefaultStacIO
from pystac.utils import make_absolute_href

from rsitr.buckets import TIMEOUT_S, open_bucket
from rsitr.errors import SceneError
from rsitr.geo.files import SCENE_SUFFIXES, Source, is_url, name_of, public_address
from rsitr.geo.metadata import SceneDate

__all__ = ["read_stac"]

SHOWN = ("visual", "image", "data", "analytic")  # assets of these names, or the one image there is
NOT_SHOWN = frozenset({"thumbnail", "overview", "metadata", "mask", "cloud", "data-mask"})
IMAGE_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/png", "image/jpeg")
MOST_PAGES = 10_000
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

    def read_page(self, page: _Page) -> Any:
        """One page of an answer that has several."""
        if page.body is None:
            return self.read_json(page.href)
        if not is_url(page.href):
            raise SceneError(f"{page.href}: only a server can be sent a question")
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(page.href, data=json.dumps(page.body).encode(), headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read())


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a page of an answer is: its address, and what is sent there, or None where it is only asked for."""

    href: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """The items of all pages of an answer, and why these are not all that match, if so."""

    items: list[pystac.Item]
    shortfall: str | None


def read_stac(location: str) -> list[Source]:
    """One scene for each item; an item without an image that can be shown says so.

    An answer of a service is read page by page; if its pages give fewer items than match, one more source says so.

    Of an item's assets that is taken which shows colours as people see them (`visual`), else the one image it has.

    Raises:
        SceneError: this is no STAC item, collection or catalogue, or it cannot be read to its end.
    """
    try:
        found = _read(location, _Reader(location))
        sources = [_source(item, location) for item in _items(found)]
        if isinstance(found, _Answer) and found.shortfall:
            sources.append(Source(f"{public_address(location)}#pages", problem=found.shortfall))
        return sources
    except SceneError:
        raise
    except UNREADABLE as error:
        cause: BaseException | None = error
        while cause is not None:  # pystac wraps what a reader says
            if isinstance(cause, SceneError):
                raise cause from None
            cause = cause.__cause__
        shown = public_address(location)
        reason = " ".join(str(error).split()).replace(location, shown)[:200] or type(error).__name__
        raise SceneError(f"{shown}: not a STAC item, collection or catalogue that can be read ({reason})") from error


def _read(location: str, reader: _Reader) -> Any:
    """An item, a collection, a catalogue; or the answer of a STAC API, which is a FeatureCollection of items."""
    content = reader.read_json(location)
    if content.get("type") == "FeatureCollection":
        return _read_pages(content, _Page(location), reader)
    links = {link.get("rel"): link.get("href") for link in content.get("links") or ()}
    if links.get("items") and not {"item", "child"} & set(links):  # a service's collection lists them elsewhere
        first = _Page(make_absolute_href(links["items"], location))
        return _read_pages(reader.read_page(first), first, reader)
    return pystac.read_dict(content, href=location, stac_io=reader)


def _read_pages(content: Any, page: _Page, reader: _Reader) -> _Answer:
    """The items of a page and of all that follow it."""
    items: list[pystac.Item] = []
    seen: list[_Page] = []
    matched: int | None = None
    reason = ""
    while True:
        seen.append(page)
        items += [pystac.Item.from_dict(item, href=page.href) for item in content["features"]]
        matched = _matched(content) if matched is None else matched
        following = _next_page(content, page)
        if following is None:
            break
        if is_url(following.href) and not is_url(page.href):
            reason = "; its next page is on a server, to which a file does not lead: give the service's own address"
            break
        if following in seen or len(seen) == MOST_PAGES:
            reason = f"; its pages have no end (page {len(seen):,} leads on to one that was read already, or to more)"
            break
        page, content = following, reader.read_page(following)
    if not items:
        raise ValueError("a FeatureCollection without items")
    if not reason and matched in {None, len(items)}:
        return _Answer(items, None)
    of = "" if matched is None else f" of {matched:,} that match, as the service says"
    return _Answer(items, f"{len(items):,} items{of}, are in the pages of this answer{reason}")


def _matched(content: Mapping[str, Any]) -> int | None:
    """How many items match a question, as the service says: today's name of it, or that of older ones."""
    context = content.get("context")
    matched = content.get("numberMatched", context.get("matched") if isinstance(context, Mapping) else None)
    return matched if isinstance(matched, int) else None


def _next_page(content: Mapping[str, Any], page: _Page) -> _Page | None:
    link = next((link for link in content.get("links") or () if link.get("rel") == "next" and link.get("href")), None)
    if link is None:
        return None
    href = make_absolute_href(link["href"], page.href)
    if str(link.get("method", "GET")).upper() != "POST":
        return _Page(href)
    body = link.get("body") or {}
    return _Page(href, {**(page.body or {}), **body} if link.get("merge") else dict(body))


def _items(found: Any) -> Iterator[pystac.Item]:
    if isinstance(found, pystac.Item):
        yield found
    elif isinstance(found, pystac.Catalog):  # a collection is one, too
        yield from found.get_items(recursive=True)
    else:
        yield from found.items


def _source(item: pystac.Item, catalogue: str) -> Source:
    taken = item.datetime or item.common_metadata.start_datetime
    sensor = item.common_metadata.platform or item.common_metadata.constellation
    date = None if taken is None else SceneDate(taken.date(), "STAC item")
    asset = _shown(item)
    if asset is None:
        names = ", ".join(sorted(item.assets)) or "none"
        problem = f"no asset of this STAC item is one image of what people see (its assets: {names})"
        return Source(f"{public_address(catalogue)}#{item.id}", problem=problem)
    href = asset.get_absolute_href() or asset.href
    if is_url(href):
        return Source(href, date=date, sensor=sensor)
    if is_url(catalogue):
        return Source(
            f"{public_address(catalogue)}#{item.id}", problem="its asset is a file of the server's, not an address"
        )
    try:
        return Source(_local_path(href).resolve(), date=date, sensor=sensor)
    except SceneError as error:
        return Source(f"{public_address(catalogue)}#{item.id}", problem=str(error))


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
    path = unquote(path, errors="surrogateescape")
    has_drive = sys.platform == "win32" and re.match(r"[A-Za-z]:", path)  # file:///C:/scenes/a.tif
    return Path(path if has_drive else f"/{path}")


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
