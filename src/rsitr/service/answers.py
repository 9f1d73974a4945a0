"""Records of the index as the service's JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from rsitr.geo import geojson_geometry
from rsitr.search import HitStage, Place, SearchResult, outline_box, outline_geometry, rounded
from rsitr.types import BBox, Hit, SceneEntry, Tile

__all__ = ["scene_id", "show_scene", "show_search", "show_tile"]

DEGREE_DIGITS = 7  # about a centimetre


def scene_id(scene: str) -> str:
    """What names a scene in a URL: not its path, which is nobody's business there.

    >>> scene_id("2016/naip.tif")
    '5ba5602ad6956bcf'
    """
    return hashlib.sha256(scene.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def show_scene(entry: SceneEntry, *, corners: Sequence[Sequence[float]] | None) -> dict[str, Any]:
    """A scene and how to draw it."""
    name = scene_id(entry.scene)
    return {
        "id": name,
        "scene": entry.scene,
        "date": entry.date and entry.date.isoformat(),
        "sensor": entry.sensor,
        "gsd_m": entry.gsd_m and round(entry.gsd_m, 4),
        "n_tiles": entry.n_tiles,
        "size_px": list(entry.size_px),
        "bbox": _box(entry.bbox),
        "footprint": entry.footprint and geojson_geometry(entry.footprint),
        "crs": entry.crs,
        "corners": corners,
        "overview": f"/api/scenes/{name}/overview.jpg",
    }


def show_tile(tile: Tile) -> dict[str, Any]:
    """A tile and where its picture is."""
    return {
        "tile": tile.tile,
        "scene": tile.scene,
        "scene_id": scene_id(tile.scene),
        "date": tile.date and tile.date.isoformat(),
        "sensor": tile.sensor,
        "gsd_m": tile.gsd_m and round(tile.gsd_m, 4),
        "window_px": list(tile.window_px),
        "geometry": tile.footprint and geojson_geometry(tile.footprint),
        "bbox": _box(tile.bbox),
        "picture": f"/api/tiles/{quote(tile.tile, safe='')}/picture.jpg",
    }


def show_search(
    result: SearchResult,
    places: Sequence[Place],
    *,
    message: str,
    refined: bool,
    took_s: float,
    explain: bool,
) -> dict[str, Any]:
    """The answer to a search."""
    where = result.query.where
    place_of = {hit.tile.tile: place.rank for place in places for sighting in place.sightings for hit in sighting.hits}
    shown: dict[str, Any] = {
        "query": {
            "described": result.query.describe(),
            "text": result.query.text,
            "parts": [{"kind": part.kind, "value": part.value, "weight": part.weight} for part in result.query.parts],
            "k": result.query.k,
            "bbox": _box(where.bbox),
            "since": where.since and where.since.isoformat(),
            "until": where.until and where.until.isoformat(),
            "sensor": where.sensor,
            "scene": where.scene,
            "has_area": where.area is not None,
        },
        "matches": result.matches,
        "message": message,
        "relevance": rounded(result.relevance),
        "threshold": result.threshold,
        "n_tiles": result.n_tiles,
        "took_ms": round(1e3 * took_s, 2),
        "refined": refined,
        "hits": [_show_hit(hit, place=place_of.get(hit.tile.tile)) for hit in result.hits],
        "places": [_show_place(place) for place in places],
    }
    return shown | {"stages": [_show_stage(stage) for stage in result.stages]} if explain else shown


def _show_hit(hit: Hit, *, place: int | None) -> dict[str, Any]:
    found = {"rank": hit.rank, "score": rounded(hit.score), "relevance": rounded(hit.relevance), "place": place}
    return found | show_tile(hit.tile)


def _show_place(place: Place) -> dict[str, Any]:
    return {
        "rank": place.rank,
        "id": place.place,
        "score": rounded(place.score),
        "relevance": rounded(place.relevance),
        "n_tiles": place.n_tiles,
        "geometry": outline_geometry(place.outline),
        "bbox": _box(outline_box(place.outline)),
        "dates": [day.isoformat() for day in place.dates],
        "sightings": [
            {
                "scene": sighting.scene,
                "scene_id": scene_id(sighting.scene),
                "date": sighting.date and sighting.date.isoformat(),
                "sensor": sighting.sensor,
                "score": rounded(sighting.score),
                "relevance": rounded(sighting.relevance),
                "window_px": list(sighting.window_px),
                "best_tile": sighting.hits[0].tile.tile,
                "tiles": [hit.tile.tile for hit in sighting.hits],
            }
            for sighting in place.sightings
        ],
    }


def _show_stage(stage: HitStage) -> dict[str, Any]:
    scores = [rounded(score) for score in stage.scores]
    return {"name": stage.name, "time_s": round(stage.time_s, 6), "note": stage.note, "scores": scores}


def _box(bbox: BBox | None) -> list[float] | None:
    return None if bbox is None else [round(side, DEGREE_DIGITS) for side in bbox]
