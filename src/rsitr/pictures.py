"""A picture from a file or from bytes, decoded once and in one way: bit depth, orientation, transparency, colour."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont, ImageOps, TiffImagePlugin, UnidentifiedImageError

from rsitr.errors import DataError, RsitrError
from rsitr.types import FloatArray, ImageArray

__all__ = [
    "NEUTRAL",
    "STRETCH_PERCENT",
    "describe_fault",
    "find_font",
    "open_picture",
    "paint_heat",
    "read_picture",
    "stretch_bits",
    "to_rgb",
]

STRETCH_PERCENT = (2.0, 98.0)
"""Percentiles of more than eight bits that become black and white where a picture is shown or searched with."""
NEUTRAL = 128
"""Where there is nothing to show, or no contrast."""
INFERNO = (
    (0, 0, 4), (11, 7, 36), (33, 12, 74), (61, 9, 101), (87, 16, 110), (113, 25, 110), (138, 34, 106), (163, 44, 97),
    (188, 55, 84), (210, 70, 68), (228, 90, 49), (241, 115, 29), (249, 142, 9), (252, 172, 17), (249, 203, 53),
    (242, 234, 105), (252, 255, 164),
)  # fmt: skip
"""Colours of a heat map from the coolest to the hottest: the palette of that name, which grows evenly lighter."""
FONTS = ("DejaVuSans.ttf", "Arial.ttf", "Helvetica.ttc")


def to_rgb(picture: Image.Image, *, stretch: bool = False) -> Image.Image:
    """A picture as 8-bit RGB, decoded in full, upright as its EXIF says.

    Sixteen bits become eight by dividing their whole range; Pillow alone would cut all above 255 off to white. What one
    picture of a data set looks like must not depend on what else it shows; an example for a search is stretched, since
    that is how the scenes that it is compared with were indexed.

    Args:
        picture: as Pillow opens it.
        stretch: bring more than eight bits to the contrast that a scene is shown with (:func:`stretch_bits`).

    Raises:
        ValueError: its values are floating-point numbers, of which nobody knows what is white.
    """
    if picture.mode == "F":
        raise ValueError("its pixels are floating-point numbers: save it with 8 or 16 bits")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        eight = stretch_bits(values) if stretch else np.clip(values, 0, np.iinfo(np.uint16).max) // 257
        picture = Image.fromarray(eight.astype(np.uint8))
    return picture.convert("RGB")


def stretch_bits(values: NDArray[np.number]) -> NDArray[np.uint8]:
    """One band of more than eight bits with the contrast of a scene: its 2nd percentile black, its 98th white.

    >>> stretch_bits(np.arange(101))[[0, 2, 50, 98, 100]].tolist(), stretch_bits(np.full(2, 700)).tolist()
    ([0, 0, 128, 255, 255], [128, 128])
    """
    low, high = np.percentile(values.astype(np.float64), STRETCH_PERCENT)
    if high <= low:
        return np.full(values.shape, NEUTRAL, dtype=np.uint8)
    return np.asarray(np.clip(np.rint((values - low) / (high - low) * 255.0), 0, 255), dtype=np.uint8)


def open_picture(
    source: Path | bytes, *, formats: tuple[str, ...] | None = None, side_px: int | None = None, stretch: bool = False
) -> Image.Image:
    """Decode a picture in full: RGB, see :func:`to_rgb`.

    Args:
        source: a file, or its content.
        formats: Pillow's names of the formats that are decoded; None means all that it knows.
        side_px: the longer side is reduced to this, a JPEG already while it is decoded; None keeps the size.
        stretch: as for :func:`to_rgb`.

    Raises:
        ValueError, OSError: and whatever else a decoder raises on damaged bytes; :func:`describe_fault` words it.
    """
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats) as opened:
        if side_px is None:
            return to_rgb(opened, stretch=stretch)
        opened.draft("RGB", (side_px, side_px))
        picture = to_rgb(opened, stretch=stretch)
        picture.thumbnail((side_px, side_px), Image.Resampling.BOX)
        return picture


def read_picture(path: Path, *, error: type[RsitrError] = DataError, hint: str = "") -> ImageArray:
    """The pixels of a picture file, (H, W, 3) uint8 RGB, an array of its own.

    Args:
        path: of the file.
        error: the kind to raise.
        hint: what to do about it, at the end of the message.

    Raises:
        RsitrError: it cannot be decoded.
    """
    try:
        return np.array(open_picture(path))
    except Exception as caught:  # decoders raise anything on damaged bytes (OSError, SyntaxError, struct.error, ...)
        raise error(f"{path} cannot be decoded ({describe_fault(caught, path)}){hint}") from caught


def describe_fault(error: Exception, source: Path | bytes | None = None) -> str:
    """What a decoder's error says, in a line, and what to do about a TIFF that Pillow does not decode.

    Args:
        error: of the decoder.
        source: the file, or its content, where that is at hand.
    """
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        kind = None if source is None else _describe_tiff(source)
        if kind is not None:
            return (
                f"a TIFF with {kind}, which a data set cannot use: convert it to 8-bit RGB, e.g. `gdal_translate "
                "-ot Byte -scale -b 1 -b 2 -b 3`"
            )
        return "not a picture, or of an unknown kind"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _describe_tiff(source: Path | bytes) -> str | None:
    """Bands and bits of a TIFF; None of anything else."""
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            directory = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
            file.seek(directory.next)
            directory.load(file)
    except Exception:  # of whatever kind: damaged, or no TIFF
        return None
    bits = directory.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    bands = directory.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
    return f"{bands} band{'' if bands == 1 else 's'} of {max(bits)} bits"


def paint_heat(shares: FloatArray, *, strongest: float, faintest: float = 0.0) -> ImageArray:
    """A heat map as colours to be laid over a picture; what is below it must still be seen.

    Args:
        shares: (H, W) from 0, the coolest, to 1.
        strongest: opacity of the hottest.
        faintest: opacity of the coolest.

    Returns:
        (H, W, 4) RGBA.
    """
    values = np.clip(np.asarray(shares, dtype=np.float64), 0.0, 1.0)
    steps = np.linspace(0.0, 1.0, len(INFERNO))
    opacity = 255 * (faintest + (strongest - faintest) * values**0.8)
    channels = [np.interp(values, steps, channel) for channel in zip(*INFERNO, strict=True)]
    return np.stack([*channels, opacity], axis=-1).astype(np.uint8)


def find_font(size_px: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A typeface for words on pictures: the system's, which has more than English letters, else Pillow's own."""
    for name in FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, size_px)
    return ImageFont.load_default(size_px)
