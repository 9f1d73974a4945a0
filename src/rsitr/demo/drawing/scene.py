"""A synthetic aerial scene: drawn by this program from a seed, with the ground truth of what is where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rsitr.demo.drawing.canvas import Canvas
from rsitr.demo.drawing.layout import BLOCK, DRAWERS, UNIT_PX, Layout, plan_layout
from rsitr.demo.drawing.noise import NoiseFields, blur
from rsitr.demo.drawing.plot import Mark, Plot, Roads
from rsitr.demo.drawing.roads import draw_roads
from rsitr.demo.drawing.trees import Grove
from rsitr.demo.raster import locate_windows
from rsitr.errors import SceneError
from rsitr.geo import Window
from rsitr.types import FloatArray, ImageArray, Ring

__all__ = ["DemoScene", "Region", "draw_example", "draw_scene"]

_INLAND_PX = -1e4
"""Distance to water where there is none."""

_STRIP_PX = 512
"""Rows exposed at once: bounds memory."""

# Set so that drawn tiles have about the colour, contrast and sharpness of RSICD's and UCM's pictures.
_COLOUR, _CONTRAST, _SHARPENING = 0.66, 1.06, 0.75


@dataclass(frozen=True)
class Region:
    """Something that was drawn, and where: the ground truth.

    Attributes:
        label: what it is.
        window_px: (column, row, width, height).
        footprint: its outline on the ground, WGS 84.
    """

    label: str
    window_px: Window
    footprint: Ring


@dataclass(frozen=True, eq=False)
class DemoScene:
    """A drawn scene.

    Attributes:
        seed: what it was drawn from.
        pixels: (H, W, 3) RGB.
        districts: what each part is; they fill the scene without overlap.
        things: single things that stand in them (an aeroplane, a bridge, a baseball field ...).
    """

    seed: int
    pixels: ImageArray
    districts: tuple[Region, ...]
    things: tuple[Region, ...]


def draw_scene(*, seed: int, size_px: int = 3072) -> DemoScene:
    """Draw a scene: the same seed gives the same pixels, another moves the districts and the things in them.

    Args:
        seed: any number from 0.
        size_px: side of the square scene, a multiple of 512; from 2048 it has a coast and a river, from 2560 an
            airport.

    Raises:
        SceneError: the seed is negative or the size is no positive multiple of 512.
    """
    _check_seed(seed)
    if size_px <= 0 or size_px % (BLOCK * UNIT_PX):
        raise SceneError(
            f"the side of a demo scene must be a multiple of {BLOCK * UNIT_PX} px, not {size_px}; try 3072"
        )
    rng = np.random.default_rng(seed)
    layout = plan_layout(rng, units=size_px // UNIT_PX)
    noise = NoiseFields.draw(rng, height_px=size_px, width_px=size_px)
    offshore, river = _draw_waterlines(rng, layout, size_px=size_px)
    grove = Grove(rng)
    picture = np.zeros((size_px, size_px, 3), dtype=np.float32)
    districts: list[tuple[str, Window]] = []
    things: list[tuple[str, Window]] = []
    # A generator of its own for each district: what is drawn in one never depends on how much another drew.
    for site, stream in zip(layout.sites, rng.spawn(len(layout.sites)), strict=True):
        column, row, width, height = site.window_px
        part = (slice(row, row + height), slice(column, column + width))
        noise_here = noise.window(column=column, row=row, width_px=width, height_px=height)
        plot = Plot(
            canvas=Canvas(width_px=width, height_px=height, rng=stream, noise=noise_here),
            grove=grove,
            roads=layout.roads(site),
            offshore_px=offshore[part],
            river_px=river[part],
            seaward_deg=(180.0, 90.0, 0.0, 270.0)[layout.quarter_turns],
        )
        marks = DRAWERS[site.label](plot)
        draw_roads(plot)
        picture[part] = plot.canvas.render()
        districts.append((site.label, site.window_px))
        things += _place_marks(marks, site.window_px)
    return DemoScene(
        seed=seed, pixels=_expose(picture, noise), districts=_to_regions(districts), things=_to_regions(things)
    )


def draw_example(label: str, *, seed: int) -> ImageArray:
    """Draw the middle of one district alone: an example picture (256, 256, 3) that is no part of any scene.

    Args:
        label: one of `layout.DRAWERS` that needs neither sea nor river.
        seed: any number from 0.

    Raises:
        SceneError: the seed is negative.
    """
    _check_seed(seed)
    rng = np.random.default_rng(seed)
    side = BLOCK * UNIT_PX
    noise = NoiseFields.draw(rng, height_px=side, width_px=side)
    dry = np.full((side, side), _INLAND_PX, dtype=np.float32)
    canvas = Canvas(width_px=side, height_px=side, rng=rng, noise=noise)
    plot = Plot(canvas=canvas, grove=Grove(rng), roads=Roads(), offshore_px=dry, river_px=dry, seaward_deg=0.0)
    DRAWERS[label](plot)
    return _expose(canvas.render(), noise)[:UNIT_PX, :UNIT_PX]


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise SceneError(f"the seed of a demo scene must be 0 or more, not {seed}; choose another number")


def _to_regions(found: list[tuple[str, Window]]) -> tuple[Region, ...]:
    rings = locate_windows([window for _, window in found])
    return tuple(Region(label, window, ring) for (label, window), ring in zip(found, rings, strict=True))


def _place_marks(marks: Iterable[Mark], window: Window) -> list[tuple[str, Window]]:
    """Things with their boxes in scene pixels, cut to their district; what lies outside of it is left out."""
    placed: list[tuple[str, Window]] = []
    column, row, width, height = window
    for mark in marks:
        left, top = max(0, round(mark.box_px[0])), max(0, round(mark.box_px[1]))
        right = min(width, round(mark.box_px[0] + mark.box_px[2]))
        bottom = min(height, round(mark.box_px[1] + mark.box_px[3]))
        if right > left and bottom > top:
            placed.append((mark.label, (column + left, row + top, right - left, bottom - top)))
    return placed


def _draw_waterlines(rng: np.random.Generator, layout: Layout, *, size_px: int) -> tuple[FloatArray, FloatArray]:
    """Distances in px from the sea's waterline and from the river's bank, positive in the water, each (H, W)."""
    along = np.arange(size_px, dtype=np.float32)
    y, x = along[:, None], along[None, :]
    if layout.river_row is None:
        dry = np.full((size_px, size_px), _INLAND_PX, dtype=np.float32)
        return dry, dry
    shore = UNIT_PX * 1.4 + _wander(rng, along, reach_px=40)
    middle = (layout.river_row + 0.5) * UNIT_PX + _wander(rng, along, reach_px=45)
    slope = np.gradient(middle)
    half_width = 58 + _wander(rng, along, reach_px=10) + 30 * np.exp(-along / 240)  # widens towards its mouth
    river = (half_width - np.abs(y - middle[None, :]) / np.sqrt(1 + slope**2)[None, :]).astype(np.float32)
    offshore = (shore[:, None] - x).astype(np.float32)
    return np.rot90(offshore, layout.quarter_turns), np.rot90(river, layout.quarter_turns)


def _wander(rng: np.random.Generator, along: FloatArray, *, reach_px: float) -> FloatArray:
    """A smooth curve about zero with swings of about `reach_px`, over some hundreds of px."""
    waves = np.zeros_like(along)
    for length, share in ((1500.0, 0.45), (760.0, 0.4), (330.0, 0.15)):
        waves += np.float32(share) * np.sin(2 * np.pi * along / (length * rng.uniform(0.8, 1.2)) + rng.uniform(0, 6.3))
    return np.asarray(reach_px * waves, dtype=np.float32)


def _expose(picture: FloatArray, noise: NoiseFields) -> ImageArray:
    """What the camera makes of it: uneven light, muted colours, the edge sharpening of aerial imagery, sensor noise."""
    height, width, _ = picture.shape
    exposed = np.empty((height, width, 3), dtype=np.uint8)
    margin = 8  # rows that a strip borrows from its neighbours, since sharpening looks around
    for top in range(0, height, _STRIP_PX):
        bottom = min(top + _STRIP_PX, height)
        above, below = max(0, top - margin), min(height, bottom + margin)
        here = noise.window(column=0, row=above, width_px=width, height_px=below - above)
        strip = _expose_strip(picture[above:below], here)
        exposed[top:bottom] = strip[top - above : bottom - above]
    return exposed


def _expose_strip(picture: FloatArray, noise: NoiseFields) -> ImageArray:
    lit = picture * (1 + 0.025 * noise.broad + 0.012 * noise.small)[..., None]
    grey = lit.mean(axis=-1, keepdims=True)
    toned = (grey + (lit - grey) * _COLOUR - 110) * _CONTRAST + 106
    soft = blur(toned, 1.0, reach=3.0)
    tint = np.array([0, 2, 7], dtype=np.float32)
    sharp = toned + _SHARPENING * (toned - soft) + tint + noise.grain[..., None] * 4.0
    return np.asarray(np.clip(sharp, 0, 255), dtype=np.uint8)
