"""Arrays of xarray are scenes as their files are."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr
from rasterio.errors import NotGeoreferencedWarning

from fakes import COLOURS, ColourEncoder
from rasters import UTM_14N, write_utm
from rsitr.errors import ConfigError, SceneError
from rsitr.formats import write_heat_map
from rsitr.geo import is_array, open_array, open_reader, read_array
from rsitr.search import locate
from rsitr.search.query import make_query

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # of rioxarray's own code


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_utm(tmp_path / "scene.tif")


@pytest.fixture
def array(file: Path) -> xr.DataArray:
    with rioxarray.open_rasterio(file) as opened:
        return opened.load()


def test_an_array_is_read_as_its_file_is(file: Path, array: xr.DataArray) -> None:
    with open_reader(file) as expected, open_array(array) as found:
        assert found.scene.ground == expected.scene.ground
        assert (found.scene.width, found.scene.height) == (expected.scene.width, expected.scene.height)
        for window in (expected.scene.whole, (64, 0, 64, 64)):
            pixels, wanted = found.read(window, max_px=64), expected.read(window, max_px=64)
            assert (pixels.image == wanted.image).all()
            assert (pixels.valid == wanted.valid).all()
    turned = array.transpose("y", "x", "band")
    assert (read_array(turned, max_px=128) == read_array(array, max_px=128)).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float16", "float32", "float64"])
def test_numbers_of_all_kinds_are_shown(dtype: str) -> None:
    values = np.linspace(0, 200, 64 * 64).reshape(64, 64).astype(dtype)
    picture = read_array(xr.DataArray(values, dims=("y", "x")), max_px=64)
    assert picture.shape == (64, 64, 3)
    assert picture[0].mean() < 20
    assert picture[-1].mean() > 190


def test_names_of_bands_say_what_is_shown() -> None:
    flat = [np.full((32, 32), value, np.uint8) for value in (10, 20, 30, 40)]
    array = xr.DataArray(np.stack(flat), dims=("band", "y", "x"), coords={"band": ["nir", "blue", "green", "red"]})
    assert read_array(array, max_px=8)[0, 0].tolist() == [40, 30, 20]
    named = xr.DataArray(np.stack(flat), dims=("band", "y", "x"), attrs={"long_name": ("B08", "B02", "B03", "B04")})
    assert read_array(named, max_px=8)[0, 0].tolist() == [40, 30, 20]


def test_what_is_no_data_is_heeded(array: xr.DataArray) -> None:
    known = array.astype("float32").rio.write_nodata(-1.0)
    known[:, :64] = -1.0
    with open_array(known) as reader:
        assert reader.read(reader.scene.whole, max_px=128).valid.mean() == 0.5
    with pytest.raises(SceneError, match="every pixel is nodata"):
        read_array(xr.full_like(known, -1.0), max_px=64)


def test_words_are_located_in_an_array_as_in_its_file(file: Path, array: xr.DataArray, tmp_path: Path) -> None:
    encoder = ColourEncoder(image_size_px=32)
    expected, found = (locate(scene, "something blue", encoder=encoder) for scene in (file, array))
    assert (found.scores == expected.scores).all()
    assert (found.best_px, found.relevance, found.state) == (expected.best_px, expected.relevance, expected.state)
    for heat, name in ((expected, "file.tif"), (found, "array.tif")):
        write_heat_map(heat, tmp_path / name)
    with rasterio.open(tmp_path / "file.tif") as one, rasterio.open(tmp_path / "array.tif") as other:
        assert (one.crs, one.transform) == (other.crs, other.transform)
        assert (other.crs, other.transform.c) == ("EPSG:32614", UTM_14N.c)
    nowhere = locate(array.drop_vars("spatial_ref").rename("mine"), "something blue", encoder=encoder)
    write_heat_map(nowhere, tmp_path / "nowhere.tif")
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(tmp_path / "nowhere.tif") as written:
        assert (written.crs, written.tags()["SCENE"]) == (None, "mine")


def test_an_array_is_an_example(array: xr.DataArray) -> None:
    (part,) = make_query(image=array.isel(x=slice(0, 64), y=slice(0, 64)), k=1).parts
    assert isinstance(part.picture, np.ndarray)
    assert (part.picture == COLOURS["red"]).all()


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (xr.DataArray(np.zeros((2, 2, 2, 2)), dims=("time", "band", "y", "x")), "not .*'time'"),
        (xr.DataArray(np.zeros((4, 4)), dims=("a", "b")), "not .*'a'"),
        (xr.DataArray(np.zeros((0, 4)), dims=("y", "x")), r"of \(0, 4\)"),
        (xr.DataArray(np.array([["a", "b"]]), dims=("y", "x")), "of numbers"),
        (xr.DataArray(np.full((4, 4), np.nan), dims=("y", "x")), "nodata"),
    ],
)
def test_what_is_no_scene_is_said(array: xr.DataArray, why: str) -> None:
    with pytest.raises(SceneError, match=why):
        read_array(array, max_px=8)


def test_only_arrays_of_xarray_are_taken_for_such(monkeypatch: pytest.MonkeyPatch) -> None:
    array = xr.DataArray(np.ones((4, 4), np.uint8), dims=("y", "x"))
    assert is_array(array)
    assert not is_array(np.ones((4, 4)))
    monkeypatch.setitem(sys.modules, "rioxarray", None)
    with pytest.raises(ConfigError, match=r"rsitr\[xarray\]"):
        read_array(array, max_px=8)
