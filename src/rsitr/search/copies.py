"""One hit for each ground: copies of a file, and files that show the same ground on the same day, else fill the top.

Our own rules. Of two tiles of different scenes one is left out, that with the lower score, if they were taken on the
same day by the same sensor (or one whose name nobody knows) and their boxes share half of their joint area; or if their
windows, their places and their vectors are the same: then one file is a copy of the other. Tiles of one scene all stay,
and the same ground on another day does, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import shapely

from rsitr.types import BBox, FloatArray, Hit, Tile

__all__ = ["find_distinct"]

SHARED = 0.5
"""Intersection over union from which two boxes are of the same ground."""
SAME_SCORE = 1e-6
SAME_VECTOR = 1e-5


def find_distinct(
    find: Callable[[int], list[Hit]], *, k: int, vectors: Callable[[Sequence[str]], FloatArray]
) -> tuple[list[Hit], list[Hit]]:
    """The k best hits of which no two show the same ground of the same day, and those that were left out for it.

    Args:
        find: the n best hits, best first, fewer where there are no more.
        k: at most so many.
        vectors: of tiles by their ids.
    """
    size = k
    while True:
        found = find(size)
        copies = _find_copies(found, vectors)
        kept = [hit for place, hit in enumerate(found) if place not in copies]
        if len(kept) >= k or len(found) < size:
            ranked = [dataclasses.replace(hit, rank=rank) for rank, hit in enumerate(kept[:k], start=1)]
            return ranked, [found[place] for place in sorted(copies)]
        size *= 2


def _find_copies(hits: Sequence[Hit], vectors: Callable[[Sequence[str]], FloatArray]) -> set[int]:
    """Places in the list of hits that a better one makes superfluous."""
    copies = {second for _, second in _with_same_pixels(hits, vectors)}
    for first, second in sorted(_on_same_ground(hits)):
        if first not in copies:
            copies.add(second)
    return copies


def _on_same_ground(hits: Sequence[Hit]) -> Iterator[tuple[int, int]]:
    """Pairs of places, the better first, of scenes of the same day that show the same ground."""
    placed = [place for place, hit in enumerate(hits) if hit.tile.bbox is not None and hit.tile.date is not None]
    if len({hits[place].tile.scene for place in placed}) < 2:
        return
    boxes = np.array([_unwrapped(hits[place].tile.bbox or (0.0, 0.0, 0.0, 0.0)) for place in placed])
    for one, other in shapely.STRtree(shapely.box(*boxes.T)).query(shapely.box(*boxes.T)).T.tolist():
        first, second = placed[one], placed[other]
        is_pair = first < second and _is_same_day(hits[first].tile, hits[second].tile)
        if is_pair and _overlap(boxes[one], boxes[other]) >= SHARED:
            yield first, second


def _with_same_pixels(hits: Sequence[Hit], vectors: Callable[[Sequence[str]], FloatArray]) -> Iterator[tuple[int, int]]:
    """Pairs of places, the better first, of the same window of copies of a file."""
    latest: dict[tuple[object, ...], int] = {}
    near: list[tuple[int, int]] = []
    for place, hit in enumerate(hits):
        window = (hit.tile.window_px, hit.tile.footprint, hit.tile.date)
        before = latest.get(window)
        if before is not None and hits[before].score - hit.score <= SAME_SCORE:
            near.append((before, place))
        latest[window] = place
    near = [(first, second) for first, second in near if hits[first].tile.scene != hits[second].tile.scene]
    if not near:
        return
    found = vectors([hits[place].tile.tile for pair in near for place in pair]).reshape(len(near), 2, -1)
    for pair, is_same in zip(near, (np.abs(found[:, 0] - found[:, 1]) <= SAME_VECTOR).all(axis=1), strict=True):
        if is_same:
            yield pair


def _is_same_day(one: Tile, other: Tile) -> bool:
    sensors = {tile.sensor for tile in (one, other) if tile.sensor is not None}
    return one.scene != other.scene and one.date == other.date and len(sensors) < 2


def _unwrapped(bbox: BBox) -> BBox:
    west, south, east, north = bbox
    return west, south, east + 360.0 if east < west else east, north


def _overlap(one: FloatArray, other: FloatArray) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float(np.prod(np.clip(high - low, 0.0, None)))
    joint = float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])) - common
    return common / joint if joint > 0 else 0.0
