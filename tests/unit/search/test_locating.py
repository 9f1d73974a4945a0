from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from fakes import ColourEncoder, FewWords
from rasters import UTM_14N, quadrants, write_all_nodata, write_gcps, write_utm
from rsitr.errors import QueryError, SceneError
from rsitr.formats import HeatMap, draw_heat_map, write_heat_map
from rsitr.geo import SceneReader
from rsitr.index import Settings, ingest
from rsitr.search import Index, locate


@pytest.fixture
def encoder() -> ColourEncoder:
    return ColourEncoder(image_size_px=32)


@pytest.fixture
def heat(tmp_path: Path, encoder: ColourEncoder) -> HeatMap:
    return locate(write_utm(tmp_path / "scene.tif"), "something blue", encoder=encoder)


def test_the_map_is_highest_where_the_words_are_true(heat: HeatMap) -> None:
    assert heat.windows_px == (16, 32, 64)
    assert heat.cell_px == (2.0, 2.0)
    assert heat.scores.shape == (64, 64)
    assert np.isfinite(heat.scores).all()
    col, row = heat.best_px
    assert col < 64 < row  # blue is the lower left quarter
    quarters = {name: heat.scores[rows, cols].mean() for name, rows, cols in (
        ("red", slice(0, 32), slice(0, 32)), ("green", slice(0, 32), slice(32, 64)),
        ("blue", slice(32, 64), slice(0, 32)), ("dark", slice(32, 64), slice(32, 64)),
    )}  # fmt: skip
    assert max(quarters, key=lambda name: quarters[name]) == "blue"
    assert quarters["blue"] > 2 * max(quarters["red"], quarters["green"])


def test_relevance_tells_what_is_there_from_what_is_not(tmp_path: Path, encoder: ColourEncoder) -> None:
    scene = write_utm(tmp_path / "scene.tif")
    there = locate(scene, "red", encoder=encoder)
    absent = locate(scene, "white", encoder=encoder)
    assert there.relevance is not None
    assert absent.relevance is not None
    assert absent.relevance < 0.5 < there.relevance
    assert (there.matches, absent.matches) == (True, False)
    assert locate(scene, "white", encoder=encoder, threshold=0.0).matches
    write_heat_map(absent, tmp_path / "heat.tif")
    with rasterio.open(tmp_path / "heat.tif") as written:
        assert float(written.tags()["RELEVANCE"]) == pytest.approx(absent.relevance, abs=1e-6)
        assert written.tags()["MATCHES"] == "false"


def test_relevance_is_that_of_a_search_in_the_same_windows(tmp_path: Path, encoder: ColourEncoder) -> None:
    scene = write_utm(tmp_path / "scene.tif")
    heat = locate(scene, "red", encoder=encoder, scales=[1.0], tile_px=32)
    ingest([scene], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=32, overlap=0.5))
    found = Index.open(tmp_path / "index", encoder=encoder).search("red")
    assert found.n_tiles == heat.n_windows
    assert heat.relevance == pytest.approx(found.relevance, abs=1e-5)


def test_without_a_calibration_nothing_is_said(
    tmp_path: Path, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "calibration", None)
    heat = locate(write_utm(tmp_path / "scene.tif"), "red", encoder=encoder)
    assert (heat.relevance, heat.state) == (None, None)


def test_words_that_the_model_does_not_know_are_found_nowhere_for_sure(
    tmp_path: Path, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "lexicon", FewWords("red"), raising=False)
    scene = write_utm(tmp_path / "scene.tif")
    known, unknown = (locate(scene, words, encoder=encoder) for words in ("red", "qwertz"))
    assert (known.state, known.doubt) == ("matches", None)
    assert (unknown.state, unknown.matches, unknown.relevance) == ("unsure", False, None)


def test_pixels_too_coarse_for_a_model_show_nothing_for_sure(tmp_path: Path, encoder: ColourEncoder) -> None:
    scene = write_utm(tmp_path / "coarse.tif", transform=Affine(100.0, 0.0, 500_000.0, 0.0, -100.0, 5_200_000.0))
    heat = locate(scene, "red", encoder=encoder)
    assert (heat.state, heat.relevance, heat.doubt) == ("unsure", None, "100 m per pixel can show nothing to a model")


def test_progress_is_told_to_the_end(tmp_path: Path, encoder: ColourEncoder) -> None:
    told: list[tuple[int, int]] = []
    locate(
        write_utm(tmp_path / "scene.tif"), "red", encoder=encoder, scales=[1.0],
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told[-1] == (49, 49)
    assert len(told) == 2


def test_ground_without_data_stays_empty(tmp_path: Path, encoder: ColourEncoder) -> None:
    bands = quadrants()
    bands[:, :, 64:] = 0
    bands[:, :64, :64] = np.maximum(bands[:, :64, :64], 1)
    bands[:, 64:, :64] = np.maximum(bands[:, 64:, :64], 1)
    heat = locate(write_utm(tmp_path / "scene.tif", bands, nodata=0), "red", encoder=encoder, scales=[0.5])
    assert np.isnan(heat.scores[:, 40:]).all()
    assert np.isfinite(heat.scores[:, :32]).all()
    assert draw_heat_map(heat).startswith(b"\x89PNG")


def test_the_geotiff_lies_where_the_scene_lies(heat: HeatMap, tmp_path: Path) -> None:
    write_heat_map(heat, tmp_path / "heat.tif")
    with rasterio.open(heat.path) as scene, rasterio.open(tmp_path / "heat.tif") as written:
        assert written.crs == scene.crs
        assert written.bounds == pytest.approx(scene.bounds)
        assert tuple(written.transform)[:6] == pytest.approx((10.0, 0.0, UTM_14N.c, 0.0, -10.0, UTM_14N.f))
        assert np.array_equal(written.read(1), heat.scores)
        assert np.isnan(written.nodata)
        assert written.tags()["QUERY"] == "something blue"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heat.tif", "scene.tif"]


def test_control_points_are_handed_on(tmp_path: Path, encoder: ColourEncoder) -> None:
    heat = locate(write_gcps(tmp_path / "gcps.tif"), "red", encoder=encoder, scales=[1.0])
    write_heat_map(heat, tmp_path / "heat.tif")
    with rasterio.open(tmp_path / "heat.tif") as written:
        points, crs = written.gcps
        assert crs.to_epsg() == 4326
        corners = {(point.col, point.row): (point.x, point.y) for point in points}
        assert corners[written.width, written.height] == (20.09, 39.91)


def test_the_picture_shows_the_scene_under_the_map(heat: HeatMap) -> None:
    picture = np.asarray(Image.open(io.BytesIO(draw_heat_map(heat))).convert("RGB")).astype(int)
    assert picture.shape[0] > 800
    assert picture.shape[1] > 1000
    greenest = picture[..., 1] - picture[..., [0, 2]].max(axis=2)
    assert (greenest > 120).mean() > 0.05  # the green quarter scores low: it shows as it is


def test_a_scene_that_is_the_same_everywhere_shows_no_find(heat: HeatMap) -> None:
    """Nothing but rounding tells its windows apart."""
    noise = np.random.default_rng(0).uniform(0.7, 0.7 + 1e-5, heat.scores.shape).astype(np.float32)
    flat = replace(heat, scores=noise, picture=np.full_like(heat.picture, 128))
    picture = np.asarray(Image.open(io.BytesIO(draw_heat_map(flat))).convert("RGB")).astype(int)
    scene = picture[200:600, 100:900]
    assert (np.abs(scene - 128) > 8).mean() < 0.01  # the cross on the best window


def test_wrong_questions(tmp_path: Path, encoder: ColourEncoder) -> None:
    scene = write_utm(tmp_path / "scene.tif")
    with pytest.raises(QueryError, match="the words to look for are empty"):
        locate(scene, " ", encoder=encoder)
    for scales in ([], [0.0], [65.0]):
        with pytest.raises(QueryError, match="scales are multiples"):
            locate(scene, "red", encoder=encoder, scales=scales)
    with pytest.raises(SceneError, match="no window of it is at least half data"):
        locate(write_all_nodata(tmp_path / "empty.tif"), "red", encoder=encoder)
    with pytest.raises(SceneError, match=r"cannot write .*: there is no folder"):
        write_heat_map(locate(scene, "red", encoder=encoder, scales=[1.0]), tmp_path / "none" / "heat.tif")


def test_writing_a_map_reads_no_pixel_of_the_scene(
    tmp_path: Path, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.tile(np.linspace(0, 3000, 128).astype(np.uint16), (1, 128, 1))
    heat = locate(write_utm(tmp_path / "scene.tif", values), "red", encoder=encoder, scales=[1.0])
    monkeypatch.setattr(SceneReader, "measure_stretch", lambda _: pytest.fail("pixels are read"))
    write_heat_map(heat, tmp_path / "heat.tif")
