"""Footprints against rasterio's own transforms, and where they are odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.rpc import RPC
from rasterio.transform import GCPTransformer, RPCTransformer, xy
from rasterio.warp import transform, transform_bounds

from rasters import (
    from_origin,
    quadrants,
    write_dateline,
    write_gcps,
    write_geographic,
    write_polar,
    write_raster,
    write_rotated,
    write_utm,
)
from rsitr.geo import open_scene, ring_shape
from rsitr.types import Ring

WINDOWS = [(0, 0, 128, 128), (64, 32, 32, 64), (127, 127, 1, 1)]


def corners(ring: Ring) -> set[tuple[float, float]]:
    return {(round(lon, 6), round(lat, 6)) for lon, lat in ring}


@pytest.mark.parametrize("write", [write_utm, write_geographic])
def test_boxes_are_those_of_rasterio(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    path = write(tmp_path / "scene.tif")
    scene = open_scene(path)
    assert scene.placement is not None
    with rasterio.open(path) as dataset:
        for window, ground in zip(WINDOWS, scene.placement.ground(WINDOWS), strict=True):
            col, row, width, height = window
            (west, east), (north, south) = xy(dataset.transform, [row, row + height], [col, col + width], offset="ul")
            sides = (west, south, east, north)
            assert ground is not None
            assert ground.bbox == pytest.approx(transform_bounds(dataset.crs, "EPSG:4326", *sides), abs=1e-9)


def test_a_rotated_scene_has_a_rotated_outline(tmp_path: Path) -> None:
    path = write_rotated(tmp_path / "scene.tif")
    scene = open_scene(path)
    assert scene.ground is not None
    with rasterio.open(path) as dataset:
        xs, ys = xy(dataset.transform, [0, 0, 128, 128], [0, 128, 0, 128], offset="ul")
        expected = set(zip(*np.round(transform(dataset.crs, "EPSG:4326", xs, ys), 6).tolist(), strict=True))
    assert corners(scene.ground.ring) == expected
    box_area = shapely.box(*scene.ground.bbox).area
    assert shapely.Polygon(scene.ground.ring).area < 0.6 * box_area
    assert scene.ground.gsd_m == pytest.approx(2.0, rel=1e-3)


def test_control_points_place_a_scene(tmp_path: Path) -> None:
    path = write_gcps(tmp_path / "scene.tif")
    scene = open_scene(path)
    assert scene.ground is not None
    with rasterio.open(path) as dataset, GCPTransformer(dataset.gcps[0]) as fitted:
        xs, ys = fitted.xy([0, 0, 128, 128], [0, 128, 0, 128], offset="ul")
    assert corners(scene.ground.ring) == set(zip(np.round(xs, 6).tolist(), np.round(ys, 6).tolist(), strict=True))
    assert scene.crs == "EPSG:4326"


def test_gsd_is_measured_on_the_ground(tmp_path: Path) -> None:
    geographic = open_scene(write_geographic(tmp_path / "geographic.tif")).ground
    mercator = write_raster(
        tmp_path / "mercator.tif", quadrants(), crs="EPSG:3857", transform=from_origin(0.0, 8_399_737.9, 10.0, 10.0)
    )
    ground = open_scene(mercator).ground
    # 0.001 degrees at 60 degrees north: 111.4 m high, 55.8 m wide.
    assert geographic is not None
    assert geographic.gsd_m == pytest.approx((111.41 * 55.9) ** 0.5, rel=3e-3)
    assert ground is not None
    assert ground.gsd_m == pytest.approx(5.0, rel=5e-3)  # the scale of Mercator at 60 degrees is 2


def test_across_the_antimeridian_the_box_has_west_above_east(tmp_path: Path) -> None:
    scene = open_scene(write_dateline(tmp_path / "scene.tif"))
    assert scene.placement is not None
    assert scene.ground is not None
    west, south, east, north = scene.ground.bbox
    assert 179 < west < 180
    assert -180 < east < -179
    assert south < north
    lons = np.array(scene.ground.ring)[:, 0]
    assert np.abs(np.diff(lons)).max() < 1  # the ring does not jump
    shape = ring_shape(scene.ground.ring)
    assert shape.geom_type == "MultiPolygon"
    assert shape.is_valid
    # Cutting loses nothing.
    assert shape.area == pytest.approx(shapely.Polygon(scene.ground.ring).area)
    ground = scene.placement.ground([(0, 0, 8, 8), (120, 0, 8, 8)])
    assert [g.bbox[0] > 0 for g in ground if g] == [True, False]  # one on each side


@pytest.mark.parametrize("south", [False, True])
def test_around_a_pole_the_outline_is_a_band_up_to_it(tmp_path: Path, south: bool) -> None:
    scene = open_scene(write_polar(tmp_path / "scene.tif", south=south))
    assert scene.ground is not None
    shape = ring_shape(scene.ground.ring)
    assert shape.is_valid
    assert shape.contains(shapely.Point(77.0, -89.99 if south else 89.99))
    assert scene.ground.bbox[::2] == (-180.0, 180.0)
    assert scene.ground.bbox[1 if south else 3] == (-90.0 if south else 90.0)
    assert shapely.LinearRing(scene.ground.ring).is_ccw


def test_the_whole_globe_is_one_box(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "globe.tif", quadrants(), crs="EPSG:4326", transform=from_origin(-180.0, 90.0, 360 / 128, 180 / 128)
    )
    ground = open_scene(path).ground
    assert ground is not None
    assert ground.bbox == (-180.0, -90.0, 180.0, 90.0)
    assert shapely.Polygon(ground.ring).is_valid


def test_longitudes_from_0_to_360_become_ours(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", quadrants(), crs="EPSG:4326", transform=from_origin(200.0, 10.0, 0.01, 0.01)
    )
    ground = open_scene(path).ground
    assert ground is not None
    assert ground.bbox == pytest.approx((-160.0, 8.72, -158.72, 10.0))


def test_only_outlines_that_bend_get_more_points(tmp_path: Path) -> None:
    small = open_scene(write_utm(tmp_path / "small.tif")).ground
    wide = write_raster(
        tmp_path / "wide.tif", quadrants(), crs="EPSG:32614", transform=from_origin(200_000.0, 8e6, 2000.0, 2000.0)
    )
    assert small is not None
    assert len(small.ring) == 5
    ground = open_scene(wide).ground
    assert ground is not None
    assert 5 < len(ground.ring) <= 89
    assert shapely.LinearRing(ground.ring).is_ccw


MOON = 'GEOGCS["Moon",DATUM["D_Moon",SPHEROID["Moon",1737400,0]],PRIMEM["M",0],UNIT["degree",0.0174532925199433]]'


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"transform": from_origin(5.0, 5.0, 0.1, 0.1)},  # no reference system
        {"crs": "EPSG:32614"},  # no transform
        {"crs": MOON, "transform": from_origin(5.0, 5.0, 0.1, 0.1)},
        {"crs": 'LOCAL_CS["site",UNIT["metre",1]]', "transform": from_origin(5.0, 5.0, 0.1, 0.1)},
    ],
    ids=["nothing", "no crs", "no transform", "moon", "local"],
)
def test_without_a_place_on_earth_there_is_no_footprint(tmp_path: Path, profile: dict[str, object]) -> None:
    scene = open_scene(write_raster(tmp_path / "scene.tif", quadrants(), **profile))
    assert scene.placement is None
    assert scene.ground is None


def test_a_window_beyond_the_earth_has_no_footprint(tmp_path: Path) -> None:
    # A geostationary full disk: its corners look past the Earth.
    crs = "+proj=geos +h=35785831 +lon_0=0 +ellps=WGS84 +units=m"
    path = write_raster(
        tmp_path / "disk.tif",
        quadrants(),
        crs=crs,
        transform=from_origin(-5_500_000.0, 5_500_000.0, 85_937.5, 85_937.5),
    )
    scene = open_scene(path)
    assert scene.placement is not None
    assert scene.ground is None
    middle, corner = scene.placement.ground([(60, 60, 8, 8), (0, 0, 8, 8)])
    assert corner is None
    assert middle is not None
    assert abs(middle.bbox[0]) < 10


def test_a_sensor_model_places_a_scene(tmp_path: Path) -> None:
    """Coefficients of a plain map: longitude grows with columns, latitude falls with rows, height does not matter."""
    line, column, one = ([0.0] * 20 for _ in range(3))
    line[2], column[1], one[0] = -1.0, 1.0, 1.0  # terms are 1, longitude, latitude, height, ...
    model = RPC(
        height_off=120.0, height_scale=500.0, lat_off=50.0, lat_scale=0.1, long_off=10.0, long_scale=0.2,
        line_off=64.0, line_scale=64.0, samp_off=64.0, samp_scale=64.0,
        line_num_coeff=line, line_den_coeff=one, samp_num_coeff=column, samp_den_coeff=one,
    )  # fmt: skip
    path = write_raster(tmp_path / "scene.tif", quadrants(), rpcs=model)
    scene = open_scene(path)
    assert scene.placement is not None
    assert scene.ground is not None
    with rasterio.open(path) as dataset, RPCTransformer(dataset.rpcs, RPC_HEIGHT="120") as sensor:
        lon, lat = sensor.xy([0, 0, 128, 128], [0, 128, 0, 128], offset="ul")
    assert corners(scene.ground.ring) == {(round(x, 6), round(y, 6)) for x, y in zip(lon, lat, strict=True)}
    assert scene.ground.bbox == pytest.approx((9.8, 49.9, 10.2, 50.1), abs=0.01)
    assert scene.ground.gsd_m == pytest.approx(np.sqrt((0.4 * 71_695 / 128) * (0.2 * 111_229 / 128)), rel=0.02)
