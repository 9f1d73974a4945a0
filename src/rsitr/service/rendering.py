"""Pictures for browsers: tiles, whole scenes, heat maps; and a bounded memory of them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image

from rsitr.pictures import paint_heat
from rsitr.types import FloatArray, ImageArray

__all__ = ["ByteCache", "draw_similarity", "to_jpeg", "to_png", "to_webp"]

JPEG_QUALITY = 85
WEBP_QUALITY, WEBP_EFFORT = 82, 1
STRONGEST = 0.75
"""Opacity of the hottest cell: what is below it must still be seen."""


def to_jpeg(image: ImageArray) -> bytes:
    """A picture (H, W, 3) as JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def to_png(image: ImageArray, *, valid: NDArray[np.bool_]) -> bytes:
    """A picture (H, W, 3) as PNG, transparent where there is no data (H, W)."""
    file = io.BytesIO()
    alpha = np.where(valid, np.uint8(255), np.uint8(0))
    Image.fromarray(np.dstack([image, alpha])).save(file, "PNG")
    return file.getvalue()


def to_webp(image: ImageArray, *, valid: NDArray[np.bool_]) -> bytes:
    """A picture (H, W, 3) as WebP, transparent where there is no data (H, W)."""
    file = io.BytesIO()
    shown = image if valid.all() else np.dstack([image, np.where(valid, np.uint8(255), np.uint8(0))])
    Image.fromarray(shown).save(file, "WEBP", quality=WEBP_QUALITY, method=WEBP_EFFORT)
    return file.getvalue()


def draw_similarity(similarity: FloatArray, *, size_px: tuple[int, int]) -> bytes:
    """A heat map as a transparent PNG of (width, height), to be laid over the picture.

    It is stretched from its own median to its own greatest value: it shows where the words fit best, not how well.
    """
    low, high = float(np.median(similarity)), float(similarity.max())
    share = np.clip((similarity - low) / max(high - low, 1e-6), 0.0, 1.0)
    smooth = Image.fromarray((share * 255).astype(np.uint8)).resize(size_px, Image.Resampling.BICUBIC)
    shown = np.asarray(np.asarray(smooth) / 255, dtype=np.float32)
    file = io.BytesIO()
    Image.fromarray(paint_heat(shown, strongest=STRONGEST)).save(file, "PNG")
    return file.getvalue()


class ByteCache:
    """Rendered pictures, up to so many bytes, the least recently used forgotten first. Safe for many threads."""

    def __init__(self, limit_bytes: int) -> None:
        self._held: LRUCache[tuple[object, ...], bytes] = LRUCache(limit_bytes, getsizeof=len)
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """What is held."""
        return int(self._held.currsize)

    def get(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        """What is kept under a key, or what `make` makes, which is then kept."""
        with self._lock:
            found = self._held.get(key)
        if found is not None:
            return found
        content = make()
        with self._lock, suppress(ValueError):  # larger than all there is room for
            self._held[key] = content
        return content
