from __future__ import annotations

from itertools import combinations

import pytest

from rsitr.demo.drawing.scene import Region
from rsitr.demo.judging import (
    JudgedAnswer,
    JudgedHit,
    chance_of_hit,
    describe_place,
    judge,
    overlap_px,
    summarise_answers,
)
from rsitr.demo.queries import DemoQuery
from rsitr.types import Hit, Tile

DISTRICTS = (
    Region("river", (0, 0, 100, 100), ()),
    Region("forest", (100, 0, 100, 100), ()),
    Region("river", (0, 100, 200, 100), ()),
)


def test_overlap_is_symmetric_and_empty_apart() -> None:
    assert overlap_px((0, 0, 10, 10), (20, 0, 10, 10)) == 0
    assert overlap_px((0, 0, 10, 10), (10, 0, 10, 10)) == 0  # touching
    assert overlap_px((2, 3, 4, 5), (0, 0, 100, 100)) == overlap_px((0, 0, 100, 100), (2, 3, 4, 5)) == 20


@pytest.mark.parametrize(
    ("window", "right"),
    [
        ((0, 0, 50, 50), True),
        ((50, 0, 100, 100), True),  # exactly half
        ((51, 0, 100, 100), False),
        ((110, 10, 50, 50), False),
        ((50, 50, 100, 100), True),  # two districts of the label together
    ],
)
def test_a_tile_is_right_if_half_of_it_is(window: tuple[int, int, int, int], right: bool) -> None:
    assert judge(window, {"river"}, districts=DISTRICTS) is right
    assert judge(window, {"river", "forest"}, districts=DISTRICTS)
    assert not judge(window, {"lake"}, districts=DISTRICTS)


def test_what_is_there_is_named_by_size() -> None:
    assert describe_place((30, 0, 100, 100), districts=DISTRICTS) == ("river", "forest")
    assert describe_place((90, 0, 100, 100), districts=DISTRICTS) == ("forest",)  # a tenth of river is not named


def test_chance_equals_counting() -> None:
    draws = list(combinations(range(7), 3))
    counted = sum(1 for draw in draws if set(draw) & {0, 1}) / len(draws)
    assert chance_of_hit(n_tiles=7, n_right=2, k=3) == pytest.approx(counted)
    assert chance_of_hit(n_tiles=3, n_right=0, k=2) == 0
    assert chance_of_hit(n_tiles=3, n_right=1, k=9) == 1  # fewer tiles than asked for


def answer(marks: str) -> JudgedAnswer:
    hits = tuple(
        JudgedHit(Hit(Tile(str(i), "s.tif", (0, 0, 1, 1)), score=1.0 - i / 10, rank=i + 1), (), mark == "+")
        for i, mark in enumerate(marks)
    )
    return JudgedAnswer(DemoQuery(None, frozenset({"river"})), None, hits, n_right_tiles=2, n_tiles=8)


def test_the_summary_counts_first_hits_and_any_hits() -> None:
    summary = summarise_answers([answer("+-"), answer("-+"), answer("--"), answer("++")], k=2)
    assert (summary.n_queries, summary.first, summary.within_k) == (4, 2, 3)
    assert summary.first_by_chance == pytest.approx(4 * 2 / 8)
    assert summary.within_k_by_chance == pytest.approx(4 * (1 - (6 * 5) / (8 * 7)))
    assert summarise_answers([answer("-+")], k=1).within_k == 0
