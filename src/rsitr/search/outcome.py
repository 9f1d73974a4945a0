"""What a person should be told beside the hits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rsitr.catalogue import CATALOGUE, STRONGER_MODEL
from rsitr.formats import format_number, say_state
from rsitr.geo import enclosing_bbox
from rsitr.search.result import SearchResult
from rsitr.types import BBox, SceneEntry, TileFilter

__all__ = ["say_left_out", "say_limits", "say_outcome", "say_stronger", "say_unknown"]

NAMED = 8


def say_outcome(result: SearchResult, *, n_all: int, are_shown: bool = True) -> str:
    """What a person should be told beside the hits; empty where something matches and every word is known.

    Args:
        result: of a search.
        n_all: tiles in the index.
        are_shown: whether hits are shown that don't match.
    """
    if not result.hits:
        return _say_empty(result, n_all=n_all)
    unknown = "; ".join(filter(None, [say_unknown(result.unknown), _say_unsuitable(result.unsuitable, len(result))]))
    if result.state == "matches":
        return unknown
    why = ", so no hit is to be trusted" if result.is_foreign else None
    if result.has_unknown and (result.relevance or 0.0) >= result.threshold:
        why = ", so hits may show the rest of it alone"
    elif result.relevance is None and result.unsuitable:
        why = ""
    if why is not None:
        return f"no confident match for {result.query.describe()}: {unknown}{why}"
    if result.state is None and result.is_wordless:
        return (
            f"whether anything here matches {result.query.describe()} cannot be said: the embeddings of this index "
            "were made elsewhere; mark hits right and wrong, and a detector learns to tell (rsitr feedback)"
        )
    if result.state is None:
        return (
            f"whether anything here matches {result.query.describe()} cannot be said: {result.model} is not calibrated "
            "(rsitr calibrate)"
        )
    shown = "; what is shown is only the least unlike" if are_shown and result.state == "nothing" else ""
    said = say_state(
        result.state, result.query.describe(), what="hit", relevance=result.relevance, threshold=result.threshold
    )
    return said + shown + (f"; {unknown}" if unknown else "")


def _say_empty(result: SearchResult, *, n_all: int) -> str:
    if result.n_hopeless:
        return (
            f"no confident match for {result.query.describe()}: the pixels of all {result.n_hopeless:,} tiles within "
            "these limits can show nothing to a model"
        )
    return "no tile lies within these limits" if n_all else "this index holds no tiles yet"


def say_left_out(result: SearchResult) -> str:
    """Which tiles were left out though they lie within the limits; empty where none were."""
    said = []
    if result.n_hopeless and result.hits:
        tiles = "tile, whose" if result.n_hopeless == 1 else "tiles, whose"
        said.append(f"{result.n_hopeless:,} {tiles} pixels can show nothing to a model")
    if result.n_copies:
        tiles = "tile, which shows" if result.n_copies == 1 else "tiles, which show"
        said.append(f"{result.n_copies:,} {tiles} the ground of a better hit on the same day")
    return f"left out: {' and '.join(said)}" if said else ""


def say_stronger(result: SearchResult) -> str:
    """Which model may find what a packaged one did not, and by which command; empty where that is nothing to say."""
    known = CATALOGUE.get(result.model)
    if known is None or not known.is_packaged or result.query.detector is not None:
        return ""
    if not result.hits or result.state not in {"unsure", "nothing"} or len(result.unsuitable) == len(result):
        return ""
    stronger = CATALOGUE[STRONGER_MODEL]
    return (
        f"a stronger model may find it: {stronger.command} ({stronger.size_bytes / 1e6:,.0f} MB; `rsitr models` lists "
        "others)"
    )


def say_unknown(words: Mapping[str, tuple[str, ...]]) -> str:
    """Which words a model does not know, and what it knows that is near them; empty where it knows all.

    >>> say_unknown({"asdf": (), "excavater": ("excavator",)})
    'the model does not know “asdf” and “excavater” (but “excavator”)'
    """
    told = [f"“{word}”" + (f" (but {_either(near)})" if near else "") for word, near in words.items()]
    if not told:
        return ""
    return f"the model does not know {', '.join(told[:-1])}{' and ' if len(told) > 1 else ''}{told[-1]}"


def _say_unsuitable(reasons: Sequence[str], n_hits: int) -> str:
    if not reasons:
        return ""
    count = "all hits" if len(reasons) == n_hits else f"{len(reasons)} of {n_hits} hits"
    return f"{count} are of pixels that can show nothing to a model ({reasons[0]}), and are not judged"


def _either(words: Sequence[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)


def say_limits(where: TileFilter, *, count: Callable[[TileFilter], int], scenes: Sequence[SceneEntry]) -> str:
    """Which limit leaves no tile, and what there is instead.

    Args:
        where: limits that no tile meets.
        count: tiles that meet others.
        scenes: of the index.
    """
    days = sorted(scene.date for scene in scenes if scene.date is not None)
    sensors = sorted({scene.sensor for scene in scenes if scene.sensor})
    sizes = [scene.gsd_m for scene in scenes if scene.gsd_m is not None]
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
        (where.gsd_m, TileFilter(gsd_m=where.gsd_m), "of pixels of that size",
         f"pixels are of {_span(sizes)} m" if sizes else "no size is known"),
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


def _span(sizes: Sequence[float]) -> str:
    return f"{format_number(min(sizes))} to {format_number(max(sizes))}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _cover(box: BBox | None) -> str:
    return (
        "no scene has a known place"
        if box is None
        else f"scenes lie within {','.join(format_number(side, digits=5) for side in box)}"
    )
