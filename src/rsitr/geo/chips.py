"""Pieces of scenes as files of their own, with the scene's own pixels and its place."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window as RasterWindow

from rsitr.errors import SceneError
from rsitr.files import replacing, write_file
from rsitr.geo.files import name_of
from rsitr.geo.pixels import open_reader
from rsitr.geo.scene import open_dataset, reading
from rsitr.geo.tiling import Window
from rsitr.types import Stretch

__all__ = ["write_chip"]


def write_chip(
    scene: Path | str,
    window: Window,
    stem: Path,
    *,
    stretch: Stretch | None = None,
    bands: Sequence[int] | None = None,
    page: int | None = None,
) -> Path:
    """Write a window of a scene as a file: a GeoTIFF of all its bands and values, or a PNG where it has no place.

    The GeoTIFF has the scene's reference system, control points, nodata value, mask, colour table and names of bands.
    A scene that only a sensor model places has none of its own in a piece of it: its chip is a PNG, too, as is that of
    a picture which its EXIF turns.

    Args:
        scene: the file, or its address.
        window: of it.
        stem: the file to write, without its ending, which is added.
        stretch: the contrast of a PNG, as recorded earlier.
        bands: those of a PNG; a GeoTIFF has all.
        page: of a file of several images.

    Returns:
        The file.

    Raises:
        SceneError: the scene cannot be read, or the file not written.
    """
    with reading(scene, phase="open"):
        dataset = open_dataset(scene, page=page)
    with dataset:
        if dataset.gcps[0] or (dataset.crs is not None and not dataset.transform.is_identity):
            out = stem.with_name(f"{stem.name}.tif")
            _write_geotiff(dataset, scene, window, out)
            return out
    with open_reader(scene, stretch=stretch, bands=bands, page=page) as reader:
        picture = reader.read(window, max_px=max(window[2:])).image
    out = stem.with_name(f"{stem.name}.png")
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    write_file(out, file.getvalue(), error=SceneError)
    return out


def _write_geotiff(dataset: DatasetReader, scene: Path | str, window: Window, out: Path) -> None:
    col, row, width, height = window
    area = RasterWindow(col, row, width, height)
    with reading(scene, phase="decode"):
        values = dataset.read(window=area)
        mask = None if dataset.nodata is not None else dataset.dataset_mask(window=area)
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": dataset.dtypes[0], "count": dataset.count, "width": width, "height": height,
        "nodata": dataset.nodata, "compress": "deflate", "tiled": False,
    }  # fmt: skip
    points, crs = dataset.gcps
    if points:
        moved = [GroundControlPoint(row=p.row - row, col=p.col - col, x=p.x, y=p.y, z=p.z) for p in points]
        profile |= {"gcps": moved, "crs": crs}
    else:
        a, b, c, d, e, f = tuple(dataset.transform)[:6]
        moved_there = Affine(a, b, a * col + b * row + c, d, e, d * col + e * row + f)
        profile |= {"transform": moved_there, "crs": dataset.crs}
    has_alpha = any(kind.name == "alpha" for kind in dataset.colorinterp)
    try:
        with (
            replacing(out, error=SceneError) as part,
            warnings.catch_warnings(),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        ):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(part, "w", **profile) as chip:
                chip.write(values)
                chip.colorinterp = dataset.colorinterp
                chip.descriptions = dataset.descriptions
                if mask is not None and not has_alpha and not mask.all():
                    chip.write_mask(mask)
                if dataset.colorinterp[0].name == "palette":
                    chip.write_colormap(1, dataset.colormap(1))
                chip.update_tags(SOURCE=name_of(scene), WINDOW=",".join(map(str, window)))
    except RasterioError as error:
        raise SceneError(f"cannot write {out}: {error}") from error
