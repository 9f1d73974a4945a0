"""A drawn scene as a georeferenced file, as if a camera had taken it over the open ocean."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine

from rsitr.errors import SceneError
from rsitr.files import replacing, require_writable
from rsitr.geo import Placement, Window, open_scene
from rsitr.types import ImageArray, Ring
from rsitr.version import __version__

__all__ = ["ACQUIRED", "GSD_M", "SENSOR", "is_drawn", "locate_windows", "write_scene"]

GSD_M = 0.6
"""Metres per pixel: between UCM's 0.3 m and the coarser pictures of RSICD."""

ACQUIRED = datetime.date(2024, 2, 12)
"""The day that the scene pretends to be taken on."""

SENSOR = "synthetic (rsitr demo)"
"""What the scene says that it was taken by."""

# Around Point Nemo, the place in the Pacific farthest from any land: nobody can take the scene for a real one.
_CRS = CRS.from_epsg(32710)
_TRANSFORM = Affine(GSD_M, 0.0, 470_400.0, 0.0, -GSD_M, 4_587_000.0)
_JPEG_QUALITY = 92


def locate_windows(windows: Sequence[Window]) -> list[Ring]:
    """Outlines of windows of a scene on the ground, in WGS 84."""
    placement = Placement(crs_wkt=_CRS.to_wkt(), affine=tuple(_TRANSFORM)[:6])
    return [ground.ring for ground in placement.ground(windows) if ground is not None]


def is_drawn(path: Path) -> bool:
    """Whether a file is a scene that this program drew."""
    try:
        return open_scene(path).sensor == SENSOR
    except SceneError:
        return False


def write_scene(pixels: ImageArray, path: Path, *, seed: int) -> None:
    """Write a scene as a cloud-optimised GeoTIFF: tiled, JPEG-compressed, with overviews; whole or not at all.

    Args:
        pixels: (H, W, 3) RGB.
        path: the file, which is replaced if it is there.
        seed: what the scene was drawn from, for its tags.

    Raises:
        SceneError: the file cannot be written.
    """
    require_writable(path, error=SceneError)
    height, width, _ = pixels.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8"}
    tags = {
        "ACQUISITION_DATE": ACQUIRED.isoformat(),
        "SENSOR": SENSOR,
        "TIFFTAG_SOFTWARE": f"rsitr {__version__}",
        "TIFFTAG_IMAGEDESCRIPTION": (
            f"Synthetic scene, drawn by rsitr demo from seed {seed}: nothing in it exists, and its place is open ocean."
        ),
    }
    try:
        with replacing(path, error=SceneError) as part, MemoryFile() as memory:
            with memory.open(**profile, photometric="RGB", crs=_CRS, transform=_TRANSFORM) as raster:
                raster.write(np.moveaxis(pixels, 2, 0))
                raster.update_tags(**tags)
            with memory.open() as raster:
                copy_raster(
                    raster, part, driver="COG", compress="JPEG", quality=_JPEG_QUALITY, blocksize=256,
                    overview_quality=_JPEG_QUALITY,
                )  # fmt: skip
    except RasterioError as error:
        raise SceneError(f"{path}: the scene cannot be written ({error}); choose another folder with --out") from error
