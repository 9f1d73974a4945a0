"""Makers of small rasters, ordinary and odd, for tests. Every one is the same in every run."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from fakes import COLOURS

__all__ = [
    "UTM_14N",
    "from_origin",
    "quadrants",
    "write_all_nodata",
    "write_bgra16",
    "write_corrupt",
    "write_dateline",
    "write_float_nan",
    "write_gcps",
    "write_geographic",
    "write_palette",
    "write_polar",
    "write_raster",
    "write_rotated",
    "write_utm",
]


def from_origin(west: float, north: float, width: float, height: float) -> Affine:
    """North-up transform. rasterio's own function of this name warns with affine 3, and warnings are errors here."""
    return Affine(width, 0.0, west, 0.0, -height, north)


UTM_14N = from_origin(485_900.0, 5_209_245.0, 5.0, 5.0)


def quadrants(width: int = 128, height: int = 128, names: tuple[str, ...] = ("red", "green", "blue", "dark")) -> Any:
    """(3, height, width) uint8 in four colours: upper left, upper right, lower left, lower right."""
    image = np.zeros((3, height, width), dtype=np.uint8)
    halves = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for name, (down, right) in zip(names, halves, strict=True):
        rows = slice(down * height // 2, (down + 1) * height // 2)
        cols = slice(right * width // 2, (right + 1) * width // 2)
        image[:, rows, cols] = np.array(COLOURS[name], dtype=np.uint8)[:, None, None]
    return image


def write_raster(
    path: Path,
    bands: Any,
    *,
    kinds: tuple[ColorInterp, ...] | None = None,
    tags: dict[str, str] | None = None,
    descriptions: tuple[str, ...] | None = None,
    **profile: Any,
) -> Path:
    """Write (bands, height, width) as a GeoTIFF, or as what `driver` says."""
    bands = np.asarray(bands)
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "dtype": bands.dtype, "count": count, "height": height, "width": width, **profile}
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(bands)
            if kinds:
                dataset.colorinterp = kinds
            if tags:
                dataset.update_tags(**tags)
            if descriptions:
                dataset.descriptions = descriptions
    return path


def write_utm(path: Path, bands: Any = None, **options: Any) -> Path:
    """An ordinary scene: three bands, 5 m, UTM zone 14 north."""
    shown = quadrants() if bands is None else bands
    return write_raster(path, shown, **{"crs": "EPSG:32614", "transform": UTM_14N, **options})


def write_geographic(path: Path, bands: Any = None) -> Path:
    """Longitudes and latitudes, pixels of 0.001 degrees at 60 degrees north: half as wide as high on the ground."""
    shown = quadrants() if bands is None else bands
    return write_raster(path, shown, crs="EPSG:4326", transform=from_origin(10.0, 60.0, 0.001, 0.001))


def write_rotated(path: Path) -> Path:
    """A scene turned by 30 degrees."""
    across, along = 2.0 * np.cos(np.radians(30.0)), 2.0 * np.sin(np.radians(30.0))
    transform = Affine(across, along, 500_000.0, along, -across, 5_200_000.0)
    return write_raster(path, quadrants(), crs="EPSG:32614", transform=transform)


def write_gcps(path: Path, *, crs: str | None = "EPSG:4326") -> Path:
    """A scene that is placed by four ground control points only, slightly turned."""
    corners = [(0, 0, 20.00, 40.00), (0, 128, 20.10, 40.01), (128, 0, 19.99, 39.90), (128, 128, 20.09, 39.91)]
    points = [GroundControlPoint(row=row, col=col, x=x, y=y, z=0.0) for row, col, x, y in corners]
    return write_raster(path, quadrants(), gcps=points, crs=CRS.from_string(crs) if crs else CRS())


def write_bgra16(path: Path) -> Path:
    """Blue, green, red and alpha in 16 bits; the left half is transparent, the right half red over dark."""
    bands = np.full((4, 128, 128), 100, dtype=np.uint16)
    bands[2, :64] = 9_000
    bands[3] = 0
    bands[3, :, 64:] = 65_535
    kinds = (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.alpha)
    return write_utm(path, bands, kinds=kinds)


def write_float_nan(path: Path) -> Path:
    """One band of floats from 0 to 1, NaN in its upper quarter without saying so, one infinite pixel."""
    values = np.linspace(0.0, 1.0, 128 * 128, dtype=np.float32).reshape(1, 128, 128)
    values[0, :32] = np.nan
    values[0, 100, 100] = np.inf
    return write_utm(path, values)


def write_palette(path: Path) -> Path:
    """Classes with a colour table: 1 is red, 2 is blue."""
    classes = np.ones((1, 128, 128), dtype=np.uint8)
    classes[0, :, 64:] = 2
    write_utm(path, classes, photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {1: (255, 0, 0, 255), 2: (0, 0, 255, 255)})
    return path


def write_all_nodata(path: Path) -> Path:
    """Nothing but nodata."""
    return write_utm(path, np.zeros((3, 128, 128), dtype=np.uint8), nodata=0)


def write_corrupt(path: Path) -> Path:
    """A scene whose last tile is cut off: it opens, and reading fails half way."""
    noise = np.random.default_rng(7).integers(0, 255, (3, 256, 256), dtype=np.uint8)
    write_utm(path, noise, tiled=True, blockxsize=128, blockysize=128, compress="deflate")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 30_000])
    return path


def write_dateline(path: Path, *, gsd_m: float = 200.0) -> Path:
    """A scene in UTM zone 1 across the antimeridian; with 200 m pixels from about 179.9 east to 179.7 west."""
    transform = from_origin(287_260.0 - 36.3 * gsd_m, 5_600_000.0, gsd_m, gsd_m)
    return write_raster(path, quadrants(), crs="EPSG:32601", transform=transform)


def write_polar(path: Path, *, south: bool = False) -> Path:
    """A scene around a pole, 25.6 km to a side."""
    crs = "EPSG:3031" if south else "EPSG:3413"
    return write_raster(path, quadrants(), crs=crs, transform=from_origin(-10_000.0, 12_800.0, 200.0, 200.0))
