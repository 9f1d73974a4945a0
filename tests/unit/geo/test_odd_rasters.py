"""Rasters that were once read wrongly without a word; each file is made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from rsitr.geo import cut_windows, open_reader, open_scene
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
    from rsitr.errors import SceneError
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
