"""Positions, lengths and areas as people write them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsitr.calibration import State
    from rsitr.types import BBox

__all__ = ["format_area", "format_extent", "format_gsd", "format_number", "format_place", "format_point", "say_state"]


def format_place(bbox: BBox | None) -> str:
    """The middle of a box as a person writes it.

    >>> format_place((-99.2, 47.0, -99.0, 47.1))
    '47.0500° N, 99.1000° W'
    """
    from rsitr.geo import bbox_centre  # slow to import

    return "no known place" if bbox is None else format_point(*bbox_centre(bbox))


def format_point(lon: float, lat: float) -> str:
    """A position as a person writes it.

    >>> format_point(-99.1, 47.05)
    '47.0500° N, 99.1000° W'
    """
    return f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"


def format_number(value: float, *, digits: int = 3) -> str:
    """A number with so many digits that count, and never a power of ten.

    >>> format_number(17_314.2), format_number(1.1249), format_number(5.0), format_number(0.0000123)
    ('17,300', '1.12', '5', '0.0000123')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, places):,.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_gsd(gsd_m: float) -> str:
    """The ground of a pixel.

    >>> format_gsd(0.3), format_gsd(111_319.5)
    ('0.3 m per pixel', '111,000 m per pixel')
    """
    return f"{format_number(gsd_m)} m per pixel"


def format_extent(width_m: float, height_m: float) -> str:
    """The sides of a piece of ground.

    >>> format_extent(320.0, 320.0), format_extent(1120.0, 560.0), format_extent(17_300_000.0, 8e6)
    ('320 × 320 m', '1.12 × 0.56 km', '17,300 × 8,000 km')
    """
    factor, unit = (1000.0, "km") if max(width_m, height_m) >= 1000 else (1.0, "m")
    return f"{format_number(width_m / factor)} × {format_number(height_m / factor)} {unit}"


def format_area(area_km2: float) -> str:
    """An area, in a unit in which it is not nothing.

    >>> format_area(0.0), format_area(0.0004), format_area(3.14159), format_area(1234.5)
    ('0 m²', '400 m²', '3.14 km²', '1,234 km²')
    """
    if area_km2 < 0.1:
        return f"{area_km2 * 1e6:,.0f} m²"
    return f"{area_km2:,.{0 if area_km2 >= 100 else 2}f} km²"


def say_state(state: State, described: str, *, what: str, relevance: float | None, threshold: float) -> str:
    """What is said of an answer that does not match, in words; "no confident match" is not "nothing here".

    Args:
        state: of the answer, `unsure` or `nothing`.
        described: what was asked for.
        what: whose relevance is told, e.g. `hit`.
        relevance: the best.
        threshold: from which on it would match.

    >>> say_state("unsure", "“pond”", what="hit", relevance=0.341, threshold=0.5)
    "no confident match for “pond”: the best hit's relevance is 0.34, below 0.5"
    """
    begun = "no confident match for" if state == "unsure" else "nothing here matches"
    return f"{begun} {described}: the best {what}'s relevance is {relevance or 0.0:.2f}, below {threshold:g}"
