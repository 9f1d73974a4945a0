from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from rsitr.demo import DemoScene, write_scene
from rsitr.demo.raster import ACQUIRED, GSD_M, locate_windows
from rsitr.errors import SceneError
from rsitr.geo import open_scene, read_window


@pytest.fixture(scope="module")
def written(small_scene: DemoScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raster") / "scene.tif"
    write_scene(small_scene.pixels, path, seed=small_scene.seed)
    return path


def test_the_file_is_tiled_compressed_and_has_overviews(written: Path) -> None:
    with rasterio.open(written) as raster:
        assert raster.profile["tiled"]
        assert raster.profile["compress"] == "jpeg"
        assert raster.overviews(1)
        assert raster.crs.to_epsg() == 32710
        assert "nothing in it exists" in raster.tags()["TIFFTAG_IMAGEDESCRIPTION"]
    assert [path.name for path in written.parent.iterdir()] == ["scene.tif"]  # no temporary folder is left


def test_footprints_are_where_the_file_says(written: Path, small_scene: DemoScene) -> None:
    for region in (*small_scene.districts, *small_scene.things[:5]):
        column, row, width, height = region.window_px
        with rasterio.open(written) as raster:
            eastings, northings = raster.xy([row, row + height], [column, column + width], offset="ul")
            xs, ys = transform(raster.crs, "EPSG:4326", eastings, northings)
        ring = np.array(region.footprint)
        for corner in zip(xs, ys, strict=True):
            assert np.abs(ring - corner).max(axis=1).min() < 1e-7  # a corner of the ring, within a centimetre
        assert -123.5 < ring[:, 0].min() < ring[:, 0].max() < -123.3
        assert -48.95 < ring[:, 1].min() < ring[:, 1].max() < -48.8


def test_the_index_reads_the_scene_as_any_other(written: Path, small_scene: DemoScene) -> None:
    scene = open_scene(written)
    assert scene.date is not None
    assert scene.date.day == ACQUIRED
    assert scene.sensor is not None
    assert "synthetic" in scene.sensor
    assert scene.ground is not None
    assert scene.ground.gsd_m == pytest.approx(GSD_M, rel=0.002)
    district = small_scene.districts[0]
    column, row, width, height = district.window_px
    read = read_window(written, district.window_px, max_px=width).astype(int)
    drawn = small_scene.pixels[row : row + height, column : column + width]
    assert np.abs(read - drawn).mean() < 6  # JPEG


def test_windows_are_located_in_order() -> None:
    first, second = locate_windows([(0, 0, 10, 10), (100, 0, 10, 10)])
    assert max(lon for lon, _ in first) < min(lon for lon, _ in second)
    assert locate_windows([]) == []


def test_a_folder_that_is_not_there_is_an_error(small_scene: DemoScene, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="there is no folder"):
        write_scene(small_scene.pixels, tmp_path / "none" / "scene.tif", seed=0)
    assert not list(tmp_path.iterdir())
