"""What an index holds of a spot, asked by where it is and not by what it shows."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from rsitr.geo import Window, area_from_geojson, area_from_geometry, area_shape, ring_shape, widen
from rsitr.index import IndexFolder
from rsitr.search.scenery import Scenery
from rsitr.search.timeline import find_closest
from rsitr.types import Hit, Tile, TileFilter

__all__ = ["MOST_TOUCHED", "Glimpse", "find_days", "find_tiles", "find_touched"]

NEAR_DEG = 1e-7
MOST_TOUCHED = 4000
"""Tiles that a brush may touch at once: more is not painting but an area."""
ALIKE = 1.5
"""Tiles of a scene whose sides differ by less are of one scale."""


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


def find_touched(folder: IndexFolder, way: Sequence[tuple[float, float]], *, radius_m: float) -> list[Tile]:
    """The tiles that a brush touches which is drawn along a way, of each scene those of its finest scale.

    A tile is touched where the way crosses it, or where the brush covers its middle: however broad the brush, it takes
    no neighbour along whose border it merely brushes.

    Args:
        folder: the index.
        way: positions (longitude, latitude), one or several; may go on beyond 180 degrees.
        radius_m: of the brush.
    """
    drawn = (
        {"type": "LineString", "coordinates": list(way)} if len(way) > 1 else {"type": "Point", "coordinates": way[0]}
    )
    ground = area_from_geojson(shapely.geometry.mapping(widen(shapely.geometry.shape(drawn), radius_m)))
    narrow, broad = area_shape(area_from_geometry(drawn)), area_shape(ground)
    shapely.prepare(narrow)
    shapely.prepare(broad)
    # Where four tiles meet, a dab takes one of them, as a click opens one.
    lon, lat = way[0]
    dabbed = None if len(way) > 1 else {tile.tile for tile in find_tiles(folder, lon=_wrap(lon), lat=lat)}
    touched = []
    for tile in folder.store.browse(TileFilter(area=ground), start=0, n=MOST_TOUCHED):
        outline = None if tile.footprint is None else ring_shape(tile.footprint)
        if outline is None:
            continue
        is_crossed = narrow.intersects(outline) if dabbed is None else tile.tile in dabbed
        if is_crossed or broad.covers(outline.representative_point()):
            touched.append(tile)
    finest: dict[str, int] = {}
    for tile in touched:
        side_px = max(tile.window_px[2:])
        finest[tile.scene] = min(side_px, finest.get(tile.scene, side_px))
    return [tile for tile in touched if max(tile.window_px[2:]) < ALIKE * finest[tile.scene]]


def _wrap(lon: float) -> float:
    return lon if -180.0 <= lon <= 180.0 else (lon + 180.0) % 360.0 - 180.0


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
