"""What is written stays as it is, byte by byte: programs of others read it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from answers import empty_result, sample_result
from rsitr.formats import Answer, to_csv, to_geojson, to_geoparquet, to_json, to_json_line, to_stac
from rsitr.search import SearchResult

GOLDEN = Path(__file__).parent / "golden"


def address(scene: str) -> str:
    return f"https://a.example/{scene}"


def with_places(result: SearchResult, *, merge: bool = True) -> Answer:
    return result.to_answer(places=result.places(merge=merge))


def write(name: str) -> str:
    result, empty = sample_result(), empty_result()
    hits, nothing = result.to_answer(), empty.to_answer()
    places, no_places = with_places(result), with_places(empty)
    apart = [with_places(each, merge=False) for each in (result, empty)]
    text, left_out = to_stac(apart, address=address)
    return {
        "hits.json": to_json(hits),
        "places.json": to_json(places),
        "hits.jsonl": to_json_line(hits) + to_json_line(nothing),
        "hits.geojson": to_geojson(hits),
        "places.geojson": to_geojson(places),
        "several.geojson": to_geojson([places, no_places]),
        "none.geojson": to_geojson(nothing),
        "hits.csv": to_csv(hits),
        "several.csv": to_csv([hits, nothing]),
        "places.csv": to_csv([places, no_places]),
        "places.stac.json": to_stac([places], address=address)[0],
        "several.stac.json": text + json.dumps(left_out),
    }[name]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*")), ids=lambda path: path.name)
def test_what_is_written_is_what_was_written_before(path: Path) -> None:
    if path.suffix == ".parquet":
        now = pq.read_table(io.BytesIO(to_geoparquet(with_places(sample_result()))))
        before = pq.read_table(path)
        assert now.schema.equals(before.schema, check_metadata=True)
        assert now.equals(before)
    else:
        assert write(path.name) == path.read_text(encoding="utf-8")
