"""What is written stays as it is, byte by byte: programs of others read it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from answers import empty_result, sample_result
from rsitr.search import (
    places_to_csv,
    places_to_geojson,
    places_to_geoparquet,
    places_to_stac,
    to_csv,
    to_geojson,
    to_json,
    to_json_line,
)

GOLDEN = Path(__file__).parent / "golden"


def address(scene: str) -> str:
    return f"https://a.example/{scene}"


def write(name: str) -> str:
    result, empty = sample_result(), empty_result()
    places = result.places()
    match name:
        case "hits.json":
            return to_json(result)
        case "places.json":
            return to_json(result, places=True)
        case "hits.jsonl":
            return to_json_line(result) + to_json_line(empty)
        case "hits.geojson":
            return to_geojson(result)
        case "places.geojson":
            assert places_to_geojson(places, result=result) == to_geojson(result, places=True)
            return places_to_geojson(places, result=result)
        case "several.geojson":
            return to_geojson([result, empty], places=True)
        case "none.geojson":
            return to_geojson(empty)
        case "hits.csv":
            return to_csv(result)
        case "several.csv":
            return to_csv([result, empty])
        case "places.csv":
            return places_to_csv([(each.query.describe(), each.places()) for each in (result, empty)])
        case "places.stac.json":
            return places_to_stac([(result, places)], address=address)[0]
        case "several.stac.json":
            answers = [(each, each.places(merge=False)) for each in (result, empty)]
            text, left_out = places_to_stac(answers, address=address)
            return text + json.dumps(left_out)
    raise AssertionError(name)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*")), ids=lambda path: path.name)
def test_what_is_written_is_what_was_written_before(path: Path) -> None:
    if path.suffix == ".parquet":
        result = sample_result()
        now = pq.read_table(io.BytesIO(places_to_geoparquet(result.places(), result=result)))
        before = pq.read_table(path)
        assert now.schema.equals(before.schema, check_metadata=True)
        assert now.equals(before)
    else:
        assert write(path.name) == path.read_text(encoding="utf-8")
