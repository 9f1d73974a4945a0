"""Looking into picture files: each is decoded in full, since a header says nothing about what was cut off."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rsitr.data.records import CaptionedImage
from rsitr.errors import DataError

__all__ = ["Picture", "inspect_pictures", "require_readable", "to_rgb"]

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


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode a picture in full, as 8-bit RGB.

    Sixteen bits become eight by dividing their whole range; Pillow alone would cut all above 255 off to white.

    Raises:
        ValueError: its values are floating-point numbers, of which nobody knows what is white.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers: save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        values = np.clip(np.asarray(image), 0, np.iinfo(np.uint16).max) // 257
        image = Image.fromarray(values.astype(np.uint8))
    return image.convert("RGB")


def inspect_pictures(paths: Iterable[Path], *, on_picture: Callable[[], None] = lambda: None) -> tuple[Picture, ...]:
    """Read and decode every file, several at a time, in the order given.

    Args:
        paths: existing files.
        on_picture: called after each, in the caller's thread.
    """
    pictures = []
    with ThreadPoolExecutor(max_workers=min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        for picture in pool.map(_inspect, paths):
            pictures.append(picture)
            on_picture()
    return tuple(pictures)


def require_readable(images: Sequence[CaptionedImage], *, on_picture: Callable[[], None] = lambda: None) -> None:
    """Decode every picture once, before work starts that a damaged one would stop halfway.

    Those that this process has found sound are not read again as long as they don't change: a grid of runs looks at its
    pictures once.

    Args:
        images: their files exist (`require_images`).
        on_picture: called after each.

    Raises:
        DataError: some cannot be decoded; the message names the first and says how many.
    """
    marks = [_mark(image.path) for image in images]
    unseen = [image.path for image, mark in zip(images, marks, strict=True) if mark not in _sound]
    for _ in range(len(images) - len(unseen)):
        on_picture()
    pictures = inspect_pictures(unseen, on_picture=on_picture)
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
    except UnidentifiedImageError:
        fault = "not a picture, or of an unknown kind"
    except Exception as error:  # decoders raise anything on damaged bytes (OSError, SyntaxError, struct.error, ...)
        fault = str(error).splitlines()[0] if str(error) else type(error).__name__
    return Picture(path=path, sha256=digest, size_px=None, mode=None, fault=fault)
