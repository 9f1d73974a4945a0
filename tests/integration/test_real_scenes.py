"""Real rasters, some deliberately odd: what can be read is indexed, the rest is named, and places are right."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import GCPTransformer, xy
from rasterio.warp import transform_bounds
from shapely.geometry import box, shape

from fakes import ColourEncoder
from rsitr.cli.indexing import IndexOptions, run_index
from rsitr.formats import to_geojson
from rsitr.geo import bbox_shape
from rsitr.index import open_index
from rsitr.search import Index

pytestmark = pytest.mark.real_data

UNUSABLE = {"all-nodata.tif": "every pixel is nodata (the value 0)", "corrupt.tif": "its pixels cannot be decoded"}
NO_PLACE = {"float_nan.tif", "rotated.tif", "www__2019_YELL_2_541000_4977000_image_crop.tiff"}
CROSSING = "cog_dateline.tif"


@pytest.fixture(scope="module")
def folder(real_data: Path) -> Path:
    return real_data / "geotiff"


@pytest.fixture(scope="module")
def indexed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, Path]:
    """Status and output of what is behind `rsitr index`, and the index."""
    into = tmp_path_factory.mktemp("real") / "index"
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        status = run_index([folder], IndexOptions(into=into), encoder=ColourEncoder(image_size_px=224))
    return status, shown.getvalue(), into


def test_all_that_can_be_read_is_indexed_and_the_rest_named(indexed: tuple[int, str, Path], folder: Path) -> None:
    status, shown, into = indexed
    assert status == 1
    for name, reason in UNUSABLE.items():
        assert name in shown
        assert reason in shown
    entries = {entry.scene: entry for entry in open_index(into).store.scenes()}
    assert set(entries) == {path.name for path in folder.iterdir()} - set(UNUSABLE)
    assert {name for name, entry in entries.items() if entry.footprint is None} == NO_PLACE
    days = {name: str(entry.date) for name, entry in entries.items() if name.startswith("naip")}
    assert sorted(days.values()) == ["2010-06-29", "2016-08-16", "2020-08-31"]
    assert entries["cogeo.tif"].gsd_m == pytest.approx(0.5972 * np.cos(np.radians(37.67)), rel=2e-3)
    assert entries["cog_nodata.tif"].n_left_out > 50


def test_every_footprint_agrees_with_rasterio(indexed: tuple[int, str, Path], folder: Path) -> None:
    tiles = Index.open(indexed[2], encoder=ColourEncoder(image_size_px=224)).search("grey", k=10_000, every=True)
    assert len(tiles) > 300
    for hit in tiles:
        tile = hit.tile
        if tile.scene in NO_PLACE:
            assert tile.footprint is None
            continue
        col, row, width, height = tile.window_px
        rows, cols = [row, row, row + height, row + height], [col, col + width, col, col + width]
        assert tile.bbox is not None
        with rasterio.open(folder / tile.scene) as dataset:
            if dataset.crs is None:
                with GCPTransformer(dataset.gcps[0]) as fitted:
                    xs, ys = fitted.xy(rows, cols, offset="ul")
                assert min(xs) - 1e-6 <= tile.bbox[0] + 1e-6
                assert {(round(x, 6), round(y, 6)) for x, y in zip(xs, ys, strict=True)} <= {
                    (round(lon, 6), round(lat, 6)) for lon, lat in tile.footprint or ()
                }
                continue
            xs, ys = xy(dataset.transform, rows, cols, offset="ul")
            sides = transform_bounds(dataset.crs, "EPSG:4326", min(xs), min(ys), max(xs), max(ys), densify_pts=21)
            assert tile.bbox == pytest.approx(sides, abs=1e-6)


def test_geojson_lies_on_the_scenes_and_is_valid(indexed: tuple[int, str, Path]) -> None:
    index = Index.open(indexed[2], encoder=ColourEncoder(image_size_px=224))
    grounds = {entry.scene: entry.bbox for entry in index.scenes() if entry.bbox}
    crossing = 0
    for feature in json.loads(to_geojson(index.search("green", k=10_000, every=True).to_answer()))["features"]:
        if feature["geometry"] is None:
            assert feature["properties"]["scene"] in NO_PLACE
            continue
        geometry = shape(feature["geometry"])
        assert geometry.is_valid
        assert all(part.exterior.is_ccw for part in getattr(geometry, "geoms", [geometry]))
        assert box(-180, -90, 180, 90).covers(geometry)
        assert bbox_shape(grounds[feature["properties"]["scene"]]).buffer(1e-6).covers(geometry)
        crossing += geometry.geom_type == "MultiPolygon"
    assert crossing > 0


def test_a_box_finds_the_scenes_that_lie_in_it(indexed: tuple[int, str, Path]) -> None:
    index = Index.open(indexed[2], encoder=ColourEncoder(image_size_px=224))
    north_dakota = {hit.tile.scene for hit in index.search("green", bbox=(-99.2, 47.0, -99.1, 47.1), k=1000)}
    assert {name.split("_")[0] for name in north_dakota} == {"naip"}
    assert len(north_dakota) == 3
    pacific = {hit.tile.scene for hit in index.search("green", bbox=(179.9, 50.0, -179.9, 53.0), k=1000, every=True)}
    assert pacific == {CROSSING}


def test_every_hit_has_a_picture(indexed: tuple[int, str, Path]) -> None:
    index = Index.open(indexed[2], encoder=ColourEncoder(image_size_px=224))
    scenes: dict[str, int] = {}
    for hit in index.search("grey", k=10_000, every=True):
        if scenes.setdefault(hit.tile.scene, 0) < 2:
            assert index.picture(hit.tile).ndim == 3
            scenes[hit.tile.scene] += 1
    assert len(scenes) == 14
