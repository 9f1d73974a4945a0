"""Answers as CSV: a line for each hit, or for each sighting of each place; empty where something is unknown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import shapely

from rsitr.formats.answer import Answer
from rsitr.formats.places import DEGREE_DIGITS, Place, Sighting, outline_box
from rsitr.formats.records import SightingRecord, name_mark
from rsitr.formats.suitability import say_suitability
from rsitr.geo import bbox_centre
from rsitr.types import Hit

__all__ = ["to_csv"]

HIT_COLUMNS = (
    *("rank", "score", "relevance", "tile", "scene", "path", "date", "gsd_m", "sensor", "lon", "lat"),
    *("west", "south", "east", "north", "col", "row", "width", "height", "suitability", "mark"),
    *("sorted_by", "sorted_by_value", "query", "model", "state"),
)
SIGHTING_COLUMNS = (
    *("query", "rank", "score", "relevance", "place", "date", "scene", "sensor", "n_tiles", "lon", "lat"),
    *("west", "south", "east", "north", "col", "row", "width", "height", "wkt"),
    *("suitability", "mark", "model", "state"),
)
SIDES = ("west", "south", "east", "north")
WINDOW = ("col", "row", "width", "height")


def to_csv(answers: Answer | Sequence[Answer]) -> str:
    """The places, or else the hits. Columns say what was asked, by which model, and what is said of the answer."""
    several = not isinstance(answers, Answer)
    listed = [answers] if isinstance(answers, Answer) else list(answers)
    if any(answer.places is not None for answer in listed):
        columns: Sequence[str] = SIGHTING_COLUMNS
    else:
        columns = ("query", *(name for name in HIT_COLUMNS if name != "query")) if several else HIT_COLUMNS
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for answer in listed:
        told = {"query": answer.query.described, "model": answer.model, "state": answer.state}
        writer.writerows(told | line for line in _lines(answer))
    return text.getvalue()


def _lines(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.places is None:
        yield from (_hit_line(hit, answer) for hit in answer.hits)
    else:
        yield from (_sighting_line(place, sighting) for place in answer.places for sighting in place.sightings)


def _hit_line(hit: Hit, answer: Answer) -> dict[str, Any]:
    line = {**vars(answer.record(hit)), **dict(zip(WINDOW, hit.tile.window_px, strict=True))}
    box = hit.tile.bbox
    if box is None:
        return line
    degrees = zip(("lon", "lat", *SIDES), (*bbox_centre(box), *box), strict=True)
    return line | {name: round(value, DEGREE_DIGITS) for name, value in degrees}


def _sighting_line(place: Place, sighting: Sighting) -> dict[str, Any]:
    line = {
        **vars(SightingRecord.of(sighting)),
        "rank": place.rank,
        "place": place.place,
        "n_tiles": len(sighting.hits),
        "suitability": say_suitability(sighting.hits[0].tile),
        "mark": name_mark(sighting.hits[0].mark),
        **dict(zip(WINDOW, sighting.window_px, strict=True)),
    }
    outline = sighting.outline
    if outline is None:
        return line
    lon, lat = bbox_centre(sighting.hits[0].tile.bbox or outline.bounds)
    return line | {
        "lon": round(lon, DEGREE_DIGITS),
        "lat": round(lat, DEGREE_DIGITS),
        **dict(zip(SIDES, outline_box(outline) or (), strict=True)),
        "wkt": shapely.to_wkt(outline, rounding_precision=DEGREE_DIGITS),
    }
