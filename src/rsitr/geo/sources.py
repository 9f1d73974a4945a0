"""Where scenes come from: files and folders, addresses on servers, STAC catalogues."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
from collections.abc import Sequence
from pathlib import Path

import rasterio

from rsitr.errors import SceneError
from rsitr.geo.files import SCENE_SUFFIXES, FileState, Source, find_scenes, is_url, name_of, public_address
from rsitr.geo.remote import ask, stat_remote
from rsitr.geo.scene import files_of, open_dataset

__all__ = ["find_sources", "list_files", "stat_source"]

CATALOGUE_SUFFIXES = (".json", ".geojson")
SNIFFED_BYTES = 64


def find_sources(inputs: Sequence[str | Path], *, may_be_gone: bool = False) -> list[Source]:
    """All scenes of the inputs: files, folders, addresses, and STAC items, collections and catalogues; each once.

    Args:
        inputs: as people name them.
        may_be_gone: a file or folder that is not there, or a folder without images, is no error.

    Raises:
        SceneError: an input does not exist, a folder holds nothing to index, or a catalogue cannot be read.
    """
    for item in inputs:
        _refuse_virtual(str(item))
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
            return files_of(dataset, path)
    except Exception:  # of whatever kind: libraries answer strange files with anything
        return [path]


def stat_source(location: Path | str, *, files: Sequence[Path] | None = None) -> FileState:
    """The state of a scene: of its file, and on this machine of every other that GDAL reads with it.

    Such are sidecars, world files, overviews, and the sources of a VRT.

    Args:
        location: of the scene.
        files: all of these, where they are known already.

    Raises:
        OSError: there is no such file, its server does not answer, or what it answers makes no sense.
    """
    if isinstance(location, Path):
        return _stat_files(files or list_files(location))
    return stat_remote(location)


def _stat_files(files: Sequence[Path]) -> FileState:
    own = files[0].stat()
    states = []
    for other in files[1:]:
        with contextlib.suppress(OSError):
            found = other.stat()
            states.append((other.name, found.st_size, found.st_mtime_ns))  # wherever the scene is moved to
    if not states:
        return own.st_size, own.st_mtime_ns
    digest = hashlib.blake2b(repr((own.st_size, own.st_mtime_ns, states)).encode(), digest_size=8).digest()
    return own.st_size + sum(size for _, size, _ in states), int.from_bytes(digest) >> 1  # as a signed number


def _refuse_virtual(name: str) -> None:
    """What GDAL calls files that lie elsewhere or inside others is not read: say what is."""
    if not name.startswith("/vsi"):
        return
    rest = name.partition("vsicurl/")[2] if name.startswith("/vsicurl/") else ""
    if is_url(rest):
        instead = f"name the address itself, {public_address(rest)}"
    elif name.startswith(("/vsis3/", "/vsis3_streaming/")):
        instead = f"name the address itself, s3://{name.split('/', 2)[2]}"
    else:
        instead = "unpack or download the file, and name that"
    raise SceneError(f"{name.partition('?')[0]}: names of GDAL's virtual file systems are not read: {instead}")


def _expand(item: str | Path, *, may_be_gone: bool) -> list[Source]:
    text = str(item)
    if text.split("?", 1)[0].lower().endswith(CATALOGUE_SUFFIXES):
        from rsitr.geo.stac import read_stac  # slow to import, and most indexes need no catalogue

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
        with ask(url, Accept="application/geo+json, application/json;q=0.9, */*;q=0.8") as answer:
            kind: str = answer.headers.get_content_type()
            start: bytes = answer.read(SNIFFED_BYTES)
            return kind.endswith("json") or start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except (OSError, http.client.HTTPException, ValueError):
        return False  # what is wrong with it is told when it is opened
