"""Which files to index: scenes named one by one, and folders searched for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from rsitr.errors import SceneError

__all__ = ["SCENE_SUFFIXES", "find_scenes", "gdal_name", "is_url", "name_of", "public_address"]

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


def find_scenes(inputs: Sequence[Path]) -> list[Path]:
    """Absolute paths of all scenes in the inputs: files as they are, folders through and through, sorted by name.

    A file that is named twice counts once. Hidden files (`._scene.tif` and the like) are left alone.

    Raises:
        SceneError: an input does not exist, or a folder holds nothing to index.
    """
    missing = [str(path) for path in inputs if not path.exists()]
    if missing:
        raise SceneError(f"no such file or folder: {', '.join(missing)}")
    found: dict[Path, None] = {}
    for path in inputs:
        inside = _walk(path) if path.is_dir() else [path]
        if not inside:
            raise SceneError(f"{path}: no images in this folder ({' '.join(sorted(SCENE_SUFFIXES))})")
        # The folder is resolved, the file is not: an archive that is built of links keeps its own names.
        found.update(dict.fromkeys(scene.parent.resolve() / scene.name for scene in inside))
    return list(found)


def _walk(folder: Path) -> list[Path]:
    names: Iterable[tuple[str, list[str], list[str]]] = os.walk(folder)
    found = [
        Path(parent, name)
        for parent, _, files in names
        for name in files
        if Path(name).suffix.lower() in SCENE_SUFFIXES and not name.startswith(".")
    ]
    return sorted(found)
