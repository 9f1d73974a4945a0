"""A canvas for one district: ground, shadows and things that stand on it, in supersampled layers, seen from above."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from rsitr.demo.drawing.noise import SUN, NoiseFields
from rsitr.types import FloatArray

__all__ = [
    "Canvas",
    "Color",
    "Layer",
    "Pen",
    "Point",
    "ellipse_points",
    "rectangle_points",
    "shade_color",
    "vary_color",
]

SUPERSAMPLING = 2
SHADOW_LENGTH = 0.85
"""Length of a shadow over the height of what casts it."""
_SHADOW_TINT = np.array([0.70, 0.66, 0.56], dtype=np.float32)  # what a full shadow takes away: least from blue

Color = tuple[float, float, float]
Point = tuple[float, float]
Layer = Literal["ground", "top"]


def shade_color(color: Color, factor: float) -> Color:
    """The colour under more or less light."""
    return (color[0] * factor, color[1] * factor, color[2] * factor)


def vary_color(rng: np.random.Generator, color: Color, *, light: float = 0.08, hue: float = 2.5) -> Color:
    """A colour near this one: its light by a share, its channels by `hue` grey levels (standard deviations)."""
    factor = 1 + light * float(rng.standard_normal())
    shift = rng.standard_normal(3) * hue
    return (color[0] * factor + shift[0], color[1] * factor + shift[1], color[2] * factor + shift[2])


def _rgb(color: Color) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, round(channel))) for channel in color)
    return red, green, blue


class Canvas:
    """Layers of one district. Coordinates are native pixels, x right and y down from the district's corner."""

    def __init__(self, *, width_px: int, height_px: int, rng: np.random.Generator, noise: NoiseFields) -> None:
        self.width_px = width_px
        self.height_px = height_px
        self.rng = rng
        self.noise = noise
        size = (width_px * SUPERSAMPLING, height_px * SUPERSAMPLING)
        self._ground = Image.new("RGB", size)
        self._shadow = Image.new("L", size)
        self._top = Image.new("RGB", size)
        self._cover = Image.new("L", size)
        self.draw_ground = ImageDraw.Draw(self._ground)
        self.draw_shadow = ImageDraw.Draw(self._shadow)
        self.draw_top = ImageDraw.Draw(self._top)
        self.draw_cover = ImageDraw.Draw(self._cover)

    @property
    def pen(self) -> Pen:
        """A pen in the canvas's own frame."""
        return Pen(canvas=self, x=0.0, y=0.0, angle_deg=0.0)

    def lay(self, texture: FloatArray, *, within: Sequence[Point] | None = None) -> None:
        """Lay a ground texture (H, W, 3) of the canvas's native size, everywhere or within a polygon."""
        outline = within or rectangle_points(0, 0, self.width_px, self.height_px)
        left, top = (max(0, math.floor(min(point[axis] for point in outline))) for axis in (0, 1))
        right = min(self.width_px, math.ceil(max(x for x, _ in outline)))
        bottom = min(self.height_px, math.ceil(max(y for _, y in outline)))
        if right <= left or bottom <= top:
            return
        part = np.clip(texture[top:bottom, left:right], 0, 255).astype(np.uint8)
        size = ((right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING)
        picture = Image.fromarray(part).resize(size, Image.Resampling.BILINEAR)
        mask = Image.new("L", size)
        shifted = [((x - left) * SUPERSAMPLING, (y - top) * SUPERSAMPLING) for x, y in outline]
        ImageDraw.Draw(mask).polygon(shifted, fill=255)
        self._ground.paste(picture, (left * SUPERSAMPLING, top * SUPERSAMPLING), mask)

    def stamp(self, sprite: Image.Image, shadow: Image.Image, *, x: float, y: float, height_px: float) -> None:
        """Put a supersampled RGBA sprite with its centre at (x, y), and its shadow (L) where the sun throws it."""
        left = round(x * SUPERSAMPLING - sprite.width / 2)
        top = round(y * SUPERSAMPLING - sprite.height / 2)
        throw = height_px * SHADOW_LENGTH * SUPERSAMPLING
        self._shadow.paste(255, (left + round(throw * SUN[0]), top + round(throw * SUN[1])), shadow)
        alpha = sprite.getchannel("A")
        self._top.paste(sprite, (left, top), alpha)
        self._cover.paste(255, (left, top), alpha)

    def cover_share(self) -> FloatArray:
        """How much of each native pixel is covered by things that stand on the ground, (H, W) in [0, 1]."""
        return _shrink(self._cover, self.width_px, self.height_px) / np.float32(255)

    def render(self) -> FloatArray:
        """Put the layers together: (H, W, 3) float32 colours at native size, things shaded and shadows cast."""
        ground = _shrink(self._ground, self.width_px, self.height_px)
        soft = self._shadow.filter(ImageFilter.GaussianBlur(SUPERSAMPLING * 0.5))
        shadow = _shrink(soft, self.width_px, self.height_px) / np.float32(255)
        ground = ground * (1 - shadow[..., None] * _SHADOW_TINT)
        # The top layer started black and everything was pasted through its alpha: it is premultiplied.
        return ground * (1 - self.cover_share()[..., None]) + _shrink(self._top, self.width_px, self.height_px)


def _shrink(image: Image.Image, width_px: int, height_px: int) -> FloatArray:
    return np.asarray(image.resize((width_px, height_px), Image.Resampling.BOX), dtype=np.float32)


@dataclass(frozen=True)
class Pen:
    """Draws in a frame of its own: origin (x, y) on the canvas, turned clockwise by `angle_deg`. Units: native px."""

    canvas: Canvas
    x: float
    y: float
    angle_deg: float

    def at(self, x: float, y: float, *, angle_deg: float = 0.0) -> Pen:
        """A pen whose origin is (x, y) of this one's frame, turned further."""
        origin = self.place((x, y))
        return Pen(canvas=self.canvas, x=origin[0], y=origin[1], angle_deg=self.angle_deg + angle_deg)

    def place(self, point: Point) -> Point:
        """Where a point of this frame lies on the canvas."""
        turn = math.radians(self.angle_deg)
        cos, sin = math.cos(turn), math.sin(turn)
        return self.x + cos * point[0] - sin * point[1], self.y + sin * point[0] + cos * point[1]

    def _outline(self, points: Iterable[Point]) -> list[Point]:
        return [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in map(self.place, points)]

    def polygon(self, points: Sequence[Point], color: Color, *, layer: Layer = "ground") -> None:
        """Fill a polygon."""
        outline = self._outline(points)
        if layer == "ground":
            self.canvas.draw_ground.polygon(outline, fill=_rgb(color))
        else:
            self.canvas.draw_top.polygon(outline, fill=_rgb(color))
            self.canvas.draw_cover.polygon(outline, fill=255)

    def line(self, points: Sequence[Point], color: Color, *, width: float = 1.0, layer: Layer = "ground") -> None:
        """Draw a polyline of constant width with round joints."""
        outline = self._outline(points)
        width_ss = max(1, round(width * SUPERSAMPLING))
        if layer == "ground":
            self.canvas.draw_ground.line(outline, fill=_rgb(color), width=width_ss, joint="curve")
        else:
            self.canvas.draw_top.line(outline, fill=_rgb(color), width=width_ss, joint="curve")
            self.canvas.draw_cover.line(outline, fill=255, width=width_ss, joint="curve")

    def rectangle(
        self, x: float, y: float, width: float, height: float, color: Color, *, layer: Layer = "ground"
    ) -> None:
        """Fill the rectangle with corner (x, y)."""
        self.polygon(rectangle_points(x, y, width, height), color, layer=layer)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color, *, layer: Layer = "ground") -> None:
        """Fill the ellipse around (x, y)."""
        self.polygon(ellipse_points(x, y, rx, ry), color, layer=layer)

    def dashes(self, start: Point, end: Point, color: Color, *, dash: float, gap: float, width: float = 1.0) -> None:
        """Draw a dashed straight line on the ground."""
        length = math.dist(start, end)
        step = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        position = 0.0
        while position < length:
            stop = min(position + dash, length)
            self.line(
                [
                    (start[0] + step[0] * position, start[1] + step[1] * position),
                    (start[0] + step[0] * stop, start[1] + step[1] * stop),
                ],
                color,
                width=width,
            )
            position += dash + gap

    def cast(self, points: Sequence[Point], *, height: float) -> None:
        """Throw the shadow of a prism of this outline and height."""
        outline = self._outline(points)
        reach = height * SHADOW_LENGTH * SUPERSAMPLING
        move = (reach * SUN[0], reach * SUN[1])
        thrown = [(x + move[0], y + move[1]) for x, y in outline]
        draw = self.canvas.draw_shadow
        draw.polygon(outline, fill=255)
        draw.polygon(thrown, fill=255)
        for i in range(len(outline)):
            draw.polygon([outline[i - 1], outline[i], thrown[i], thrown[i - 1]], fill=255)

    def light_on(self, normal_deg: float) -> float:
        """Light factor, about 0.72 to 1.12, on a roof that slopes down towards `normal_deg` of this frame."""
        turn = math.radians(self.angle_deg + normal_deg)
        return 0.92 - 0.2 * (math.cos(turn) * SUN[0] + math.sin(turn) * SUN[1])


def rectangle_points(x: float, y: float, width: float, height: float) -> list[Point]:
    """Corners of a rectangle."""
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]


def ellipse_points(x: float, y: float, rx: float, ry: float, *, count: int = 48) -> list[Point]:
    """Points of an ellipse."""
    turns = [2 * math.pi * i / count for i in range(count)]
    return [(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns]
