"""Looking into picture files: each is decoded in full, since a header says nothing about what was cut off."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from rsitr.data.records import CaptionedImage
from rsitr.errors import DataError
from rsitr.pictures import describe_fault, to_rgb
from rsitr.types import Progress, no_progress

__all__ = ["Picture", "inspect_pictures", "map_pictures", "require_readable"]

T = TypeVar("T")
R = TypeVar("R")

_MOST_THREADS = 8
_sound: set[tuple[Path, int, int]] = set()
"""Path, size and time of change of the pictures that were found sound."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What is in a picture's file.

    Attributes:
        path: the file.
        sha256: hex digest of its bytes, or None where it could not be read.
        size_px: width and height, or None where it could not be decoded.
        mode: Pillow's name for the channels (`RGB`, `L`, ...), or None.
        fault: why it is of no use, or None.
    """

    path: Path
    sha256: str | None
    size_px: tuple[int, int] | None
    mode: str | None
    fault: str | None


def map_pictures(look: Callable[[T], R], pictures: Sequence[T], *, progress: Progress = no_progress) -> list[R]:
    """What `look` says of each picture, in their order; several are looked at at a time.

    Args:
        look: decodes a picture; raises nothing.
        pictures: whatever it takes.
        progress: called after each, in the caller's thread.
    """
    found = []
    with ThreadPoolExecutor(max_workers=min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        for result in pool.map(look, pictures):
            found.append(result)
            progress(len(found), len(pictures))
    return found


def inspect_pictures(paths: Sequence[Path], *, progress: Progress = no_progress) -> list[Picture]:
    """Read and decode every file, in the order given; the files exist."""
    return map_pictures(_inspect, paths, progress=progress)


def require_readable(images: Sequence[CaptionedImage], *, progress: Progress = no_progress) -> None:
    """Decode every picture once, before work starts that a damaged one would stop halfway.

    Those that this process has found sound are not read again as long as they don't change: a grid of runs looks at its
    pictures once.

    Args:
        images: their files exist (`require_images`).
        progress: called after each; those that need not be read count as done.

    Raises:
        DataError: some cannot be decoded; the message names the first and says how many.
    """
    unseen = [image.path for image in images if _mark(image.path) not in _sound]
    known = len(images) - len(unseen)
    if known:
        progress(known, len(images))
    pictures = inspect_pictures(unseen, progress=lambda done, _: progress(known + done, len(images)))
    broken = [picture for picture in pictures if picture.fault]
    _sound.update(_mark(picture.path) for picture in pictures if not picture.fault)
    if broken:
        raise DataError(
            f"{len(broken):,} of {len(images):,} pictures cannot be read, the first is {broken[0].path}: "
            f"{broken[0].fault}; `rsitr data check` lists them"
        )


def _mark(path: Path) -> tuple[Path, int, int]:
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns


def _inspect(path: Path) -> Picture:
    try:
        content = path.read_bytes()
    except OSError as error:
        return Picture(path=path, sha256=None, size_px=None, mode=None, fault=error.strerror or str(error))
    digest = hashlib.sha256(content).hexdigest()
    if not content:
        return Picture(path=path, sha256=digest, size_px=None, mode=None, fault="the file is empty")
    try:
        with Image.open(io.BytesIO(content)) as image:
            to_rgb(image)
            return Picture(path=path, sha256=digest, size_px=image.size, mode=image.mode, fault=None)
    except Exception as error:  # decoders raise anything on damaged bytes (OSError, SyntaxError, struct.error, ...)
        return Picture(path=path, sha256=digest, size_px=None, mode=None, fault=describe_fault(error, content))
