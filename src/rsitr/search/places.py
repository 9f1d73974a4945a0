"""From tiles to places: hits that match and touch become one outline, the same ground on several days one place.

Our own rules. Within a scene, windows that overlap or share an edge belong together, whatever their scale; of different
scenes, outlines do when they share at least half of the smaller one and their tiles show ground of comparable size: a
tile of 20 km lies over many places of 100 m and is none of them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rsitr.formats import Place, Sighting
from rsitr.geo import ring_shape
from rsitr.types import Hit

__all__ = ["merge_hits"]

SHARED = 0.5
"""Part of the smaller outline that two scenes' outlines share when they show the same ground."""
COMPARABLE = 16.0
"""How many times the ground of one tile another may show in the same place: four times its side."""
PRECISION_DEG = 1e-7  # about a centimetre
DEGREE_M = 111_320.0
LEAST_GAP_DEG = 1e-6
WORLD = (-180.0, -90.0, 180.0, 90.0)


def merge_hits(hits: Sequence[Hit], *, merge: bool = True, threshold: float = 0.0) -> tuple[Place, ...]:
    """Hits as places, best first.

    Args:
        hits: of one search.
        merge: False makes a place of every hit.
        threshold: relevance from which hits are joined; each below is a place of its own, or of the same ground
            on other days, so that no place grows by what does not match. Hits of unknown relevance are joined.
    """
    if not merge:
        return tuple(_place([_sighting([hit])], rank=rank) for rank, hit in enumerate(hits, start=1))
    matching = [hit for hit in hits if hit.relevance is None or hit.relevance >= threshold]
    others = [_sighting([hit]) for hit in hits if hit.relevance is not None and hit.relevance < threshold]
    groups = sorted([*_share(_join_neighbours(matching)), *_share(others)], key=_best_rank)
    return tuple(_place(group, rank=rank) for rank, group in enumerate(groups, start=1))


def _join_neighbours(hits: Sequence[Hit]) -> list[Sighting]:
    sightings: list[Sighting] = []
    for _, of_scene in groupby(
        sorted(hits, key=lambda hit: (hit.tile.scene, hit.rank)), key=lambda hit: hit.tile.scene
    ):
        found = list(of_scene)
        sightings += [_sighting([found[i] for i in group]) for group in _touching(found)]
    return sightings


def _share(sightings: Sequence[Sighting]) -> list[list[Sighting]]:
    """Groups of the same ground."""
    ordered = sorted(sightings, key=lambda seen: seen.hits[0].rank)
    return [[ordered[i] for i in group] for group in _sharing(ordered)] if ordered else []


def _best_rank(group: Sequence[Sighting]) -> int:
    return min(seen.hits[0].rank for seen in group)


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


def _touching(hits: Sequence[Hit]) -> list[list[int]]:
    """Groups of windows that overlap or share part of an edge; a corner alone is no contact."""
    boxes = np.array([hit.tile.window_px for hit in hits], dtype=np.float64)
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    group = np.arange(len(hits))
    for i, others in _meeting(shapely.box(*low.T, *high.T)):
        overlap = np.minimum(high[i], high[others]) - np.maximum(low[i], low[others])
        for j in others[(overlap > 0).any(axis=1)]:
            _join_groups(group, i, j)
    return _members(group)


def _sharing(sightings: Sequence[Sighting]) -> list[list[int]]:
    """Groups of outlines of several scenes that show the same ground; the best ranked choose first."""
    placed = np.array([i for i, sighting in enumerate(sightings) if sighting.outline is not None], dtype=np.int64)
    shapes = np.array([sightings[i].outline for i in placed], dtype=object)
    area = shapely.area(shapes)
    scene = np.unique([sightings[i].scene for i in placed], return_inverse=True)[1]
    # Of each group, the largest of its sightings' smallest tiles and the smallest of their largest: while these are
    # comparable, any two of its sightings have tiles that are, and no chain leads from a street to a country.
    sizes = np.array([_tile_sizes(sightings[i]) for i in placed]).reshape(-1, 2)
    group = np.arange(len(placed))

    def may_join(i: int, others: NDArray[np.int64]) -> NDArray[np.bool_]:
        least, most = sizes[group[i]], sizes[group[others]]
        comparable = np.maximum(least[0], most[:, 0]) <= COMPARABLE * np.minimum(least[1], most[:, 1])
        found: NDArray[np.bool_] = comparable & (group[i] != group[others]) & (scene[i] != scene[others])
        return found

    for i, others in _meeting(shapes):
        open_to = others[may_join(i, others)]
        common = shapely.area(shapely.intersection(shapes[i], shapes[open_to]))
        for j in open_to[common >= SHARED * np.minimum(area[i], area[open_to])]:
            if may_join(i, j[None])[0]:
                one, two = sizes[group[i]], sizes[group[j]]
                joined = max(one[0], two[0]), min(one[1], two[1])
                sizes[_join_groups(group, i, j)] = joined
    whole = np.arange(len(sightings))
    whole[placed] = placed[group]
    return _members(whole)


def _meeting(shapes: NDArray[np.object_]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each position with the later ones whose shapes it meets; one by one, since all pairs may be very many."""
    tree = shapely.STRtree(shapes)
    for i, shape in enumerate(shapes):
        found = tree.query(shape, predicate="intersects")
        later = np.sort(found[found > i])
        if len(later):
            yield i, later


def _join_groups(group: NDArray[np.int64], one: int, other: int) -> int:
    """Make one group of those of two positions, in place; a group goes by its first position, which is returned."""
    low, high = sorted((int(group[one]), int(group[other])))
    if low != high:
        group[group == high] = low
    return low


def _members(group: NDArray[np.int64]) -> list[list[int]]:
    """Positions by group; groups by their first, members in order."""
    found: dict[int, list[int]] = {}
    for position, first in enumerate(group.tolist()):
        found.setdefault(first, []).append(position)
    return list(found.values())


def _tile_sizes(sighting: Sighting) -> tuple[float, float]:
    """Ground of its smallest and its largest tile, in square degrees: near each other, these compare."""
    rings = [hit.tile.footprint for hit in sighting.hits if hit.tile.footprint is not None]
    areas = shapely.area([shapely.Polygon(ring) for ring in rings])
    return float(areas.min()), float(areas.max())
