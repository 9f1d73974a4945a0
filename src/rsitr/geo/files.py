"""Which files to index: scenes named one by one, and folders searched for them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from rsitr.errors import SceneError
from rsitr.geo.metadata import SceneDate

__all__ = [
    "INDEX_FILE",
    "SCENE_SUFFIXES",
    "SIDECARS",
    "FileState",
    "Source",
    "count_passed_over",
    "find_scenes",
    "gdal_name",
    "is_url",
    "name_of",
    "public_address",
]

Location = TypeVar("Location", bound=Path | str)

SCENE_SUFFIXES = frozenset(
    {
        ".tif",
        ".tiff",
        ".gtiff",
        ".jp2",
        ".j2k",
        ".img",
        ".vrt",
        ".ntf",
        ".nitf",
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
        ".bmp",
    }
)
"""What is picked up from a folder. A file that is named itself may be called anything."""


SIDECARS = frozenset({".aux", ".jgw", ".msk", ".ovr", ".pgw", ".prj", ".rpb", ".rpc", ".rrd", ".tfw", ".wld", ".xml"})
INDEX_FILE = "rsitr-index.json"  # a folder with it is an index, and pictures in it are not scenes

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


def is_url(location: str) -> bool:
    """Whether a scene lies on a server: `https://`, `http://` or `s3://`.

    >>> is_url("s3://bucket/scene.tif"), is_url("2016/scene.tif")
    (True, False)
    """
    return location.startswith(("https://", "http://", "s3://"))


def gdal_name(url: str) -> str:
    """What GDAL calls a file on a server.

    >>> gdal_name("s3://bucket/scene.tif"), gdal_name("https://example.org/scene.tif?v=2")
    ('/vsis3/bucket/scene.tif', '/vsicurl/https://example.org/scene.tif?v=2')

    Raises:
        SceneError: this is no address of a file on a server.
    """
    if not is_url(url):
        raise SceneError(f"{url}: an address starts with https://, http:// or s3://")
    return f"/vsis3/{url.removeprefix('s3://')}" if url.startswith("s3://") else f"/vsicurl/{url}"


def name_of(location: Path | str) -> str:
    """The file's own name at the end of a path or an address.

    >>> name_of("https://example.org/2016/scene.tif?token=a/b")
    'scene.tif'
    """
    return PurePosixPath(urlsplit(location).path).name if isinstance(location, str) else location.name


def public_address(location: Location) -> Location | str:
    """An address without what opens it: its query, where signatures and tokens stand, and a password before the host.

    This is what a scene is called, and what is said of it. Paths and names in buckets stay as they are.

    >>> public_address("https://me:secret@example.org/scene.tif?sig=secret")
    'https://example.org/scene.tif'
    """
    if not isinstance(location, str) or not location.startswith(("https://", "http://")):
        return location
    scheme, _, rest = location.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def find_scenes(inputs: Sequence[Path], *, may_be_gone: bool = False) -> list[Path]:
    """Absolute paths of all scenes in the inputs: files as they are, folders through and through, sorted by name.

    A file that is named twice counts once. Links to folders are followed; hidden files (`._scene.tif` and the like) and
    the insides of indexes are left alone.

    Args:
        inputs: files and folders.
        may_be_gone: an input that is not there, or a folder without images, is no error.

    Raises:
        SceneError: an input does not exist, or a folder holds nothing to index.
    """
    missing = [str(path) for path in inputs if not path.exists()]
    if missing and not may_be_gone:
        raise SceneError(f"no such file or folder: {', '.join(missing)}")
    found: dict[Path, None] = {}
    for path in inputs:
        if path.is_dir():
            # The folder is resolved, what is in it is not: an archive that is built of links keeps its own names.
            inside = sorted(file for file in _files(path.resolve()) if file.suffix.lower() in SCENE_SUFFIXES)
            if not inside and not may_be_gone:
                raise SceneError(f"{path}: no images in this folder ({' '.join(sorted(SCENE_SUFFIXES))})")
            found.update(dict.fromkeys(inside))
        elif path.exists():
            found[path.parent.resolve() / path.name] = None
    return list(found)


def count_passed_over(inputs: Sequence[Path]) -> dict[str, int]:
    """How many files of other endings the folders among the inputs hold, by ending, most first; sidecars do not count.

    What is no image by its ending may be one all the same (`.nc`, `.hdf`, `.gif`), and is read if it is named itself.
    """
    files = [file for path in inputs if path.is_dir() for file in _files(path.resolve())]
    suffixes = [file.suffix.lower() or "without an ending" for file in files]
    return dict(Counter(one for one in suffixes if one not in {*SCENE_SUFFIXES, *SIDECARS}).most_common())


def _files(folder: Path) -> list[Path]:
    """Files below a folder and below what its links lead to, each folder once; its own way to it is preferred."""
    found: list[Path] = []
    seen: set[str] = set()
    starts = [folder]
    while starts:
        start = starts.pop(0)
        if start != folder and folder.is_relative_to(start.resolve()):
            continue  # up and around
        for parent, folders, names in os.walk(start):
            real = os.path.realpath(parent)
            if real in seen or INDEX_FILE in names:
                folders.clear()
                continue
            seen.add(real)
            links = {name for name in folders if Path(parent, name).is_symlink()}
            starts += [Path(parent, name) for name in sorted(links)]
            folders[:] = [name for name in folders if name not in links]
            found += [Path(parent, name) for name in names if not name.startswith(".")]
    return found
