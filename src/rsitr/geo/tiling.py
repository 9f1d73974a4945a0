"""Cutting a scene into the windows that are indexed."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["COARSEST_GSD_M", "FINEST_GSD_M", "SMALLEST_PX", "Window", "choose_tile_px", "cut_scales", "cut_windows"]

Window = tuple[int, int, int, int]
"""(column, row, width, height) in full-resolution pixels."""

FINEST_GSD_M = 0.3
"""The finest imagery that captioned training sets show (UCM); a tile of finer pixels takes more of them instead."""

COARSEST_GSD_M = 30.0
"""Several times what the coarsest pictures of captioned training sets show (RSICD, up to 8 m): beyond it houses, ships
and roads cannot be seen at all, and a model that knows them from close by guesses."""

RASTER_WHOLE = 1.5  # up to so many tile sides a raster is one tile: cutting it would index nearly the same ground twice
PICTURE_WHOLE = 3.0  # a picture without a place is usually one framed scene (AID: 600 px), and stays whole for longer


SMALLEST_PX = 16
"""Side of the smallest tile: of fewer pixels no model makes anything."""


def choose_tile_px(*, model_px: int, gsd_m: float | None, tile_m: float | None = None) -> int:
    """Side of a tile in pixels, where the person names none.

    With `tile_m`, so many metres on the ground (16 pixels at least), where a pixel's size is known in metres. Else:

    One pixel of the scene for each pixel that the model sees: nothing is thrown away, and a tile of NAIP imagery at 5 m
    spans 1.1 km, about what the pictures of RSICD show. Below 0.3 m per pixel such a tile would show less ground than
    any training picture (a car, half a roof), so there it spans as much as it would at 0.3 m, and is read reduced.
    """
    if tile_m is not None and gsd_m is not None:
        return max(SMALLEST_PX, round(tile_m / gsd_m))
    if gsd_m is None or gsd_m >= FINEST_GSD_M:
        return model_px
    return round(model_px * FINEST_GSD_M / gsd_m)


def cut_windows(
    width: int, height: int, *, tile_px: int, overlap: float = 0.0, is_picture: bool = False
) -> list[Window]:
    """Windows that cover a scene, row by row, evenly spaced; where they don't fit exactly, all overlap a little.

    >>> cut_windows(500, 224, tile_px=224)
    [(0, 0, 224, 224), (138, 0, 224, 224), (276, 0, 224, 224)]
    >>> cut_windows(300, 260, tile_px=224)  # small: one tile
    [(0, 0, 300, 260)]

    Args:
        width: of the scene, in pixels.
        height: of the scene, in pixels.
        tile_px: side of a tile.
        overlap: part of a tile's side that it shares with its neighbour at least, 0 <= overlap < 1.
        is_picture: a plain picture without a place: whole up to three tile sides, not 1.5.
    """
    long, short = max(width, height), min(width, height)
    if short < SMALLEST_PX:  # pieces as short as that would show nothing, and there would be thousands
        return [(0, 0, width, height)]
    if long <= tile_px * (PICTURE_WHOLE if is_picture else RASTER_WHOLE) and long <= 2 * short:
        return [(0, 0, width, height)]
    # A strip is cut into pieces at most twice as long as wide: models look at squares, and would squeeze or crop more.
    side = min(tile_px, 2 * short)
    across, down = min(side, width), min(side, height)
    cols = _starts(width, across, overlap)
    return [(col, row, across, down) for row in _starts(height, down, overlap) for col in cols]


def cut_scales(
    width: int,
    height: int,
    *,
    tile_px: int,
    scales: Sequence[float] = (1.0,),
    overlap: float = 0.0,
    is_picture: bool = False,
) -> list[Window]:
    """Windows of several sizes, `tile_px` times each scale; a window that two sizes share is there once.

    >>> len(cut_scales(448, 448, tile_px=224, scales=(1, 2, 4)))  # four, and the whole once
    5
    """
    sides = [max(SMALLEST_PX, round(tile_px * scale)) for scale in scales]
    windows = [
        window
        for side in sides
        for window in cut_windows(width, height, tile_px=side, overlap=overlap, is_picture=is_picture)
    ]
    return list(dict.fromkeys(windows))


def _starts(length: int, side: int, overlap: float) -> list[int]:
    step = max(1.0, side * (1.0 - overlap))
    count = 1 + math.ceil((length - side) / step)
    # What is too much is shared among all: a last window that moved inwards alone could nearly repeat the one before.
    return [round(i * (length - side) / (count - 1)) for i in range(count)] if count > 1 else [0]
