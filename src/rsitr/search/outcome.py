"""What a person should be told beside the hits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rsitr.formats import format_number
from rsitr.geo import enclosing_bbox
from rsitr.search.result import SearchResult
from rsitr.types import BBox, SceneEntry, TileFilter

__all__ = ["say_limits", "say_outcome"]

NAMED = 8


def say_outcome(result: SearchResult, *, n_all: int, are_shown: bool = True) -> str:
    """What a person should be told beside the hits; empty where something matches.

    Args:
        result: of a search.
        n_all: tiles in the index.
        are_shown: whether hits are shown that don't match.
    """
    if not result.hits:
        return "no tile lies within these limits" if n_all else "this index holds no tiles yet"
    if result.matches:
        return ""
    shown = "; what is shown is only the least unlike" if are_shown else ""
    return (
        f"nothing here matches {result.query.describe()}: the best hit's relevance is {result.relevance or 0.0:.2f}, "
        f"below {result.threshold:g}{shown}"
    )


def say_limits(where: TileFilter, *, count: Callable[[TileFilter], int], scenes: Sequence[SceneEntry]) -> str:
    """Which limit leaves no tile, and what there is instead.

    Args:
        where: limits that no tile meets.
        count: tiles that meet others.
        scenes: of the index.
    """
    days = sorted(scene.date for scene in scenes if scene.date is not None)
    sensors = sorted({scene.sensor for scene in scenes if scene.sensor})
    box = enclosing_bbox(scene.bbox for scene in scenes if scene.bbox is not None)
    period = " ".join(
        [*([f"since {where.since}"] if where.since else []), *([f"until {where.until}"] if where.until else [])]
    )
    there = f"days run from {days[0]} to {days[-1]}" if days else "no scene says its day"
    limits = [
        (where.sensor, TileFilter(sensor=where.sensor), f"by the sensor {where.sensor}",
         f"there are {_listed(sensors)}" if sensors else "no scene names its sensor"),
        (period, TileFilter(since=where.since, until=where.until), period, there),
        (where.scene, TileFilter(scene=where.scene), f"of a scene called {where.scene}",
         f"scenes are called {_listed([scene.scene for scene in scenes])}"),
        (where.bbox, TileFilter(bbox=where.bbox), "in the box", _cover(box)),
        (where.area, TileFilter(area=where.area), "in the area", _cover(box)),
    ]  # fmt: skip
    given = [(alone, name, instead) for value, alone, name, instead in limits if value]
    counts = [count(alone) for alone, _, _ in given]
    empty = [f"none is {name} ({instead})" for n, (_, name, instead) in zip(counts, given, strict=True) if not n]
    if empty:
        return "; ".join(empty)
    each = ", ".join(f"{n:,} {'are' if n > 1 else 'is'} {name}" for n, (_, name, _) in zip(counts, given, strict=True))
    return f"{each}, but none meets all of these limits"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _cover(box: BBox | None) -> str:
    return (
        "no scene has a known place"
        if box is None
        else f"scenes lie within {','.join(format_number(side, digits=5) for side in box)}"
    )
