"""Scenes and tiles without a search, as GIS programs ask for them: within a box and a time, page by page."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from rsitr.errors import QueryError
from rsitr.geo import area_shape, bbox_shape, ring_shape
from rsitr.search import check_filter, parse_bbox, parse_day
from rsitr.service.asking import check_area
from rsitr.types import Area, BBox, SceneEntry, Tile, TileFilter

__all__ = ["MOST_FOUND", "MOST_SHOWN", "parse_box", "parse_interval", "read_limits", "select"]

MOST_SHOWN = 1000
"""On a page."""
MOST_FOUND = 500
"""Hits that the pages of a search hold together, where the service allows so many: each page makes the search again."""

Item = TypeVar("Item", Tile, SceneEntry)


def read_limits(
    *, bbox: str | Sequence[float] | None, interval: str | None, area: Area | None = None, is_dated: bool = False
) -> TileFilter:
    """The limits that GIS programs give.

    Args:
        bbox: west, south, east, north, or the same with heights, which are passed over.
        interval: a time, or two with a slash between them.
        area: in place of a box.
        is_dated: whether what has no known day is left out.

    Raises:
        QueryError: they cannot be met by anything.
    """
    if bbox is not None and area is not None:
        raise QueryError("give `bbox` or `intersects`, not both")
    since, until = (None, None) if interval is None else parse_interval(interval)
    return check_filter(
        TileFilter(
            bbox=None if bbox is None else parse_box(bbox),
            area=None if area is None else check_area(area),
            since=datetime.date.min if since is None and is_dated else since,
            until=until,
        )
    )


def parse_box(bbox: str | Sequence[float]) -> BBox:
    """A box of four sides, or of six with heights.

    >>> parse_box("5.9,45.8,0,10.5,47.8,4000")
    (5.9, 45.8, 10.5, 47.8)

    Raises:
        QueryError: it is none.
    """
    sides = bbox.split(",") if isinstance(bbox, str) else [str(side) for side in bbox]
    return parse_bbox(",".join(sides[:2] + sides[3:5] if len(sides) == 6 else sides), name="bbox")


def parse_interval(text: str) -> tuple[datetime.date | None, datetime.date | None]:
    """The first and the last day of an instant or an interval (RFC 3339, in UTC), None where it is open.

    >>> parse_interval("2016-08-16T23:30:00-02:00/..")
    (datetime.date(2016, 8, 17), None)
    >>> parse_interval("2016")
    (datetime.date(2016, 1, 1), datetime.date(2016, 12, 31))

    Raises:
        QueryError: it is none, or open at both ends.
    """
    ends = text.split("/")
    if len(ends) > 2 or all(end in {"", ".."} for end in ends):
        raise QueryError(f"datetime takes an instant, or two with a slash between them, not {text!r}")
    first, last = _parse_end(ends[0], is_last=False), _parse_end(ends[-1], is_last=True)
    if first and last and first > last:
        raise QueryError(f"datetime: {first} is after {last}: exchange the two")
    return first, last


def _parse_end(text: str, *, is_last: bool) -> datetime.date | None:
    if text in {"", ".."}:
        return None
    if len(text) <= len("2016-08-16"):
        return parse_day(text, name="datetime", is_last=is_last)
    try:
        moment = datetime.datetime.fromisoformat(text.upper())
        return (moment.astimezone(datetime.UTC) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError) as error:
        raise QueryError(f"datetime takes a time as 2016-08-16T10:00:00Z, not {text!r}") from error


def select(items: Iterable[Item], where: TileFilter) -> list[Item]:
    """Those within a box or an area, and a time; what is unknown of one fails."""
    shapes = [
        *([bbox_shape(where.bbox)] if where.bbox is not None else []),
        *([area_shape(where.area)] if where.area is not None else []),
    ]
    tests: list[Callable[[Item], bool]] = []
    if (since := where.since) is not None:
        tests.append(lambda item: item.date is not None and item.date >= since)
    if (until := where.until) is not None:
        tests.append(lambda item: item.date is not None and item.date <= until)
    if shapes:
        tests.append(
            lambda item: (
                item.footprint is not None and all(shape.intersects(ring_shape(item.footprint)) for shape in shapes)
            )
        )
    return [item for item in items if all(test(item) for test in tests)]
