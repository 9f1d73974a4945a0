"""Trees: single crowns to stamp, and closed canopies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsitr.demo.drawing.canvas import SUPERSAMPLING, Canvas, Color
from rsitr.demo.drawing.noise import SUN, blur, hillshade, value_noise
from rsitr.types import FloatArray

__all__ = ["Grove", "Tree", "canopy", "plant", "plant_row"]

BLOCK_PX = 32
CENTRE_REACH = 2.4
"""Within so many spacings every pixel has four centres, those of its cell, wherever chance moved them."""
_RADII_PX = (3.0, 4.5, 6.0, 8.0, 10.5)
_TINTS: tuple[Color, ...] = ((60, 80, 46), (50, 72, 42), (70, 88, 50), (56, 76, 48), (76, 86, 52))


@dataclass(frozen=True)
class Tree:
    """A crown from above: an RGBA picture and its shadow, both supersampled; radius in native px."""

    crown: Image.Image
    shadow: Image.Image
    radius_px: float


class Grove:
    """The trees of a scene: a few crowns of each size, drawn once and stamped many times."""

    def __init__(self, rng: np.random.Generator, *, variants: int = 5) -> None:
        self._trees = [[_draw_tree(rng, radius_px=radius) for _ in range(variants)] for radius in _RADII_PX]

    def pick(self, rng: np.random.Generator, *, radius_px: float) -> Tree:
        """A random crown of the nearest size."""
        nearest = min(range(len(_RADII_PX)), key=lambda i: abs(_RADII_PX[i] - radius_px))
        trees = self._trees[nearest]
        return trees[int(rng.integers(len(trees)))]


def _draw_tree(rng: np.random.Generator, *, radius_px: float) -> Tree:
    radius = radius_px * SUPERSAMPLING
    side = int(2 * radius + 6)
    y, x = (np.mgrid[0:side, 0:side].astype(np.float32) - (side - 1) / 2) / radius
    angle = np.arctan2(y, x)
    lobes = sum(
        float(rng.uniform(0.03, 0.09)) * np.sin(k * angle + float(rng.uniform(0, 6.3))) for k in (2, 3, 5, 7, 9)
    )
    distance = np.hypot(x, y) * (1 + lobes)
    dome = np.sqrt(np.clip(1 - distance**2, 0, 1))
    clumps = value_noise(rng, height_px=side, width_px=side, scale_px=max(2.5, radius / 3.5))
    light = hillshade((dome * radius * 0.55 + clumps * radius * 0.06).astype(np.float32), steepness=0.9)
    tint = np.array(_TINTS[int(rng.integers(len(_TINTS)))], dtype=np.float32) * float(rng.uniform(0.85, 1.15))
    color = tint * (0.35 + 1.15 * light[..., None]) + clumps[..., None] * 4
    alpha = np.clip((1 - distance) * radius / 1.5, 0, 1) * 255
    crown = np.dstack([np.clip(color, 0, 255), alpha]).astype(np.uint8)
    return Tree(
        crown=Image.fromarray(crown, "RGBA"), shadow=Image.fromarray(alpha.astype(np.uint8)), radius_px=radius_px
    )


def plant(canvas: Canvas, grove: Grove, *, x: float, y: float, radius_px: float) -> None:
    """Put one tree at (x, y) of the canvas."""
    tree = grove.pick(canvas.rng, radius_px=radius_px)
    canvas.stamp(tree.crown, tree.shadow, x=x, y=y, height_px=tree.radius_px * 1.1)


def plant_row(
    canvas: Canvas, grove: Grove, *, start: tuple[float, float], end: tuple[float, float], spacing_px: float,
    radius_px: float, gaps: float = 0.15,
) -> None:  # fmt: skip
    """Plant a row of trees, with a share of `gaps` left out."""
    rng = canvas.rng
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    for step in np.arange(spacing_px / 2, length, spacing_px):
        if rng.random() < gaps:
            continue
        at = float(step / length)
        plant(
            canvas,
            grove,
            x=start[0] + (end[0] - start[0]) * at + float(rng.normal(0, 1.2)),
            y=start[1] + (end[1] - start[1]) * at + float(rng.normal(0, 1.2)),
            radius_px=radius_px * float(rng.uniform(0.75, 1.25)),
        )


def canopy(canvas: Canvas, *, spacing_px: float, color: Color, variety: float = 1.0) -> FloatArray:
    """A closed roof of crowns over the whole canvas, (H, W, 3): domes of differing height, lit from the sun's side.

    The surface is the upper hull of the domes of the nearest crowns; light is its hillshade, darkened in the gaps.
    """
    rng, height_px, width_px = canvas.rng, canvas.height_px, canvas.width_px
    margin = spacing_px * 2
    across = np.arange(-margin, width_px + margin, spacing_px)
    along = np.arange(-margin, height_px + margin, spacing_px)
    centres = np.stack(np.meshgrid(across, along), axis=-1).reshape(-1, 2)
    centres = centres + rng.uniform(-0.65, 0.65, centres.shape) * spacing_px
    radius = spacing_px * rng.uniform(0.45, 1.05, len(centres)).astype(np.float32)
    lift = spacing_px * rng.normal(0, 0.3, len(centres)).astype(np.float32)

    surface, crown = np.empty((height_px, width_px), dtype=np.float32), np.empty((height_px, width_px), dtype=np.intp)
    for top in range(0, height_px, BLOCK_PX):
        for left in range(0, width_px, BLOCK_PX):
            block = np.s_[top : min(top + BLOCK_PX, height_px), left : min(left + BLOCK_PX, width_px)]
            distance, nearest = _nearest_centres(centres, block, reach_px=CENTRE_REACH * spacing_px)
            domes = np.sqrt(np.maximum(radius[nearest] ** 2 - distance**2, 0)) + lift[nearest]
            winner = np.argmax(domes, axis=-1)[..., None]
            surface[block] = np.take_along_axis(domes, winner, axis=-1)[..., 0]
            crown[block] = np.take_along_axis(nearest, winner, axis=-1)[..., 0]

    surface += canvas.noise.fine * 0.5 + canvas.noise.small * 0.5
    light = hillshade(surface, steepness=0.75, smooth_px=0.6)
    depth = surface - blur(surface, spacing_px * 0.7)
    light = light * (0.72 + 0.5 * np.clip(depth / spacing_px + 0.35, 0, 0.8))
    # A crown's neighbour on the sun's side shades it.
    shift = np.roll(surface, (round(SUN[1] * spacing_px * 0.5), round(SUN[0] * spacing_px * 0.5)), axis=(0, 1))
    light *= 1 - 0.42 * np.clip((shift - surface) / spacing_px, 0, 1)

    tint = rng.normal(0, 1, (len(centres), 3)).astype(np.float32) * np.array([4, 4, 3], dtype=np.float32) * variety
    tint += rng.normal(0, 6, (len(centres), 1)).astype(np.float32) * variety
    base = np.array(color, dtype=np.float32) + tint[crown] + canvas.noise.mid[..., None] * 2.5
    return np.asarray(base * (0.2 + 1.35 * light[..., None]) + canvas.noise.grain[..., None] * 2, dtype=np.float32)


def _nearest_centres(
    centres: NDArray[np.float64], block: tuple[slice, slice], *, reach_px: float
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Distances to the four nearest centres of every pixel of a block, and which they are, both (rows, columns, 4)."""
    rows, columns = (np.arange(side.start, side.stop) for side in block)
    first, last = np.array([columns[0], rows[0]]) - reach_px, np.array([columns[-1], rows[-1]]) + reach_px
    near = np.flatnonzero(((centres >= first) & (centres <= last)).all(axis=1))
    across, along = ((side[:, None] - centres[near, axis]) ** 2 for axis, side in enumerate((columns, rows)))
    squares = along[:, None] + across
    kept = np.argpartition(squares, 3, axis=-1)[..., :4]
    return np.sqrt(np.take_along_axis(squares, kept, axis=-1)), near[kept]
