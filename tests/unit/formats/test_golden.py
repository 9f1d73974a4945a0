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
    match name:
        case "hits.json":
            return to_json(hits)
        case "places.json":
            return to_json(with_places(result))
        case "hits.jsonl":
            return to_json_line(hits) + to_json_line(nothing)
        case "hits.geojson":
            return to_geojson(hits)
        case "places.geojson":
            return to_geojson(with_places(result))
        case "several.geojson":
            return to_geojson([with_places(result), with_places(empty)])
        case "none.geojson":
            return to_geojson(nothing)
        case "hits.csv":
            return to_csv(hits)
        case "several.csv":
            return to_csv([hits, nothing])
        case "places.csv":
            return to_csv([with_places(result), with_places(empty)])
        case "places.stac.json":
            return to_stac([with_places(result)], address=address)[0]
        case "several.stac.json":
            text, left_out = to_stac([with_places(each, merge=False) for each in (result, empty)], address=address)
            return text + json.dumps(left_out)
    raise AssertionError(name)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*")), ids=lambda path: path.name)
def test_what_is_written_is_what_was_written_before(path: Path) -> None:
    if path.suffix == ".parquet":
        now = pq.read_table(io.BytesIO(to_geoparquet(with_places(sample_result()))))
        before = pq.read_table(path)
        assert now.schema.equals(before.schema, check_metadata=True)
        assert now.equals(before)
    else:
        assert write(path.name) == path.read_text(encoding="utf-8")
