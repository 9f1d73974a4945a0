"""Map tiles of a scene: its pixels on the grid of web maps (Web Mercator, x and y from the north-west).

Where a pixel of a tile lies in the scene is found from the scene's own placement, whatever that is: a transform,
control points or a sensor model. So a tile lies where footprints and coordinates of hits do.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import SceneError
from rsitr.extras import need
from rsitr.geo.pixels import SceneReader, WindowPixels
from rsitr.geo.placement import Placement
from rsitr.geo.tiling import Window
from rsitr.types import ImageArray

__all__ = ["WEB_TILE_PX", "draw_web_tile"]

WEB_TILE_PX = 512
POLE = 89.99
"""Latitude, in degrees, beyond which web maps put everything: they show none of it, and the pole itself nowhere."""
STEPS, FINE_STEPS = 16, 96
"""Into how many pieces a side is cut where positions are looked up; between them they are taken for smooth."""
ROUNDS = 6
"""Each looks closer at the part of the scene that the tile shows: 16 to the 6th is more than any scene's pixels."""
DEGREE = 3
OFF_PX = 0.25
"""How far a cubic may miss what was looked up, in pixels of the tile, before a finer lattice takes its place."""

Floats = NDArray[np.float64]


def draw_web_tile(reader: SceneReader, *, zoom: int, x: int, y: int) -> WindowPixels | None:
    """A tile of 512 x 512 pixels; None where the scene shows nothing of it.

    Args:
        reader: of a scene with a place.
        zoom: 0 shows the whole world in one tile, each further one halves the side of a tile on the ground.
        x: column of the tile, 0 to 2 ** zoom - 1, from 180 degrees west.
        y: row, from the north.

    Raises:
        SceneError: pixels cannot be decoded.
    """
    placement = reader.scene.placement
    if placement is None:
        return None
    looked = _look(placement, reader.scene.whole, zoom=zoom, x=x, y=y)
    if looked is None:
        return None
    window, points, positions = looked
    # What one pixel of the tile is in pixels of the scene, to read no finer than is shown.
    scale = max(1.0, float((np.ptp(points, axis=0) / np.maximum(np.ptp(positions, axis=0), 1e-9)).min()))
    pixels = reader.read(window, max_px=max(1, math.ceil(max(window[2:]) / scale)))
    at = _fit(points, positions)
    if at is None:
        grid = _lattice(window, FINE_STEPS)
        at = _join(grid, _to_tile(placement, grid, zoom=zoom, x=x, y=y))
    high, wide = pixels.valid.shape
    cols = (at[..., 0] - window[0]) * (wide / window[2])
    rows = (at[..., 1] - window[1]) * (high / window[3])
    with np.errstate(invalid="ignore"):
        inside = (cols >= 0) & (cols <= wide) & (rows >= 0) & (rows <= high)
    if not inside.any():
        return None
    cols, rows = np.where(inside, cols, 0.0) - 0.5, np.where(inside, rows, 0.0) - 0.5
    image, known = _sample(pixels, cols, rows, smooth=not reader.scene.is_palette)
    valid = inside & known
    return WindowPixels(image=image, valid=valid) if valid.any() else None


def _sample(pixels: WindowPixels, cols: Floats, rows: Floats, *, smooth: bool) -> tuple[ImageArray, NDArray[np.bool_]]:
    """Colours at positions between pixels' middles, mixed from the four around, and whether the nearest is known."""
    high, wide = pixels.valid.shape
    near_cols, near_rows = (
        np.clip(np.rint(at).astype(np.intp), 0, end - 1) for at, end in ((cols, wide), (rows, high))
    )
    known = pixels.valid[near_rows, near_cols]
    if not smooth:
        return pixels.image[near_rows, near_cols], known
    left, top = np.floor(cols).astype(np.intp), np.floor(rows).astype(np.intp)
    across, down = ((at - np.floor(at)).astype(np.float32)[..., None] for at in (cols, rows))
    lefts, rights = (np.clip(left + by, 0, wide - 1) for by in (0, 1))
    tops, bottoms = (np.clip(top + by, 0, high - 1) for by in (0, 1))
    image = pixels.image
    above = image[tops, lefts] * (1 - across) + image[tops, rights] * across
    below = image[bottoms, lefts] * (1 - across) + image[bottoms, rights] * across
    return np.rint(above * (1 - down) + below * down).astype(np.uint8), known


def _look(placement: Placement, whole: Window, *, zoom: int, x: int, y: int) -> tuple[Window, Floats, Floats] | None:
    """The window of a scene that a tile shows, points (n, 2) in it, and where these lie in the tile's pixels (n, 2)."""
    window = whole
    for _ in range(ROUNDS):
        grid = _lattice(window, STEPS)
        cols, rows = grid[0, :, 0], grid[:, 0, 1]
        positions = _to_tile(placement, grid, zoom=zoom, x=x, y=y)
        cells = np.stack([positions[:-1, :-1], positions[:-1, 1:], positions[1:, :-1], positions[1:, 1:]])
        with np.errstate(invalid="ignore"):
            low, high = cells.min(axis=0), cells.max(axis=0)
            meets = (low < WEB_TILE_PX).all(axis=-1) & (high > 0).all(axis=-1)
        if not meets.any():
            return None
        hit_rows, hit_cols = np.flatnonzero(meets.any(axis=1)), np.flatnonzero(meets.any(axis=0))
        (left, wide), (top, high) = _span(cols, hit_cols, whole[2]), _span(rows, hit_rows, whole[3])
        closer = (left, top, wide, high)
        if closer[2] >= 0.8 * window[2] and closer[3] >= 0.8 * window[3]:
            break
        window = closer
    known = np.isfinite(positions).all(axis=-1)
    return window, grid[known], positions[known]


def _lattice(window: Window, steps: int) -> Floats:
    """Evenly spaced points of a window, its corners among them: (steps + 1, steps + 1, 2)."""
    sides = (
        np.linspace(start, start + length, steps + 1) for start, length in zip(window[:2], window[2:], strict=True)
    )
    return np.stack(np.meshgrid(*sides), axis=-1)


def _span(edges: Floats, hit: NDArray[np.intp], end: int) -> tuple[int, int]:
    """Start and length, in whole pixels, of the pieces that were hit, with one pixel more to each side."""
    first = max(0, math.floor(edges[hit[0]]) - 1)
    last = min(end, math.ceil(edges[hit[-1] + 1]) + 1)
    return first, last - first


def _to_tile(placement: Placement, grid: Floats, *, zoom: int, x: int, y: int) -> Floats:
    """Where points (..., 2) of a scene lie in a tile's pixels (..., 2); not a number where it has no place."""
    flat = grid.reshape(-1, 1, 2)
    lon, lat = placement.locate(flat[..., 0], flat[..., 1])
    lon, lat = lon.ravel(), lat.ravel()
    with np.errstate(all="ignore"):
        known = np.isfinite(lon) & np.isfinite(lat)
        lat = np.clip(np.where(known, lat, 0.0), -POLE, POLE)
        side = 2.0**zoom
        # Of the copies of a meridian, that which lies closest to the tile: scenes may cross the antimeridian.
        across = (lon + 180) / 360
        across = across + np.round((x + 0.5) / side - across)
        down = (1 - np.arcsinh(np.tan(np.radians(lat))) / math.pi) / 2
    found = np.stack([(across * side - x) * WEB_TILE_PX, (down * side - y) * WEB_TILE_PX], axis=-1)
    found[~known] = np.nan
    out: Floats = found.reshape(grid.shape)
    return out


def _fit(points: Floats, positions: Floats) -> Floats | None:
    """For each pixel of a tile, where it lies in the scene (512, 512, 2), by a cubic; None where that is too coarse."""
    middle = np.arange(WEB_TILE_PX) + 0.5
    centre, spread = positions.mean(axis=0), max(float(np.ptp(positions, axis=0).max()), 1e-9)
    u, v = ((positions - centre) / spread).T
    powers = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    terms = np.stack([u**i * v**j for i, j in powers], axis=-1)
    fitted, _, _, _ = np.linalg.lstsq(terms, points, rcond=None)
    per_pixel = float(np.ptp(points, axis=0).max()) / spread
    if len(points) <= len(powers) or np.abs(terms @ fitted - points).max() > OFF_PX * per_pixel:
        return None
    across, down = (np.vander((middle - side) / spread, DEGREE + 1, increasing=True) for side in centre)
    square = np.zeros((2, DEGREE + 1, DEGREE + 1))
    for (i, j), value in zip(powers, fitted, strict=True):
        square[:, i, j] = value
    out: Floats = np.stack([down @ part.T @ across.T for part in square], axis=-1)
    return out


def _join(grid: Floats, positions: Floats) -> Floats:
    """The same by straight pieces between a fine lattice's points: for scenes that bend strongly."""
    need("scipy", what="drawing map tiles of a scene that lies so crookedly", error=SceneError)
    from scipy.interpolate import LinearNDInterpolator  # slow to import, and for most scenes not needed

    known = np.isfinite(positions).all(axis=-1)
    middle = np.arange(WEB_TILE_PX) + 0.5
    pieces: Floats = LinearNDInterpolator(positions[known], grid[known])(np.stack(np.meshgrid(middle, middle), axis=-1))
    return pieces
