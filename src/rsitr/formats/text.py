"""Positions in words."""

from __future__ import annotations

from rsitr.geo import bbox_centre
from rsitr.types import BBox

__all__ = ["format_place", "format_point"]


def format_place(bbox: BBox | None) -> str:
    """The middle of a box as a person writes it.

    >>> format_place((-99.2, 47.0, -99.0, 47.1))
    '47.0500° N, 99.1000° W'
    """
    return "no known place" if bbox is None else format_point(*bbox_centre(bbox))


def format_point(lon: float, lat: float) -> str:
    """A position as a person writes it.

    >>> format_point(-99.1, 47.05)
    '47.0500° N, 99.1000° W'
    """
    return f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"
