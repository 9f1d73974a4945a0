"""From tiles to places: hits that touch become one outline, and the same ground on several days one place.

Our own rules. Within a scene, windows that overlap or share an edge belong together, whatever their scale; of different
scenes, outlines do when they share at least half of the smaller one.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rsitr.geo import ring_shape
from rsitr.types import Hit

__all__ = ["Place", "Sighting", "merge_hits"]

SHARED = 0.5
"""Part of the smaller outline that two scenes' outlines share when they show the same ground."""
PRECISION_DEG = 1e-7  # about a centimetre
DEGREE_M = 111_320.0
LEAST_GAP_DEG = 1e-6
WORLD = (-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A place as one scene shows it.

    Attributes:
        scene: path of the scene in the index.
        date: day of acquisition, or None.
        sensor: as the scene names it, or None.
        hits: its tiles that were found, best first.
        outline: within -180..180 and counter-clockwise; None where the scene has no known place on Earth.
        window_px: (column, row, width, height) around the hits' windows.
    """

    scene: str
    date: datetime.date | None
    sensor: str | None
    hits: tuple[Hit, ...]
    outline: BaseGeometry | None
    window_px: tuple[int, int, int, int]

    @property
    def score(self) -> float:
        """Of its best hit."""
        return self.hits[0].score

    @property
    def relevance(self) -> float | None:
        """The highest of its hits."""
        return max((hit.relevance for hit in self.hits if hit.relevance is not None), default=None)


@dataclass(frozen=True, slots=True)
class Place:
    """Ground that answers a query.

    Attributes:
        rank: from 1.
        outline: of all its sightings together; None where it has no known place on Earth.
        sightings: by day, undated ones last: its time line.
    """

    rank: int
    outline: BaseGeometry | None
    sightings: tuple[Sighting, ...]

    @property
    def best(self) -> Hit:
        """Its best hit, which gives the place its score and its id."""
        return min((hit for sighting in self.sightings for hit in sighting.hits), key=lambda hit: hit.rank)

    @property
    def place(self) -> str:
        """Its id, that of its best tile: what `--like` takes."""
        return self.best.tile.tile

    @property
    def score(self) -> float:
        """Of its best hit."""
        return self.best.score

    @property
    def relevance(self) -> float | None:
        """The highest of its sightings."""
        return max((found.relevance for found in self.sightings if found.relevance is not None), default=None)

    @property
    def n_tiles(self) -> int:
        """Tiles that were found."""
        return sum(len(sighting.hits) for sighting in self.sightings)

    @property
    def dates(self) -> tuple[datetime.date, ...]:
        """The days it was seen on, each once."""
        return tuple(sorted({sighting.date for sighting in self.sightings if sighting.date is not None}))


def merge_hits(hits: Sequence[Hit], *, merge: bool = True) -> tuple[Place, ...]:
    """Hits as places, best first.

    Args:
        hits: of one search.
        merge: False makes a place of every hit.
    """
    sightings: list[Sighting] = []
    for _, of_scene in groupby(
        sorted(hits, key=lambda hit: (hit.tile.scene, hit.rank)), key=lambda hit: hit.tile.scene
    ):
        found = list(of_scene)
        groups = _connected(len(found), _touching(found)) if merge else [[i] for i in range(len(found))]
        sightings += [_sighting([found[i] for i in group]) for group in groups]
    groups = _connected(len(sightings), _sharing(sightings)) if merge else [[i] for i in range(len(sightings))]
    members = sorted(
        ([sightings[i] for i in group] for group in groups), key=lambda group: min(s.hits[0].rank for s in group)
    )
    return tuple(_place(group, rank=rank) for rank, group in enumerate(members, start=1))


def _sighting(hits: Sequence[Hit]) -> Sighting:
    boxes = np.array([hit.tile.window_px for hit in hits])
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = (boxes[:, :2] + boxes[:, 2:]).max(axis=0).tolist()
    tile = hits[0].tile
    rings = [hit.tile.footprint for hit in hits if hit.tile.footprint is not None]
    gap_deg = max(LEAST_GAP_DEG, 0.5 * (tile.gsd_m or 0.0) / DEGREE_M)
    return Sighting(
        scene=tile.scene,
        date=tile.date,
        sensor=tile.sensor,
        hits=tuple(hits),
        outline=_join([ring_shape(ring) for ring in rings], gap_deg=gap_deg) if rings else None,
        window_px=(left, top, right - left, bottom - top),
    )


def _place(sightings: Sequence[Sighting], *, rank: int) -> Place:
    ordered = sorted(sightings, key=lambda seen: (seen.date is None, seen.date or datetime.date.min, seen.scene))
    outlines = [seen.outline for seen in ordered if seen.outline is not None]
    return Place(
        rank=rank,
        outline=_join(outlines, gap_deg=LEAST_GAP_DEG) if outlines else None,
        sightings=tuple(ordered),
    )


def _join(shapes: Sequence[BaseGeometry], *, gap_deg: float) -> BaseGeometry:
    """The union. Neighbours' edges differ by rounding: gaps of up to a pixel are closed; one alone stays as it is."""
    if len(shapes) == 1:
        return _tidy(shapes[0])
    joined = shapely.union_all([shapely.buffer(shape, gap_deg, join_style="mitre") for shape in shapes])
    joined = shapely.buffer(joined, -gap_deg, join_style="mitre")
    return _tidy(shapely.intersection(shapely.simplify(joined, gap_deg / 2), shapely.box(*WORLD)))


def _tidy(shape: BaseGeometry) -> BaseGeometry:
    return shapely.orient_polygons(shapely.set_precision(shape, PRECISION_DEG))


def _touching(hits: Sequence[Hit]) -> NDArray[np.bool_]:
    """(n, n): which windows overlap or share part of an edge; a corner alone is no contact."""
    boxes = np.array([hit.tile.window_px for hit in hits])
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    overlap = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    touching: NDArray[np.bool_] = (overlap >= 0).all(axis=2) & (overlap > 0).any(axis=2)
    return touching


def _sharing(sightings: Sequence[Sighting]) -> NDArray[np.bool_]:
    """(n, n): which outlines of different scenes show the same ground."""
    placed = [i for i, sighting in enumerate(sightings) if sighting.outline is not None]
    shapes = np.array([sightings[i].outline for i in placed], dtype=object)
    shared = np.zeros((len(sightings), len(sightings)), dtype=bool)
    if len(placed) < 2:
        return shared
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    area = shapely.area(shapes)
    common = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    same = common >= SHARED * np.minimum(area[first], area[second])
    for a, b in zip(first[same].tolist(), second[same].tolist(), strict=True):
        i, j = placed[a], placed[b]
        shared[i, j] = sightings[i].scene != sightings[j].scene
    return shared


def _connected(count: int, linked: NDArray[np.bool_]) -> list[list[int]]:
    """Groups of what is linked, directly or through others; members in order, groups by their first."""
    if not count:
        return []
    from scipy.sparse.csgraph import connected_components  # slow to import, and only merging needs it

    _, labels = connected_components(linked, directed=False)
    return [np.flatnonzero(labels == label).tolist() for label in dict.fromkeys(labels.tolist())]
