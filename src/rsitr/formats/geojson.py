"""Answers as GeoJSON (RFC 7946)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rsitr.formats.answer import Answer
from rsitr.formats.document import HIT, PLACE
from rsitr.formats.places import Place, outline_box, outline_geometry, ring_geometry
from rsitr.formats.records import PlaceRecord, plain, round_box, round_score
from rsitr.types import Hit

__all__ = ["about", "answer_features", "collect_features", "to_geojson"]


def to_geojson(answers: Answer | Sequence[Answer]) -> str:
    """The places, or else the hits, as one FeatureCollection; what has no known place has no geometry (null).

    Members beside the features, which RFC 7946 allows, say what was asked and whether anything matches. Of several
    answers, every feature says which query it answers, and the collection lists the queries.
    """
    several = not isinstance(answers, Answer)
    listed = [answers] if isinstance(answers, Answer) else list(answers)
    features = [
        {**feature, "properties": {"query": answer.query.described, **feature["properties"]}} if several else feature
        for answer in listed
        for feature in answer_features(answer)
    ]
    told: Mapping[str, Any] = {"queries": [about(answer) for answer in listed]} if several else about(listed[0])
    return collect_features(features, about=told)


def collect_features(features: Sequence[Mapping[str, Any]], *, about: Mapping[str, Any]) -> str:
    """A FeatureCollection with one feature per line.

    Args:
        features: as GeoJSON has them.
        about: members of the collection beside them.
    """
    # Coordinates on lines of their own would make the file long, and no easier to read.
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
    head = json.dumps({"type": "FeatureCollection", **about}, ensure_ascii=False)[:-1]
    return f'{head}, "features": [\n{lines}\n]}}\n'


def about(answer: Answer) -> dict[str, Any]:
    """What was asked, and whether anything matches."""
    return {
        "query": answer.query.described,
        "model": answer.model,
        "matches": answer.matches,
        "state": answer.state,
        "relevance": round_score(answer.relevance),
    }


def answer_features(answer: Answer) -> list[dict[str, Any]]:
    """A feature for each of its places, or else of its hits."""
    if answer.places is None:
        return [_hit_feature(hit, answer) for hit in answer.hits]
    return [_place_feature(place) for place in answer.places]


def _hit_feature(hit: Hit, answer: Answer) -> dict[str, Any]:
    tile = hit.tile
    return {
        "type": "Feature",
        "id": tile.tile,
        **({"bbox": round_box(tile.bbox)} if tile.bbox and tile.footprint else {}),
        "geometry": ring_geometry(tile.footprint),
        "properties": plain(answer.record(hit), HIT),
    }


def _place_feature(place: Place) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": place.place,
        **({"bbox": outline_box(place.outline)} if place.outline is not None else {}),
        "geometry": outline_geometry(place.outline),
        "properties": plain(PlaceRecord.of(place), PLACE),
    }
