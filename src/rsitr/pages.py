"""HTML files that stand alone: one environment, one base template, one style sheet, pictures inside the page."""

from __future__ import annotations

import base64
import functools
import io

import jinja2
import numpy as np
from PIL import Image

from rsitr.types import ImageArray

__all__ = ["picture_uri", "render_page"]

QUALITY = 80


@functools.cache
def _environment(room: str) -> jinja2.Environment:
    """A room's templates, which extend those of this package."""
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(room), jinja2.PackageLoader("rsitr")])
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


def render_page(room: str, template: str, **values: object) -> str:
    """Fill in a template; every value is escaped, unless it is `markupsafe.Markup`.

    Args:
        room: the package whose folder `templates` has it, e.g. `rsitr.data`.
        template: its name; it extends `base.html.jinja`, which has the style sheet.
        values: what the template asks for; one that is missing is an error.
    """
    return _environment(room).get_template(template).render(**values)


def picture_uri(picture: Image.Image | ImageArray, *, side_px: int | None = None, quality: int = QUALITY) -> str:
    """A picture as a `data:` URI of a JPEG, so that one file is the whole page; the picture itself stays as it is.

    Args:
        picture: RGB, or pixels (H, W, 3) uint8.
        side_px: neither side exceeds this; None keeps the size.
        quality: of the JPEG.

    >>> picture_uri(Image.new("RGB", (640, 320)), side_px=8)[:23]
    'data:image/jpeg;base64,'
    """
    small = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture.copy()
    if side_px is not None:
        small.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
