"""A picture from a file or from bytes, decoded once and in one way: bit depth, orientation, transparency, colour."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from rsitr.errors import DataError, RsitrError
from rsitr.types import FloatArray, ImageArray

__all__ = ["describe_fault", "open_picture", "paint_heat", "read_picture", "to_rgb"]


def to_rgb(picture: Image.Image) -> Image.Image:
    """A picture as 8-bit RGB, decoded in full, upright as its EXIF says.

    Sixteen bits become eight by dividing their whole range; Pillow alone would cut all above 255 off to white.

    Raises:
        ValueError: its values are floating-point numbers, of which nobody knows what is white.
    """
    if picture.mode == "F":
        raise ValueError("its pixels are floating-point numbers: save it with 8 or 16 bits")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        values = np.clip(np.asarray(picture), 0, np.iinfo(np.uint16).max) // 257
        picture = Image.fromarray(values.astype(np.uint8))
    return picture.convert("RGB")


def open_picture(
    source: Path | bytes, *, formats: tuple[str, ...] | None = None, side_px: int | None = None
) -> Image.Image:
    """Decode a picture in full: RGB, see :func:`to_rgb`.

    Args:
        source: a file, or its content.
        formats: Pillow's names of the formats that are decoded; None means all that it knows.
        side_px: the longer side is reduced to this, a JPEG already while it is decoded; None keeps the size.

    Raises:
        ValueError, OSError: and whatever else a decoder raises on damaged bytes; :func:`describe_fault` words it.
    """
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats) as opened:
        if side_px is None:
            return to_rgb(opened)
        opened.draft("RGB", (side_px, side_px))
        picture = to_rgb(opened)
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
        raise error(f"{path} cannot be decoded ({describe_fault(caught)}){hint}") from caught


def describe_fault(error: Exception) -> str:
    """What a decoder's error says, in a line."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "not a picture, or of an unknown kind"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def paint_heat(shares: FloatArray, *, strongest: float, faintest: float = 0.0) -> ImageArray:
    """A heat map as colours to be laid over a picture; what is below it must still be seen.

    Args:
        shares: (H, W) from 0, the coolest, to 1.
        strongest: opacity of the hottest.
        faintest: opacity of the coolest.

    Returns:
        (H, W, 4) RGBA.
    """
    from matplotlib import colormaps  # slow to import

    colours = np.asarray(colormaps["inferno"](shares))
    colours[..., 3] = faintest + (strongest - faintest) * np.asarray(shares) ** 0.8
    return np.asarray(colours * 255, dtype=np.uint8)
