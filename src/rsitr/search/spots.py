"""What an index holds of a spot, asked by where it is and not by what it shows."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np
import shapely

from rsitr.geo import Window, ring_shape
from rsitr.index import IndexFolder
from rsitr.search.scenery import Scenery
from rsitr.search.timeline import find_closest
from rsitr.types import Hit, Tile, TileFilter

__all__ = ["Glimpse", "find_days", "find_tiles"]

NEAR_DEG = 1e-7


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Some ground as one scene shows it: that scene's tile which is most like it, and the window of the ground."""

    tile: Tile
    window_px: Window


def find_tiles(folder: IndexFolder, *, lon: float, lat: float) -> list[Tile]:
    """The tiles under a point: of each scene the smallest whose middle is nearest, the latest scene first."""
    box = (max(-180.0, lon - NEAR_DEG), lat - NEAR_DEG, min(180.0, lon + NEAR_DEG), lat + NEAR_DEG)
    point = shapely.Point(lon, lat)
    best: dict[str, tuple[tuple[int, float], Tile]] = {}
    for hit in _all_tiles(folder, TileFilter(bbox=box)):
        outline = ring_shape(hit.tile.footprint) if hit.tile.footprint is not None else None
        if outline is None or not outline.dwithin(point, NEAR_DEG):
            continue
        rank = (hit.tile.window_px[2] * hit.tile.window_px[3], outline.centroid.distance(point))
        if hit.tile.scene not in best or rank < best[hit.tile.scene][0]:
            best[hit.tile.scene] = rank, hit.tile
    tiles = sorted((tile for _, tile in best.values()), key=lambda tile: tile.scene)
    return sorted(tiles, key=lambda tile: (tile.date or datetime.date.min, -(tile.gsd_m or np.inf)), reverse=True)


def find_days(folder: IndexFolder, scenery: Scenery, tile: Tile) -> list[Glimpse]:
    """The ground of a tile through all scenes whose tiles show at least half of it, the earliest first."""
    if tile.footprint is None or tile.bbox is None:
        return [Glimpse(tile, tile.window_px)]
    found = find_closest(_all_tiles(folder, TileFilter(bbox=tile.bbox)), ring_shape(tile.footprint))
    seen = [
        Glimpse(tile, tile.window_px)
        if hit.tile.scene == tile.scene
        else Glimpse(hit.tile, scenery.find_window(hit.tile, tile.footprint))
        for hit in found
    ]
    return sorted(seen, key=lambda one: (one.tile.date is None, one.tile.date or datetime.date.min, one.tile.scene))


def _all_tiles(folder: IndexFolder, where: TileFilter) -> list[Hit]:
    """All tiles that pass a filter; their scores mean nothing."""
    n = folder.store.count(where)
    if not n:
        return []
    any_direction = np.full(folder.store.dim, folder.store.dim**-0.5, dtype=np.float32)
    return folder.store.search(any_direction, k=n, where=where)
