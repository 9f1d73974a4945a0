"""Districts of sport: a football pitch within a running track, tennis courts, baseball fields."""

from __future__ import annotations

import math

import numpy as np

from rsitr.demo.drawing.buildings import draw_flat_roof
from rsitr.demo.drawing.canvas import Color, Pen, Point, shade_color
from rsitr.demo.drawing.grounds import grass
from rsitr.demo.drawing.plot import Mark, Plot
from rsitr.demo.drawing.trees import plant_row
from rsitr.demo.drawing.vehicles import draw_car

__all__ = ["draw_baseball", "draw_playground", "draw_tennis"]

_LINE: Color = (226, 228, 222)


def _stadium_points(half_length: float, radius: float) -> list[Point]:
    """Outline of a running track's lane: two straights along x and two half circles."""
    right = [(half_length + radius * math.sin(t), -radius * math.cos(t)) for t in np.linspace(0, math.pi, 30)]
    left = [(-half_length - radius * math.sin(t), radius * math.cos(t)) for t in np.linspace(0, math.pi, 30)]
    return right + left


def _box(pen: Pen, reach_x: float, reach_y: float) -> tuple[float, float, float, float]:
    """The upright box around a rectangle of these half sides about the pen's origin."""
    corners = [pen.place((sx * reach_x, sy * reach_y)) for sx in (-1, 1) for sy in (-1, 1)]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _quarters(plot: Plot) -> list[Pen]:
    """Pens in the middles of the plot's four quarters, in order around it."""
    dx, dy = plot.width_px / 4, plot.height_px / 4
    return [plot.centre_pen().at(x * dx, y * dy) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


def draw_playground(plot: Plot) -> list[Mark]:
    """A sports ground: football pitches within red running tracks, plain pitches, stands, trees, a gym."""
    rng, canvas = plot.rng, plot.canvas
    canvas.lay(grass(canvas.noise, (88, 102, 64), dry=0.5))
    quarters = _quarters(plot)
    first = int(rng.integers(2))
    marks: list[Mark] = []
    for i, quarter in enumerate(quarters):
        pen = quarter.at(0, 0, angle_deg=float(rng.choice((0, 90))) + float(rng.uniform(-12, 12)))
        marks.append(_draw_track(pen, rng) if i % 2 == first else _draw_ground(pen, rng))
    middle = plot.centre_pen()
    for y in np.arange(-plot.height_px / 2 + 10, plot.height_px / 2 - 10, 6):
        if rng.random() < 0.5:
            draw_car(middle.at(float(rng.choice((-5, 5))), float(y)), rng, length_px=8)
    _plant_frame(plot)
    return marks


def _draw_track(pen: Pen, rng: np.random.Generator) -> Mark:
    """A football pitch within a running track around the origin, with a stand."""
    track = (166, 88, 68) if rng.random() < 0.7 else (176, 104, 80)
    straight, inner, lanes, lane_px = 54.0, 44.0, 6, 2.9
    outer = inner + lanes * lane_px
    pen.polygon(_stadium_points(straight, outer + 4), (150, 146, 136))
    pen.polygon(_stadium_points(straight, outer), track)
    for lane in range(lanes + 1):
        outline = _stadium_points(straight, inner + lane * lane_px)
        pen.line([*outline, outline[0]], shade_color(_LINE, 0.9), width=0.5)
    pen.polygon(_stadium_points(straight, inner - 0.6), (86, 108, 64))
    for end in (-1, 1):  # jumping pits at the heads
        pen.rectangle(end * (straight + 18) - 7, -18, 14, 36, shade_color(track, 1.02))
        pen.rectangle(end * (straight + 22) - 3, 6, 6, 10, (206, 192, 158))
    _draw_pitch(pen, half_length=62, half_width=36)
    side = float(rng.choice((-1, 1)))
    _draw_grandstand(pen.at(-50, outer + 8 if side > 0 else -outer - 30), width=100, depth=22)
    return Mark(label="running track", box_px=_box(pen, straight + outer, outer))


def _draw_ground(pen: Pen, rng: np.random.Generator) -> Mark:
    """A football pitch around the origin, beside it basketball courts."""
    pen.rectangle(-96, -54, 192, 108, (92, 112, 68))
    at = pen.at(0, -24)
    _draw_pitch(at, half_length=84, half_width=52)
    for i in range(3):
        court = pen.at(-62 + i * 62, 64)
        court.rectangle(-28, -17, 56, 34, (150, 104, 84) if rng.random() < 0.5 else (96, 124, 116))
        court.line([(-25, -14), (25, -14), (25, 14), (-25, 14), (-25, -14)], _LINE, width=0.8)
        court.line([(0, -14), (0, 14)], _LINE, width=0.8)
        court.line([(5 * math.cos(t), 5 * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 20)], _LINE, width=0.8)
    return Mark(label="football pitch", box_px=_box(at, 84, 52))


def _draw_pitch(pen: Pen, *, half_length: float, half_width: float) -> None:
    stripes = 14
    width = 2 * half_length / stripes
    for i in range(stripes):
        color = (82, 114, 60) if i % 2 else (92, 124, 66)
        pen.rectangle(-half_length + i * width, -half_width, width + 0.3, 2 * half_width, color)
    frame = [
        (-half_length, -half_width),
        (half_length, -half_width),
        (half_length, half_width),
        (-half_length, half_width),
        (-half_length, -half_width),
    ]
    pen.line(frame, _LINE, width=1.0)
    pen.line([(0, -half_width), (0, half_width)], _LINE, width=1.0)
    circle = [(12.5 * math.cos(t), 12.5 * math.sin(t)) for t in np.linspace(0, 2 * math.pi, 40)]
    pen.line(circle, _LINE, width=1.0)
    for end in (-1, 1):
        for depth, width in ((23.0, 27.0), (8.0, 13.0)):
            x = end * half_length
            pen.line([(x, -width), (x - end * depth, -width), (x - end * depth, width), (x, width)], _LINE, width=0.9)
        pen.line(
            [
                (end * half_length, -5),
                (end * (half_length + 3), -5),
                (end * (half_length + 3), 5),
                (end * half_length, 5),
            ],
            _LINE,
            width=1.0,
        )


def _draw_grandstand(pen: Pen, *, width: float, depth: float) -> None:
    pen.cast([(0, 0), (width, 0), (width, depth), (0, depth)], height=9)
    pen.rectangle(0, 0, width, depth, (176, 176, 178), layer="top")
    for y in np.arange(2, depth - 1, 3):
        pen.line([(1, float(y)), (width - 1, float(y))], (120, 132, 158), width=1.2, layer="top")
    for x in np.arange(0, width, 19.3):
        pen.line([(float(x), 0), (float(x), depth)], (200, 200, 200), width=1.2, layer="top")


def _plant_frame(plot: Plot) -> None:
    """Rows of trees along the plot's sides."""
    w, h = plot.width_px, plot.height_px
    for start, end in (
        ((24, 20), (w - 24, 20)), ((24, h - 20), (w - 24, h - 20)),
        ((20, 30), (20, h - 30)), ((w - 20, 30), (w - 20, h - 30)),
    ):  # fmt: skip
        plant_row(plot.canvas, plot.grove, start=start, end=end, spacing_px=15, radius_px=6.5, gaps=0.25)


def draw_tennis(plot: Plot) -> list[Mark]:
    """Blocks of tennis courts in a park, fenced and painted."""
    rng, canvas = plot.rng, plot.canvas
    canvas.lay(grass(canvas.noise, (90, 106, 64), dry=0.5))
    palettes: tuple[tuple[Color, Color], ...] = (
        ((98, 128, 88), (142, 92, 72)),
        ((74, 104, 132), (86, 124, 86)),
        ((86, 116, 92), (110, 140, 106)),
        ((150, 92, 70), (168, 116, 90)),
    )
    marks: list[Mark] = []
    half = min(plot.width_px, plot.height_px) / 2
    upright = rng.random() < 0.5
    for qx in (-0.5, 0.5):
        for qy in (-0.5, 0.5):
            court, apron = palettes[int(rng.integers(len(palettes)))]
            pen = plot.centre_pen().at(
                qx * half, qy * half, angle_deg=(0 if upright else 90) + float(rng.uniform(-3, 3))
            )
            columns, rows, across, down = 3, 2, 45.0, 82.0
            wide, deep = columns * across, rows * down
            pen.rectangle(-wide / 2 - 3, -deep / 2 - 3, wide + 6, deep + 6, (146, 142, 132))
            pen.rectangle(-wide / 2, -deep / 2, wide, deep, apron)
            for i in range(columns):
                for j in range(rows):
                    _draw_court(pen.at((i - (columns - 1) / 2) * across, (j - (rows - 1) / 2) * down), court)
            marks.append(Mark(label="tennis courts", box_px=_box(pen, wide / 2, deep / 2)))
            for side in (-1, 1):
                for start, end in (
                    ((-wide / 2, side * (deep / 2 + 12)), (wide / 2, side * (deep / 2 + 12))),
                    ((side * (wide / 2 + 13), -deep / 2), (side * (wide / 2 + 13), deep / 2)),
                ):
                    ends = {"start": pen.place(start), "end": pen.place(end)}
                    plant_row(canvas, plot.grove, **ends, spacing_px=14, radius_px=7, gaps=0.3)
    path = plot.centre_pen()
    path.rectangle(-half, -4, 2 * half, 8, (190, 180, 158))
    path.rectangle(-4, -half, 8, 2 * half, (190, 180, 158))
    return marks


def _draw_court(pen: Pen, color: Color) -> None:
    """One court around the origin, 24 x 54 px, the net across."""
    side, single, end, service = 12.0, 9.2, 27.0, 14.8
    pen.rectangle(-side, -end, 2 * side, 2 * end, color)
    for x in (-side, -single, single, side):
        pen.line([(x, -end), (x, end)], _LINE, width=0.9)
    for y in (-end, end):
        pen.line([(-side, y), (side, y)], _LINE, width=1.0)
    for y in (-service, service):
        pen.line([(-single, y), (single, y)], _LINE, width=0.9)
    pen.line([(0, -service), (0, service)], _LINE, width=0.9)
    pen.line([(-side - 2, 0), (side + 2, 0)], (78, 82, 80), width=0.7)
    pen.cast([(-side - 2, -0.4), (side + 2, -0.4), (side + 2, 0.4), (-side - 2, 0.4)], height=1)


def draw_baseball(plot: Plot) -> list[Mark]:
    """Four baseball fields, the home plates towards the middle."""
    rng, canvas = plot.rng, plot.canvas
    canvas.lay(grass(canvas.noise, (90, 104, 64), dry=0.7))
    half = min(plot.width_px, plot.height_px) / 2
    marks: list[Mark] = []
    for turn in (45, 135, 225, 315):
        dirt = ((178, 134, 100), (192, 156, 118), (172, 118, 86))[int(rng.integers(3))]
        pen = plot.centre_pen(turn + float(rng.uniform(-6, 6))).at(half * 0.25, 0)  # x: from the plate to the outfield
        reach = half * 0.76
        _draw_diamond(pen, dirt=dirt, reach=reach)
        x, y = pen.at(reach * 0.53, 0).place((0, 0))
        marks.append(Mark(label="baseball field", box_px=(x - reach * 0.5, y - reach * 0.5, reach, reach)))
    middle = plot.centre_pen()
    middle.ellipse(0, 0, 30, 30, (176, 168, 150))
    draw_flat_roof(middle.at(-9, -9), rng, width=18, depth=18, height=7, color=(170, 112, 88), detail=0.3)
    for x in (-1, 1):
        middle.line([(0, 0), (0, x * half)], (176, 168, 150), width=5)
        middle.line([(0, 0), (x * half, 0)], (176, 168, 150), width=5)
    _plant_frame(plot)
    for _ in range(8):
        draw_car(middle.at(float(rng.uniform(-30, 30)), float(rng.choice((-1, 1))) * (half - 42), angle_deg=90), rng)
    return marks


def _wedge(radius: float, spread_deg: float, *, x: float = 0.0) -> list[Point]:
    turns = np.radians(np.linspace(-spread_deg, spread_deg, 40))
    return [(x, 0.0)] + [(x + radius * math.cos(t), radius * math.sin(t)) for t in turns]


def _draw_diamond(pen: Pen, *, dirt: Color, reach: float) -> None:
    """A field with the home plate at the origin, opening along x: outfield, infield dirt, grass, mound, bases."""
    pen.polygon(_wedge(reach + 3, 46, x=-6), shade_color(dirt, 0.92))  # warning track
    for i, radius in enumerate(np.linspace(reach - 4, 60, 9)):
        pen.polygon(_wedge(float(radius), 45.5), (86, 106, 64) if i % 2 else (92, 112, 68))
    pen.polygon(_wedge(68, 48, x=-3), dirt)
    pen.ellipse(0, 0, 14, 14, dirt)
    side = 47.0  # base path
    diagonal = side * math.sqrt(2) / 2
    square = [(8.0, 0.0), (diagonal, -diagonal + 8), (2 * diagonal - 8, 0.0), (diagonal, diagonal - 8)]
    pen.polygon(square, (90, 112, 66))
    pen.ellipse(diagonal, 0, 5, 5, shade_color(dirt, 1.06))
    for x, y in ((0.0, 0.0), (diagonal, -diagonal), (2 * diagonal, 0.0), (diagonal, diagonal)):
        pen.rectangle(x - 0.9, y - 0.9, 1.8, 1.8, (240, 240, 236))
    fence = [(reach * math.cos(t), reach * math.sin(t)) for t in np.radians(np.linspace(-46, 46, 40))]
    pen.line([(-8.0, -16.0), *fence, (-8.0, 16.0)], (196, 192, 180), width=0.8)
    for sign in (-1, 1):
        pen.line([(0, 0), (reach * 0.69, sign * reach * 0.69)], _LINE, width=0.8)
        dugout = pen.at(10, sign * 24, angle_deg=sign * 45)
        dugout.cast([(0, -3), (24, -3), (24, 3), (0, 3)], height=4)
        dugout.rectangle(0, -3, 24, 6, (190, 190, 188), layer="top")
    stand = pen.at(-16, 0)
    stand.cast([(-6, -18), (2, -18), (2, 18), (-6, 18)], height=5)
    stand.rectangle(-6, -18, 8, 36, (176, 178, 182), layer="top")
