"""Small pictures inside an HTML page, so that one file is the whole report."""

from __future__ import annotations

import base64
import io

from PIL import Image

__all__ = ["jpeg_data_uri"]


def jpeg_data_uri(picture: Image.Image, *, side_px: int, quality: int = 80) -> str:
    """A picture as a `data:` URI, shrunk so that neither side exceeds `side_px`; the picture itself stays as it is.

    >>> jpeg_data_uri(Image.new("RGB", (640, 320)), side_px=8)[:23]
    'data:image/jpeg;base64,'
    """
    small = picture.copy()
    small.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
