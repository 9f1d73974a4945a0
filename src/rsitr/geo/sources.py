"""Where scenes come from: files and folders, addresses on servers, STAC catalogues."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio

from rsitr.errors import SceneError
from rsitr.geo.files import SCENE_SUFFIXES, find_scenes, is_url, name_of
from rsitr.geo.metadata import SceneDate
from rsitr.geo.scene import open_dataset

__all__ = ["FileState", "Source", "find_sources", "list_files", "open_bucket", "stat_source"]

CATALOGUE_SUFFIXES = (".json", ".geojson")
TIMEOUT_S = 60.0
SNIFFED_BYTES = 64
REFUSED_TO_HEAD = frozenset({400, 401, 403, 405, 501})
LARGEST = 2**63 - 1  # what an index can record

FileState = tuple[int, int]
"""Size in bytes and time of change in nanoseconds: a scene whose file has changed is another scene. Of several files,
such as a picture and its sidecar, their size together and a digest of what each is called and when it changed."""


@dataclass(frozen=True, slots=True)
class Source:
    """A scene that may be opened.

    Attributes:
        location: a file's absolute path, or an address.
        date: when it was taken, if a catalogue says so.
        sensor: by what, likewise.
        problem: why it cannot be used, if that is known already.
    """

    location: Path | str
    date: SceneDate | None = None
    sensor: str | None = None
    problem: str | None = None


def find_sources(inputs: Sequence[str | Path], *, may_be_gone: bool = False) -> list[Source]:
    """All scenes of the inputs: files, folders, addresses, and STAC items, collections and catalogues; each once.

    Args:
        inputs: as people name them.
        may_be_gone: a file or folder that is not there, or a folder without images, is no error.

    Raises:
        SceneError: an input does not exist, a folder holds nothing to index, or a catalogue cannot be read.
    """
    missing = [str(item) for item in inputs if not is_url(str(item)) and not Path(item).exists()]
    if missing and not may_be_gone:
        raise SceneError(f"no such file or folder: {', '.join(missing)}")
    found: dict[str, Source] = {}
    for item in inputs:
        for source in _expand(item, may_be_gone=may_be_gone) if str(item) not in missing else []:
            found.setdefault(str(source.location), source)
    return list(found.values())


def list_files(path: Path) -> list[Path]:
    """A scene's own file, and behind it the others that GDAL reads with it and that are there.

    Of a scene that cannot be opened only its own: what is wrong with it is said when it is read.
    """
    try:
        with rasterio.Env(), open_dataset(path) as dataset:  # GDAL knows no format before the first Env
            names = sorted(dataset.files)
    except Exception:  # of whatever kind: libraries answer strange files with anything
        names = []
    others = (Path(name) for name in names)
    return [path, *(other for other in others if other != path and other.is_file())]


def stat_source(location: Path | str) -> FileState:
    """The state of a scene: of its file, and on this machine of every other that GDAL reads with it.

    Such are sidecars, world files, overviews, and the sources of a VRT.

    Raises:
        OSError: there is no such file, its server does not answer, or what it answers makes no sense.
    """
    if isinstance(location, Path):
        return _stat_files(location)
    try:
        found = _stat_s3(location) if location.startswith("s3://") else _stat_http(location)
    except (http.client.HTTPException, ValueError, OverflowError) as error:
        raise OSError(f"its address or its server's answer makes no sense ({error})") from error
    if not (0 <= found[0] <= LARGEST and abs(found[1]) <= LARGEST):
        raise OSError(
            f"its server's answer makes no sense: {found[0]} bytes, changed {found[1] / 1e9:.0f} s after 1970"
        )
    return found


def _stat_files(path: Path) -> FileState:
    own = path.stat()
    states = []
    for other in list_files(path)[1:]:
        with contextlib.suppress(OSError):
            found = other.stat()
            states.append((other.name, found.st_size, found.st_mtime_ns))  # wherever the scene is moved to
    if not states:
        return own.st_size, own.st_mtime_ns
    digest = hashlib.blake2b(repr((own.st_size, own.st_mtime_ns, states)).encode(), digest_size=8).digest()
    return own.st_size + sum(size for _, size, _ in states), int.from_bytes(digest) >> 1  # as a signed number


def _expand(item: str | Path, *, may_be_gone: bool) -> list[Source]:
    text = str(item)
    if text.split("?", 1)[0].lower().endswith(CATALOGUE_SUFFIXES):
        from rsitr.geo.stac import read_stac  # here, because most indexes need no catalogue

        return read_stac(text if is_url(text) else str(Path(text).resolve()))
    if is_url(text):
        if _is_json(text):
            from rsitr.geo.stac import read_stac

            return read_stac(text)
        return [Source(text)]
    return [Source(path) for path in find_scenes([Path(item)], may_be_gone=may_be_gone)]


def _is_json(url: str) -> bool:
    """Whether an address whose ending says nothing leads to a catalogue, as those of STAC services do."""
    try:
        if url.startswith("s3://") or Path(name_of(url)).suffix.lower() in SCENE_SUFFIXES:
            return False
        with _ask(url, Accept="application/geo+json, application/json;q=0.9, */*;q=0.8") as answer:
            kind: str = answer.headers.get_content_type()
            start: bytes = answer.read(SNIFFED_BYTES)
            return kind.endswith("json") or start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except (OSError, http.client.HTTPException, ValueError):
        return False  # what is wrong with it is told when it is opened


def _ask(url: str, *, method: str = "GET", **headers: str) -> Any:
    return urllib.request.urlopen(urllib.request.Request(url, method=method, headers=headers), timeout=TIMEOUT_S)


def _head(url: str) -> Mapping[str, str]:
    """The headers of a file; addresses that are signed for GET are refused to HEAD, so one byte is asked for then."""
    try:
        with _ask(url, method="HEAD") as answer:
            headers: Mapping[str, str] = answer.headers
            return headers
    except urllib.error.HTTPError as error:
        if error.code not in REFUSED_TO_HEAD:
            raise
    with _ask(url, Range="bytes=0-0") as answer:
        found = dict(answer.headers)
        whole = found.get("Content-Range", "").rpartition("/")[2]
        return {**found, "Content-Length": whole} if whole.isdigit() else found


def _stat_http(url: str) -> FileState:
    try:
        headers = _head(url)
    except urllib.error.HTTPError as error:
        raise OSError(f"its server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise OSError(f"its server cannot be reached ({error.reason})") from error
    changed = headers.get("Last-Modified")
    if changed:
        changed_ns = int(email.utils.parsedate_to_datetime(changed).timestamp()) * 1_000_000_000
    else:
        # Any number will do that is another one when the file is another one.
        changed_ns = int.from_bytes(hashlib.sha256((headers.get("ETag") or "").encode()).digest()[:7])
    return int(headers.get("Content-Length") or 0), changed_ns


def open_bucket() -> Any:
    """The file system of buckets, with the settings that GDAL reads: what lists an object is who reads it."""
    from pyarrow import fs

    endpoint = os.environ.get("AWS_S3_ENDPOINT") or os.environ.get("AWS_ENDPOINT_URL")
    is_plain = os.environ.get("AWS_HTTPS", "YES").upper() in {"NO", "OFF", "FALSE"}
    return fs.S3FileSystem(
        anonymous=os.environ.get("AWS_NO_SIGN_REQUEST", "NO").upper() in {"YES", "ON", "TRUE"},
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        endpoint_override=endpoint,
        scheme="http" if is_plain else "https",
        request_timeout=TIMEOUT_S,
        connect_timeout=TIMEOUT_S,
    )


def _stat_s3(url: str) -> FileState:
    from pyarrow import fs

    (info,) = open_bucket().get_file_info([url.removeprefix("s3://")])
    if info.type != fs.FileType.File:
        raise FileNotFoundError("there is no such object in the bucket")
    return int(info.size), int(info.mtime_ns or 0)
