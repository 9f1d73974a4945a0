"""What the drawing of one district is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rsitr.demo.drawing.canvas import Canvas, Pen
from rsitr.demo.drawing.trees import Grove
from rsitr.types import FloatArray

__all__ = ["Mark", "Plot", "Roads"]


@dataclass(frozen=True)
class Roads:
    """Which sides of a plot have a road, half of which lies on the plot."""

    left: bool = False
    top: bool = False
    right: bool = False
    bottom: bool = False


@dataclass(frozen=True)
class Mark:
    """A thing that was drawn, with its box on the plot: (column, row, width, height) in px."""

    label: str
    box_px: tuple[float, float, float, float]


@dataclass(frozen=True)
class Plot:
    """A district to be drawn.

    Attributes:
        canvas: where to draw.
        grove: the scene's trees.
        roads: sides with a road.
        offshore_px: (H, W) distance from the sea's waterline, positive at sea; far inland where there is no sea.
        river_px: (H, W) distance from the river's bank, positive in the water.
        seaward_deg: direction of the open sea (0 right, 90 down): also the way the river runs.
    """

    canvas: Canvas
    grove: Grove
    roads: Roads
    offshore_px: FloatArray
    river_px: FloatArray
    seaward_deg: float

    @property
    def rng(self) -> np.random.Generator:
        """The plot's own generator."""
        return self.canvas.rng

    @property
    def width_px(self) -> int:
        """Width of the plot."""
        return self.canvas.width_px

    @property
    def height_px(self) -> int:
        """Height of the plot."""
        return self.canvas.height_px

    @property
    def pen(self) -> Pen:
        """A pen in the plot's frame."""
        return self.canvas.pen

    def centre_pen(self, angle_deg: float = 0.0) -> Pen:
        """A pen whose origin is the middle of the plot."""
        return self.canvas.pen.at(self.width_px / 2, self.height_px / 2, angle_deg=angle_deg)
