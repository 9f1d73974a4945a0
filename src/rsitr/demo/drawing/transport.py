"""Districts of transport: runway, airport apron, harbour."""

from __future__ import annotations

import numpy as np

from rsitr.demo.drawing.buildings import draw_flat_roof
from rsitr.demo.drawing.canvas import Color, Pen, shade_color
from rsitr.demo.drawing.grounds import grass, pavement, water
from rsitr.demo.drawing.noise import mix, smoothstep
from rsitr.demo.drawing.plot import Mark, Plot
from rsitr.demo.drawing.vehicles import draw_boat, draw_car, draw_lorry, draw_plane

__all__ = ["draw_apron", "draw_harbour", "draw_runway"]

_WHITE: Color = (232, 232, 228)
_YELLOW: Color = (206, 176, 84)


def _long_pen(plot: Plot) -> tuple[Pen, float, float]:
    """A pen in the middle with x along the plot's longer side, and half the length and half the breadth."""
    if plot.width_px >= plot.height_px:
        return plot.centre_pen(), plot.width_px / 2, plot.height_px / 2
    return plot.centre_pen(90), plot.height_px / 2, plot.width_px / 2


def draw_runway(plot: Plot) -> list[Mark]:
    """Two parallel runways with their markings along the plot, taxiways between them, grass strips."""
    rng, canvas = plot.rng, plot.canvas
    canvas.lay(grass(canvas.noise, (104, 110, 76), dry=0.7))
    pen, length, breadth = _long_pen(plot)
    start, end = -length + 40, length - 40
    half, taxi_half, taxi_y = 56.0, 15.0, breadth * 0.12
    concrete: Color = (132, 130, 124)
    for side in (-1, 1):
        y = side * breadth * 0.56
        pen.rectangle(start - 26, y - half - 10, end - start + 52, 2 * half + 20, (140, 134, 116))
        pen.rectangle(-2 * length, side * taxi_y - taxi_half, 4 * length, 2 * taxi_half, concrete)
        for x in (start + 24, -length * 0.5, -length * 0.17, length * 0.17, length * 0.5, end - 24):
            _draw_link(pen.at(x, 0), start=side * taxi_y, end=y, half=taxi_half, reach=half, color=concrete)
        asphalt: Color = (100, 99, 100) if side > 0 else (146, 142, 134)
        pen.rectangle(start - 20, y - half, end - start + 40, 2 * half, asphalt)
        _lay_rubber(pen, rng, start=start, end=end, y=y, half=half, asphalt=asphalt)
        _mark_runway(pen, start=start, end=end, y=y, half=half)
        pen.line([(-2 * length, side * taxi_y), (2 * length, side * taxi_y)], _YELLOW, width=1.2)
    for x, y, turn in (
        (-length * 0.62, taxi_y, 0.0),
        (length * 0.3, -taxi_y, 180.0),
        (length * 0.1, breadth * 0.56, 0.0),
    ):
        draw_plane(pen.at(x + float(rng.normal(0, 60)), y, angle_deg=turn), rng, span_px=float(rng.uniform(54, 66)))
    return []


def _draw_link(pen: Pen, *, start: float, end: float, half: float, reach: float, color: Color) -> None:
    """A short taxiway along y at the pen's origin, flared at both ends, with its yellow line."""
    flare = half * 1.1
    sign = 1 if end > start else -1
    pen.rectangle(-half, min(start, end), 2 * half, abs(end - start), color)
    for x in (-1, 1):
        pen.polygon([(x * half, start), (x * (half + flare), start), (x * half, start + sign * (flare + half))], color)
        pen.polygon([(x * half, end), (x * (half + flare), end), (x * half, end - sign * (flare + reach))], color)
    pen.line([(0, start), (0, end)], _YELLOW, width=1.0)


def _lay_rubber(
    pen: Pen, rng: np.random.Generator, *, start: float, end: float, y: float, half: float, asphalt: Color
) -> None:
    """Dark streaks of tyre rubber in the touchdown zones, joints of the lanes."""
    for lane in (-0.66, -0.33, 0.33, 0.66):
        pen.line([(start - 20, y + lane * half), (end + 20, y + lane * half)], shade_color(asphalt, 0.9), width=0.6)
    for _ in range(120):
        near = start if rng.random() < 0.5 else end
        inward = 1 if near == start else -1
        x = near + inward * float(rng.uniform(60, 420))
        off = float(rng.normal(0, half * 0.16))
        pen.line(
            [(x, y + off), (x + inward * float(rng.uniform(30, 150)), y + off)],
            shade_color(asphalt, float(rng.uniform(0.66, 0.88))),
            width=float(rng.uniform(0.8, 2.2)),
        )


def _mark_runway(pen: Pen, *, start: float, end: float, y: float, half: float) -> None:
    for side in (-1, 1):
        pen.line([(start, y + side * (half - 8)), (end, y + side * (half - 8))], _WHITE, width=2.2)
    pen.dashes((start + 90, y), (end - 90, y), _WHITE, dash=52, gap=36, width=2.4)
    for near, inward in ((start, 1), (end, -1)):
        for bar in range(-6, 7):
            if bar:
                pen.rectangle(min(near + 8 * inward, near + 54 * inward), y + bar * 7.0 - 2, 46, 4.0, _WHITE)
        for at, size, wide in ((130, 40, 3), (240, 64, 9), (370, 40, 3), (470, 40, 3)):  # touchdown and aiming marks
            for side in (-1, 1):
                x = near + at * inward
                pen.rectangle(min(x, x + size * inward), y + side * 24 - wide, size, 2 * wide, _WHITE)


def draw_apron(plot: Plot) -> list[Mark]:
    """The apron: a terminal with piers, airliners at the gates and on stands, taxi lines, service cars."""
    rng, canvas = plot.rng, plot.canvas
    canvas.lay(pavement(canvas.noise, (168, 164, 154)))
    pen, length, breadth = _long_pen(plot)
    _draw_slabs(pen, rng, length=length, breadth=breadth)
    marks: list[Mark] = []
    roof: Color = (186, 188, 190)
    draw_flat_roof(
        pen.at(-length + 20, -breadth + 18), rng, width=2 * length - 40, depth=58, height=16, color=roof, detail=0.7
    )
    piers = np.linspace(-length, length, 5)[1:-1:2] if length > 400 else [0.0]
    for pier in piers:
        draw_flat_roof(
            pen.at(float(pier) - 15, -breadth + 74),
            rng,
            width=30,
            depth=breadth * 0.95,
            height=13,
            color=roof,
            detail=0.7,
        )
        for side in (-1, 1):
            for y in np.arange(-breadth + 122, breadth * 0.1, 84):
                span = float(rng.uniform(62, 74))
                stand = pen.at(float(pier) + side * (15 + span * 0.62 + 6), float(y), angle_deg=180 if side > 0 else 0)
                marks += _park_plane(stand, rng, span=span, bridge=True)
    for x in np.arange(-length + 64, length - 40, 96):
        if rng.random() < 0.85:
            stand = pen.at(float(x) + float(rng.normal(0, 3)), breadth * 0.62, angle_deg=-90 + float(rng.normal(0, 2)))
            marks += _park_plane(stand, rng, span=float(rng.uniform(62, 80)), bridge=False)
    pen.line([(-2 * length, breadth * 0.28), (2 * length, breadth * 0.28)], _YELLOW, width=1.2)
    for _ in range(int(length / 6)):
        spot = pen.at(
            float(rng.uniform(-length, length)),
            float(rng.uniform(-breadth + 84, breadth)),
            angle_deg=float(rng.choice((0, 90, 45))),
        )
        (draw_car if rng.random() < 0.7 else draw_lorry)(spot, rng, length_px=float(rng.uniform(6, 11)))
    return marks


def _draw_slabs(pen: Pen, rng: np.random.Generator, *, length: float, breadth: float) -> None:
    """Concrete slabs: a few of another shade, joints, oil stains."""
    size = 24.0
    for x in np.arange(-length, length, size):
        for y in np.arange(-breadth, breadth, size):
            if rng.random() < 0.3:
                pen.rectangle(
                    float(x), float(y), size, size, shade_color((168, 164, 154), float(rng.uniform(0.93, 1.05)))
                )
    for x in np.arange(-length, length, size):
        pen.line([(float(x), -breadth), (float(x), breadth)], (150, 146, 138), width=0.5)
    for y in np.arange(-breadth, breadth, size):
        pen.line([(-length, float(y)), (length, float(y))], (150, 146, 138), width=0.5)


def _park_plane(pen: Pen, rng: np.random.Generator, *, span: float, bridge: bool) -> list[Mark]:
    """An airliner on its stand, with lead-in line and carts; at a gate also the bridge to its door."""
    pen.line([(-span * 1.2, 0), (span * 0.5, 0)], _YELLOW, width=0.8)
    pen.ellipse(-span * 0.05, 0, span * 0.2, span * 0.07, (138, 133, 126))
    for _ in range(4):  # before the aeroplane, which hides what would stand beneath it
        cart = pen.at(span * float(rng.uniform(-0.3, 0.45)), span * float(rng.choice((-1, 1)) * rng.uniform(0.1, 0.3)))
        draw_lorry(cart.at(0, 0, angle_deg=float(rng.uniform(0, 180))), rng, length_px=7)
    draw_plane(pen, rng, span_px=span)
    if bridge:
        pen.cast([(span * 0.44, -9), (span * 0.78, -14), (span * 0.78, -10), (span * 0.44, -5)], height=6)
        pen.line([(span * 0.44, -span * 0.1), (span * 0.78, -span * 0.2)], (208, 208, 204), width=3.4, layer="top")
    x, y = pen.place((0, 0))
    return [Mark(label="aeroplane", box_px=(x - span / 2, y - span / 2, span, span))]


def draw_harbour(plot: Plot) -> list[Mark]:
    """A marina: piers with boats on both sides, a quay on the land side, a ship at the outer wall."""
    rng, canvas, noise = plot.rng, plot.canvas, plot.canvas.noise
    d = plot.offshore_px
    sea = mix(water(noise, (44, 74, 78)), (34, 62, 72), smoothstep(d, start=0, end=200))
    canvas.lay(sea)
    pen = plot.centre_pen(plot.seaward_deg)  # x runs out to sea
    half = plot.width_px / 2
    land = -half + 120.0
    quay: Color = (158, 152, 140)
    pen.rectangle(-half - 20, -half - 20, land + half + 20, 2 * half + 40, quay)
    pen.line([(land, -half - 20), (land, half + 20)], (190, 186, 176), width=2.5)
    _draw_quay(plot, pen, land=land, half=half)
    pen.cast([(land, -half), (land + 1, -half), (land + 1, half), (land, half)], height=4)
    pitch = 84.0
    marks: list[Mark] = []
    for y in np.arange(-half + 44, half - 20, pitch):
        reach = float(rng.uniform(250, 300))
        marks += _draw_pier(plot, pen.at(land, float(y)), reach=reach)
    outer = half - 44
    pen.line([(outer, -half * 0.86), (outer, half * 0.86)], (146, 140, 128), width=9)
    pen.line([(outer, -half * 0.86), (outer, half * 0.86)], (178, 172, 160), width=4)
    return marks


def _draw_quay(plot: Plot, pen: Pen, *, land: float, half: float) -> None:
    rng = plot.rng
    pen.rectangle(-half, -half, 34, 2 * half, (112, 112, 111))
    for y in np.arange(-half + 24, half - 60, 118):
        draw_flat_roof(
            pen.at(-half + 46, float(y)),
            rng,
            width=34,
            depth=float(rng.uniform(50, 84)),
            height=8,
            color=((206, 204, 198), (176, 110, 84), (190, 192, 194))[int(rng.integers(3))],
        )
    for y in np.arange(-half + 6, half - 6, 5.6):
        if rng.random() < 0.72:
            draw_car(pen.at(land - 12, float(y)), rng, length_px=8.6)


def _draw_pier(plot: Plot, pen: Pen, *, reach: float) -> list[Mark]:
    """A floating pier out from the origin along x, boats side by side along it."""
    rng = plot.rng
    pen.cast([(0, -2.6), (reach, -2.6), (reach, 2.6), (0, 2.6)], height=2)
    pen.rectangle(0, -2.6, reach, 5.2, (196, 186, 168), layer="top")
    pen.rectangle(reach - 4, -9, 5, 18, (196, 186, 168), layer="top")
    for side in (-1, 1):
        x = 12.0
        while x < reach - 8:
            length = float(rng.uniform(22, 32))
            if rng.random() < 0.9:
                draw_boat(
                    pen.at(x, side * (4 + length / 2), angle_deg=90 * side if rng.random() < 0.75 else -90 * side),
                    rng,
                    length_px=length,
                )
            x += length * 0.34 + float(rng.uniform(2.2, 4.4))
    corners = [pen.place(point) for point in ((0, -34), (reach, 34))]
    left, right = sorted(corner[0] for corner in corners)
    top, bottom = sorted(corner[1] for corner in corners)
    return [Mark(label="boats at a pier", box_px=(left, top, right - left, bottom - top))]
