"""What a camera has written into a picture: which way is up, and where it stood."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image
from rasterio.io import DatasetReader

__all__ = ["UPRIGHT", "Orientation", "read_orientation", "read_position"]

Position = tuple[float, float]
"""Longitude and latitude in degrees."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """What makes a stored picture upright: first its rows become columns, or not, then it is mirrored, or not.

    Attributes:
        is_turned: rows become columns.
        upside_down: the rows are then mirrored.
        mirrored: the columns are then mirrored.
    """

    is_turned: bool
    upside_down: bool
    mirrored: bool

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return (height, width) if self.is_turned else (width, height)

    def stored_window(self, window: tuple[int, int, int, int], *, width: int, height: int) -> tuple[int, int, int, int]:
        """Where a window of the upright picture, which is (width, height), is stored.

        >>> turned = Orientation(is_turned=True, upside_down=False, mirrored=True)
        >>> turned.stored_window((0, 0, 4, 3), width=20, height=10)
        (0, 16, 3, 4)
        """
        col, row, cols, rows = window
        if self.mirrored:
            col = width - col - cols
        if self.upside_down:
            row = height - row - rows
        return (row, col, rows, cols) if self.is_turned else (col, row, cols, rows)

    def apply(self, values: Any) -> Any:
        """Make the last two axes of an array, rows and columns as they are stored, upright."""
        if self.is_turned:
            values = values.swapaxes(-1, -2)
        if self.upside_down:
            values = values[..., ::-1, :]
        return values[..., ::-1] if self.mirrored else values


UPRIGHT = Orientation(is_turned=False, upside_down=False, mirrored=False)
ORIENTATIONS = {
    number: Orientation(is_turned=number >= 5, upside_down=number in {3, 4, 7, 8}, mirrored=number in {2, 3, 6, 7})
    for number in range(1, 9)
}
"""As the EXIF standard numbers them (CIPA DC-008, 4.6.4: the first row and the first column that are stored)."""


def read_orientation(dataset: DatasetReader, path: Path | str) -> Orientation:
    """Which way up a picture is meant; as it is stored where nothing says so, or nothing that makes sense."""
    found = dataset.tags().get("EXIF_Orientation") or _exif(dataset, path).get(ExifTags.Base.Orientation)
    try:
        return ORIENTATIONS.get(int(found or 1), UPRIGHT)
    except (TypeError, ValueError):
        return UPRIGHT


def read_position(dataset: DatasetReader, path: Path | str) -> Position | None:
    """Where the camera was; None where it does not say, or where that is no place on Earth."""
    tags = dataset.tags()
    names = ("Longitude", "Latitude")
    if all(f"EXIF_GPS{name}" in tags for name in names):
        parts = [re.findall(r"[\d.]+", tags[f"EXIF_GPS{name}"]) for name in names]
        signs = [tags.get(f"EXIF_GPS{name}Ref", "") for name in names]
    else:
        gps = _exif(dataset, path).get_ifd(ExifTags.IFD.GPSInfo)
        parts = [list(gps.get(key) or ()) for key in (ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLatitude)]
        signs = [str(gps.get(key, "")) for key in (ExifTags.GPS.GPSLongitudeRef, ExifTags.GPS.GPSLatitudeRef)]
    try:
        lon, lat = (
            sum(float(part) / 60**power for power, part in enumerate(found)) if len(found) == 3 else math.nan
            for found in parts
        )
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not (abs(lon) <= 180 and abs(lat) <= 90) or lon == lat == 0:  # cameras without a fix write zeros
        return None
    return (
        -lon if signs[0].strip("\0 ").upper() == "W" else lon,
        -lat if signs[1].strip("\0 ").upper() == "S" else lat,
    )


def _exif(dataset: DatasetReader, path: Path | str) -> Image.Exif:
    """What GDAL does not tell of formats other than JPEG; read from the head of the file, no pixel is decoded."""
    if isinstance(path, str) or dataset.driver not in {"PNG", "WEBP", "GTiff"}:
        return Image.Exif()
    try:
        with Image.open(path) as picture:
            if dataset.driver == "PNG" and "exif" not in picture.info:
                return Image.Exif()  # Pillow would decode the pixels to look behind them
            exif = picture.getexif()
            exif.get_ifd(ExifTags.IFD.GPSInfo)  # is read from the file, which is still open
            return exif
    except Exception:  # a file that GDAL reads may be one at which Pillow stumbles, in whatever way
        return Image.Exif()
