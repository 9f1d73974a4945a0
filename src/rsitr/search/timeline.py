"""The time line of a spot: what every scene that covers it shows there, whether it matches or not.

The spot is the ground of a place's best tile. Limits of the query are set aside: they say which tiles may answer, and
what else there is of the same ground is what a time line is for.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from itertools import groupby

import shapely
from shapely.geometry.base import BaseGeometry

from rsitr.formats import Moment, Place
from rsitr.geo import Window, ring_shape
from rsitr.types import Hit, Ring, Tile, TileFilter

__all__ = ["find_closest", "follow"]

COVERED = 0.5
"""Part of the spot that a scene's tiles cover from which it counts as shown."""


def follow(
    place: Place,
    *,
    look: Callable[[TileFilter], Sequence[Hit]],
    find_window: Callable[[Tile, Ring], Window],
    threshold: float,
) -> Place:
    """The place with its time line.

    Args:
        place: of an answer.
        look: gives all tiles that pass a filter, with their scores and relevance.
        find_window: of the same ground in a tile's scene, from that tile and an outline.
        threshold: relevance from which a tile matches.
    """
    best = place.best.tile
    if best.footprint is None or best.bbox is None:
        moment = Moment(
            best, best.window_px, place.best.score, place.best.relevance, _matches(place.best, threshold)
        )  # fmt: skip
        return dataclasses.replace(place, timeline=(moment,))
    spot = ring_shape(best.footprint)
    moments = []
    for found in find_closest(look(TileFilter(bbox=best.bbox)), spot):
        tile = found.tile
        window = best.window_px if tile.scene == best.scene else find_window(tile, best.footprint)
        moments.append(Moment(tile, window, found.score, found.relevance, _matches(found, threshold)))
    moments.sort(key=lambda seen: (seen.tile.date is None, seen.tile.date or datetime.date.min, seen.tile.scene))
    return dataclasses.replace(place, timeline=tuple(moments))


def find_closest(hits: Sequence[Hit], spot: BaseGeometry) -> list[Hit]:
    """Of each scene that covers most of a spot, the tile with the most like outline."""
    there = sorted(hits, key=lambda hit: hit.tile.scene)
    closest = (_closest(list(group), spot) for _, group in groupby(there, key=lambda hit: hit.tile.scene))
    return [hit for hit in closest if hit is not None]


def _closest(hits: Sequence[Hit], spot: BaseGeometry) -> Hit | None:
    """Of a scene's tiles that with the most like outline; None where they leave most of the spot uncovered."""
    outlines = [ring_shape(hit.tile.footprint) for hit in hits if hit.tile.footprint is not None]
    common = shapely.intersection(outlines, spot)
    if shapely.area(shapely.union_all(common)) < COVERED * spot.area:
        return None
    alike = shapely.area(common) / shapely.area(shapely.union(outlines, spot))
    return max(zip(alike.tolist(), (hit for hit in hits if hit.tile.footprint is not None), strict=True),
               key=lambda pair: pair[0])[1]  # fmt: skip


def _matches(hit: Hit, threshold: float) -> bool | None:
    return None if hit.relevance is None else hit.relevance >= threshold
