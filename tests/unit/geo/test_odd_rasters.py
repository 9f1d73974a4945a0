"""Rasters that were once read wrongly without a word; each file is made here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.windows
from affine import Affine
from PIL import ExifTags, Image, ImageOps

from rsitr.errors import SceneError
from rsitr.geo import SceneReader, cut_windows, open_reader, open_scene
from rsitr.geo.geometry import area_km2

WHERE = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_000_000)}


def write(
    path: Path,
    values: np.ndarray,
    *,
    names: list[str] | None = None,
    tags: dict[str, str] | None = None,
    **profile: Any,
) -> Path:
    """A GeoTIFF of bands (n, h, w); `names` describe them."""
    count, height, width = values.shape
    profile = (
        {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype} | WHERE | profile
    )
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
        for band, name in enumerate(names or [], start=1):
            file.set_band_description(band, name)
        file.update_tags(**(tags or {}))
    return path


def shown(path: Path) -> np.ndarray:
    with open_reader(path) as reader:
        return reader.read(reader.scene.whole, max_px=4096).image


def test_complex_whole_numbers_are_shown_by_their_magnitude(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(1, 40, 40)) + 1j * rng.normal(size=(1, 40, 40))) * 100
    values[:, :, 20:] *= 8
    path = write(tmp_path / "slc.tif", values.astype(np.complex64), dtype="complex_int16")
    image = shown(path)
    assert image[:, 20:].mean() > image[:, :20].mean() + 50


def test_what_a_library_makes_of_a_strange_file_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rsitr.geo import scene

    path = write(tmp_path / "strange.tif", np.ones((1, 20, 20), np.uint8))

    def stumble(*_: object) -> None:
        raise TypeError("data type not understood")

    monkeypatch.setattr(scene, "_require_small_blocks", stumble)
    with pytest.raises(SceneError, match=r"strange\.tif: it cannot be read \(TypeError: data type not understood\)"):
        open_scene(path)


@pytest.mark.parametrize("missing", ["nodata", "nan"])
def test_each_band_is_stretched_over_what_is_known_of_it(tmp_path: Path, missing: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(200, 2200, (3, 60, 60)).astype(np.float32)
    values[0, :, :20] = -9999 if missing == "nodata" else np.nan
    path = write(tmp_path / "red.tif", values, **({"nodata": -9999} if missing == "nodata" else {}))
    with open_reader(path) as reader:
        pixels = reader.read(reader.scene.whole, max_px=4096)
        stretch = reader.scene.stretch
    assert stretch is not None
    assert all(200 <= low < 300 and 2100 < high <= 2200 for low, high in stretch)
    assert pixels.valid.all()  # green and blue are known everywhere
    assert not pixels.image[:, :20, 0].any()
    assert pixels.image[:, 20:, 0].mean() == pytest.approx(pixels.image[:, 20:, 1].mean(), abs=10)


def test_min_is_white_is_shown_as_it_is_meant(tmp_path: Path) -> None:
    values = np.full((1, 30, 30), 10, np.uint8)
    values[:, :, 15:] = 240
    positive = write(tmp_path / "black.tif", values, photometric="MINISBLACK")
    negative = write(tmp_path / "white.tif", values, photometric="MINISWHITE")
    np.testing.assert_array_equal(shown(negative), 255 - shown(positive))
    assert shown(negative)[0, 0, 0] == 245


@pytest.mark.parametrize(
    ("names", "tags", "bands"),
    [
        (["B02", "B03", "B04"], {}, (3, 2, 1)),
        (["B2", "B3", "B4", "B8"], {}, (3, 2, 1)),
        (["SR_B1", "SR_B2", "SR_B3", "SR_B4"], {"SPACECRAFT_ID": "LANDSAT_5"}, (3, 2, 1)),
        (["SR_B1", "SR_B2", "SR_B3", "SR_B4"], {"SPACECRAFT_ID": "LANDSAT_8"}, (4, 3, 2)),
        (["coastal_blue", "blue", "green", "yellow", "red", "rededge", "nir"], {}, (5, 3, 2)),
        (["Blue", "Green", "Red", "NIR"], {}, (3, 2, 1)),
        (["one", "two", "three"], {}, (1, 2, 3)),
    ],
)
def test_bands_are_shown_by_what_they_are_called(
    tmp_path: Path, names: list[str], tags: dict[str, str], bands: tuple[int, ...]
) -> None:
    path = write(
        tmp_path / "s.tif", np.ones((len(names), 20, 20), np.uint16), names=names, tags=tags, photometric="MINISBLACK"
    )
    assert open_scene(path).bands == bands


def test_bands_are_shown_by_what_they_look_at(tmp_path: Path) -> None:
    path = write(tmp_path / "w.tif", np.ones((4, 20, 20), np.uint16), photometric="MINISBLACK")
    with rasterio.open(path, "r+") as file:
        for band, length in enumerate(("0.490", "0.560", "0.665", "0.842"), start=1):
            file.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=length)
    assert open_scene(path).bands == (3, 2, 1)


def test_a_strip_of_a_few_rows_is_no_thousand_tiles() -> None:
    assert cut_windows(5000, 1, tile_px=224) == [(0, 0, 5000, 1)]
    assert len(cut_windows(5000, 16, tile_px=224)) == 157


def test_the_globe_has_the_globes_area() -> None:
    globe = [(-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0), (-180.0, -90.0)]
    assert area_km2([globe]) == pytest.approx(510.07e6, rel=1e-3)
    nearly = [(-179.0, -60.0), (179.0, -60.0), (179.0, 60.0), (-179.0, 60.0), (-179.0, -60.0)]
    assert area_km2([nearly]) == pytest.approx(510.07e6 * 0.866 * 358 / 360, rel=5e-3)


def write_pages(path: Path, n: int = 3) -> Path:
    """A TIFF of n grey pages, each lighter than the one before."""
    pages = [Image.fromarray(np.full((40, 60), 50 * (page + 1), np.uint8)) for page in range(n)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def test_a_page_of_several_is_chosen(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "pages.tif")
    assert open_scene(path).n_pages == 3
    for page, value in ((None, 50), (1, 50), (3, 150)):
        with open_reader(path, page=page) as reader:
            assert (reader.read(reader.scene.whole, max_px=60).image == value).all()
    with pytest.raises(SceneError, match=r"pages\.tif: it has 3 pages, and so no page 4"):
        open_scene(path, page=4)
    single = write(tmp_path / "one.tif", np.ones((1, 20, 20), np.uint8))
    assert open_scene(single, page=1).n_pages == 1
    with pytest.raises(SceneError, match=r"one\.tif: it has one page, and so no page 2"):
        open_scene(single, page=2)


def test_overviews_and_masks_are_no_pages(tmp_path: Path) -> None:
    path = write(tmp_path / "o.tif", np.ones((1, 512, 512), np.uint8))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
        file.write_mask(True)
    assert open_scene(path).n_pages == 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright_as_exif_says(tmp_path: Path, suffix: str, orientation: int) -> None:
    values = np.kron(np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3), np.ones((32, 32), np.uint8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(values).convert("RGB").save(path, exif=exif, quality=95)
    with Image.open(path) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture).convert("RGB")).astype(int)
    with open_reader(path) as reader:
        assert (reader.scene.height, reader.scene.width) == upright.shape[:2]
        whole = reader.read(reader.scene.whole, max_px=200).image.astype(int)
        col, row, width, height = window = (reader.scene.width - 40, 8, 30, 50)
        part = reader.read(window, max_px=200).image.astype(int)
    assert np.abs(whole - upright).max() <= 12
    np.testing.assert_array_equal(part, whole[row : row + height, col : col + width])


def test_what_has_a_place_is_not_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "p.jpg", exif=exif)
    (tmp_path / "p.jgw").write_text("0.001\n0\n0\n-0.001\n10\n50\n")
    (tmp_path / "p.prj").write_text('GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]]]')
    scene = open_scene(tmp_path / "p.jpg")
    assert scene.placement is not None or scene.crs is None
    assert (scene.width, scene.height) == ((30, 20) if scene.placement else (20, 30))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_camera_says_where_it_was(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "S", (33.0, 51.0, 24.5)
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (151.0, 12.0, 54.0)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / f"p.{suffix}", exif=exif)
    scene = open_scene(tmp_path / f"p.{suffix}")
    assert scene.ground is not None
    assert scene.ground.gsd_m is None
    west, south, east, north = scene.ground.bbox
    assert (west + east) / 2 == pytest.approx(151.215)
    assert (south + north) / 2 == pytest.approx(-33.856806, abs=1e-6)
    assert area_km2([scene.ground.ring]) * 1e6 == pytest.approx(4.0, rel=0.02)
    assert scene.is_picture


@pytest.mark.parametrize("values", [((0, 0, 0), (0, 0, 0)), ((95, 0, 0), (10, 0, 0)), ((1, 2), (10, 0, 0))])
def test_a_camera_that_does_not_know_where_it_was(tmp_path: Path, values: tuple[tuple[float, ...], ...]) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", tuple(map(float, values[0]))
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", tuple(map(float, values[1]))
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "p.png", exif=exif)
    assert open_scene(tmp_path / "p.png").ground is None


def write_sparse(path: Path, *, side: int = 20_000, **profile: Any) -> Path:
    """A tiled GeoTIFF in which one block of 512 x 512 is written, at column and row 1024."""
    profile = {"width": side, "height": side, "count": 3, "dtype": "uint8", "compress": "deflate"} | WHERE | profile
    with rasterio.open(
        path, "w", driver="GTiff", tiled=True, blockxsize=512, blockysize=512, SPARSE_OK="TRUE", **profile
    ) as file:
        values = np.full((profile["count"], 512, 512), 90, profile["dtype"])
        file.write(values, window=rasterio.windows.Window(1024, 1024, 512, 512))
    return path


@pytest.mark.parametrize("nodata", [None, 0])
def test_blocks_that_a_file_leaves_out_are_nodata_and_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodata: int | None
) -> None:
    path = write_sparse(tmp_path / "sparse.tif", nodata=nodata)
    n_read = 0

    class Counting(SceneReader):
        def _values(self, *args: Any, **kwargs: Any) -> Any:
            nonlocal n_read
            read = self._dataset.read

            class Dataset:
                def __getattr__(self, name: str) -> Any:
                    return getattr(dataset, name)

                def read(self, *args: Any, **kwargs: Any) -> Any:
                    nonlocal n_read
                    n_read += 1
                    return read(*args, **kwargs)

            dataset, self._dataset = self._dataset, Dataset()  # type: ignore[assignment]
            try:
                return super()._values(*args, **kwargs)
            finally:
                self._dataset = dataset

    monkeypatch.setattr("rsitr.geo.pixels.SceneReader", Counting)
    with open_reader(path) as reader:
        assert reader.read((1024, 1024, 512, 512), max_px=512).valid_share == 1.0
        half = reader.read((1280, 1024, 512, 512), max_px=256)
        assert half.valid[:, :128].all()
        assert not half.valid[:, 128:].any()
        assert (half.image == 90).all(), "what is unknown takes the mean of the rest"
        assert n_read == 2
        assert reader.read((4096, 4096, 512, 512), max_px=512).valid_share == 0.0
        assert n_read == 2
    few = write_sparse(tmp_path / "planes.tif", side=2048, nodata=nodata, interleave="band", dtype="uint16")
    with open_reader(few) as reader:
        assert reader.scene.stretch == ((90.0, 90.0),) * 3
        assert reader.read((1024, 1024, 512, 512), max_px=64).valid_share == 1.0


def test_a_file_without_any_block_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=20_000, height=20_000, count=3, dtype="uint16", tiled=True, SPARSE_OK="TRUE",
        **WHERE,
    ):  # fmt: skip
        pass
    started = time.process_time()
    with pytest.raises(SceneError, match="every pixel is nodata"), open_reader(path):
        pass
    assert time.process_time() - started < 10, "three minutes when blocks were read one by one"


def test_bands_that_nothing_names_are_a_guess(tmp_path: Path) -> None:
    values = np.ones((4, 20, 20), np.uint16)
    assert open_scene(write(tmp_path / "four.tif", values, photometric="MINISBLACK")).are_bands_guessed
    assert not open_scene(write(tmp_path / "rgb.tif", values[:3], photometric="RGB")).are_bands_guessed
    assert not open_scene(write(tmp_path / "grey.tif", values[:1])).are_bands_guessed
    assert not open_scene(
        write(tmp_path / "s2.tif", values, names=["B02", "B03", "B04", "B08"], photometric="MINISBLACK")
    ).are_bands_guessed
    assert not open_scene(tmp_path / "four.tif", bands=(4, 3, 2)).are_bands_guessed
