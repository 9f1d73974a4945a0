"""Every kind of raster that people have, one small file of each: what is read of it, or why it is refused.

The guide `docs/guides/rasters.md` is written from this list, and the tests hold every line of it against the code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from PIL import ExifTags, Image
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.shutil import copy as copy_raster
from rasterio.vrt import WarpedVRT

from rasters import (
    quadrants,
    write_all_nodata,
    write_bgra16,
    write_corrupt,
    write_dateline,
    write_float_nan,
    write_gcps,
    write_geographic,
    write_palette,
    write_polar,
    write_raster,
    write_rotated,
    write_utm,
)

__all__ = ["KINDS", "Kind", "describe_kinds"]


@dataclass(frozen=True)
class Kind:
    """A kind of raster.

    Attributes:
        group: heading of the guide's table that it stands in.
        name: of the file that is made.
        what: it is, for people.
        how: it is read, for people.
        make: writes one.
        refused: part of the reason why it cannot be used; None for what is read.
        bands: that are shown.
        has_place: whether its place on Earth is known.
        valid: share of its pixels that are data, 0 to 1; None where it does not matter.
        note: part of what is said of it after indexing; None where nothing is.
    """

    group: str
    name: str
    what: str
    how: str
    make: Callable[[Path], object]
    refused: str | None = None
    bands: tuple[int, ...] = (1, 2, 3)
    has_place: bool = True
    valid: float | None = 1.0
    note: str | None = None


def _noise(count: int, dtype: str, *, high: int = 4000, side: int = 128) -> np.ndarray:
    return np.random.default_rng(3).integers(1, high, (count, side, side)).astype(dtype)


def _pages(path: Path) -> None:
    pages = [Image.fromarray(np.full((64, 64), 60 * page, np.uint8)) for page in (1, 2, 3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])


def _camera(path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", (48.0, 51.0, 29.5)
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (2.0, 17.0, 40.2)
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(path, exif=exif)


def _picture(path: Path) -> None:
    Image.fromarray(np.moveaxis(quadrants(), 0, -1)).save(path)


def _sparse(path: Path) -> None:
    profile = {"width": 1024, "height": 1024, "count": 3, "dtype": "uint8", "tiled": True, "SPARSE_OK": "TRUE"}
    with rasterio.open(
        path, "w", driver="GTiff", blockxsize=512, blockysize=512, crs="EPSG:32614",
        transform=rasterio.Affine(5, 0, 485_900, 0, -5, 5_209_245), **profile,
    ) as file:  # fmt: skip
        file.write(np.full((3, 512, 512), 90, np.uint8), window=rasterio.windows.Window(0, 0, 512, 512))


def _mosaic(path: Path) -> None:
    source = write_utm(path.parent / "elsewhere" / ".source.tif")
    with rasterio.open(source) as file, WarpedVRT(file) as warped:
        copy_raster(warped, path, driver="VRT")


def _complex(path: Path) -> None:
    values = (_noise(1, "float32") + 1j * _noise(1, "float32")).astype(np.complex64)
    write_utm(path, values, dtype="complex_int16")


def _nodata_of_one_band(path: Path) -> None:
    values = _noise(3, "int16")
    values[0, :, :64] = -9999
    write_utm(path, values, nodata=-9999, photometric="RGB")


def _masked(path: Path) -> None:
    write_utm(path)
    with rasterio.open(path, "r+") as file:
        file.write_mask(np.repeat(np.arange(128)[None] < 64, 128, axis=0))


def _archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "scenes")


def _wavelengths(path: Path) -> None:
    write_utm(path, _noise(4, "uint16"), photometric="MINISBLACK")
    with rasterio.open(path, "r+") as file:
        for band, length in enumerate(("0.490", "0.560", "0.665", "0.842"), start=1):
            file.update_tags(band, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=length)


def _rational(path: Path) -> None:
    line, sample = [0.0] * 20, [0.0] * 20
    line[2], sample[1], one = -1.0, 1.0, [1.0] + [0.0] * 19
    model = RPC(
        height_off=120.0, height_scale=100.0, lat_off=45.0, lat_scale=0.01, long_off=7.0, long_scale=0.01,
        line_off=64.0, line_scale=64.0, samp_off=64.0, samp_scale=64.0,
        line_num_coeff=line, line_den_coeff=one, samp_num_coeff=sample, samp_den_coeff=one,
    )  # fmt: skip
    write_raster(path, quadrants(), rpcs=model)


VALUES, COLOURS, NODATA, PLACE, FILES, REFUSED = (
    "Values", "Colours", "What is no data", "Where it lies", "Files", "What is refused, and what the reason says",
)  # fmt: skip

KINDS = (
    Kind(VALUES, "uint8.tif", "8 bits", "as they are", write_utm),
    Kind(VALUES, "uint16.tif", "16 bits, signed or not, 32 bits, floats",
         "from the 2nd percentile (black) to the 98th (white) of what is known of each band; the index records both",
         lambda path: write_utm(path, _noise(3, "uint16"), photometric="RGB")),
    Kind(VALUES, "float-nan.tif", "floats with NaN or infinity", "likewise; such pixels are nodata", write_float_nan,
         bands=(1,), valid=None),
    Kind(VALUES, "complex.tif", "complex numbers, also of whole ones (SAR)", "their magnitude", _complex, bands=(1,)),
    Kind(VALUES, "miniswhite.tif", "TIFF in which the least value is white", "inverted, as it is meant",
         lambda path: write_utm(path, _noise(1, "uint8", high=255), photometric="MINISWHITE"), bands=(1,)),
    Kind(VALUES, "palette.tif", "a colour table", "its colours; those with alpha 0 are nodata", write_palette,
         bands=(1,)),
    Kind(COLOURS, "bgra.tif", "red, green, blue and alpha in any order, if the file says which is which",
         "by what the file says", write_bgra16, bands=(3, 2, 1), valid=0.5),
    Kind(COLOURS, "sentinel2.tif", "bands named as Sentinel-2, Landsat, PlanetScope and WorldView name them",
         "true colour by the names",
         lambda path: write_utm(path, _noise(4, "uint16"), photometric="MINISBLACK",
                                descriptions=("B02", "B03", "B04", "B08")), bands=(3, 2, 1)),
    Kind(COLOURS, "wavelengths.tif", "bands with their wavelengths", "true colour by the wavelengths", _wavelengths,
         bands=(3, 2, 1)),
    Kind(COLOURS, "four.tif", "several bands that nothing names (NAIP)",
         "the first three, with a note; `--bands R,G,B` chooses others",
         lambda path: write_utm(path, _noise(4, "uint8", high=255), photometric="MINISBLACK"),
         note="nothing says which bands to show"),
    Kind(COLOURS, "grey.tif", "one band", "grey", lambda path: write_utm(path, _noise(1, "uint8", high=255)),
         bands=(1,)),
    Kind(NODATA, "nodata.tif", "a nodata value",
         "for each band by itself: a pixel is nodata where no shown band is known", _nodata_of_one_band),
    Kind(NODATA, "masked.tif", "a mask, inside or beside the file", "as nodata", _masked, valid=0.5),
    Kind(NODATA, "alpha.tif", "an alpha band", "as nodata where it is 0",
         lambda path: write_utm(path, np.concatenate([quadrants(), np.full((1, 128, 128), 255, np.uint8)]),
                                kinds=(ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha))),
    Kind(NODATA, "sparse.tif", "blocks that a sparse GeoTIFF leaves out", "as nodata, and not read", _sparse,
         valid=0.25),
    Kind(PLACE, "utm.tif", "a transform with any reference system that PROJ knows", "outlines that follow curved edges",
         write_utm),
    Kind(PLACE, "degrees.tif", "degrees", "metres per pixel as they are at its latitude", write_geographic),
    Kind(PLACE, "rotated.tif", "a turned transform", "turned outlines", write_rotated),
    Kind(PLACE, "gcps.tif", "ground control points", "GDAL's polynomial through them", write_gcps),
    Kind(PLACE, "rpc.tif", "rational polynomials of a sensor (RPC)",
         "at their mean height: without a terrain model, outlines in mountains are off", _rational),
    Kind(PLACE, "dateline.tif", "across the antimeridian", "outlines that are cut there in GeoJSON", write_dateline),
    Kind(PLACE, "polar.tif", "around a pole", "a box around all longitudes", write_polar),
    Kind(PLACE, "no-crs.tif", "no reference system, or control points without one",
         "found by words and pictures, by no area", lambda path: write_gcps(path, crs=None), has_place=False),
    Kind(PLACE, "picture.png", "a plain picture", "likewise; small ones are one tile", _picture, has_place=False),
    Kind(PLACE, "camera.jpg", "a camera's picture",
         "upright as EXIF says, and where the camera was, with a note that this is not what it shows", _camera,
         note="where the camera was"),
    Kind(FILES, "pages.tif", "several images in one file",
         "the first, with a note; `--page N` makes an index of another; overviews and masks do not count", _pages,
         bands=(1,), has_place=False, note="only the first of several images is shown"),
    Kind(FILES, "mosaic.vrt", "a VRT", "its sources as it arranges them; a note where these are indexed, too", _mosaic),
    Kind(FILES, "strip.tif", "fewer than 16 pixels to a side", "as one row of tiles, with a note",
         lambda path: write_utm(path, np.full((3, 1, 900), 90, np.uint8)), note="no model makes anything of fewer"),
    Kind(REFUSED, "empty.tif", "an empty file", "the file is empty", lambda path: path.write_bytes(b""),
         refused="the file is empty"),
    Kind(REFUSED, "text.tif", "something else under an image's name",
         "not an image or raster in a format that can be opened", lambda path: path.write_text("a letter"),
         refused="not an image or raster in a format that can be opened"),
    Kind(REFUSED, "cut-off.tif", "a damaged or cut off file", "its pixels cannot be decoded, and what GDAL says",
         write_corrupt, refused="its pixels cannot be decoded: the file is damaged or cut off"),
    Kind(REFUSED, "all-nodata.tif", "nothing but nodata", "every pixel is nodata", write_all_nodata,
         refused="every pixel is nodata"),
    Kind(REFUSED, "scenes.zip", "an archive", "an archive: unpack it, and index the folder", _archive,
         refused="an archive: unpack it, and index the folder"),
    Kind(REFUSED, "one-block.tif", "an image stored in pieces of more than 512 MB",
         "how large they are, and the command that rewrites it",
         lambda path: write_raster(path, np.zeros((1, 16, 16), np.uint8)) and _claim_one_block(path),
         refused="rewrite it in tiles, e.g. with `gdal_translate -of COG`"),
)  # fmt: skip


def _claim_one_block(path: Path) -> None:
    """A sparse file of one block of 24,000 x 24,000: small on the disk, 0.5 GB to be decoded."""
    with rasterio.open(
        path, "w", driver="GTiff", width=24_000, height=24_000, count=1, dtype="uint8", tiled=True, blockxsize=24_000,
        blockysize=24_000, SPARSE_OK="TRUE",
    ):  # fmt: skip
        pass


def describe_kinds() -> str:
    """The tables of the guide."""
    lines = []
    for group in dict.fromkeys(kind.group for kind in KINDS):
        lines += [f"## {group}", "", "| what | how |", "|---|---|"]
        lines += [f"| {kind.what} | {kind.how} |" for kind in KINDS if kind.group == group]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(describe_kinds())
