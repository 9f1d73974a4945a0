from __future__ import annotations

from pathlib import Path

import geopandas
import pandas as pd
import pytest

from answers import empty_result, sample_result
from rsitr.formats import to_layer


@pytest.mark.parametrize("places", [False, True])
def test_a_geopackage_is_read_by_others(tmp_path: Path, places: bool) -> None:
    result = sample_result()
    answer = result.to_answer(places=result.places() if places else None)
    (tmp_path / "a.gpkg").write_bytes(to_layer(answer, "GPKG"))
    read = geopandas.read_file(tmp_path / "a.gpkg")
    items = answer.places if places else answer.hits
    assert items is not None
    assert read["rank"].tolist() == [item.rank for item in items]
    assert read["score"].tolist() == pytest.approx([item.score for item in items])
    assert [None if pd.isna(value) else value for value in read["relevance"]] == [item.relevance for item in items]
    assert set(read["query"]) == {answer.query.described}
    assert (set(read["state"]), set(read["model"])) == ({"matches"}, {"compact"})
    assert read.crs.to_epsg() == 4326 or read.crs.to_string() == "OGC:CRS84"
    if places:
        assert [place.outline is None for place in items] == read.geometry.isna().tolist()
        drawn = [(place.outline, shape) for place, shape in zip(items, read.geometry, strict=True) if place.outline]
        assert all(outline.equals(shape) for outline, shape in drawn)
    else:
        assert read["tile"].tolist() == [hit.tile.tile for hit in items]


def test_kml_has_what_lies_on_earth(tmp_path: Path) -> None:
    result = sample_result()
    answer = result.to_answer(places=result.places())
    (tmp_path / "a.kml").write_bytes(to_layer(answer, "KML"))
    read = geopandas.read_file(tmp_path / "a.kml")
    assert len(read) == sum(place.outline is not None for place in answer.places or ())
    assert read["Name"][0].startswith("1. ")
    assert (set(read["model_name"]), set(read["state"])) == ({"compact"}, {"matches"})
    assert read["suitability"].tolist() == ["good", "pixels of 200 m"]
    assert read["relevance"][0] == pytest.approx((answer.places or ())[0].relevance)


def test_no_hits_are_a_layer_too(tmp_path: Path) -> None:
    (tmp_path / "a.gpkg").write_bytes(to_layer(empty_result().to_answer(), "GPKG"))
    assert len(geopandas.read_file(tmp_path / "a.gpkg")) == 0
