"""Hits against the ground truth: what is really there, and whether that answers the query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import comb

from rsitr.demo.drawing.scene import Region
from rsitr.demo.queries import DemoQuery
from rsitr.geo import Window
from rsitr.types import Hit, ImageArray

__all__ = [
    "JudgedAnswer",
    "JudgedHit",
    "Summary",
    "chance_of_hit",
    "describe_place",
    "judge",
    "overlap_px",
    "summarise_answers",
]

SHOWN_SHARE = 0.15
"""Districts that cover less of a tile are not named."""


@dataclass(frozen=True)
class JudgedHit:
    """A hit and the truth about it.

    Attributes:
        hit: as the search returned it.
        there: labels of the districts in the tile, the largest first.
        right: at least half of the tile lies in districts that answer the query.
    """

    hit: Hit
    there: tuple[str, ...]
    right: bool


@dataclass(frozen=True, eq=False)
class JudgedAnswer:
    """A query with its judged hits.

    Attributes:
        query: what was asked.
        example: the example picture of a query by picture, else None.
        hits: best first.
        n_right_tiles: tiles of the index that would be right.
        n_tiles: tiles of the index.
    """

    query: DemoQuery
    example: ImageArray | None
    hits: tuple[JudgedHit, ...]
    n_right_tiles: int
    n_tiles: int

    @property
    def title(self) -> str:
        """The query as a person reads it."""
        return self.query.text or f"an example picture: {', '.join(sorted(self.query.answers))}"

    @property
    def first_right(self) -> int | None:
        """Rank of the first right hit, or None."""
        return next((judged.hit.rank for judged in self.hits if judged.right), None)


@dataclass(frozen=True)
class Summary:
    """How many of the queries found what they asked for, and how many guessing would be expected to.

    Attributes:
        n_queries: queries asked.
        k: hits looked at per query.
        first: queries whose best hit is right.
        within_k: queries with a right hit among the k best.
        first_by_chance: expected of k tiles drawn at random, for comparison.
        within_k_by_chance: likewise.
    """

    n_queries: int
    k: int
    first: int
    within_k: int
    first_by_chance: float
    within_k_by_chance: float


def overlap_px(a: Window, b: Window) -> int:
    """Area that two windows share.

    >>> overlap_px((0, 0, 10, 10), (5, 8, 10, 10))
    10
    """
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)


def judge(window: Window, answers: Iterable[str], *, districts: Sequence[Region]) -> bool:
    """Whether at least half of a tile lies in districts with one of these labels."""
    wanted = set(answers)
    right = sum(overlap_px(window, district.window_px) for district in districts if district.label in wanted)
    return right * 2 >= window[2] * window[3]


def describe_place(window: Window, *, districts: Sequence[Region]) -> tuple[str, ...]:
    """Labels of the districts in a window, the largest part first, each once."""
    parts: dict[str, int] = {}
    for district in districts:
        shared = overlap_px(window, district.window_px)
        if shared:
            parts[district.label] = parts.get(district.label, 0) + shared
    least = SHOWN_SHARE * window[2] * window[3]
    return tuple(label for label, area in sorted(parts.items(), key=lambda part: -part[1]) if area >= least)


def chance_of_hit(*, n_tiles: int, n_right: int, k: int) -> float:
    """Probability that k tiles drawn at random hold a right one.

    >>> chance_of_hit(n_tiles=4, n_right=1, k=1)
    0.25
    """
    k = min(k, n_tiles)
    return 1 - comb(n_tiles - n_right, k) / comb(n_tiles, k)


def summarise_answers(answers: Sequence[JudgedAnswer], *, k: int) -> Summary:
    """Count what was found."""

    def expected(depth: int) -> float:
        return sum(chance_of_hit(n_tiles=a.n_tiles, n_right=a.n_right_tiles, k=depth) for a in answers)

    def count(found: Callable[[int], bool]) -> int:
        return sum(1 for a in answers if a.first_right is not None and found(a.first_right))

    return Summary(
        n_queries=len(answers),
        k=k,
        first=count(lambda rank: rank == 1),
        within_k=count(lambda rank: rank <= k),
        first_by_chance=expected(1),
        within_k_by_chance=expected(k),
    )
