"""Cars, lorries, aeroplanes and boats; each drawn around the origin of a pen, nose to the right."""

from __future__ import annotations

import numpy as np

from rsitr.demo.drawing.canvas import Color, Pen, Point, ellipse_points, rectangle_points, shade_color, vary_color

__all__ = ["draw_boat", "draw_car", "draw_lorry", "draw_plane"]

_CAR_COLORS: tuple[Color, ...] = (
    (225, 226, 226), (214, 216, 218), (190, 192, 196), (160, 163, 168), (120, 122, 126), (62, 64, 68), (42, 43, 47),
    (36, 38, 44), (150, 40, 36), (176, 48, 42), (52, 74, 120), (70, 96, 140), (150, 136, 108), (70, 84, 70),
)  # fmt: skip


def draw_car(pen: Pen, rng: np.random.Generator, *, length_px: float = 8.5) -> None:
    """A car around the origin."""
    length, width = length_px * float(rng.uniform(0.9, 1.1)), length_px * 0.46
    color = vary_color(rng, _CAR_COLORS[int(rng.integers(len(_CAR_COLORS)))], light=0.05)
    body = rectangle_points(-length / 2, -width / 2, length, width)
    pen.cast(body, height=2.2)
    pen.polygon(body, color, layer="top")
    glass = shade_color((58, 64, 74), 0.9)
    pen.rectangle(length * 0.08, -width * 0.4, length * 0.16, width * 0.8, glass, layer="top")
    pen.rectangle(-length * 0.36, -width * 0.38, length * 0.1, width * 0.76, glass, layer="top")


def draw_lorry(pen: Pen, rng: np.random.Generator, *, length_px: float = 24) -> None:
    """A lorry with a box around the origin."""
    width = 5.0
    box = vary_color(rng, ((228, 228, 226), (205, 206, 208), (160, 70, 60), (80, 100, 140))[int(rng.integers(4))])
    body = rectangle_points(-length_px / 2, -width / 2, length_px, width)
    pen.cast(body, height=5)
    pen.rectangle(-length_px / 2, -width / 2, length_px * 0.8, width, box, layer="top")
    pen.rectangle(length_px * 0.34, -width / 2, length_px * 0.16, width, vary_color(rng, (200, 200, 200)), layer="top")


def _mirrored(points: list[Point]) -> list[Point]:
    """The outline of a body that is symmetric about the x axis, from its upper half (y <= 0), nose first."""
    return points + [(x, -y) for x, y in reversed(points)]


def draw_plane(pen: Pen, rng: np.random.Generator, *, span_px: float) -> None:
    """An airliner around the origin: fuselage, swept wings, tail, engines and the shadow they throw."""
    length = span_px * float(rng.uniform(1.02, 1.12))
    half = span_px / 2
    white = vary_color(rng, (232, 233, 234), light=0.03, hue=2)
    tail = ((205, 206, 210), (52, 84, 150), (170, 48, 46), (44, 60, 92), (214, 150, 60))[int(rng.integers(5))]
    body = max(3.2, span_px * 0.062)
    fuselage = _mirrored([
        (length * 0.5, -body * 0.15), (length * 0.47, -body * 0.62), (length * 0.42, -body * 0.92),
        (length * 0.36, -body), (-length * 0.28, -body), (-length * 0.42, -body * 0.6), (-length * 0.5, -body * 0.2),
    ])  # fmt: skip
    wing = [
        (length * 0.13, -body * 0.7),
        (-length * 0.10, -half),
        (-length * 0.16, -half),
        (-length * 0.10, -body * 0.7),
    ]
    fin = [(-length * 0.36, -body * 0.5), (-length * 0.455, -half * 0.38), (-length * 0.5, -half * 0.38),
           (-length * 0.47, -body * 0.2)]  # fmt: skip
    engine = ellipse_points(length * 0.03, -half * 0.36, length * 0.045, body * 0.42, count=16)
    for part, height in ((fuselage, 9), (wing, 7), (fin, 9), (engine, 5)):
        pen.cast(part, height=height)
        if part is not fuselage:
            pen.cast([(x, -y) for x, y in part], height=height)
    for side in (1, -1):
        light = pen.light_on(-90 * side)
        pen.polygon([(x, y * side) for x, y in engine], (150, 152, 156), layer="top")
        pen.polygon([(x, y * side) for x, y in wing], shade_color((208, 210, 213), light), layer="top")
        pen.line(
            [(-length * 0.105, -half * 0.97 * side), (-length * 0.075, -body * side)],
            (176, 178, 182),
            width=0.6,
            layer="top",
        )
        pen.polygon([(x, y * side) for x, y in fin], shade_color((206, 208, 211), light), layer="top")
    pen.polygon(fuselage, shade_color(white, 0.86), layer="top")
    sunny = -1 if pen.light_on(-90) > pen.light_on(90) else 1
    pen.polygon([(x, y if y * sunny > 0 else y * 0.3) for x, y in fuselage], white, layer="top")
    pen.polygon([(-length * 0.34, 0.0), (-length * 0.5, -body * 0.3), (-length * 0.5, body * 0.3)], tail, layer="top")
    pen.rectangle(length * 0.44, -body * 0.4, length * 0.02, body * 0.8, (70, 76, 86), layer="top")


def draw_boat(pen: Pen, rng: np.random.Generator, *, length_px: float) -> None:
    """A yacht or motor boat around the origin."""
    half, beam = length_px / 2, length_px * 0.17
    hull = _mirrored(
        [(half, 0.0), (half * 0.55, -beam * 0.7), (half * 0.1, -beam), (-half * 0.9, -beam * 0.9), (-half, -beam * 0.7)]
    )
    pen.cast(hull, height=2.5)
    pen.polygon(hull, vary_color(rng, (232, 233, 232), light=0.04), layer="top")
    deck = ((188, 160, 122), (206, 208, 210), (150, 152, 158), (62, 84, 138), (215, 205, 185))[int(rng.integers(5))]
    pen.polygon([(x * 0.72 - half * 0.1, y * 0.6) for x, y in hull], vary_color(rng, deck), layer="top")
    pen.rectangle(-half * 0.25, -beam * 0.42, half * 0.5, beam * 0.84, (226, 228, 230), layer="top")
    pen.rectangle(half * 0.18, -beam * 0.4, half * 0.1, beam * 0.8, (70, 80, 92), layer="top")
    if rng.random() < 0.5:
        mast = pen.at(half * 0.1, 0)
        mast.cast(rectangle_points(-0.3, -0.3, 0.6, 0.6), height=length_px * 0.7)
