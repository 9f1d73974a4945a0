"""Search results as other programs read them: JSON, GeoJSON (RFC 7946), CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from rsitr.geo import bbox_centre, geojson_geometry
from rsitr.search.exchange import (
    feature_collection,
    outline_box,
    outline_geometry,
    place_feature,
    place_properties,
    rounded,
)
from rsitr.search.result import SearchResult
from rsitr.types import Hit, Tile

__all__ = ["say_outcome", "scene_name", "to_csv", "to_geojson", "to_json", "to_json_line"]

DEGREE_DIGITS = 7  # about a centimetre
CSV_COLUMNS = (
    *("rank", "score", "relevance", "tile", "scene", "path", "date", "gsd_m", "sensor", "lon", "lat"),
    *("west", "south", "east", "north", "col", "row", "width", "height"),
)


def scene_name(tile: Tile) -> str:
    """The file name of a tile's scene, without its folders."""
    return PurePosixPath(tile.scene).name


def say_outcome(result: SearchResult, *, n_all: int) -> str:
    """What a person should be told beside the hits; empty where something matches.

    Args:
        result: of a search.
        n_all: tiles in the index.
    """
    if not result.hits:
        return "no tile lies within these limits" if n_all else "this index holds no tiles yet"
    if result.matches:
        return ""
    return (
        f"nothing here matches {result.query.describe()}: the best hit's relevance is {result.relevance or 0.0:.2f}, "
        f"below {result.threshold:g}; what is shown is only the least unlike"
    )


def to_json(result: SearchResult, *, places: bool = False) -> str:
    """The result as one JSON object: the query, whether anything matches, and a list of hits, or of merged places."""
    return json.dumps(_as_dict(result, places=places), indent=2, ensure_ascii=False) + "\n"


def to_json_line(result: SearchResult, *, places: bool = False) -> str:
    """The same on one line, for several results in a file (JSON Lines)."""
    return json.dumps(_as_dict(result, places=places), ensure_ascii=False) + "\n"


def _as_dict(result: SearchResult, *, places: bool) -> dict[str, Any]:
    where = result.query.where
    found: dict[str, Any] = {
        "query": {
            "text": result.query.text,
            "image": result.query.image,
            "parts": [{"kind": part.kind, "value": part.value, "weight": part.weight} for part in result.query.parts],
            "k": result.query.k,
            "bbox": where.bbox,
            "area": where.area,
            "scene": where.scene,
            "since": where.since and where.since.isoformat(),
            "until": where.until and where.until.isoformat(),
            "sensor": where.sensor,
        },
        "index": result.index,
        "model": result.model,
        "n_tiles": result.n_tiles,
        "matches": result.matches,
        "relevance": rounded(result.relevance),
        "threshold": result.threshold,
        "stages": [
            {"name": stage.name, "time_s": round(stage.time_s, 6), "note": stage.note} for stage in result.stages
        ],
    }
    if places:
        return found | {
            "places": [
                {
                    **place_properties(place),
                    "bbox": outline_box(place.outline),
                    "outline": outline_geometry(place.outline),
                }
                for place in result.places()
            ]
        }
    return found | {
        "hits": [
            {
                **_properties(hit),
                "stages": {stage.name: rounded(stage.scores[hit.rank - 1]) for stage in result.stages},
                "bbox": hit.tile.bbox and [round(side, DEGREE_DIGITS) for side in hit.tile.bbox],
                "footprint": hit.tile.footprint and geojson_geometry(hit.tile.footprint),
            }
            for hit in result.hits
        ],
    }


def to_geojson(results: SearchResult | Sequence[SearchResult], *, places: bool = False) -> str:
    """The hits, or merged places, as an RFC 7946 FeatureCollection that says what was asked.

    Of several results, every feature says it. A tile without a known place has no geometry (null).
    """
    several = not isinstance(results, SearchResult)
    answers = [
        (
            result,
            [place_feature(place) for place in result.places()] if places else [_feature(hit) for hit in result.hits],
        )
        for result in (results if not isinstance(results, SearchResult) else (results,))
    ]
    return feature_collection(answers, several=several)


def _feature(hit: Hit) -> dict[str, Any]:
    tile = hit.tile
    return {
        "type": "Feature",
        "id": tile.tile,
        **({"bbox": [round(side, DEGREE_DIGITS) for side in tile.bbox]} if tile.bbox and tile.footprint else {}),
        "geometry": tile.footprint and geojson_geometry(tile.footprint),
        "properties": _properties(hit),
    }


def to_csv(results: SearchResult | Sequence[SearchResult]) -> str:
    """One line per hit; empty where something is unknown. Of several results, the first column says what was asked."""
    several = not isinstance(results, SearchResult)
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ("query", *CSV_COLUMNS) if several else CSV_COLUMNS, extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    for result in results if not isinstance(results, SearchResult) else (results,):
        for hit in result.hits:
            writer.writerow({"query": result.query.describe(), **_line(hit)})
    return text.getvalue()


def _line(hit: Hit) -> dict[str, Any]:
    box = hit.tile.bbox
    lon, lat = bbox_centre(box) if box else (None, None)
    sides = dict(zip(("lon", "lat", "west", "south", "east", "north"), (lon, lat, *(box or [None] * 4)), strict=True))
    degrees = {name: value if value is None else round(value, DEGREE_DIGITS) for name, value in sides.items()}
    window = dict(zip(("col", "row", "width", "height"), hit.tile.window_px, strict=True))
    return {**_properties(hit), **degrees, **window}


def _properties(hit: Hit) -> dict[str, Any]:
    tile = hit.tile
    return {
        "rank": hit.rank,
        "score": rounded(hit.score),
        "relevance": rounded(hit.relevance),
        "tile": tile.tile,
        "scene": scene_name(tile),
        "path": tile.scene,
        "window_px": list(tile.window_px),
        "date": tile.date and tile.date.isoformat(),
        "gsd_m": tile.gsd_m and round(tile.gsd_m, 4),
        "sensor": tile.sensor,
    }
