"""Pictures that people send: bounded before they are decoded, and kept in memory for a while, small."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from cachetools import TTLCache
from PIL import Image, UnidentifiedImageError

from rsitr.errors import MissingError
from rsitr.pictures import open_picture
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

    def __init__(self, *, limit: int, expiry_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._held: TTLCache[str, ImageArray] = TTLCache(limit, ttl=expiry_s, timer=clock)

    def __len__(self) -> int:
        return len(self._held)

    def put(self, image: ImageArray) -> str:
        """Keep a picture; returns its id."""
        name = secrets.token_urlsafe(12)
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
            raise MissingError("this picture is not here, or no longer: send it again") from None
