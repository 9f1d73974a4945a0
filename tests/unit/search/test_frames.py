"""Results as frames of GeoPandas, and searches on the ground of a frame."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import geopandas
import pandas as pd
import pytest
import shapely

import rsitr
from fakes import ColourEncoder
from rsitr.errors import ConfigError, QueryError
from rsitr.search import Index
from rsitr.types import TileFilter


@pytest.fixture(scope="module")
def index(index_path: Path, encoder: ColourEncoder) -> Index:
    return Index.open(index_path, encoder=encoder)


def test_a_result_is_a_frame_of_its_hits(index: Index, tmp_path: Path) -> None:
    result = index.search("red", k=13)
    frame = rsitr.to_geodataframe(result)
    assert frame.crs == "EPSG:4326"
    assert list(frame["tile"]) == [hit.tile.tile for hit in result]
    assert list(frame["relevance"]) == [hit.relevance for hit in result]
    assert set(frame["state"]) == {"matches"}
    assert set(frame["query"]) == {"“red”"}
    assert frame["date"].dtype.kind == "M"
    north = frame[frame["scene"] == "north_20160816.tif"]
    assert set(north["date"]) == {pd.Timestamp("2016-08-16")}
    assert (frame.geometry.isna() == (frame["scene"] == "photo.png")).all()
    for hit, shape in zip(result, frame.geometry, strict=True):
        if shape is not None and hit.tile.bbox[0] < hit.tile.bbox[2]:
            assert shape.bounds == pytest.approx(hit.tile.bbox, abs=1e-7)
    file = tmp_path / "hits.parquet"
    frame.to_parquet(file)
    assert geopandas.read_parquet(file)["tile"].tolist() == frame["tile"].tolist()


def test_places_and_tiles_are_frames_too(index: Index) -> None:
    result = index.search("red", k=13)
    places = rsitr.to_geodataframe(result, places=True)
    assert list(places["place"]) == [place.place for place in result.places()]
    assert places["last_date"].max() == pd.Timestamp("2020-01-01")
    tiles = rsitr.to_geodataframe(index.browse(n=5))
    assert len(tiles) == 5
    assert not {"score", "rank", "state"} & set(tiles.columns)
    assert list(rsitr.to_geodataframe(list(result)[:2])["rank"]) == [1, 2]
    with pytest.raises(QueryError, match="only the result of a search has places"):
        rsitr.to_geodataframe(list(result), places=True)
    with pytest.raises(QueryError, match="made of the result"):
        rsitr.to_geodataframe([1])  # type: ignore[list-item]


def test_nothing_found_is_a_frame_without_rows(index: Index) -> None:
    for found in (index.search("red", bbox=(0, 0, 1, 1)), []):
        frame = rsitr.to_geodataframe(found)
        assert (len(frame), frame.crs, "relevance" in frame.columns) == (0, "EPSG:4326", True)
        assert list(frame.geometry) == []


def test_a_frame_is_searched_on_its_own_ground(index: Index) -> None:
    rsitr.register_geopandas()
    every = rsitr.to_geodataframe(index.search("red", k=13))
    north = every[every["tile"] == "north_20160816.tif:64,0,64,64"].to_crs(32614)
    inside = north.set_geometry(north.geometry.buffer(-10))
    found = inside.rsitr.search(index, "red", k=13)
    assert set(found["tile"]) == {"north_20160816.tif:64,0,64,64", "deep/values_20200101.tif:64,0,64,64"}
    point = geopandas.GeoDataFrame(geometry=inside.geometry.centroid)
    assert set(point.rsitr.search(index, "red", k=13)["tile"]) == set(found["tile"])
    narrow = point.rsitr.search(index, "red", where=TileFilter(sensor="NAIP"))
    assert list(narrow["tile"]) == ["north_20160816.tif:64,0,64,64"]
    assert len(point.rsitr.search(index, "red", places=True)) >= 1


def test_a_frame_without_ground_is_told(index: Index) -> None:
    rsitr.register_geopandas()
    with pytest.raises(QueryError, match="no reference system"):
        geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0)]).rsitr.search(index, "red")
    with pytest.raises(QueryError, match="no geometries"):
        geopandas.GeoDataFrame(geometry=[], crs=4326).rsitr.search(index, "red")
    with pytest.raises(AttributeError, match="only a GeoDataFrame"):
        _ = pd.DataFrame({"a": [1]}).rsitr


def test_geopandas_is_imported_when_it_is_used_and_missed_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, rsitr, rsitr.search; rsitr.Index; print({'geopandas', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(ConfigError, match=r"rsitr\[geopandas\]"):
        rsitr.to_geodataframe([])
