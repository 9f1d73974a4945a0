"""Finding a data set's pictures: the folder is called differently everywhere, and extensions change on the way.

A folder is listed once; names are then looked up in memory.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["IMAGE_SUFFIXES", "ImageFiles", "find_images"]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jp2")
"""In order of preference, where several files have the stem that is asked for."""

_USUAL_NAME = re.compile(r"(.*[_\- ])?(images?|imgs?)", re.IGNORECASE)
_AMBIGUOUS = ""
_DEPTH = 3
"""How far below the data set's folder pictures are looked for; a bound also on circular links."""


class ImageFiles:
    """The pictures under one folder, to be found by the names that annotations use.

    A name is tried as it is, then without regard to case, then by its stem (an annotation says `.tif`, the disk has
    `.jpg`). If it names a folder (`airplane/airplane_001.jpg`), a file without folders will do; if it names none, so
    will a file in some folder, unless two folders have one.
    """

    def __init__(self, root: Path, files: Iterable[str]) -> None:
        """Take the pictures of `root`.

        Args:
            root: the folder of the pictures.
            files: paths of pictures relative to `root`, with forward slashes.
        """
        self.root = root
        self._by_path: dict[tuple[str, str], str] = {}
        self._by_name: dict[tuple[str, str], str] = {}
        for file in sorted(files, key=_preference):
            for key in _keys(file):
                self._by_path.setdefault(key, file)
            folder, name = posixpath.split(file)
            if folder:
                for key in _keys(name):
                    other = self._by_name.setdefault(key, file)
                    if posixpath.dirname(other) != folder:
                        self._by_name[key] = _AMBIGUOUS

    def find(self, filename: str) -> Path | None:
        """The file that an annotation's `filename` means, or None."""
        filename = posixpath.normpath(filename)
        name = posixpath.basename(filename)
        lookups = [(self._by_path, filename), (self._by_path, name) if name != filename else (self._by_name, name)]
        for index, wanted in lookups:
            for key in _keys(wanted):
                if found := index.get(key):
                    return self.root / found
        return None

    def locate(self, filename: str) -> Path:
        """As `find`; for a missing picture the path where it was expected."""
        return self.find(filename) or self.root / filename


def find_images(folder: Path, filenames: Iterable[str]) -> ImageFiles:
    """Choose the folder that holds most of the pictures: a subfolder of `folder`, or `folder` itself.

    Among equals a usual name (images, imgs, RSICD_images, ...) goes first. Without any picture the files are expected
    in the subfolder with a usual name, or in `images`.

    Args:
        folder: the data set's folder, resolved.
        filenames: as the annotations write them.
    """
    names = tuple(filenames)
    files = [path for path in _walk(folder, depth=_DEPTH) if path.lower().endswith(IMAGE_SUFFIXES)]
    subfolders = sorted(
        (entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")),
        key=lambda name: (not _USUAL_NAME.fullmatch(name), name),
    )
    best, most = None, 0
    for name in (*subfolders, ""):
        prefix = f"{name}/" if name else ""
        inside = (file.removeprefix(prefix) for file in files if file.startswith(prefix))
        candidate = ImageFiles(folder / name, inside)
        count = sum(candidate.find(filename) is not None for filename in names)
        if count > most:
            best, most = candidate, count
        if most == len(names):
            break
    if best is not None:
        return best
    usual = [name for name in subfolders if _USUAL_NAME.fullmatch(name)]
    return ImageFiles(folder / (usual[0] if usual else "images"), ())


def _walk(folder: Path, *, depth: int) -> Iterator[str]:
    """Paths of the files under `folder`, relative to it, links followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_file():
                yield entry.name
            elif depth and entry.is_dir():
                yield from (f"{entry.name}/{path}" for path in _walk(Path(entry.path), depth=depth - 1))


def _keys(name: str) -> tuple[tuple[str, str], ...]:
    """What a file is known by and what a name is looked up by, most exact first."""
    folded = name.casefold()
    return ("exact", name), ("folded", folded), ("stem", posixpath.splitext(folded)[0])


def _preference(file: str) -> tuple[int, int, str]:
    """Shallow before deep, preferred suffixes first."""
    return (file.count("/"), IMAGE_SUFFIXES.index(posixpath.splitext(file)[1].lower()), file)
