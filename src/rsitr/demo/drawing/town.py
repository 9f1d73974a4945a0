"""Districts of houses and work: residential blocks, industry, storage tanks, parking."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from rsitr.demo.drawing.buildings import draw_flat_roof, draw_house, draw_sawtooth_hall, draw_tank
from rsitr.demo.drawing.canvas import Color, Pen, vary_color
from rsitr.demo.drawing.grounds import grass, pavement, soil
from rsitr.demo.drawing.noise import mix, smoothstep
from rsitr.demo.drawing.plot import Mark, Plot
from rsitr.demo.drawing.trees import plant, plant_row
from rsitr.demo.drawing.vehicles import draw_car, draw_lorry

__all__ = ["draw_dense_homes", "draw_industry", "draw_medium_homes", "draw_parking", "draw_tanks"]

_ASPHALT: Color = (112, 112, 112)
_ROOFS: tuple[tuple[Color, ...], ...] = (
    ((172, 96, 68), (186, 112, 80), (158, 88, 66), (176, 122, 96), (150, 118, 104)),
    ((120, 116, 112), (136, 130, 124), (108, 102, 98), (150, 142, 132), (128, 106, 92)),
    ((146, 110, 88), (162, 128, 104), (132, 120, 110), (170, 150, 128), (124, 98, 82)),
)


def draw_dense_homes(plot: Plot) -> list[Mark]:
    """Rows of small houses close together along parallel streets."""
    rng, canvas = plot.rng, plot.canvas
    canvas.lay(mix(soil(canvas.noise, (134, 124, 106)), grass(canvas.noise, (84, 96, 60)), 0.55))
    roofs = _ROOFS[int(rng.integers(len(_ROOFS)))]
    along_x = rng.random() < 0.5
    pen = plot.centre_pen(float(rng.uniform(-7, 7)) + (0 if along_x else 90))
    reach = int(0.5 * np.hypot(plot.width_px, plot.height_px)) + 20
    block = 74.0
    cross = float(rng.uniform(-60, 60))
    for street in np.arange(-reach, reach, block):
        pen.rectangle(-reach, street - 6, 2 * reach, 12, (168, 164, 156))
        pen.rectangle(-reach, street - 4.3, 2 * reach, 8.6, _ASPHALT)
    for avenue in (cross - 232, cross, cross + 232):
        pen.rectangle(avenue - 6, -reach, 12, 2 * reach, (168, 164, 156))
        pen.rectangle(avenue - 4.5, -reach, 9, 2 * reach, _ASPHALT)
    for street in np.arange(-reach, reach, block):
        for side in (-1, 1):
            x = -reach + float(rng.uniform(0, 9))
            while x < reach:
                pitch = float(rng.uniform(19, 25))
                if all(abs(x - avenue) > 17 for avenue in (cross - 232, cross, cross + 232)):
                    _draw_lot(plot, pen.at(x, float(street) + side * 20.5), side=side, pitch=pitch, roofs=roofs)
                x += pitch
        _draw_street_cars(pen, rng, street=float(street), reach=reach, every_px=58)
    return []


def _draw_lot(plot: Plot, pen: Pen, *, side: int, pitch: float, roofs: tuple[Color, ...]) -> None:
    """A small house, its drive towards the street and a tree or shed behind."""
    rng = plot.rng
    pen.rectangle(-pitch / 2 + 1.2, -14 if side > 0 else 2, 3.6, 12, (176, 172, 164))
    turn = 0 if rng.random() < 0.6 else 90
    width, depth = pitch * float(rng.uniform(0.74, 0.86)), float(rng.uniform(15, 19))
    if turn:
        width, depth = depth, width
    roof = roofs[int(rng.integers(len(roofs)))]
    draw_house(
        pen.at(0, float(rng.normal(0, 1.2)), angle_deg=turn + float(rng.normal(0, 1.5))), rng, width=width, depth=depth,
        color=roof, hip=0.9 if rng.random() < 0.6 else 0.0, wing=rng.random() < 0.25,
    )  # fmt: skip
    if rng.random() < 0.62:
        x, y = pen.place((float(rng.uniform(-6, 6)), side * float(rng.uniform(11, 15))))
        plant(plot.canvas, plot.grove, x=x, y=y, radius_px=float(rng.uniform(2.5, 5.5)))
    elif rng.random() < 0.4:
        draw_house(pen.at(4, side * 13.0), rng, width=6, depth=5, color=(150, 146, 140), wing=False)


def _draw_street_cars(pen: Pen, rng: np.random.Generator, *, street: float, reach: int, every_px: float) -> None:
    x = -float(reach)
    while x < reach:
        x += float(rng.exponential(every_px)) + 10
        draw_car(pen.at(x, street + (2.9 if rng.random() < 0.5 else -2.9)), rng, length_px=7.5)


def draw_medium_homes(plot: Plot) -> list[Mark]:
    """Detached houses in green gardens along bent streets, with drives and many trees."""
    rng, canvas = plot.rng, plot.canvas
    canvas.lay(grass(canvas.noise, (88, 104, 62), dry=0.5))
    roofs = _ROOFS[1 + int(rng.integers(2))]
    pen = plot.centre_pen(float(rng.choice((0, 90))) + float(rng.uniform(-5, 5)))
    reach = int(0.5 * np.hypot(plot.width_px, plot.height_px)) + 30
    phase, bend = float(rng.uniform(0, 6.3)), float(rng.uniform(8, 20))
    streets = [float(street) for street in np.arange(-reach + 20, reach, 128)]

    def line(street: float, t: float) -> float:
        return street + bend * float(np.sin(t / 95 + phase))

    for street in streets:
        curve = [(float(t), line(street, float(t))) for t in np.arange(-reach, reach, 12)]
        pen.line(curve, (180, 176, 168), width=15)
        pen.line(curve, (128, 127, 126), width=11)
    for street in streets:
        for side in (-1, 1):
            for t in np.arange(-reach, reach, float(rng.uniform(47, 54))):
                slope = float(np.degrees(np.arctan(bend / 95 * np.cos(t / 95 + phase))))
                home = pen.at(float(t), line(street, float(t)) + side * 34, angle_deg=slope)
                _draw_villa(plot, home, side=side, roofs=roofs)
        for t in np.arange(-reach, reach, 70):
            if rng.random() < 0.6:
                draw_car(pen.at(float(t), line(street, float(t)) + 3.4), rng, length_px=8)
    return []


def _draw_villa(plot: Plot, pen: Pen, *, side: int, roofs: tuple[Color, ...]) -> None:
    rng = plot.rng
    pen.rectangle(8, -27 if side > 0 else 0, 6.5, 27, (188, 184, 176))
    if rng.random() < 0.5:
        draw_car(pen.at(11.2, -side * 17.0, angle_deg=90), rng, length_px=8)
    draw_house(
        pen.at(0, float(rng.normal(0, 2))), rng, width=float(rng.uniform(28, 37)), depth=float(rng.uniform(18, 23)),
        color=roofs[int(rng.integers(len(roofs)))], hip=0.95 if rng.random() < 0.7 else 0.0, wing=rng.random() < 0.75,
    )  # fmt: skip
    if rng.random() < 0.2:
        pool = pen.at(float(rng.uniform(-10, 6)), side * 22.0)
        pool.ellipse(0, 0, 7.6, 5.0, (206, 202, 192))
        pool.ellipse(0, 0, 6.0, 3.6, (84, 168, 186))
    for _ in range(int(rng.integers(4, 9))):
        x, y = pen.place(
            (float(rng.uniform(-25, 25)), side * float(rng.choice((-21, 20, 25, 30))) + float(rng.normal(0, 3)))
        )
        plant(plot.canvas, plot.grove, x=x, y=y, radius_px=float(rng.uniform(3.5, 9)))


_HALLS: tuple[Color, ...] = (
    (214, 214, 210), (196, 198, 198), (176, 178, 178), (226, 224, 216), (158, 160, 162), (92, 126, 170),
    (104, 140, 182), (168, 112, 92), (204, 196, 178),
)  # fmt: skip


def draw_industry(plot: Plot) -> list[Mark]:
    """Large flat roofs and factory halls close together, yards, lorries and parked cars."""
    rng, canvas = plot.rng, plot.canvas
    yard = mix(
        pavement(canvas.noise, (134, 132, 128)),
        soil(canvas.noise, (142, 134, 120)),
        smoothstep(canvas.noise.mid, start=0.3, end=1.6),
    )
    canvas.lay(mix(yard, grass(canvas.noise, (98, 104, 74)), smoothstep(canvas.noise.patches, start=1.2, end=1.5)))
    pen = plot.centre_pen(float(rng.uniform(-6, 6)))
    reach = 0.5 * float(np.hypot(plot.width_px, plot.height_px))
    across = np.arange(-reach - float(rng.uniform(0, 100)), reach, float(rng.uniform(150, 180)))
    for y, below in pairwise(across):
        pen.rectangle(-reach, float(y) - 7, 2 * reach, 14, _ASPHALT)
        x = -reach
        while x < reach:
            width = float(rng.uniform(60, 130))
            _draw_works(plot, pen.at(x + 7, float(y) + 10), width=width - 12, depth=float(below - y) - 20)
            x += width
            if rng.random() < 0.35:
                pen.rectangle(x - 3, float(y), 11, float(below - y), _ASPHALT)
                x += 8
    plant_row(
        canvas,
        plot.grove,
        start=pen.place((-reach, across[1] - 9)),
        end=pen.place((reach, across[1] - 9)),
        spacing_px=17,
        radius_px=4,
    )
    return []


def _draw_works(plot: Plot, pen: Pen, *, width: float, depth: float) -> None:
    """One company's ground of this size from the origin: a hall or two, a yard with lorries, parked cars."""
    rng = plot.rng
    halls = 1 if rng.random() < 0.3 else 2
    y = 2.0
    for hall in range(halls):
        size = float(rng.uniform(0.62, 0.8) if halls == 1 else rng.uniform(0.32, 0.44)) * depth
        wide = width * float(rng.uniform(0.84, 1.0))
        color = vary_color(rng, _HALLS[int(rng.integers(len(_HALLS)))], light=0.05)
        at = pen.at(float(rng.uniform(0, width - wide)), y)
        if rng.random() < 0.3:
            draw_sawtooth_hall(at, rng, width=wide, depth=size, color=color, bay=float(rng.uniform(7, 13)))
        else:
            draw_flat_roof(at, rng, width=wide, depth=size, height=float(rng.uniform(7, 15)), color=color)
            if rng.random() < 0.4:  # a lower wing of another colour
                wing = vary_color(rng, _HALLS[int(rng.integers(4))], light=0.06)
                draw_flat_roof(
                    at.at(wide * 0.1, size - 2), rng, width=wide * 0.45, depth=14, height=5, color=wing, detail=0.4
                )
        y += size + 4
        for dock in np.arange(8, wide - 6, 8):
            if rng.random() < 0.32:
                draw_lorry(pen.at(float(dock), y + 7, angle_deg=90), rng, length_px=float(rng.uniform(11, 17)))
        y += 18 if hall == 0 else 0
    for t in np.arange(4, width - 4, 5.4):
        if rng.random() < 0.6:
            draw_car(pen.at(float(t), depth - 6, angle_deg=90), rng, length_px=8)


def draw_tanks(plot: Plot) -> list[Mark]:
    """A tank farm: white and grey round tanks within earth walls, pipes, a few sheds."""
    rng, canvas = plot.rng, plot.canvas
    ground = mix(
        soil(canvas.noise, (150, 142, 126)),
        grass(canvas.noise, (112, 114, 78), dry=0.6),
        smoothstep(canvas.noise.mid, start=0.0, end=1.4) * 0.7,
    )
    canvas.lay(ground)
    marks: list[Mark] = []
    pen = plot.pen
    cell = 128
    colors: tuple[Color, ...] = ((232, 232, 228), (222, 222, 220), (206, 208, 208), (236, 234, 226), (178, 176, 170))
    for row in range(plot.height_px // cell):
        for column in range(plot.width_px // cell):
            x, y = column * cell, row * cell
            _draw_bund(pen.at(x + 8, y + 8), size=cell - 16)
            color = colors[int(rng.integers(len(colors)))]
            if rng.random() < 0.66:
                radius = float(rng.uniform(30, 42))
                places = [(x + cell / 2 + float(rng.normal(0, 2)), y + cell / 2 + float(rng.normal(0, 2)), radius)]
            else:
                radius = float(rng.uniform(17, 22))
                places = [
                    (x + cell * (0.3 + 0.4 * i), y + cell * (0.3 + 0.4 * j), radius) for i in (0, 1) for j in (0, 1)
                ]
            for tx, ty, r in places:
                pen.line([(tx, ty), (tx, y + cell)], (170, 168, 162), width=1.2)
                draw_tank(pen.at(tx, ty), rng, radius=r, height=float(rng.uniform(13, 19)), color=color)
                marks.append(Mark(label="storage tank", box_px=(tx - r, ty - r, 2 * r, 2 * r)))
        for offset in (-1.6, 0.4, 2.4):
            pen.line(
                [(0, (row + 1) * cell + offset), (plot.width_px, (row + 1) * cell + offset)], (186, 184, 178), width=0.8
            )
    return marks


def _draw_bund(pen: Pen, *, size: float) -> None:
    """The earth wall round a tank: a bright crest beside a dark foot."""
    for inset, color in ((0.0, (128, 118, 98)), (1.6, (184, 174, 150)), (3.6, (120, 112, 94))):
        corners = [
            (inset, inset),
            (size - inset, inset),
            (size - inset, size - inset),
            (inset, size - inset),
            (inset, inset),
        ]
        pen.line(corners, color, width=2.0)


def draw_parking(plot: Plot) -> list[Mark]:
    """A large parking lot: rows of cars, aisles, medians with small trees."""
    rng, canvas = plot.rng, plot.canvas
    tone = float(rng.uniform(104, 140))
    canvas.lay(pavement(canvas.noise, (tone, tone - 1, tone - 3)))
    upright = rng.random() < 0.5
    pen = plot.centre_pen((0 if upright else 90) + float(rng.uniform(-4, 4)))
    reach = 0.5 * float(max(plot.width_px, plot.height_px)) + 40
    stall, depth, aisle = 6.2, 11.0, 15.0
    full = float(rng.uniform(0.78, 0.92))
    for bank, y in enumerate(np.arange(-reach, reach, 2 * depth + aisle)):
        median = bank % 4 == 2
        for x in np.arange(-reach, reach, stall):
            pen.line([(float(x), float(y)), (float(x), float(y) + 2 * depth)], (196, 196, 192), width=0.6)
        if median:
            pen.rectangle(-reach, y + depth - 2, 2 * reach, 4, (96, 104, 68))
        for i, x in enumerate(np.arange(-reach, reach, stall)):
            block = i % 34
            if block < 2:  # a cross lane
                pen.rectangle(float(x), float(y), stall + 0.5, 2 * depth, (tone, tone - 1, tone - 3))
                continue
            for side in (0, 1):
                if rng.random() < full:
                    spot = pen.at(
                        float(x) + stall / 2,
                        float(y) + depth * (0.5 + side) + float(rng.normal(0, 0.5)),
                        angle_deg=90 if rng.random() < 0.5 else -90,
                    )
                    draw_car(spot, rng, length_px=9.4)
            if median and i % 9 == 4:
                tx, ty = pen.place((float(x), float(y) + depth))
                plant(canvas, plot.grove, x=tx, y=ty, radius_px=4.5)
    return []
