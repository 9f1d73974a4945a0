"""Pictures that people send: bounded before they are decoded, and kept in memory for a while, small."""

from __future__ import annotations

import io
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rsitr.errors import MissingError
from rsitr.service.errors import TooLargeError, UnsupportedError
from rsitr.types import ImageArray

__all__ = ["FORMATS", "PictureStore", "Upload", "decode_upload"]

FORMATS = ("JPEG", "PNG", "WEBP")
"""What is decoded: formats of browsers and cameras, whose decoders are the most looked at."""


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
        _check(content, max_px=max_px)
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            size_px = picture.size
            picture.draft("RGB", (keep_px, keep_px))  # a JPEG is reduced while it is decoded
            picture.thumbnail((keep_px, keep_px), Image.Resampling.BOX)
            image = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(max_px) from error
    except UnidentifiedImageError as error:
        raise UnsupportedError("this is no JPEG, PNG or WebP picture; convert it to one of them") from error
    except (OSError, ValueError, SyntaxError, TypeError, EOFError, OverflowError, MemoryError) as error:
        raise UnsupportedError("the picture is damaged or cut off; save it again as JPEG, PNG or WebP") from error
    if 0 in image.shape:
        raise UnsupportedError("the picture has no pixels")
    return Upload(image=np.ascontiguousarray(image), size_px=size_px)


def _check(content: bytes, *, max_px: int) -> None:
    """Look at the header, and at the checksums where the format has them; no pixel is decoded."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        width, height = picture.size
        if width * height > max_px:
            raise _too_large(max_px)
        picture.verify()


def _too_large(max_px: int) -> TooLargeError:
    return TooLargeError(f"the picture has more than {max_px / 1e6:g} million pixels; make it smaller")


class PictureStore:
    """Uploaded pictures by ids that nobody can guess; the oldest make room for new ones."""

    def __init__(self, *, limit: int, expiry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._expiry_s = expiry_s
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, ImageArray]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def put(self, image: ImageArray) -> str:
        """Keep a picture; returns its id."""
        self._expire()
        name = secrets.token_urlsafe(12)
        self._held[name] = (self._clock(), image)
        while len(self._held) > self._limit:
            self._held.popitem(last=False)
        return name

    def get(self, name: str) -> ImageArray:
        """A picture by its id.

        Raises:
            MissingError: it is not there, or no longer.
        """
        self._expire()
        if name not in self._held:
            raise MissingError("this picture is not here, or no longer: send it again")
        return self._held[name][1]

    def _expire(self) -> None:
        oldest = self._clock() - self._expiry_s
        while self._held and next(iter(self._held.values()))[0] < oldest:
            self._held.popitem(last=False)
