"""What every scene shows of a place's spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fakes import ColourEncoder
from rasters import UTM_14N, from_origin, quadrants, write_utm
from rsitr.formats import make_sheet, to_csv, to_geojson, to_geoparquet, to_layer
from rsitr.index import Settings, ingest
from rsitr.search import Index


@pytest.fixture
def index(tmp_path: Path, encoder: ColourEncoder) -> Index:
    """Red ground in 2010, shifted by half a tile and green in 2016, red again in 2020, and a scene beside it."""
    scenes = tmp_path / "scenes"
    write_utm(scenes / "y_20100801.tif", quadrants())
    green = quadrants(names=("green",) * 4)
    shifted = from_origin(UTM_14N.c - 32 * 5, UTM_14N.f + 32 * 5, 5.0, 5.0)
    write_utm(scenes / "y_20160801.tif", green, transform=shifted)
    write_utm(scenes / "y_20200801.tif", quadrants())
    write_utm(scenes / "beside_20200801.tif", green, transform=from_origin(UTM_14N.c + 5000, UTM_14N.f, 5.0, 5.0))
    ingest([scenes], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    return Index.open(tmp_path / "index", encoder=encoder)


def test_matching_or_not_every_day_is_told(index: Index) -> None:
    (place, *_) = index.search("red", k=4).places(timeline=True)
    assert [seen.scene for seen in place.sightings] == ["y_20100801.tif", "y_20200801.tif"]
    assert place.timeline is not None
    told = [(seen.tile.scene, seen.matches) for seen in place.timeline]
    assert told == [("y_20100801.tif", True), ("y_20160801.tif", False), ("y_20200801.tif", True)]
    windows = [seen.window_px for seen in place.timeline]
    assert windows == [(0, 0, 64, 64), (32, 32, 64, 64), (0, 0, 64, 64)], "of the same ground, in each scene's pixels"


def test_limits_do_not_hide_other_days(index: Index) -> None:
    (place, *_) = index.search("red", k=1, parts=()).places()
    assert place.timeline is None, "only where it is asked for"
    limited = index.search("red", k=1, sensor=None).places(timeline=True)[0].timeline
    assert limited is not None
    assert len(limited) == 3


def test_every_format_has_it(index: Index) -> None:
    result = index.search("red", k=1)
    answer = result.to_answer(places=result.places(timeline=True))
    (feature,) = json.loads(to_geojson(answer))["features"]
    line = feature["properties"]["timeline"]
    assert [moment["date"] for moment in line] == ["2010-08-01", "2016-08-01", "2020-08-01"]
    assert [moment["matches"] for moment in line] == [True, False, True]
    assert to_csv(answer)
    assert to_geoparquet(answer)
    assert b"2016-08-01" in to_layer(answer, "KML")
    sheet = make_sheet(answer, pictures=index)
    assert sheet.html.count("<figcaption>") == 3
    assert not sheet.missing


def test_a_scene_that_cannot_be_read_has_its_tile_for_the_spot(index: Index) -> None:
    (index.root / "y_20160801.tif").unlink()
    (place, *_) = index.search("red", k=1).places(timeline=True)
    assert place.timeline is not None
    assert place.timeline[1].window_px == place.timeline[1].tile.window_px


def test_a_detector_and_marks_have_one_too(index: Index) -> None:
    red = index.search("red", k=1)
    from rsitr.search import Mark

    refined = index.refine(red.query, [Mark(red.hits[0].tile.tile, True)])
    (place, *_) = refined.places(timeline=True)
    assert place.timeline is not None
    assert len(place.timeline) == 3
    assert all(np.isfinite(seen.score) for seen in place.timeline)
