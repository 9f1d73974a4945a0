"""Where places lie, as an SVG that asks no server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rsitr.formats.places import outline_box
from rsitr.formats.text import format_number, format_place, format_point
from rsitr.geo import enclosing_bbox

__all__ = ["draw_map"]

MAP_SIZE = (1200.0, 420.0)
MAP_MARGIN = 0.12
LEAST_MAP_DEG = 0.001
LEAST_SQUEEZE = 0.05  # at the poles
RING = 9


def draw_map(outlines: Sequence[tuple[int, BaseGeometry]]) -> str:
    """Where places lie, as an SVG that asks no server: outlines with their ranks, and a grid of degrees.

    An outline too small to be seen gets a ring around it. Empty where nothing has a known place.

    Args:
        outlines: ranks and outlines within -180..180.
    """
    around = enclosing_bbox(box for _, outline in outlines if (box := outline_box(outline)) is not None)
    if around is None:
        return ""
    west, south, east, north = around
    view = _View.around(west, south, east + 360.0 if east < west else east, north)
    lines = [*_draw_grid(view), *(_draw_outline(view, *each) for each in reversed(outlines))]  # the best on top
    corners = f"{format_point(west, south)} and {format_point(east, north)}"
    return (
        f'<svg class="map" viewBox="0 0 {view.width:.1f} {view.height:.1f}" role="img" '
        f'aria-label="Map of {len(outlines)} outlines between {corners}">{"".join(lines)}</svg>'
    )


@dataclass(frozen=True, slots=True)
class _View:
    """How a map shows degrees: those of longitude are drawn as much shorter as they are in its middle.

    `left` and `top` in degrees, `scale_x` and `scale_y` in units of the drawing per degree.
    """

    left: float
    top: float
    scale_x: float
    scale_y: float
    width: float
    height: float

    @classmethod
    def around(cls, west: float, south: float, east: float, north: float) -> _View:
        squeeze = max(math.cos(math.radians((south + north) / 2)), LEAST_SQUEEZE)
        margin = MAP_MARGIN * max((east - west) * squeeze, north - south, LEAST_MAP_DEG)
        across, down = (east - west) * squeeze + 2 * margin, north - south + 2 * margin
        scale = min(MAP_SIZE[0] / across, MAP_SIZE[1] / down)
        left, top = west - margin / squeeze, north + margin
        return cls(left, top, scale * squeeze, scale, width=across * scale, height=down * scale)

    def place(self, lon_lat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points (n, 2) are drawn; those beyond the antimeridian lie to the right of it."""
        lon = np.where(lon_lat[:, 0] < self.left, lon_lat[:, 0] + 360.0, lon_lat[:, 0])
        return np.stack([(lon - self.left) * self.scale_x, (self.top - lon_lat[:, 1]) * self.scale_y], axis=1)


def _draw_grid(view: _View) -> list[str]:
    lines = []
    for lon in _ticks(view.left, view.left + view.width / view.scale_x):
        x = (lon - view.left) * view.scale_x
        lines.append(f'<path class="grid" d="M{x:.1f} 0V{view.height:.1f}"/>')
        lines.append(f'<text x="{x + 4:.1f}" y="{view.height - 6:.1f}">{_format_degrees(lon, "EW")}</text>')
    for lat in _ticks(max(-90.0, view.top - view.height / view.scale_y), min(90.0, view.top)):
        y = (view.top - lat) * view.scale_y
        lines.append(f'<path class="grid" d="M0 {y:.1f}H{view.width:.1f}"/>')
        lines.append(f'<text x="4" y="{y - 4:.1f}">{_format_degrees(lat, "NS")}</text>')
    return lines


def _draw_outline(view: _View, rank: int, outline: BaseGeometry) -> str:
    rings = [view.place(shapely.get_coordinates(ring)) for ring in shapely.get_rings(shapely.get_parts(outline))]
    drawn = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring[:-1].tolist()) + "Z" for ring in rings)
    low, high = np.vstack(rings).min(axis=0), np.vstack(rings).max(axis=0)
    x, y = ((low + high) / 2).tolist()
    if (high - low).max() < RING:
        half = f"a{RING} {RING} 0 1 0"
        drawn += f"M{x - RING:.1f} {y:.1f}{half} {2 * RING} 0{half} {-2 * RING} 0Z"
    name = f"{rank}: {format_place(outline_box(outline))}"
    return (
        f'<g><title>{name}</title><path d="{drawn}"/><text class="name" x="{x:.1f}" y="{y + 4:.1f}">{rank}</text></g>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, a handful."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [round(step * n, 9) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _turned(lon: float) -> float:
    return lon - 360.0 if lon > 180.0 else lon + 360.0 if lon < -180.0 else lon


def _format_degrees(value: float, letters: str) -> str:
    turned = _turned(value) if letters == "EW" else value
    return f"{format_number(abs(turned), digits=7)}° {letters[0] if turned >= 0 else letters[1]}"
