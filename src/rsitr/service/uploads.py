"""Pictures that people send: bounded before they are decoded, and kept for a while, small."""

from __future__ import annotations

import io
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cachetools import TTLCache
from PIL import Image, UnidentifiedImageError

from rsitr.errors import MissingError, StoreError
from rsitr.files import write_file
from rsitr.pictures import open_picture
from rsitr.service.errors import TooLargeError, UnsupportedError
from rsitr.types import ImageArray

__all__ = [
    "FORMATS",
    "MISSING",
    "PictureFolder",
    "PictureStore",
    "Upload",
    "decode_upload",
    "name_picture",
    "pack_picture",
    "unpack_picture",
]

FORMATS = ("JPEG", "PNG", "WEBP")
"""What is decoded: formats of browsers and cameras, whose decoders are the most looked at."""
MOST_BYTES = 128 * 2**20
NAME = re.compile(r"[A-Za-z0-9_-]{16}", re.ASCII)
MISSING = "this picture is not here, or no longer: send it again"


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """A decoded picture: reduced pixels (H, W, 3), and the (width, height) that it came with."""

    image: ImageArray
    size_px: tuple[int, int]


def decode_upload(content: bytes, *, max_px: int, keep_px: int) -> Upload:
    """Decode a picture that a stranger has sent.

    Args:
        content: the file.
        max_px: pixels that it may have; more are refused by its header, before anything is decoded.
        keep_px: its longer side is reduced to this.

    Raises:
        TooLargeError: it has too many pixels.
        UnsupportedError: it is no JPEG, PNG or WebP, or it is damaged.
    """
    try:
        size_px = _check(content, max_px=max_px)
        image = np.asarray(open_picture(content, formats=FORMATS, side_px=keep_px, stretch=True))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(max_px) from error
    except UnidentifiedImageError as error:
        raise UnsupportedError("this is no JPEG, PNG or WebP picture; convert it to one of them") from error
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, OverflowError, MemoryError) as error:
        raise UnsupportedError("the picture is damaged or cut off; save it again as JPEG, PNG or WebP") from error
    if 0 in image.shape:
        raise UnsupportedError("the picture has no pixels")
    return Upload(image=np.ascontiguousarray(image), size_px=size_px)


def _check(content: bytes, *, max_px: int) -> tuple[int, int]:
    """Its (width, height) by the header; checksums are looked at where the format has them, and no pixel is decoded."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > max_px:
            raise _too_large(max_px)
        picture.verify()
    return width, height


def _too_large(max_px: int) -> TooLargeError:
    return TooLargeError(f"the picture has more than {max_px / 1e6:g} million pixels; make it smaller")


class PictureStore:
    """Uploaded pictures by ids that nobody can guess; the oldest make room for new ones. For one thread."""

    def __init__(
        self,
        *,
        limit: int,
        expiry_s: float,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._held: TTLCache[str, ImageArray] = TTLCache(
            most_bytes, ttl=expiry_s, timer=clock, getsizeof=lambda image: image.nbytes
        )

    def __len__(self) -> int:
        return len(self._held)

    def put(self, image: ImageArray, *, name: str | None = None) -> str:
        """Keep a picture; returns its id."""
        name = name or name_picture()
        self._held.expire()
        while len(self._held) >= self._limit:
            self._held.popitem()
        self._held[name] = image
        return name

    def get(self, name: str) -> ImageArray:
        """A picture by its id.

        Raises:
            MissingError: it is not there, or no longer.
        """
        try:
            return self._held[name]
        except KeyError:
            raise MissingError(MISSING) from None


class PictureFolder:
    """The same as files, which several processes have in common; nobody but their user can read them."""

    def __init__(self, folder: Path, *, limit: int, expiry_s: float, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._limit = limit
        self._expiry_s = expiry_s
        self._most_bytes = most_bytes

    def __len__(self) -> int:
        return len(self._kept())

    def put(self, image: ImageArray, *, name: str | None = None) -> str:
        """Keep a picture; returns its id.

        Raises:
            StoreError: the disk refuses.
        """
        name = name or name_picture()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"pictures cannot be kept ({error.strerror or error})") from error
        write_file(self._folder / name, pack_picture(image), error=StoreError)
        self._make_room(name)
        return name

    def get(self, name: str) -> ImageArray:
        """A picture by its id.

        Raises:
            MissingError: it is not there, or no longer.
        """
        path = self._folder / name
        try:
            if NAME.fullmatch(name) and time.time() - path.stat().st_mtime <= self._expiry_s:
                return unpack_picture(path.read_bytes())
        except OSError:
            pass
        raise MissingError(MISSING)

    def _make_room(self, newest: str) -> None:
        # Files of the same few milliseconds have the same time: what has just come is not to go for that.
        kept = sorted(self._kept(), key=lambda one: one[2].name == newest)
        total = sum(size for _, size, _ in kept)
        for number, (age_s, size, path) in enumerate(kept):
            if age_s <= self._expiry_s and len(kept) - number <= self._limit and total <= self._most_bytes:
                return
            total -= size
            with suppress(FileNotFoundError):  # another process was first
                path.unlink()

    def _kept(self) -> list[tuple[float, int, Path]]:
        """Age in seconds, size in bytes and path of each, the oldest first."""
        found = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    about = entry.stat()
                    found.append((time.time() - about.st_mtime, about.st_size, Path(entry.path)))
        return sorted(found, key=lambda one: (-one[0], one[2]))


def name_picture() -> str:
    """An id that nobody can guess."""
    return secrets.token_urlsafe(12)


def pack_picture(image: ImageArray) -> bytes:
    """A reduced picture as bytes, without loss."""
    file = io.BytesIO()
    np.save(file, image, allow_pickle=False)
    return file.getvalue()


def unpack_picture(content: bytes) -> ImageArray:
    """What `pack_picture` made; MissingError for anything else."""
    try:
        image: ImageArray = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError):
        raise MissingError(MISSING) from None
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise MissingError(MISSING)
    return image
