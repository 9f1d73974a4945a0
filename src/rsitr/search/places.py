"""From tiles to places: hits that match, joined around the peaks of their relevance; each place with its days.

Our own rules. Within a scene, windows that overlap or share an edge belong together, whatever their scale, as far as
they match: taken from the best down, each joins the place of the best window that it touches. Where two places meet,
they become one unless the odds of relevance halve between them and the lower peak. Of different scenes,
places do when they share at least half of the smaller one and their tiles show ground of comparable size: a tile of
20 km lies over many places of 100 m and is none of them. Each is compared with the best one alone, so that no chain
leads from a street to a country.

All that is made of the tiles that match, however many hits were asked for: more hits show more places, and change none.
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
from rsitr.types import BBox, Hit

__all__ = ["merge_hits"]

SADDLE = 2.0
"""How many times the odds that a peak matches may be those between two peaks of one place."""
SHARED = 0.5
"""Part of the smaller outline that two scenes' outlines share when they show the same ground."""
COMPARABLE = 16.0
"""How many times the ground of one tile another may show in the same place: four times its side."""
PRECISION_DEG = 1e-7  # about a centimetre
DEGREE_M = 111_320.0
LEAST_GAP_DEG = 1e-6
NEAR = 1e-3
"""Part of a tile's side by which neighbours' outlines may miss each other."""
WORLD = (-180.0, -90.0, 180.0, 90.0)


def merge_hits(
    hits: Sequence[Hit], *, merge: bool = True, threshold: float = 0.0, further: Sequence[Hit] = ()
) -> tuple[Place, ...]:
    """Hits as places, best first.

    Args:
        hits: of one search.
        merge: False makes a place of every hit.
        threshold: relevance from which hits are joined; each below, or of unknown relevance, is a place of its own, or
            of the same ground on other days, so that no place grows by what does not match; on the ground of a place
            that matches on another day it is none.
        further: the same list of hits with more at its end: these belong to places that they touch, and found none.
    """
    if not merge:
        return tuple(_place([_sighting([hit])], rank=rank) for rank, hit in enumerate(hits, start=1))
    whole = further if len(further) > len(hits) else hits
    matching = _join_neighbours([hit for hit in whole if _matches(hit, threshold)])
    others = [_sighting([hit]) for hit in hits if not _matches(hit, threshold)]
    last = max((hit.rank for hit in hits), default=0)
    groups = sorted(_share([_sighting(part) for part in _near_shown(matching, last=last)], others), key=_best_rank)
    shown = [group for group in groups if _best_rank(group) <= last]
    return tuple(_place(group, rank=rank) for rank, group in enumerate(shown, start=1))


def _matches(hit: Hit, threshold: float) -> bool:
    return hit.relevance is not None and hit.relevance >= threshold


def _join_neighbours(hits: Sequence[Hit]) -> list[list[Hit]]:
    """Neighbours of each scene, the best first in each group."""
    groups: list[list[Hit]] = []
    for _, of_scene in groupby(
        sorted(hits, key=lambda hit: (hit.tile.scene, hit.rank)), key=lambda hit: hit.tile.scene
    ):
        found = list(of_scene)
        groups += [[found[i] for i in group] for group in _around_peaks(found)]
    return groups


def _near_shown(groups: Sequence[list[Hit]], *, last: int) -> list[list[Hit]]:
    """Groups whose best is shown, and those that may lie on their ground: the rest comes to nothing."""
    shown = [group for group in groups if group[0].rank <= last]
    boxes = np.array([_unwrapped_box(group) for group in groups]).reshape(-1, 4)
    is_shown = np.array([group[0].rank <= last for group in groups], dtype=bool)
    if len(shown) == len(groups):
        return shown
    there = shapely.STRtree(shapely.box(*boxes[is_shown].T))
    near = set(there.query(shapely.box(*boxes[~is_shown].T))[0].tolist())
    rest = [group for group in groups if group[0].rank > last]
    return [*shown, *(rest[i] for i in sorted(near))]


def _unwrapped_box(group: Sequence[Hit]) -> BBox:
    """The box around a group, the whole width of the world across the antimeridian; NaN without a place."""
    boxes = [hit.tile.bbox for hit in group if hit.tile.bbox is not None]
    if not boxes:
        return (np.nan,) * 4
    west, south, east, north = np.array(boxes).T
    if (west > east).any():
        return -180.0, float(south.min()), 180.0, float(north.max())
    return float(west.min()), float(south.min()), float(east.max()), float(north.max())


def _share(matching: Sequence[Sighting], others: Sequence[Sighting]) -> list[list[Sighting]]:
    """Groups of the same ground, the best first in each: of sightings that match, or of others."""
    ordered = [seen for part in (matching, others) for seen in sorted(part, key=lambda seen: seen.hits[0].rank)]
    groups = _sharing(ordered) if ordered else []
    return [[ordered[i] for i in group if group[0] >= len(matching) or i < len(matching)] for group in groups]


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
    """A place of its sightings, whose outline is that of the best: the others show about the same ground."""
    best = min(sightings, key=lambda seen: seen.hits[0].rank)
    ordered = sorted(sightings, key=lambda seen: (seen.date is None, seen.date or datetime.date.min, seen.scene))
    return Place(rank=rank, outline=best.outline, sightings=tuple(ordered))


def _join(shapes: Sequence[BaseGeometry], *, gap_deg: float) -> BaseGeometry:
    """The union. Neighbours' edges differ by rounding: gaps of up to a pixel are closed; one alone stays as it is."""
    if len(shapes) == 1:
        return _tidy(shapes[0])
    joined = shapely.union_all([shapely.buffer(shape, gap_deg, join_style="mitre") for shape in shapes])
    joined = shapely.buffer(joined, -gap_deg, join_style="mitre")
    return _tidy(shapely.intersection(shapely.simplify(joined, gap_deg / 2), shapely.box(*WORLD)))


def _tidy(shape: BaseGeometry) -> BaseGeometry:
    return shapely.orient_polygons(shapely.set_precision(shape, PRECISION_DEG))


def _around_peaks(hits: Sequence[Hit]) -> list[list[int]]:
    """Groups of windows of a scene around the peaks of relevance; a corner alone is no contact.

    Args:
        hits: that match, best first.
    """
    odds = [_odds(hit.relevance or 0.0) for hit in hits]
    better = _better_neighbours(hits)
    peak = list(range(len(hits)))  # of the group that a window belongs to

    def find(i: int) -> int:
        while peak[i] != i:
            i = peak[i]
        return i

    for i in range(len(hits)):
        if not better[i]:
            continue
        peak[i] = home = find(better[i][0])
        for other in {find(j) for j in better[i]} - {home}:
            high, low = sorted((find(home), other))  # the better peak comes first
            if high != low and odds[low] <= SADDLE * odds[i]:
                peak[low] = high
    groups: dict[int, list[int]] = {}
    for i in range(len(hits)):
        groups.setdefault(find(i), []).append(i)
    return list(groups.values())


def _odds(relevance: float) -> float:
    return relevance / max(1.0 - relevance, 1e-9)


def _better_neighbours(hits: Sequence[Hit]) -> list[list[int]]:
    """Of each window, those before it in the list that it overlaps or shares part of an edge with, best first."""
    low, high, slack = _extents(hits)
    better: list[list[int]] = [[] for _ in hits]
    for i, others in _meeting(shapely.box(*(low - slack).T, *(high + slack).T)):
        overlap = np.minimum(high[i], high[others]) - np.maximum(low[i], low[others])
        for j in others[(overlap > slack).any(axis=1)]:
            better[j].append(i)
    return better


def _extents(hits: Sequence[Hit]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Low and high corners (n, 2) of the windows of a scene's tiles, and how far apart neighbours may be.

    Of embeddings that others made nobody knows the windows: there it is the boxes on the ground, which touch but for
    rounding.
    """
    boxes = np.array([hit.tile.window_px for hit in hits], dtype=np.float64)
    placed = [hit.tile.bbox for hit in hits if hit.tile.bbox is not None]
    if boxes[:, 2:].any() or len(placed) < len(hits):
        return boxes[:, :2], boxes[:, :2] + boxes[:, 2:], 0.0
    ground = np.array(placed)
    ground[:, 2] += np.where(ground[:, 2] < ground[:, 0], 360.0, 0.0)
    return ground[:, :2], ground[:, 2:], NEAR * float((ground[:, 2:] - ground[:, :2]).min())


def _sharing(sightings: Sequence[Sighting]) -> list[list[int]]:
    """Groups of outlines of several scenes that show the same ground as the best ranked of them."""
    placed = np.array([i for i, sighting in enumerate(sightings) if sighting.outline is not None], dtype=np.int64)
    shapes = np.array([sightings[i].outline for i in placed], dtype=object)
    area = shapely.area(shapes)
    scene = np.unique([sightings[i].scene for i in placed], return_inverse=True)[1]
    smallest, largest = np.array([_tile_sizes(sightings[i]) for i in placed]).reshape(-1, 2).T
    founder = np.arange(len(placed))
    for i, others in _meeting(shapes):
        if founder[i] != i:
            continue
        comparable = np.maximum(smallest[i], smallest[others]) <= COMPARABLE * np.minimum(largest[i], largest[others])
        free = others[comparable & (founder[others] == others) & (scene[others] != scene[i])]
        common = shapely.area(shapely.intersection(shapes[i], shapes[free]))
        founder[free[common >= SHARED * np.minimum(area[i], area[free])]] = i
    whole = np.arange(len(sightings))
    whole[placed] = placed[founder]
    return _members(whole)


def _meeting(shapes: NDArray[np.object_]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each position with the later ones whose shapes it meets; one by one, since all pairs may be very many."""
    tree = shapely.STRtree(shapes)
    for i, shape in enumerate(shapes):
        found = tree.query(shape, predicate="intersects")
        later = np.sort(found[found > i])
        if len(later):
            yield i, later


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
