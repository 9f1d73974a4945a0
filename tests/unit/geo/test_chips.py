"""Pieces of scenes as files of their own: the same values, at the same place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from rasters import quadrants, write_bgra16, write_gcps, write_palette, write_rotated, write_utm
from rsitr.errors import SceneError
from rsitr.geo import open_scene, write_chip

WINDOW = (32, 48, 40, 24)


@pytest.mark.parametrize("write", [write_utm, write_rotated, write_gcps, write_palette, write_bgra16])
def test_values_and_place_are_the_scenes_own(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    scene = write(tmp_path / "scene.tif")
    chip = write_chip(scene, WINDOW, tmp_path / "chip")
    col, row, width, height = WINDOW
    with rasterio.open(scene) as whole, rasterio.open(chip) as piece:
        assert (piece.width, piece.height, piece.count, piece.dtypes) == (width, height, whole.count, whole.dtypes)
        assert np.array_equal(piece.read(), whole.read()[:, row : row + height, col : col + width])
        assert piece.colorinterp == whole.colorinterp
        assert piece.tags()["WINDOW"] == "32,48,40,24"
    here, there = open_scene(chip).placement, open_scene(scene).placement
    assert here is not None
    assert there is not None
    corners = np.array([[0.0, width, 40.0]]), np.array([[0.0, 0.0, 24.0]])
    wanted = there.locate(corners[0] + col, corners[1] + row)
    assert np.allclose(here.locate(*corners), wanted, atol=1e-7)


def test_nodata_and_masks_come_along(tmp_path: Path) -> None:
    image = quadrants()
    scene = write_utm(tmp_path / "nodata.tif", image, nodata=0)
    with rasterio.open(write_chip(scene, (0, 0, 64, 64), tmp_path / "a")) as piece:
        assert piece.nodata == 0
    masked = write_utm(tmp_path / "masked.tif", image)
    with rasterio.open(masked, "r+") as dataset:
        dataset.write_mask(np.repeat([[255] * 128], 128, axis=0).astype(np.uint8) * (np.arange(128) > 40))
    with rasterio.open(write_chip(masked, (0, 0, 64, 64), tmp_path / "b")) as piece:
        assert piece.dataset_mask()[0, 40] == 0
        assert piece.dataset_mask()[0, 41] == 255


def test_what_has_no_place_is_a_png(tmp_path: Path) -> None:
    Image.fromarray(np.moveaxis(quadrants(), 0, -1)).save(tmp_path / "photo.png")
    chip = write_chip(tmp_path / "photo.png", (60, 0, 8, 4), tmp_path / "chip.with.dots")
    assert chip.name == "chip.with.dots.png"
    assert np.array_equal(np.asarray(Image.open(chip)), np.moveaxis(quadrants(), 0, -1)[:4, 60:68])


def test_a_scene_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"gone\.tif"):
        write_chip(tmp_path / "gone.tif", WINDOW, tmp_path / "chip")
    assert list(tmp_path.iterdir()) == []
