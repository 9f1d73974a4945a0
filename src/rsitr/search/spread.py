"""How a search's answer is spread over the ground: every tile in a view, or what many of them have in common.

Close up each tile is shown by itself. Where tiles are too small on a screen to be told apart, they are joined in
hexagons of its pixels, each as sure as the best of its tiles. Whatever the size of the index, it is one search with the
view as a filter: of more than MOST_TILES in view, those that fit best are shown, and how many there are is told.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rsitr.geo import area_shape, bbox_centre, bbox_shape
from rsitr.types import Area, BBox, Hit, TileFilter

__all__ = ["MOST_TILES", "Cell", "Spread", "narrow", "spread_hits"]

MOST_TILES = 4000
LEAST_PX = 6.0
"""Width of a tile on the screen below which tiles are joined."""
HEXAGON_PX = 9.0
"""From the middle of a hexagon to its corners."""
MAP_PX = 512
"""Width of the world on the screen at zoom 0, as web maps have it."""
FARTHEST = 85.0511
DIGITS = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of ground, and how well it fits.

    Attributes:
        ring: its outline in longitude and latitude, closed; across the antimeridian it goes on beyond 180.
        score: the highest of its tiles.
        relevance: of that tile; None where it is not known.
        tile: its id.
        n_tiles: how many are joined in it.
    """

    ring: tuple[tuple[float, float], ...]
    score: float
    relevance: float | None
    tile: str
    n_tiles: int = 1


@dataclass(frozen=True, slots=True)
class Spread:
    """What a view shows of an answer.

    Attributes:
        cells: the best last, so that nothing better is painted over.
        n_tiles: tiles in the view that pass the filter.
        n_shown: those that are in the cells, the best of them.
        joined: whether cells are hexagons of several tiles.
    """

    cells: tuple[Cell, ...]
    n_tiles: int
    n_shown: int
    joined: bool


def narrow(limits: TileFilter, *, view: BBox) -> TileFilter:
    """The limits of a search, and besides only what meets a view."""
    if limits.bbox is None:
        return dataclasses.replace(limits, bbox=view)
    within = bbox_shape(limits.bbox)
    if limits.area is not None:
        within = within.intersection(area_shape(limits.area))
    return dataclasses.replace(limits, bbox=view, area=_rings(within))


def _rings(shape: shapely.Geometry) -> Area:
    """The polygons of a shape; none where it has no extent."""
    polygons = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and part.area > 0]
    return tuple(
        tuple(tuple(map(tuple, shapely.get_coordinates(ring).tolist())) for ring in (part.exterior, *part.interiors))
        for part in polygons
    )


def spread_hits(hits: Sequence[Hit], *, n_tiles: int, zoom: float) -> Spread:
    """The hits of a view as cells of ground.

    Args:
        hits: best first; those without a place are left out.
        n_tiles: so many there are in the view.
        zoom: of the map: at 0 the world is 512 pixels wide, and twice as wide at each further one.
    """
    placed = [hit for hit in hits if hit.tile.bbox is not None and hit.tile.footprint is not None]
    world_px = MAP_PX * 2.0**zoom
    joined = bool(placed) and float(np.median([_width(hit) for hit in placed])) / 360.0 * world_px < LEAST_PX
    cells = _join(placed, world_px) if joined else [_cell(hit) for hit in placed]
    return Spread(tuple(reversed(cells)), n_tiles=n_tiles, n_shown=len(placed), joined=joined)


def _width(hit: Hit) -> float:
    west, _, east, _ = hit.tile.bbox or (0.0, 0.0, 0.0, 0.0)
    return (east - west) % 360.0


def _cell(hit: Hit) -> Cell:
    ring = tuple((round(lon, DIGITS), round(lat, DIGITS)) for lon, lat in hit.tile.footprint or ())
    return Cell(ring=ring, score=hit.score, relevance=hit.relevance, tile=hit.tile.tile)


def _join(hits: Sequence[Hit], world_px: float) -> list[Cell]:
    """Hexagons, those whose best tile is the best first."""
    middles = np.array([bbox_centre(hit.tile.bbox) for hit in hits if hit.tile.bbox is not None])
    cells = _hexagon_of(_to_screen(middles, world_px))
    first: dict[tuple[int, int], int] = {}
    counts: dict[tuple[int, int], int] = {}
    for number, (q, r) in enumerate(cells.tolist()):
        first.setdefault((q, r), number)
        counts[q, r] = counts.get((q, r), 0) + 1
    return [
        dataclasses.replace(_cell(hits[number]), ring=_hexagon(*at, world_px=world_px), n_tiles=counts[at])
        for at, number in first.items()
    ]


def _to_screen(points: Floats, world_px: float) -> Floats:
    """(n, 2) longitude and latitude as pixels of the whole world, x to the east and y to the south."""
    lat = np.radians(np.clip(points[:, 1], -FARTHEST, FARTHEST))
    y = 0.5 - np.log(np.tan(np.pi / 4 + lat / 2)) / (2 * np.pi)
    return np.stack([(points[:, 0] / 360.0 + 0.5) * world_px, y * world_px], axis=1)


def _to_ground(points: Floats, world_px: float) -> Floats:
    """The other way."""
    lat = 2 * np.arctan(np.exp((0.5 - points[:, 1] / world_px) * 2 * np.pi)) - np.pi / 2
    return np.stack([(points[:, 0] / world_px - 0.5) * 360.0, np.degrees(lat)], axis=1)


def _hexagon_of(points: Floats) -> NDArray[np.int64]:
    """(n, 2) axial coordinates of the hexagons, with a corner at the top, in which points lie."""
    r = points[:, 1] * (2 / 3) / HEXAGON_PX
    q = points[:, 0] / (math.sqrt(3) * HEXAGON_PX) - r / 2
    cube = np.stack([q, r, -q - r], axis=1)
    near = np.rint(cube)
    # Three roundings may not sum to zero; the one that was rounded the farthest follows from the others.
    worst = np.abs(near - cube).argmax(axis=1)
    rows = np.arange(len(near))
    near[rows, worst] = near[rows, worst] - near.sum(axis=1)
    return near[:, :2].astype(np.int64)


def _hexagon(q: int, r: int, *, world_px: float) -> tuple[tuple[float, float], ...]:
    centre = np.array([HEXAGON_PX * math.sqrt(3) * (q + r / 2), HEXAGON_PX * 1.5 * r])
    angles = np.radians(np.arange(30, 391, 60))
    corners = _to_ground(centre + HEXAGON_PX * np.stack([np.cos(angles), np.sin(angles)], axis=1), world_px)
    return tuple((round(lon, DIGITS), round(lat, DIGITS)) for lon, lat in corners.tolist())
