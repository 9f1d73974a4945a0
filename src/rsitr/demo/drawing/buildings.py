"""Buildings and tanks, seen from straight above: roofs with a lit and a dark side, and their shadows."""

from __future__ import annotations

import numpy as np

from rsitr.demo.drawing.canvas import Color, Pen, Point, ellipse_points, rectangle_points, shade_color, vary_color

__all__ = ["draw_flat_roof", "draw_house", "draw_sawtooth_hall", "draw_tank"]


def _hip_roof(pen: Pen, width: float, depth: float, color: Color, *, hip: float) -> None:
    """Four planes on the rectangle around the origin; the ridge runs along x; `hip` 0 is a gable."""
    w, d = width / 2, depth / 2
    ridge = max(0.0, w - hip * d)
    left, right = (-ridge, 0.0), (ridge, 0.0)
    planes: tuple[tuple[list[Point], float], ...] = (
        ([(-w, -d), (w, -d), right, left], -90),
        ([(-w, d), (w, d), right, left], 90),
        ([(-w, -d), (-w, d), left], 180),
        ([(w, -d), (w, d), right], 0),
    )
    for outline, normal_deg in planes:
        pen.polygon(outline, shade_color(color, pen.light_on(normal_deg) ** 1.6 * 1.05), layer="top")
    pen.line([left, right], shade_color(color, 1.12), width=0.7, layer="top")


def draw_house(
    pen: Pen, rng: np.random.Generator, *, width: float, depth: float, color: Color, hip: float = 0.9, wing: bool = True
) -> None:
    """A house around the origin with a pitched roof, perhaps with a wing; ridge along x. Lengths in px."""
    color = vary_color(rng, color, light=0.1, hue=3)
    body = rectangle_points(-width / 2, -depth / 2, width, depth)
    height = depth * 0.42
    pen.cast(body, height=height)
    if wing:
        side = 1 if rng.random() < 0.5 else -1
        reach, breadth = depth * float(rng.uniform(0.75, 0.95)), width * float(rng.uniform(0.34, 0.48))
        annex = pen.at(width * 0.24 * side, reach * 0.45 * (1 if rng.random() < 0.5 else -1), angle_deg=90)
        annex.cast(rectangle_points(-reach / 2, -breadth / 2, reach, breadth), height=height * 0.9)
        _hip_roof(annex, reach, breadth, color, hip=hip)
    _hip_roof(pen, width, depth, color, hip=hip)
    if rng.random() < 0.5:
        x, y = width * float(rng.uniform(-0.25, 0.25)), depth * float(rng.uniform(-0.2, 0.2))
        pen.rectangle(x, y, 1.4, 1.4, (120, 100, 92), layer="top")


def draw_flat_roof(
    pen: Pen, rng: np.random.Generator, *, width: float, depth: float, height: float, color: Color, detail: float = 1.0
) -> None:
    """A flat-roofed block with corner at the origin: parapet, stains, seams, rooflights and machines on the roof."""
    body = rectangle_points(0, 0, width, depth)
    pen.cast(body, height=height)
    pen.polygon(body, shade_color(color, 0.82), layer="top")
    pen.rectangle(0.8, 0.8, width - 1.6, depth - 1.6, color, layer="top")
    for _ in range(int(width * depth / 900)):  # stains
        x, y = float(rng.uniform(1, width - 8)), float(rng.uniform(1, depth - 8))
        w, d = float(rng.uniform(3, min(16, width - x - 1))), float(rng.uniform(3, min(12, depth - y - 1)))
        pen.rectangle(x, y, w, d, shade_color(color, float(rng.uniform(0.94, 1.04))), layer="top")
    step = float(rng.uniform(9, 16))
    for x in np.arange(step, width - 2, step):  # seams between roof sheets
        pen.line([(float(x), 1), (float(x), depth - 1)], shade_color(color, 0.93), width=0.5, layer="top")
    # The wall's own shade inside the parapet on the sun's side.
    pen.line([(1.2, 1.2), (width - 1.2, 1.2)], shade_color(color, 0.72), width=0.8, layer="top")
    for _ in range(int(detail * width * depth / 420)):
        w, d = float(rng.uniform(1.8, 4.5)), float(rng.uniform(1.8, 3.5))
        x, y = float(rng.uniform(3, width - w - 3)), float(rng.uniform(3, depth - d - 3))
        pen.rectangle(x + 0.8, y + 0.9, w, d, shade_color(color, 0.55), layer="top")
        pen.rectangle(x, y, w, d, vary_color(rng, (188, 190, 192), light=0.12), layer="top")


def draw_sawtooth_hall(
    pen: Pen, rng: np.random.Generator, *, width: float, depth: float, color: Color, bay: float = 9.0
) -> None:
    """A factory hall with corner at the origin: parallel pitched bays along x, lit and dark in turn."""
    pen.cast(rectangle_points(0, 0, width, depth), height=8)
    color = vary_color(rng, color, light=0.05)
    bays = max(1, round(depth / bay))
    size = depth / bays
    for i in range(bays):
        pen.rectangle(0, i * size, width, size / 2, shade_color(color, pen.light_on(-90)), layer="top")
        pen.rectangle(0, (i + 0.5) * size, width, size / 2, shade_color(color, pen.light_on(90)), layer="top")
        for x in np.arange(5, width - 5, 11):
            pen.rectangle(float(x), (i + 0.16) * size, 5, size * 0.16, shade_color(color, 1.25), layer="top")


def draw_tank(pen: Pen, rng: np.random.Generator, *, radius: float, height: float, color: Color) -> None:
    """A round storage tank around the origin: its shadow, wall, roof with rim, ribs and stair."""
    rim = ellipse_points(0, 0, radius, radius)
    pen.cast(rim, height=height)
    pen.polygon(rim, shade_color(color, 0.66), layer="top")
    roof = vary_color(rng, color, light=0.03, hue=2)
    pen.ellipse(0, 0, radius * 0.95, radius * 0.95, roof, layer="top")
    floating = rng.random() < 0.35
    if floating:  # a floating roof lies deep: the wall shades its sunny side
        pen.ellipse(0, 0, radius * 0.9, radius * 0.9, shade_color(roof, 0.52), layer="top")
        pen.ellipse(radius * 0.09, radius * 0.1, radius * 0.8, radius * 0.8, shade_color(roof, 0.9), layer="top")
    else:
        pen.ellipse(radius * 0.05, radius * 0.06, radius * 0.88, radius * 0.88, shade_color(roof, 0.94), layer="top")
        pen.ellipse(-radius * 0.05, -radius * 0.06, radius * 0.78, radius * 0.78, roof, layer="top")
        for turn in range(0, 360, 30):
            spoke = pen.at(0, 0, angle_deg=turn + float(rng.uniform(-2, 2)))
            spoke.line([(radius * 0.12, 0), (radius * 0.9, 0)], shade_color(roof, 0.93), width=0.5, layer="top")
    stair = pen.at(0, 0, angle_deg=float(rng.uniform(0, 360)))
    stair.line([(radius * 0.2, 0), (radius * 1.04, 0)], shade_color(roof, 0.6), width=0.9, layer="top")
    pen.ellipse(0, 0, max(1.2, radius * 0.08), max(1.2, radius * 0.08), shade_color(roof, 0.75), layer="top")
