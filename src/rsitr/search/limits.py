"""Where and when hits may be: read from what a person writes, and checked, for the command and the service alike."""

from __future__ import annotations

import calendar
import dataclasses
import datetime
import math
import re
from typing import TypedDict

from rsitr.errors import QueryError
from rsitr.types import BBox, TileFilter

__all__ = ["Limits", "check_filter", "parse_bbox", "parse_day", "parse_gsd"]

MONTH = re.compile(r"(\d{4})(?:-(\d{2}))?")


class Limits(TypedDict, total=False):
    """The limits of a :class:`rsitr.types.TileFilter` that are given most, as keywords."""

    bbox: BBox | None
    since: datetime.date | None
    until: datetime.date | None
    sensor: str | None
    gsd_m: tuple[float, float] | None


def parse_gsd(text: str, *, name: str) -> tuple[float, float]:
    """The finest and the coarsest pixels, in metres on the ground.

    >>> parse_gsd("0.1,5", name="--gsd")
    (0.1, 5.0)

    Raises:
        QueryError: it is not two numbers, or not in this order.
    """
    try:
        finest, coarsest = (float(part) for part in text.split(","))
    except ValueError as error:
        raise QueryError(
            f"{name} takes the finest and the coarsest pixels in metres, e.g. 0.1,5, not {text!r}"
        ) from error
    return _checked_gsd((finest, coarsest))


def parse_day(text: str, *, name: str, is_last: bool) -> datetime.date:
    """A day; of a month or a year the first one, or the last.

    Args:
        text: e.g. `2016-08-16`, `2016-08` or `2016`.
        name: of what was asked for, for the message.
        is_last: whether a month or year means its last day.

    >>> parse_day("2016-02", name="--until", is_last=True)
    datetime.date(2016, 2, 29)

    Raises:
        QueryError: it is none.
    """
    found = MONTH.fullmatch(text)
    try:
        if found is None:
            return datetime.date.fromisoformat(text)
        year, month = int(found[1]), int(found[2] or (12 if is_last else 1))
        return datetime.date(year, month, calendar.monthrange(year, month)[1] if is_last else 1)
    except ValueError as error:
        raise QueryError(
            f"{name} takes a day as YYYY-MM-DD, or a month or year, e.g. 2016-08-16, 2016-08 or 2016, not {text!r}"
        ) from error


def parse_bbox(text: str, *, name: str) -> BBox:
    """A box from its sides with commas between them.

    >>> parse_bbox("5.9,45.8,10.5,47.8", name="--bbox")
    (5.9, 45.8, 10.5, 47.8)

    Raises:
        QueryError: it is not four numbers, or no box on Earth.
    """
    try:
        west, south, east, north = (float(side) for side in text.split(","))
    except ValueError as error:
        raise QueryError(
            f"{name} takes west,south,east,north in degrees, e.g. 5.9,45.8,10.5,47.8, not {text!r}"
        ) from error
    return _checked_box((west, south, east, north))


def check_filter(where: TileFilter) -> TileFilter:
    """A filter that can be met.

    Raises:
        QueryError: a box that is none, or days or sizes of pixels that are none or in the wrong order.
    """
    for name in ("since", "until"):
        day = getattr(where, name)
        if day is not None and (not isinstance(day, datetime.date) or isinstance(day, datetime.datetime)):
            raise QueryError(f"{name} is a day, datetime.date(2016, 8, 31) for one, not {day!r}")
    if where.since and where.until and where.since > where.until:
        since, until = where.since.isoformat(), where.until.isoformat()
        raise QueryError(f"no day is on or after {since} and on or before {until}: exchange the two")
    if where.gsd_m is not None:
        where = dataclasses.replace(where, gsd_m=_checked_gsd(where.gsd_m))
    return where if where.bbox is None else dataclasses.replace(where, bbox=_checked_box(where.bbox))


def _checked_gsd(gsd_m: tuple[float, float]) -> tuple[float, float]:
    finest, coarsest = gsd_m
    if not 0 <= finest <= coarsest < math.inf:
        raise QueryError(
            f"pixels are from the finest to the coarsest in metres, e.g. 0.1,5, not {finest:g},{coarsest:g}"
        )
    return float(finest), float(coarsest)


def _checked_box(bbox: BBox) -> BBox:
    hint = "a box is west,south,east,north in degrees (west > east across the antimeridian), not "
    try:
        hint += ",".join(f"{side:g}" for side in bbox)
    except (TypeError, ValueError):
        raise QueryError(f"{hint}{bbox!r}") from None
    if len(bbox) != 4 or not all(math.isfinite(side) for side in bbox):
        raise QueryError(hint)
    west, south, east, north = (float(side) for side in bbox)
    if not (-180 <= west <= 180 and -180 <= east <= 180):
        raise QueryError(f"{hint}: longitudes run from -180 to 180")
    if not (-90 <= south <= 90 and -90 <= north <= 90):
        raise QueryError(f"{hint}: latitudes run from -90 to 90")
    if south > north:
        raise QueryError(f"{hint}: its south lies north of its north")
    return west, south, east, north
