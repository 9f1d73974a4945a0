"""Whether the pixels of a tile can show anything to a model at all."""

from __future__ import annotations

from rsitr.formats.text import format_gsd
from rsitr.geo import COARSEST_GSD_M, SMALLEST_PX
from rsitr.types import Tile

__all__ = ["SUITABLE", "find_unsuitable", "say_suitability"]

SUITABLE = "good"
"""What files say of a tile whose pixels can show something."""


def find_unsuitable(tile: Tile) -> str | None:
    """Why a tile can make no positive verdict; None where it can.

    >>> find_unsuitable(Tile("a", "a.tif", (0, 0, 64, 64), gsd_m=100.0))
    'pixels of 100 m'
    """
    if tile.gsd_m is not None and tile.gsd_m > COARSEST_GSD_M:
        return f"pixels of {format_gsd(tile.gsd_m).removesuffix(' per pixel')}"
    width, height = tile.window_px[2:]
    return f"{width} × {height} pixels" if 0 < min(width, height) < SMALLEST_PX else None


def say_suitability(tile: Tile) -> str:
    """Whether a tile's pixels can show anything, as files say it: `good`, or why not."""
    return find_unsuitable(tile) or SUITABLE
