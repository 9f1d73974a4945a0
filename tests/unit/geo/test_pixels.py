"""What is read of scenes of every kind, and what is said of those that cannot be read."""

from __future__ import annotations

import datetime
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

from fakes import COLOURS
from rasters import (
    quadrants,
    write_all_nodata,
    write_bgra16,
    write_corrupt,
    write_float_nan,
    write_palette,
    write_raster,
    write_utm,
)
from rsitr.errors import SceneError
from rsitr.geo import open_reader, open_scene, read_picture, read_window

WHOLE = (0, 0, 128, 128)


def colours_of(image: np.ndarray) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters, row by row."""
    height, width = image.shape[:2]
    middles = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    middles += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return [tuple(image[row, col].tolist()) for row, col in middles]


FOUR = [COLOURS[name] for name in ("red", "green", "blue", "dark")]


def test_a_scene_is_described_without_its_pixels(tmp_path: Path) -> None:
    path = write_utm(
        tmp_path / "s_20160816.tif", np.concatenate([quadrants(), quadrants()[:1]]), tags={"SATELLITEID": "X1"}
    )
    scene = open_scene(path)
    assert (scene.width, scene.height, scene.n_bands, scene.bands) == (128, 128, 4, (1, 2, 3))
    assert (scene.crs, scene.sensor, scene.dtype, scene.is_eight_bit) == ("EPSG:32614", "X1", "uint8", True)
    assert scene.date is not None
    assert scene.date.day == datetime.date(2016, 8, 16)
    assert not scene.is_picture


def test_eight_bit_values_stay_as_they_are(tmp_path: Path) -> None:
    path = write_utm(tmp_path / "scene.tif")
    with open_reader(path) as reader:
        pixels = reader.read(WHOLE, max_px=128)
        assert reader.scene.stretch is None
    assert np.array_equal(pixels.image, np.moveaxis(quadrants(), 0, -1))
    assert pixels.valid_share == 1.0


@pytest.mark.parametrize(("window", "max_px", "shape"), [
    ((10, 20, 30, 40), 128, (40, 30, 3)),
    ((0, 0, 128, 64), 32, (16, 32, 3)),
    ((0, 0, 128, 1), 16, (1, 16, 3)),
])  # fmt: skip
def test_windows_are_reduced_to_their_longer_side(
    tmp_path: Path, window: tuple[int, int, int, int], max_px: int, shape: tuple[int, ...]
) -> None:
    assert read_window(write_utm(tmp_path / "scene.tif"), window, max_px=max_px).shape == shape


def test_reduction_averages(tmp_path: Path) -> None:
    stripes = np.zeros((3, 128, 128), dtype=np.uint8)
    stripes[:, :, ::2] = 200
    image = read_window(write_utm(tmp_path / "scene.tif", stripes), WHOLE, max_px=32)
    assert np.abs(image.astype(int) - 100).max() <= 1


def test_bands_are_chosen_by_what_they_are_called(tmp_path: Path) -> None:
    red, green, blue = quadrants()
    bands = np.stack([blue, green, red, np.full_like(red, 77)])
    kinds = (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined)
    by_kind = write_utm(tmp_path / "kind.tif", bands, kinds=kinds)
    by_name = write_utm(
        tmp_path / "name.tif", bands, descriptions=("Blue", "Green", "Red", "NIR"), photometric="minisblack"
    )
    assert colours_of(read_picture(by_kind, max_px=128)) == FOUR
    assert colours_of(read_picture(by_name, max_px=128)) == FOUR
    assert open_scene(by_name).bands == (3, 2, 1)


@pytest.mark.parametrize(("count", "bands"), [(1, (1,)), (2, (1,)), (3, (1, 2, 3)), (7, (1, 2, 3))])
def test_bands_without_names(tmp_path: Path, count: int, bands: tuple[int, ...]) -> None:
    path = write_utm(tmp_path / "scene.tif", np.full((count, 16, 16), 50, np.uint8), photometric="minisblack")
    assert open_scene(path).bands == bands
    assert read_picture(path, max_px=16).shape == (16, 16, 3)


def test_sixteen_bit_bgra_with_alpha(tmp_path: Path) -> None:
    path = write_bgra16(tmp_path / "scene.tif")
    with open_reader(path) as reader:
        assert reader.scene.bands == (3, 2, 1)
        left, right = reader.read((0, 0, 64, 128), max_px=128), reader.read((64, 0, 64, 128), max_px=128)
        # Red has two values; green and blue have one, which has no contrast to stretch.
        assert reader.scene.stretch == ((100.0, 9000.0), (100.0, 100.0), (100.0, 100.0))
    assert (left.valid_share, right.valid_share) == (0.0, 1.0)
    assert right.image[10, 10].tolist() == [255, 128, 128]
    assert right.image[100, 10].tolist() == [0, 128, 128]
    assert np.unique(left.image).tolist() == [128]


def test_floats_with_nan_and_infinity(tmp_path: Path) -> None:
    with open_reader(write_float_nan(tmp_path / "scene.tif")) as reader:
        pixels = reader.read(WHOLE, max_px=128)
        assert reader.scene.stretch is not None
        ((low, high),) = reader.scene.stretch
    assert pixels.valid_share == pytest.approx(0.75 - 1 / 128**2)
    assert low == pytest.approx(0.25 + 0.75 * 0.02, abs=0.01)
    assert high == pytest.approx(0.25 + 0.75 * 0.98, abs=0.01)
    grey = pixels.image[:, 64, 0].astype(int)
    assert (np.diff(grey[32:]) >= 0).all()
    assert grey[-1] == 255
    assert np.ptp(pixels.image[:32]) == 0  # what is unknown has one neutral colour


def test_a_recorded_stretch_gives_the_same_picture_of_a_window_alone(tmp_path: Path) -> None:
    path = write_float_nan(tmp_path / "scene.tif")
    with open_reader(path) as reader:
        stretch = reader.scene.stretch
        before = reader.read((0, 64, 32, 32), max_px=32).image
    assert np.array_equal(read_window(path, (0, 64, 32, 32), max_px=32, stretch=stretch), before)
    other = read_window(path, (0, 64, 32, 32), max_px=32, stretch=((0.0, 100.0),))
    assert other.max() <= 3


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    path = write_palette(tmp_path / "scene.tif")
    scene = open_scene(path)
    assert scene.is_palette
    assert scene.is_eight_bit
    for max_px in (128, 16):
        assert colours_of(read_picture(path, max_px=max_px)) == [COLOURS["red"], COLOURS["blue"]] * 2


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "float64", "complex64", "int8"])
def test_every_type_of_number_is_stretched_over_what_is_there(tmp_path: Path, dtype: str) -> None:
    values = np.linspace(1, 100, 128 * 128).reshape(1, 128, 128).astype(dtype)
    image = read_picture(write_utm(tmp_path / "scene.tif", values), max_px=128)
    assert image.min() == 0
    assert image.max() == 255
    assert 120 < image[64, 64, 0] < 136


def test_one_bit_values_can_be_seen(tmp_path: Path) -> None:
    values = np.zeros((1, 128, 128), dtype=np.uint8)
    values[0, :, 64:] = 1
    image = read_picture(write_utm(tmp_path / "scene.tif", values, nbits=1), max_px=128)
    assert (image[0, 0].tolist(), image[0, 127].tolist()) == ([0, 0, 0], [255, 255, 255])


def test_nodata_counts_and_takes_a_neutral_colour(tmp_path: Path) -> None:
    bands = np.full((3, 128, 128), 90, dtype=np.uint8)
    bands[:, :, :96] = 0
    with open_reader(write_utm(tmp_path / "scene.tif", bands, nodata=0)) as reader:
        pixels = reader.read(WHOLE, max_px=128)
    assert pixels.valid_share == 0.25
    assert np.unique(pixels.image).tolist() == [90]


def test_a_few_known_pixels_are_found(tmp_path: Path) -> None:
    values = np.zeros((1, 1500, 1500), dtype=np.uint16)
    values[0, 1, 1] = 300  # a reduced look at the scene misses it
    with open_reader(write_utm(tmp_path / "scene.tif", values, nodata=0, compress="deflate")) as reader:
        assert reader.scene.stretch == ((300.0, 300.0),)


@pytest.mark.parametrize(("suffix", "driver"), [(".png", "PNG"), (".jpg", "JPEG")])
def test_plain_pictures(tmp_path: Path, suffix: str, driver: str) -> None:
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(np.moveaxis(quadrants(), 0, -1)).save(path, quality=95)
    scene = open_scene(path)
    assert (scene.driver, scene.is_picture, scene.ground) == (driver, True, None)
    found = np.array(colours_of(read_picture(path, max_px=128)), int)
    assert np.abs(found - np.array(FOUR)).max() <= 3


def test_the_day_of_a_photo_is_in_its_exif(tmp_path: Path) -> None:
    picture = Image.fromarray(np.moveaxis(quadrants(), 0, -1))
    exif = picture.getexif()
    exif[0x0132] = "2022:01:01 08:00:00"  # when the file was last edited
    exif.get_ifd(0x8769)[0x9003] = "2019:06:05 10:11:12"  # when the shutter opened
    exif[0x0110] = "FC6310"
    picture.save(tmp_path / "photo.jpg", exif=exif)
    scene = open_scene(tmp_path / "photo.jpg")
    assert scene.date is not None
    assert (scene.date.day, scene.sensor) == (datetime.date(2019, 6, 5), "FC6310")


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "I;16"])
def test_pictures_of_other_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "picture.png"
    grey = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1)))
    grey.convert("I").convert(mode).save(path) if mode == "I;16" else grey.convert(mode).save(path)
    image = read_picture(path, max_px=64)
    assert image.shape == (64, 64, 3)
    assert image[0, 0, 0] < 10
    assert image[0, -1, 0] > 245


def test_a_cmyk_jpeg_is_rgb(tmp_path: Path) -> None:
    path = tmp_path / "picture.jpg"
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(path, quality=95)
    red, green, blue = read_picture(path, max_px=64)[32, 32].tolist()
    assert red > 200
    assert max(green, blue) < 60


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no image")
    (tmp_path / "empty.tif").touch()
    Image.fromarray(np.moveaxis(quadrants(512, 512), 0, -1)).save(tmp_path / "cut.jpg")
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "cut.png")
    for name in ("cut.jpg", "cut.png"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    write_all_nodata(tmp_path / "nodata.tif")
    write_utm(tmp_path / "nodata16.tif", np.full((1, 64, 64), 7, np.uint16), nodata=7)
    write_corrupt(tmp_path / "corrupt.tif")
    reasons = {
        "text.tif": "not an image or raster in a format that can be opened",
        "empty.tif": "the file is empty",
        "missing.tif": "no such file",
        "": "a folder, where an image file is wanted",
        "cut.jpg": "its pixels cannot be decoded: the file is damaged or cut off (",
        "cut.png": "its pixels cannot be decoded: the file is damaged or cut off (",
        "corrupt.tif": "its pixels cannot be decoded: the file is damaged or cut off (",
        "nodata.tif": "every pixel is nodata (the value 0)",
        "nodata16.tif": "every pixel is nodata (the value 7)",
    }
    for name, reason in reasons.items():
        path = tmp_path / name
        with pytest.raises(SceneError) as caught:
            read_picture(path, max_px=512)
        message = str(caught.value)
        assert message.startswith(f"{path}: {reason}"), message
        assert "\n" not in message
        assert "previous exception" not in message


def test_a_window_must_lie_in_the_scene(tmp_path: Path) -> None:
    path = write_utm(tmp_path / "scene.tif")
    for window in ((100, 0, 64, 64), (0, -1, 8, 8)):
        with pytest.raises(SceneError, match=r"does not lie in its 128 x 128 pixels.*index it again"):
            read_window(path, window, max_px=64)


def test_a_file_of_several_pages_shows_the_first(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", quadrants())
    write_raster(path, np.zeros_like(quadrants()), append_subdataset=True)
    assert colours_of(read_picture(path, max_px=128)) == FOUR


def test_a_file_of_several_data_sets_says_so(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    write_utm(path, driver="GPKG", RASTER_TABLE="a")
    write_utm(path, driver="GPKG", RASTER_TABLE="b", APPEND_SUBDATASET="YES")
    with pytest.raises(SceneError, match="holds no bands of its own, only 2 data sets inside it"):
        open_scene(path)


def test_a_huge_scene_is_read_in_little_memory() -> None:
    """36,000 x 18,000 pixels of 16 bits: 1.3 GB of values. A process of its own, whose memory can be measured."""
    program = """
import re, sys
from pathlib import Path
import numpy as np, rasterio
from rasterio.windows import Window
from rsitr.geo import cut_windows, open_reader
path = Path(sys.argv[1])
profile = dict(driver="GTiff", width=36_000, height=18_000, count=1, dtype="uint16", sparse_ok=True, compress="deflate",
               tiled=True, blockxsize=2048, blockysize=2048)
place = dict(crs="EPSG:4326", transform=rasterio.Affine(0.01, 0, -180, 0, -0.01, 90))
with rasterio.open(path, "w", **profile, **place) as file:
    file.write(np.full((1, 64, 64), 700, np.uint16), window=Window(9000, 9000, 64, 64))
with open_reader(path) as reader:
    for window in [reader.scene.whole, *cut_windows(36_000, 18_000, tile_px=2_000)[:3]]:
        assert max(reader.read(window, max_px=448).image.shape) == 448
# Not getrusage: that is handed on from the process that started this one, whose peak may be higher.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) // 1024)
"""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "huge.tif")
        done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1024


def test_a_scene_of_huge_blocks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    profile = {
        "driver": "GTiff",
        "width": 20_000,
        "height": 20_000,
        "count": 3,
        "dtype": "uint8",
        "compress": "deflate",
    }
    blocks = {"tiled": True, "blockxsize": 16_384, "blockysize": 16_384, "interleave": "pixel", "sparse_ok": True}
    with rasterio.open(path, "w", transform=rasterio.Affine(1, 0, 0, 0, -1, 9), **profile, **blocks):
        pass
    with pytest.raises(SceneError, match=r"pieces of 16384 x 16384 pixels, 0\.8 GB each; rewrite it in tiles"):
        open_scene(path)


def test_given_bands_are_shown_whatever_the_file_says(tmp_path: Path) -> None:
    path = write_utm(
        tmp_path / "scene.tif", np.arange(31, dtype=np.uint16)[:, None, None] * np.ones((31, 64, 64), np.uint16)
    )
    with open_reader(path, bands=(31, 5, 2)) as reader:
        assert reader.scene.bands == (31, 5, 2)
        assert reader.scene.stretch == ((30.0, 30.0), (4.0, 4.0), (1.0, 1.0))
    with open_reader(path, bands=(7,)) as reader:
        assert reader.read((0, 0, 64, 64), max_px=64).image.shape == (64, 64, 3)
    with pytest.raises(SceneError, match="it has 31 bands, and so no band 32 to show"), open_reader(path, bands=(32,)):
        pass


@pytest.mark.parametrize(("alphas", "share"), [((0, 0, 255, 255), 0.5), ((0, 255, 128, 0), 0.5), ((0, 0, 0, 0), 1.0)])
def test_transparent_colours_of_a_palette_are_nodata(tmp_path: Path, alphas: tuple[int, ...], share: float) -> None:
    """The left half is of the first colour, black, the right half of the third; where all are transparent, none is."""
    rows = np.zeros((64, 64), dtype=np.uint8)
    rows[:, 32:] = 2
    picture = Image.fromarray(rows, mode="P")
    picture.putpalette([0, 0, 0, 9, 9, 9, 200, 100, 0, 7, 7, 7])
    picture.save(tmp_path / "a.png", transparency=bytes(alphas))
    with open_reader(tmp_path / "a.png") as reader:
        pixels = reader.read(reader.scene.whole, max_px=64)
    assert pixels.valid_share == share
    assert tuple(pixels.image[10, 10]) == ((200, 100, 0) if share < 1 else (0, 0, 0))


def test_a_nodata_value_beside_an_alpha_band_is_no_reason_to_warn(tmp_path: Path) -> None:
    bands = np.full((4, 64, 64), 100, dtype=np.uint8)
    bands[:3, :32], bands[3, :, :16] = 0, 0
    kinds = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    path = write_utm(tmp_path / "a.tif", bands, nodata=0, kinds=kinds)
    with open_reader(path) as reader:  # warnings are errors here
        assert reader.read(reader.scene.whole, max_px=64).valid_share == 0.5 * 0.75


def test_blocks_are_decoded_once_for_a_reduced_window(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 255, (3, 1024, 1024), dtype=np.uint8)
    blocks = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    path = write_utm(tmp_path / "masked.tif", values, nodata=0, **blocks)
    with open_reader(path) as reader:
        started = time.perf_counter()
        reader.read((0, 0, 700, 700), max_px=700)
        once_s = time.perf_counter() - started
        started = time.perf_counter()
        reduced = reader.read((0, 0, 700, 700), max_px=601)
        assert time.perf_counter() - started < 20 * once_s + 0.5  # row by row it took hundreds of times as long
    assert reduced.valid.all()
    assert reduced.image.shape == (601, 601, 3)
