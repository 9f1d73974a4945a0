"""Answers as JSON: one object, or one line of a file of several (JSON Lines)."""

from __future__ import annotations

import json
from typing import Any

from rsitr.formats.answer import Answer
from rsitr.formats.places import outline_box, outline_geometry, ring_geometry
from rsitr.formats.records import PlaceRecord, StageRecord, plain, round_box, round_score
from rsitr.types import Hit

__all__ = ["HIT", "PLACE", "to_json", "to_json_line"]

QUERY = ("text", "image", "parts", "k", "bbox", "area", "scene", "since", "until", "sensor")
HIT = (
    *("rank", "score", "relevance", "tile", "scene", "path", "window_px", "date", "gsd_m", "sensor"),
    *("suitability", "mark", "sorted_by", "sorted_by_value"),
)
"""What files tell of a hit but its outline, in order."""
PLACE = (
    *("place", "rank", "score", "relevance", "lon", "lat", "suitability", "mark", "n_tiles", "first_date", "last_date"),
    *("sightings", "timeline"),
)
"""What files tell of a place but its outline, in order."""


def to_json(answer: Answer) -> str:
    """The answer as one JSON object: the query, whether anything matches, and a list of places, or else of hits."""
    return json.dumps(_as_dict(answer), indent=2, ensure_ascii=False) + "\n"


def to_json_line(answer: Answer) -> str:
    """The same on one line, for several answers in a file (JSON Lines)."""
    return json.dumps(_as_dict(answer), ensure_ascii=False) + "\n"


def _as_dict(answer: Answer) -> dict[str, Any]:
    stages = [StageRecord(name=stage.name, time_s=round(stage.time_s, 6), note=stage.note) for stage in answer.stages]
    told: dict[str, Any] = {
        "query": plain(answer.query, QUERY),
        "index": answer.index,
        "model": answer.model,
        "n_tiles": answer.n_tiles,
        "n_unsuitable": answer.n_unsuitable,
        "n_copies": answer.n_copies,
        "matches": answer.matches,
        "state": answer.state,
        "relevance": round_score(answer.relevance),
        "threshold": answer.threshold,
        "sorted_by": answer.sorted_by or "score",
        "stages": plain(stages),
        "notes": list(answer.notes),
    }
    if answer.places is None:
        return told | {"hits": [_hit(hit, answer) for hit in answer.hits]}
    return told | {
        "places": [
            {
                **plain(PlaceRecord.of(place), PLACE),
                "bbox": outline_box(place.outline),
                "outline": outline_geometry(place.outline),
            }
            for place in answer.places
        ]
    }


def _hit(hit: Hit, answer: Answer) -> dict[str, Any]:
    return {
        **plain(answer.record(hit), HIT),
        "stages": {stage.name: round_score(stage.scores[hit.rank - 1]) for stage in answer.stages},
        "bbox": round_box(hit.tile.bbox),
        "footprint": ring_geometry(hit.tile.footprint),
    }
