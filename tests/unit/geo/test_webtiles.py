"""Map tiles of scenes, against rasterio's own warping and against where the scene says its pixels lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import reproject

from fakes import COLOURS
from rasters import write_dateline, write_gcps, write_geographic, write_raster, write_rotated, write_utm
from rsitr.geo import draw_web_tile, open_reader
from rsitr.geo.webtiles import WEB_TILE_PX
from rsitr.types import ImageArray

EARTH_M = 2 * math.pi * 6_378_137
QUARTERS = {"red": (0.25, 0.25), "green": (0.75, 0.25), "blue": (0.25, 0.75), "dark": (0.75, 0.75)}


def find_tile(lon: float, lat: float, *, zoom: int) -> tuple[int, int, int, int]:
    """Column and row of the tile that shows a place, and the pixel of the tile that does: the formula of web maps."""
    across = (lon + 180) / 360 % 1 * 2**zoom
    down = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**zoom
    x, y = int(across), int(down)
    return x, y, int((across - x) * WEB_TILE_PX), int((down - y) * WEB_TILE_PX)


@pytest.mark.parametrize("write", [write_utm, write_geographic, write_rotated, write_gcps, write_dateline])
@pytest.mark.parametrize("closer", [-2, 0, 3])
def test_every_colour_lies_where_the_scene_has_it(tmp_path: Path, write: Callable[[Path], Path], closer: int) -> None:
    with open_reader(write(tmp_path / "scene.tif")) as reader:
        placement, ground = reader.scene.placement, reader.scene.ground
        assert placement is not None
        assert ground is not None
        assert ground.gsd_m is not None
        wide, high = reader.scene.width, reader.scene.height
        for name, (across, down) in QUARTERS.items():
            lon, lat = (
                float(at[0, 0]) for at in placement.locate(np.array([[across * wide]]), np.array([[down * high]]))
            )
            native = math.log2(EARTH_M * math.cos(math.radians(lat)) / WEB_TILE_PX / ground.gsd_m)
            zoom = round(native) + closer
            x, y, col, row = find_tile(lon, lat, zoom=zoom)
            tile = draw_web_tile(reader, zoom=zoom, x=x, y=y)
            assert tile is not None
            assert tile.image.shape == (WEB_TILE_PX, WEB_TILE_PX, 3)
            assert tile.valid[row, col], name
            assert np.abs(tile.image[row, col].astype(int) - COLOURS[name]).max() <= 2, name


def smooth_scene(path: Path) -> tuple[Path, ImageArray]:
    """400 x 300 pixels of 5 m whose colours change slowly."""
    rows, cols = np.mgrid[0:300, 0:400]
    bands = np.stack([cols * 0.6, rows * 0.8, 60 + 50 * np.sin(cols / 30) * np.cos(rows / 40)]).astype(np.uint8)
    return write_utm(path, bands), bands


@pytest.mark.parametrize("zoom", [12, 14, 16])
def test_tiles_are_those_of_another_warper(tmp_path: Path, zoom: int) -> None:
    path, bands = smooth_scene(tmp_path / "scene.tif")
    with open_reader(path) as reader, rasterio.open(path) as dataset:
        assert reader.scene.ground is not None
        west, south, east, north = reader.scene.ground.bbox
        x, y, _, _ = find_tile((west + east) / 2, (south + north) / 2, zoom=zoom)
        tile = draw_web_tile(reader, zoom=zoom, x=x, y=y)
        side = EARTH_M / 2**zoom
        left, top = x * side - EARTH_M / 2, EARTH_M / 2 - y * side
        expected = np.zeros((3, WEB_TILE_PX, WEB_TILE_PX), np.uint8)
        grid = rasterio.Affine(side / WEB_TILE_PX, 0, left, 0, -side / WEB_TILE_PX, top)
        how = {
            "src_transform": dataset.transform,
            "src_crs": dataset.crs,
            "dst_transform": grid,
            "dst_crs": "EPSG:3857",
        }
        reproject(bands, expected, resampling=Resampling.bilinear, **how)
        inside = np.zeros((WEB_TILE_PX, WEB_TILE_PX), np.uint8)
        reproject(np.ones((300, 400), np.uint8), inside, resampling=Resampling.nearest, **how)
    assert tile is not None
    assert (tile.valid != (inside > 0)).mean() < 0.01
    both = tile.valid & (inside > 0)
    apart = np.abs(tile.image.astype(int) - np.moveaxis(expected, 0, -1))[both]
    assert np.percentile(apart, 99) <= 3


def test_nothing_is_drawn_beside_the_scene_and_what_is_unknown_is_transparent(tmp_path: Path) -> None:
    bands = np.full((3, 64, 64), 90, np.uint8)
    bands[:, :, :32] = 0
    with open_reader(write_utm(tmp_path / "scene.tif", bands, nodata=0)) as reader:
        assert reader.scene.ground is not None
        west, south, east, north = reader.scene.ground.bbox
        x, y, _, _ = find_tile((west + east) / 2, (south + north) / 2, zoom=14)
        assert draw_web_tile(reader, zoom=14, x=x + 3, y=y) is None
        assert draw_web_tile(reader, zoom=14, x=x, y=0) is None
        drawn = [draw_web_tile(reader, zoom=14, x=x + i, y=y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        known = [(tile.image[tile.valid] == 90).all() for tile in drawn if tile is not None]
    assert known
    assert all(known)


def test_the_whole_world_in_one_tile(tmp_path: Path) -> None:
    bands = np.zeros((3, 180, 360), np.uint8)
    bands[0] = np.arange(180)[:, None]  # north to south
    path = write_raster(
        tmp_path / "world.tif", bands, crs="EPSG:4326", transform=rasterio.Affine(1, 0, -180, 0, -1, 90)
    )
    with open_reader(path) as reader:
        tile = draw_web_tile(reader, zoom=0, x=0, y=0)
    assert tile is not None
    for lat in (80, 45, 0, -60):
        _, _, _, row = find_tile(10, lat, zoom=0)
        assert abs(int(tile.image[row, 300, 0]) - (90 - lat)) <= 2
    assert tile.valid.all()


def test_a_scene_without_a_place_has_no_tiles(tmp_path: Path) -> None:
    with open_reader(write_raster(tmp_path / "plain.tif", np.full((3, 32, 32), 9, np.uint8))) as reader:
        assert draw_web_tile(reader, zoom=3, x=1, y=1) is None
