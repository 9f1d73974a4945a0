"""How good is it on one's own area? Precision at k from labelled hits, a threshold, and which index did best."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rsitr.geo import bbox_centre
from rsitr.search.feedback import Mark
from rsitr.search.result import SearchResult
from rsitr.types import Hit

__all__ = [
    "Assessment",
    "Labelled",
    "Precision",
    "Reach",
    "Recommendation",
    "ThresholdAdvice",
    "assess",
    "explain_not_compared",
    "label_hits",
    "recommend",
    "to_label_csv",
    "wilson_interval",
]

SAME_WINDOW = 0.5
"""Intersection over union from which the label of one window holds for another of the same scene."""
NORMAL_95 = 1.959963984540054
LEAST_LABELS = 10
COVERED = 0.9
"""Share of the hits down to a rank with a label where labels are said to reach it: a few may be too hard to tell."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Share of right hits among the labelled ones of the top k.

    Attributes:
        k: depth.
        value: 0 to 1; NaN where nothing is labelled.
        low: of the 95 % interval (Wilson), which takes hits to be independent.
        high: likewise.
        n_labelled: labelled hits among the top k of all queries.
        n_hits: all of them.
    """

    k: int
    value: float
    low: float
    high: float
    n_labelled: int
    n_hits: int

    @property
    def is_covered(self) -> bool:
        """Whether labels reach down to k, with few gaps: what is measured then holds for these hits, not for a part."""
        return self.n_labelled > 0 and self.n_labelled >= COVERED * self.n_hits


@dataclass(frozen=True, slots=True)
class Reach:
    """How far down the labels go, in every query, with few gaps.

    Attributes:
        rank: the deepest; 0 where not even the first hit of some query is labelled.
        relevance: of the hits down to it, the lowest that every query's labels reach; None where it is not known.
        n_labelled: labelled hits.
        n_hits: all of them.
    """

    rank: int
    relevance: float | None
    n_labelled: int
    n_hits: int


@dataclass(frozen=True, slots=True)
class ThresholdAdvice:
    """The relevance that divides right from wrong best, as far down as the labels reach.

    Attributes:
        threshold: hits from here on are kept.
        precision: share of right ones among the labelled hits that are kept.
        recall: share of the hits labelled right that are kept; those that nobody has looked at don't count.
        n_labelled: labels it rests on.
        is_bounded: False where it is the lowest relevance that the labels reach: the best may lie lower still.
    """

    threshold: float
    precision: float
    recall: float
    n_labelled: int
    is_bounded: bool


@dataclass(frozen=True, slots=True)
class Labelled:
    """A hit with what a person said of it, or None."""

    query: str
    hit: Hit
    right: bool | None


@dataclass(frozen=True, slots=True)
class Assessment:
    """How one index did.

    Attributes:
        index: its name.
        model: its model.
        tiles: its tile size, in words.
        precisions: at each k.
        advice: None where fewer than ten hits are labelled, or all alike, or the first ones of some query are not.
        reach: how far down the labels go.
    """

    index: str
    model: str
    tiles: str
    precisions: tuple[Precision, ...]
    advice: ThresholdAdvice | None
    reach: Reach

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is not known is None."""
        found = asdict(self)
        for precision in found["precisions"]:
            for name in ("value", "low", "high"):
                precision[name] = None if math.isnan(precision[name]) else precision[name]
        return found


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to use on this area, of all that was tried.

    Attributes:
        index: the index that did best at the deepest k that the labels of all reach; its model and its tiles.
        model: likewise.
        tiles: likewise.
        threshold: relevance from which its hits are worth keeping; None where its labels don't say, or don't reach far
            enough down to say.
        precision: its precision there.
        is_clear: whether its interval lies above those of all others; otherwise it takes more labels to be sure.
        n_tried: indexes that were tried.
        n_compared: of these, indexes with labels that reach that k.
    """

    index: str
    model: str
    tiles: str
    threshold: float | None
    precision: Precision
    is_clear: bool
    n_tried: int
    n_compared: int


def label_hits(results: Sequence[SearchResult], marks: Sequence[Mark]) -> list[Labelled]:
    """Put a person's labels beside the hits.

    A label holds for its own tile, and for windows of the same scene that share half of their joint area with it: so
    labels given once serve for another model, and for tile sizes that are not too different. Labels with a query hold
    for that query, those without for every one.
    """
    found = []
    for result in results:
        asked = result.query.describe()
        own = [mark for mark in marks if mark.query in {"", asked, result.query.text or ""}]
        exact = {mark.tile: mark.right for mark in own}
        windows = [(*place, mark.right) for mark in own if (place := _window(mark.tile)) is not None]
        for hit in result:
            right = exact.get(hit.tile.tile)
            found.append(Labelled(asked, hit, _nearest(hit, windows) if right is None else right))
    return found


def assess(labelled: Sequence[Labelled], *, ks: Sequence[int], index: str, model: str, tiles: str) -> Assessment:
    """Precision at each k, how far down the labels go, and the threshold to use."""
    reach = _measure_reach(labelled)
    return Assessment(
        index=index,
        model=model,
        tiles=tiles,
        precisions=tuple(_precision(labelled, k) for k in ks),
        advice=_advise(labelled, reach=reach),
        reach=reach,
    )


def recommend(assessments: Sequence[Assessment]) -> Recommendation | None:
    """The model, tile size and threshold to use: the highest precision at the deepest k that all labels reach.

    Labels that reach less far down count the best hits alone, which flatters: indexes whose labels reach no k are not
    compared. None where nothing is labelled, or where of several indexes less than two can be compared.

    Args:
        assessments: with the same ks.
    """
    if len(assessments) == 1:
        (best,) = known = list(assessments)
        labelled = [precision for precision in best.precisions if precision.n_labelled]
        if not labelled:
            return None
        reached = max(labelled, key=lambda precision: (precision.is_covered, precision.k))
    else:
        known = [entry for entry in assessments if any(precision.is_covered for precision in entry.precisions)]
        common = [
            depth
            for depth, at_k in enumerate(zip(*(entry.precisions for entry in known), strict=True))
            if all(precision.is_covered for precision in at_k)
        ]
        if len(known) < 2 or not common:
            return None
        depth = common[-1]
        best = max(known, key=lambda entry: (entry.precisions[depth].value, entry.reach.n_labelled))
        reached = best.precisions[depth]
    depth = best.precisions.index(reached)
    bounded = best.advice is not None and best.advice.is_bounded
    return Recommendation(
        index=best.index,
        model=best.model,
        tiles=best.tiles,
        threshold=best.advice.threshold if best.advice is not None and bounded else None,
        precision=reached,
        is_clear=all(other.precisions[depth].high < reached.low for other in known if other is not best),
        n_tried=len(assessments),
        n_compared=len(known),
    )


def explain_not_compared(assessments: Sequence[Assessment]) -> tuple[str, ...]:
    """Of several indexes, those whose labels reach no k, so that they cannot be compared, and what is lacking."""
    if len(assessments) < 2:
        return ()
    lacking = [entry for entry in assessments if not any(precision.is_covered for precision in entry.precisions)]
    return tuple(
        f"{entry.index} is not compared: of its hits down to rank {entry.precisions[0].k}, "
        f"{entry.precisions[0].n_labelled} of {entry.precisions[0].n_hits} are labelled"
        for entry in lacking
    )


def to_label_csv(labelled: Iterable[Labelled]) -> str:
    """The hits that want a label, as a CSV whose last column is to be filled in."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query", "rank", "tile", "date", "lon", "lat", "label"])
    for entry in labelled:
        if entry.right is None:
            tile = entry.hit.tile
            lon, lat = ("", "") if tile.bbox is None else (f"{degrees:.6f}" for degrees in bbox_centre(tile.bbox))
            writer.writerow([entry.query, entry.hit.rank, tile.tile, tile.date or "", lon, lat, ""])
    return text.getvalue()


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); unlike the normal one it stays within 0 and 1.

    >>> tuple(round(side, 3) for side in wilson_interval(8, 10))
    (0.49, 0.943)
    """
    if n == 0:
        return math.nan, math.nan
    share, square = n_right / n, NORMAL_95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = NORMAL_95 * math.sqrt(share * (1 - share) / n + square / (4 * n**2)) / (1 + square / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _precision(labelled: Sequence[Labelled], k: int) -> Precision:
    top = [entry for entry in labelled if entry.hit.rank <= k]
    known = [entry.right for entry in top if entry.right is not None]
    low, high = wilson_interval(sum(known), len(known))
    value = sum(known) / len(known) if known else math.nan
    return Precision(k=k, value=value, low=low, high=high, n_labelled=len(known), n_hits=len(top))


def _measure_reach(labelled: Sequence[Labelled]) -> Reach:
    ranks: list[int] = []
    lowest: list[float | None] = []
    for query in dict.fromkeys(entry.query for entry in labelled):
        own = sorted((entry for entry in labelled if entry.query == query), key=lambda entry: entry.hit.rank)
        known = [entry.right is not None for entry in own]
        depth = max((n for n in range(1, len(own) + 1) if sum(known[:n]) >= COVERED * n), default=0)
        found = [entry.hit.relevance for entry in own[:depth] if entry.right is not None]
        ranks.append(own[depth - 1].hit.rank if depth else 0)
        lowest.append(min((relevance for relevance in found if relevance is not None), default=None))
    told = [relevance for relevance in lowest if relevance is not None]
    return Reach(
        rank=min(ranks, default=0),
        relevance=max(told) if told and len(told) == len(lowest) else None,
        n_labelled=sum(entry.right is not None for entry in labelled),
        n_hits=len(labelled),
    )


def _advise(labelled: Sequence[Labelled], *, reach: Reach) -> ThresholdAdvice | None:
    """The threshold with the highest F1 over the labelled hits; of equal ones the highest, which keeps fewer.

    None lies where the hits of some query have no labels.
    """
    if reach.relevance is None:
        return None
    known = [(entry.hit.relevance, entry.right) for entry in labelled if entry.right is not None]
    pairs = [(relevance, right) for relevance, right in known if relevance is not None]
    n_right = sum(right for _, right in pairs)
    if len(pairs) < LEAST_LABELS or n_right in {0, len(pairs)}:
        return None
    best: ThresholdAdvice | None = None
    best_f1 = -1.0
    for threshold in sorted({relevance for relevance, _ in pairs if relevance >= reach.relevance}, reverse=True):
        kept = [right for relevance, right in pairs if relevance >= threshold]
        precision, recall = sum(kept) / len(kept), sum(kept) / n_right
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        if f1 > best_f1:
            best_f1 = f1
            best = ThresholdAdvice(
                threshold, precision=precision, recall=recall, n_labelled=len(pairs),
                is_bounded=threshold > reach.relevance,
            )  # fmt: skip
    return best


def _window(tile: str) -> tuple[str, tuple[int, int, int, int]] | None:
    """Scene and window from the id of a tile, `scene:col,row,width,height`."""
    scene, _, numbers = tile.rpartition(":")
    try:
        col, row, width, height = (int(number) for number in numbers.split(","))
    except ValueError:
        return None
    return scene, (col, row, width, height)


def _nearest(hit: Hit, windows: Sequence[tuple[str, tuple[int, int, int, int], bool]]) -> bool | None:
    near = [
        (_overlap(hit.tile.window_px, window), right) for scene, window, right in windows if scene == hit.tile.scene
    ]
    share, right = max(near, default=(0.0, False))
    return right if share >= SAME_WINDOW else None


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Intersection over union of two windows."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0, across) * max(0, down)
    return common / (one[2] * one[3] + other[2] * other[3] - common)
