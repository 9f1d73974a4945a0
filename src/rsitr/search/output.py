"""Search results as other programs read them: JSON, GeoJSON (RFC 7946), CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from rsitr.geo import bbox_centre, enclosing_bbox, geojson_geometry
from rsitr.search.exchange import (
    feature_collection,
    outline_box,
    outline_geometry,
    place_feature,
    place_properties,
    rounded,
)
from rsitr.search.result import SearchResult
from rsitr.types import Hit, SceneEntry, Tile, TileFilter

__all__ = [
    "keep_matches",
    "resorted_by",
    "say_limits",
    "say_outcome",
    "scene_name",
    "to_csv",
    "to_geojson",
    "to_json",
    "to_json_line",
]

DEGREE_DIGITS = 7  # about a centimetre
CSV_COLUMNS = (
    *("rank", "score", "relevance", "tile", "scene", "path", "date", "gsd_m", "sensor", "lon", "lat"),
    *("west", "south", "east", "north", "col", "row", "width", "height", "sorted_by", "sorted_by_value"),
)
SCORING_STAGES = frozenset({"global", "local", "local codes"})
"""Stages that make the score; what comes after them sorts anew."""
NAMED = 8


def scene_name(tile: Tile) -> str:
    """The file name of a tile's scene, without its folders."""
    return PurePosixPath(tile.scene).name


def say_outcome(result: SearchResult, *, n_all: int, are_shown: bool = True) -> str:
    """What a person should be told beside the hits; empty where something matches.

    Args:
        result: of a search.
        n_all: tiles in the index.
        are_shown: whether hits are shown that don't match.
    """
    if not result.hits:
        return "no tile lies within these limits" if n_all else "this index holds no tiles yet"
    if result.matches:
        return ""
    shown = "; what is shown is only the least unlike" if are_shown else ""
    return (
        f"nothing here matches {result.query.describe()}: the best hit's relevance is {result.relevance or 0.0:.2f}, "
        f"below {result.threshold:g}{shown}"
    )


def say_limits(where: TileFilter, *, count: Callable[[TileFilter], int], scenes: Sequence[SceneEntry]) -> str:
    """Which limit leaves no tile, and what there is instead.

    Args:
        where: limits that no tile meets.
        count: tiles that meet others.
        scenes: of the index.
    """
    days = sorted(scene.date for scene in scenes if scene.date is not None)
    sensors = sorted({scene.sensor for scene in scenes if scene.sensor})
    box = enclosing_bbox(scene.bbox for scene in scenes if scene.bbox is not None)
    period = " ".join(
        [*([f"since {where.since}"] if where.since else []), *([f"until {where.until}"] if where.until else [])]
    )
    there = f"days run from {days[0]} to {days[-1]}" if days else "no scene says its day"
    limits = [
        (where.sensor, TileFilter(sensor=where.sensor), f"by the sensor {where.sensor}",
         f"there are {_listed(sensors)}" if sensors else "no scene names its sensor"),
        (period, TileFilter(since=where.since, until=where.until), period, there),
        (where.scene, TileFilter(scene=where.scene), f"of a scene called {where.scene}",
         f"scenes are called {_listed([scene.scene for scene in scenes])}"),
        (where.bbox, TileFilter(bbox=where.bbox), "in the box", _cover(box)),
        (where.area, TileFilter(area=where.area), "in the area", _cover(box)),
    ]  # fmt: skip
    given = [(alone, name, instead) for value, alone, name, instead in limits if value]
    counts = [count(alone) for alone, _, _ in given]
    empty = [f"none is {name} ({instead})" for n, (_, name, instead) in zip(counts, given, strict=True) if not n]
    if empty:
        return "; ".join(empty)
    each = ", ".join(f"{n:,} {'are' if n > 1 else 'is'} {name}" for n, (_, name, _) in zip(counts, given, strict=True))
    return f"{each}, but none meets all of these limits"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _cover(box: tuple[float, float, float, float] | None) -> str:
    return "no scene has a known place" if box is None else f"scenes lie within {','.join(f'{s:.5g}' for s in box)}"


def keep_matches(result: SearchResult) -> SearchResult:
    """The result with those hits alone whose relevance reaches the threshold; they keep their ranks.

    Where relevance could not be estimated, all stay.
    """
    if result.relevance is None:
        return result
    return replace(result, hits=tuple(hit for hit in result if (hit.relevance or 0.0) >= result.threshold))


def resorted_by(result: SearchResult) -> str | None:
    """The stage after the scores that has sorted the hits anew; None where they are in the order of their scores."""
    later = [stage for stage in result.stages if stage.name not in SCORING_STAGES]
    seen = [stage.name for stage in later if any(score is not None for score in stage.scores)]
    return seen[-1] if seen else None


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
        "sorted_by": resorted_by(result) or "score",
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
                **_properties(hit, result),
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
            [place_feature(place) for place in result.places()]
            if places
            else [_feature(hit, result) for hit in result.hits],
        )
        for result in (results if not isinstance(results, SearchResult) else (results,))
    ]
    return feature_collection(answers, several=several)


def _feature(hit: Hit, result: SearchResult) -> dict[str, Any]:
    tile = hit.tile
    return {
        "type": "Feature",
        "id": tile.tile,
        **({"bbox": [round(side, DEGREE_DIGITS) for side in tile.bbox]} if tile.bbox and tile.footprint else {}),
        "geometry": tile.footprint and geojson_geometry(tile.footprint),
        "properties": _properties(hit, result),
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
            writer.writerow({"query": result.query.describe(), **_line(hit, result)})
    return text.getvalue()


def _line(hit: Hit, result: SearchResult) -> dict[str, Any]:
    box = hit.tile.bbox
    lon, lat = bbox_centre(box) if box else (None, None)
    sides = dict(zip(("lon", "lat", "west", "south", "east", "north"), (lon, lat, *(box or [None] * 4)), strict=True))
    degrees = {name: value if value is None else round(value, DEGREE_DIGITS) for name, value in sides.items()}
    window = dict(zip(("col", "row", "width", "height"), hit.tile.window_px, strict=True))
    return {**_properties(hit, result), **degrees, **window}


def _properties(hit: Hit, result: SearchResult) -> dict[str, Any]:
    """What is known of a hit but its outline; what it was sorted by, too, where that is not the score."""
    tile = hit.tile
    later = resorted_by(result)
    value = next((stage.scores[hit.rank - 1] for stage in result.stages if stage.name == later), None)
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
        "sorted_by": later or "score",
        "sorted_by_value": rounded(value if later else hit.score),
    }
