"""Roads along the sides of a plot: each of two neighbours draws its half."""

from __future__ import annotations

import numpy as np

from rsitr.demo.drawing.canvas import Pen
from rsitr.demo.drawing.plot import Plot
from rsitr.demo.drawing.vehicles import draw_car

__all__ = ["draw_roads"]

_HALF_PX = 7.0


def draw_roads(plot: Plot) -> None:
    """Draw the plot's half of the roads that pass along its sides."""
    width, height = plot.width_px, plot.height_px
    sides = (
        (plot.roads.top, plot.pen, width),
        (plot.roads.right, plot.pen.at(width, 0, angle_deg=90), height),
        (plot.roads.bottom, plot.pen.at(width, height, angle_deg=180), width),
        (plot.roads.left, plot.pen.at(0, height, angle_deg=270), height),
    )
    for wanted, pen, length in sides:
        if wanted:
            _draw_half_road(pen, plot.rng, length=float(length))


def _draw_half_road(pen: Pen, rng: np.random.Generator, *, length: float) -> None:
    """Half a road along the x axis of the pen, on the side y > 0."""
    pen.rectangle(0, 0, length, _HALF_PX + 2.5, (158, 152, 138), layer="top")
    pen.rectangle(0, 0, length, _HALF_PX, (116, 116, 116), layer="top")
    pen.line([(0, _HALF_PX - 1), (length, _HALF_PX - 1)], (176, 176, 170), width=0.5, layer="top")
    for x in np.arange(0, length, 14):
        pen.rectangle(float(x), 0, 7, 0.6, (214, 212, 200), layer="top")
    x = 20.0
    while x < length - 20:
        draw_car(pen.at(x, 3.6), rng, length_px=8)
        x += 12 + float(rng.exponential(80))
