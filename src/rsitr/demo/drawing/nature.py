"""Districts of land and water: forest, farmland, dunes, beach, river and bridge, park."""

from __future__ import annotations

import numpy as np

from rsitr.demo.drawing.canvas import Color, Pen, Point, rectangle_points
from rsitr.demo.drawing.grounds import grass, ripples, rows, soil, surf, water
from rsitr.demo.drawing.noise import mix, smoothstep
from rsitr.demo.drawing.plot import Mark, Plot
from rsitr.demo.drawing.trees import canopy, plant, plant_row
from rsitr.demo.drawing.vehicles import draw_car
from rsitr.types import FloatArray

__all__ = [
    "draw_beach",
    "draw_bridge",
    "draw_dunes",
    "draw_farmland",
    "draw_forest",
    "draw_mouth",
    "draw_park",
    "draw_river",
]

_FOREST_GREENS: tuple[Color, ...] = ((34, 72, 40), (30, 60, 36), (38, 78, 44), (32, 66, 38))
_CROPS: tuple[tuple[Color, Color], ...] = (  # crop, furrow
    ((86, 106, 58), (112, 104, 74)), ((70, 96, 54), (96, 98, 62)), ((116, 124, 72), (140, 124, 88)),
    ((150, 134, 96), (128, 108, 80)), ((168, 148, 108), (146, 124, 92)), ((134, 110, 84), (112, 90, 70)),
    ((60, 84, 52), (90, 88, 60)), ((182, 168, 124), (160, 142, 102)), ((100, 116, 70), (124, 116, 82)),
)  # fmt: skip
_TRACK: Color = (158, 146, 120)


def draw_forest(plot: Plot) -> list[Mark]:
    """Closed forest, perhaps with a path."""
    rng, canvas = plot.rng, plot.canvas
    color = _FOREST_GREENS[int(rng.integers(len(_FOREST_GREENS)))]
    canvas.lay(canopy(canvas, spacing_px=float(rng.uniform(4, 5.5)), color=color))
    return []


def draw_farmland(plot: Plot) -> list[Mark]:
    """Blocks of strip fields with many crops in rows, parted by tracks and hedges, a farm here and there."""
    rng, canvas = plot.rng, plot.canvas
    angle = float(rng.uniform(-14, 14))
    pen = plot.centre_pen(angle)
    reach = 0.5 * float(np.hypot(plot.width_px, plot.height_px)) + 10
    textures = [
        _draw_crop(plot, crop, angle_deg=angle + turn) for crop in rng.permutation(len(_CROPS))[:6] for turn in (0, 90)
    ]
    blocks = _split_fields(rng, (-reach, -reach, 2 * reach, 2 * reach), smallest_px=float(rng.uniform(70, 95)))
    for x, y, width, height in blocks:
        upright = rng.random() < 0.5
        edges = np.cumsum(rng.dirichlet(np.full(int(rng.integers(1, 6)), 6.0)))
        before = 0.0
        for edge in edges:
            strip = (
                (x + before * width, y, (edge - before) * width, height)
                if upright
                else (x, y + before * height, width, (edge - before) * height)
            )
            before = float(edge)
            texture = textures[2 * int(rng.integers(len(textures) // 2)) + int(upright)]
            corners = [pen.place(corner) for corner in rectangle_points(*strip)]
            canvas.lay(texture * np.float32(rng.uniform(0.88, 1.12)), within=corners)
            pen.line([*rectangle_points(*strip), (strip[0], strip[1])], (112, 108, 76), width=0.8)
    for x, y, width, height in blocks:
        for end in ((x + width, y), (x, y + height)):
            pen.line([(x, y), end], _TRACK if rng.random() < 0.7 else (84, 92, 60), width=float(rng.uniform(1.0, 2.8)))
            if rng.random() < 0.14:
                plant_row(canvas, plot.grove, start=pen.place((x, y)), end=pen.place(end), spacing_px=10, radius_px=4.5)
    return []


def _draw_crop(plot: Plot, crop: int, *, angle_deg: float) -> FloatArray:
    rng = plot.rng
    color, between = _CROPS[crop]
    period_px, contrast = float(rng.uniform(3.6, 7.5)), float(rng.uniform(0.12, 0.5))
    return rows(
        plot.canvas.noise, color=color, between=between, angle_deg=angle_deg, period_px=period_px, contrast=contrast
    )


def _split_fields(
    rng: np.random.Generator, field: tuple[float, float, float, float], *, smallest_px: float
) -> list[tuple[float, float, float, float]]:
    """Cut a rectangle (x, y, width, height) again and again, across its longer side, into fields."""
    x, y, width, height = field
    longer = max(width, height)
    if longer < smallest_px * 2 or (longer < smallest_px * 3 and rng.random() < 0.35):
        return [field]
    cut = float(rng.uniform(0.36, 0.64))
    if width > height:
        parts = ((x, y, width * cut, height), (x + width * cut, y, width * (1 - cut), height))
    else:
        parts = ((x, y, width, height * cut), (x, y + height * cut, width, height * (1 - cut)))
    return [piece for part in parts for piece in _split_fields(rng, part, smallest_px=smallest_px)]


def draw_dunes(plot: Plot) -> list[Mark]:
    """A sandy desert of dunes."""
    color = (216, 172, 96) if plot.rng.random() < 0.6 else (222, 186, 128)
    plot.canvas.lay(ripples(plot.canvas.noise, angle_deg=float(plot.rng.uniform(0, 180)), color=color))
    return []


def draw_beach(plot: Plot) -> list[Mark]:
    """The shore: land plants, sand, breakers, open sea; how much of each, the distance from the waterline says."""
    canvas, d = plot.canvas, plot.offshore_px
    picture = _shore_ground(plot)
    scrub = grass(canvas.noise, (104, 106, 70), dry=0.8)
    picture = mix(picture, scrub, smoothstep(d + canvas.noise.mid * 9 + canvas.noise.small * 5, start=-118, end=-134))
    canvas.lay(picture)
    _scatter_trees(plot, where=(d < -140), count=plot.width_px * plot.height_px // 2200, radius_px=5.0)
    return []


def _shore_ground(plot: Plot) -> FloatArray:
    return surf(
        plot.canvas.noise, plot.offshore_px, shallow=(112, 158, 148), deep=(46, 92, 108), dry_sand=(222, 206, 174)
    )


def _scatter_trees(plot: Plot, *, where: np.ndarray, count: int, radius_px: float, clumps: float = 0.2) -> None:
    """Plant up to `count` trees where allowed, in clumps: where the mid noise exceeds `clumps`."""
    rng, noise = plot.rng, plot.canvas.noise
    for _ in range(count):
        x, y = float(rng.uniform(0, plot.width_px)), float(rng.uniform(0, plot.height_px))
        if where[int(y), int(x)] and noise.mid[int(y), int(x)] > clumps:
            plant(plot.canvas, plot.grove, x=x, y=y, radius_px=radius_px * float(rng.uniform(0.6, 1.5)))


def _river_ground(plot: Plot) -> FloatArray:
    """River, banks, and woods and meadows beside it; everything follows the scene's noise across plots' borders."""
    canvas, d = plot.canvas, plot.river_px
    noise = canvas.noise
    edge = d + noise.mid * 3 + noise.small * 1.5
    land = grass(noise, (98, 108, 68), dry=0.6)
    trees = canopy(canvas, spacing_px=9, color=(60, 76, 46))
    belt = smoothstep(edge + noise.broad * 60 + noise.mid * 12, start=-180, end=-165)
    land = mix(land, trees, belt)
    land = mix(land, soil(noise, (164, 146, 112)), smoothstep(edge, start=-11, end=-7))
    stream = mix(water(noise, (92, 98, 74)), (62, 76, 66), smoothstep(edge, start=0, end=45))
    return mix(land, stream, smoothstep(edge, start=-1.5, end=1.5))


def _scatter_bank_trees(plot: Plot, where: np.ndarray) -> None:
    _scatter_trees(plot, where=where, count=plot.width_px * plot.height_px // 1500, radius_px=5.5, clumps=0.5)


def draw_river(plot: Plot) -> list[Mark]:
    """A winding river between woods and meadows."""
    plot.canvas.lay(_river_ground(plot))
    _scatter_bank_trees(plot, plot.river_px < -22)
    return []


def draw_mouth(plot: Plot) -> list[Mark]:
    """Where the river runs through the beach into the sea."""
    canvas, sea = plot.canvas, plot.offshore_px
    inland = _river_ground(plot)
    coast = _shore_ground(plot)
    edge = sea + canvas.noise.mid * 9 + canvas.noise.small * 5
    stream = smoothstep(plot.river_px, start=-4, end=4) * smoothstep(sea, start=110, end=-20)
    picture = mix(inland, coast, smoothstep(edge, start=-134, end=-118) * (1 - stream))
    canvas.lay(picture)
    _scatter_bank_trees(plot, (plot.river_px < -22) & (sea < -140))
    return []


def draw_bridge(plot: Plot) -> list[Mark]:
    """A river with a road bridge in the middle of the plot."""
    draw_river(plot)
    along = plot.width_px if plot.seaward_deg % 180 == 0 else plot.height_px
    pen = plot.centre_pen(plot.seaward_deg + 90 + float(plot.rng.uniform(-6, 6)))  # its x axis crosses the river
    reach = along  # further than the plot: clipped
    half = 15.0
    pen.rectangle(-reach, -half - 4, 2 * reach, 2 * half + 8, (132, 124, 100))
    wet = [t for t in range(-reach // 2, reach // 2) if _value_at(plot.river_px, pen, t) > -14]
    start, end = float(min(wet, default=-60)), float(max(wet, default=60))
    deck: list[Point] = [(start, -half), (end, -half), (end, half), (start, half)]
    pen.cast(deck, height=11)
    pen.rectangle(-reach, -half, 2 * reach, 2 * half, (146, 145, 141), layer="top")
    for side in (-1, 1):
        pen.line([(start, half * side), (end, half * side)], (196, 194, 188), width=1.6, layer="top")
        pen.line([(-reach, (half - 2.2) * side), (reach, (half - 2.2) * side)], (206, 206, 200), width=0.6, layer="top")
    for t in np.arange(-reach / 2, reach / 2, 12):
        pen.line([(float(t), 0), (float(t) + 6, 0)], (224, 222, 214), width=0.8, layer="top")
    for t in np.arange(start + 14, end - 8, 30):  # piers show under the rails
        for side in (-1, 1):
            pen.rectangle(float(t), half * side - 1.6, 4, 3.2, (178, 176, 170), layer="top")
    for _ in range(12):
        side = 1 if plot.rng.random() < 0.5 else -1
        draw_car(
            pen.at(float(plot.rng.uniform(-reach / 2, reach / 2)), float(plot.rng.choice((4, 10))) * side),
            plot.rng,
            length_px=8.5,
        )
    corners = [pen.place(point) for point in ((start, -half - 6), (end, half + 6))]
    left, right = sorted(corner[0] for corner in corners)
    top, bottom = sorted(corner[1] for corner in corners)
    return [Mark(label="bridge", box_px=(left, top, right - left, bottom - top))]


def _value_at(field: np.ndarray, pen: Pen, t: float) -> float:
    x, y = pen.place((float(t), 0.0))
    rows_px, columns_px = field.shape
    return float(field[int(np.clip(y, 0, rows_px - 1)), int(np.clip(x, 0, columns_px - 1))])


def draw_park(plot: Plot) -> list[Mark]:
    """Lawns, winding paths, clumps of trees and two ponds."""
    canvas, noise = plot.canvas, plot.canvas.noise
    w, h = plot.width_px, plot.height_px
    flip = bool(plot.rng.random() < 0.5)
    large, small = ((0.28, 0.3), (0.74, 0.72)) if flip else ((0.72, 0.3), (0.26, 0.72))
    ponds = [
        (large[0] * w, large[1] * h, min(w, h) * float(plot.rng.uniform(0.17, 0.2))),
        (small[0] * w, small[1] * h, min(w, h) * float(plot.rng.uniform(0.12, 0.16))),
    ]
    d = np.maximum(*(_pond_depth(plot, *pond) for pond in ponds))
    land = grass(noise, (88, 106, 66), dry=0.3)
    land = mix(land, soil(noise, (150, 140, 108)), smoothstep(d, start=-7, end=-4))
    water_here = mix(water(noise, (64, 80, 66)), (42, 58, 54), smoothstep(d, start=0, end=30))
    canvas.lay(mix(land, water_here, smoothstep(d, start=-1, end=1)))
    for pond in ponds:
        _draw_paths(plot, *pond)
    _scatter_trees(plot, where=(d < -30), count=4000, radius_px=7, clumps=-0.9)
    return [Mark(label="pond", box_px=(x - r, y - r, 2 * r, 2 * r)) for x, y, r in ponds]


def _pond_depth(plot: Plot, cx: float, cy: float, radius: float) -> FloatArray:
    """Distance from an irregular shore, positive in the water, (H, W)."""
    rng = plot.rng
    y, x = np.mgrid[0 : plot.height_px, 0 : plot.width_px].astype(np.float32)
    angle = np.arctan2(y - cy, x - cx)
    lobes = sum(float(rng.uniform(0.05, 0.15)) * np.sin(k * angle + float(rng.uniform(0, 6.3))) for k in (1, 2, 3, 4))
    return np.asarray(radius * (1 + lobes) - np.hypot(x - cx, y - cy), dtype=np.float32)


def _draw_paths(plot: Plot, cx: float, cy: float, radius: float) -> None:
    """A path round a pond, and one from it to each of two corners of the plot, not through the water."""
    rng, pen = plot.rng, plot.pen
    color = (196, 186, 162)
    around = [
        (cx + (radius * 1.4 + 7 * np.sin(3 * t)) * np.cos(t), cy + (radius * 1.4 + 7 * np.cos(2 * t)) * np.sin(t))
        for t in np.linspace(0, 2 * np.pi, 60)
    ]
    pen.line(around, color, width=3.2)
    w, h = plot.width_px, plot.height_px
    nearest = sorted(((0, 0), (w, 0), (w, h), (0, h)), key=lambda corner: np.hypot(corner[0] - cx, corner[1] - cy))
    for corner in nearest[:3]:
        start = min(around, key=lambda point: np.hypot(point[0] - corner[0], point[1] - corner[1]))
        bend = (
            (start[0] + corner[0]) / 2 + float(rng.normal(0, 22)),
            (start[1] + corner[1]) / 2 + float(rng.normal(0, 22)),
        )
        t = np.linspace(0, 1, 24)[:, None]
        curve = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(bend) + t**2 * np.array(corner)
        pen.line([(float(px), float(py)) for px, py in curve], color, width=2.8)
