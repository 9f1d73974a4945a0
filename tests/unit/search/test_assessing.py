from __future__ import annotations

import csv
import io
import math

import pytest

from rsitr.search import Labelled, Query, SearchResult, assess, label_hits, recommend, to_label_csv
from rsitr.search.assessing import explain_not_compared, wilson_interval
from rsitr.search.feedback import Mark
from rsitr.search.query import Part
from rsitr.types import Hit, Tile, TileFilter


def hit(rank: int, relevance: float | None = None, *, scene: str = "a.tif", size: int = 100) -> Hit:
    window = (100 * rank, 0, size, size)
    tile = Tile(f"{scene}:{','.join(map(str, window))}", scene, window)
    return Hit(tile, score=1 - rank / 100, rank=rank, relevance=relevance)


def answer(*hits: Hit, words: str = "river") -> SearchResult:
    return SearchResult(Query((Part("words", words),), 10, TileFilter()), hits, n_tiles=9, index="i", model="m")


def measured(labels: list[bool | None], ks: tuple[int, ...] = (2, 4)):  # type: ignore[no-untyped-def]
    labelled = [Labelled("q", hit(i, 1 - i / 20), right) for i, right in enumerate(labels, start=1)]
    return assess(labelled, ks=ks, index="i", model="m", tiles="t")


def test_precision_counts_the_labelled_hits_of_the_top_k() -> None:
    two, four = measured([True, False, None, True]).precisions
    assert (two.value, two.n_labelled, two.n_hits) == (0.5, 2, 2)
    assert (four.value, four.n_labelled, four.n_hits) == (pytest.approx(2 / 3), 3, 4)
    assert 0 <= four.low < four.value < four.high <= 1
    (none,) = measured([None, None], ks=(2,)).precisions
    assert math.isnan(none.value)
    assert measured([None], ks=(1,)).as_dict()["precisions"][0]["value"] is None


def test_wilson_agrees_with_scipy() -> None:
    from scipy.stats import binomtest

    for right, n in ((0, 5), (5, 5), (7, 20), (30, 31)):
        expected = binomtest(right, n).proportion_ci(method="wilson")
        assert wilson_interval(right, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_threshold_divides_right_from_wrong() -> None:
    advice = measured([True] * 6 + [False] * 6).advice
    assert advice is not None
    assert advice.threshold == pytest.approx(1 - 6 / 20)
    assert (advice.precision, advice.recall, advice.n_labelled) == (1.0, 1.0, 12)
    mixed = measured([True] * 5 + [False, True] + [False] * 5).advice
    assert mixed is not None
    assert mixed.threshold == pytest.approx(1 - 7 / 20)  # one wrong one is the price of the last right one
    assert (mixed.precision, mixed.recall) == (pytest.approx(6 / 7), 1.0)
    assert measured([True] * 12).advice is None
    assert measured([True, False]).advice is None


def test_the_best_of_what_was_tried_is_recommended_and_doubt_is_told() -> None:
    good = assess(
        [Labelled("q", hit(i, 1 - i / 50), i < 38) for i in range(1, 41)],
        ks=(40,),
        index="good",
        model="m",
        tiles="224 px",
    )
    poor = assess(
        [Labelled("q", hit(i, 1 - i / 50), i < 9) for i in range(1, 41)],
        ks=(40,),
        index="poor",
        model="m",
        tiles="96 px",
    )
    found = recommend([poor, good])
    assert found is not None
    assert (found.index, found.tiles, found.n_tried, found.n_compared) == ("good", "224 px", 2, 2)
    assert found.is_clear
    assert found.threshold == pytest.approx(1 - 37 / 50)
    assert found.precision.value == pytest.approx(37 / 40)
    few = [measured([True, False]), measured([True, True])]
    doubtful = recommend(few)
    assert doubtful is not None
    assert (doubtful.precision.value, doubtful.is_clear, doubtful.threshold) == (1.0, False, None)
    assert recommend([measured([None, None])]) is None


def test_a_threshold_at_the_end_of_the_labels_is_not_recommended() -> None:
    found = measured([False] * 2 + [True] * 10)
    assert found.advice is not None
    assert (found.advice.threshold, found.advice.is_bounded) == (pytest.approx(1 - 12 / 20), False)
    assert (found.reach.rank, found.reach.relevance) == (12, pytest.approx(1 - 12 / 20))
    alone = recommend([found])
    assert alone is not None
    assert alone.threshold is None


def test_a_threshold_lies_where_the_labels_of_every_query_reach() -> None:
    deep = [Labelled("deep", hit(i, 1 - i / 20), i < 9) for i in range(1, 19)]
    shallow = [Labelled("shallow", hit(i, 1 - i / 20), i < 3 if i < 5 else None) for i in range(1, 19)]
    alone = assess(deep, ks=(5,), index="i", model="m", tiles="t")
    assert alone.advice is not None
    assert (alone.advice.threshold, alone.advice.is_bounded) == (pytest.approx(1 - 8 / 20), True)
    both = assess([*deep, *shallow], ks=(5,), index="i", model="m", tiles="t")
    assert (both.reach.rank, both.reach.relevance) == (4, pytest.approx(1 - 4 / 20))
    assert (both.reach.n_labelled, both.reach.n_hits) == (22, 36)
    assert both.advice is not None
    assert both.advice.threshold >= 1 - 4 / 20
    gap = [Labelled("gap", hit(1, 0.9), None), *deep]
    assert assess(gap, ks=(5,), index="i", model="m", tiles="t").advice is None


def test_indexes_are_compared_where_the_labels_of_both_reach() -> None:
    def entry(name: str, labels: list[bool | None]):  # type: ignore[no-untyped-def]
        labelled = [Labelled("q", hit(i, 1 - i / 50), right) for i, right in enumerate(labels, start=1)]
        return assess(labelled, ks=(5, 10, 40), index=name, model="m", tiles="t")

    full = entry("full", [True] * 4 + [False] + [True] * 25 + [False] * 10)
    sparse = entry("sparse", [None, True] * 14 + [None] * 12)
    assert recommend([full, sparse]) is None
    assert explain_not_compared([full, sparse]) == (
        "sparse is not compared: of its hits down to rank 5, 2 of 5 are labelled",
    )
    shallow = entry("shallow", [True] * 10 + [None] * 30)
    found = recommend([full, shallow, sparse])
    assert found is not None
    assert (found.index, found.precision.k, found.n_tried, found.n_compared) == ("shallow", 10, 3, 2)
    assert not found.is_clear
    assert explain_not_compared([sparse]) == ()


def test_labels_hold_for_their_tile_query_and_similar_windows() -> None:
    marks = [
        Mark(hit(1).tile.tile, True),
        Mark(hit(2).tile.tile, False, query="river"),
        Mark(hit(3).tile.tile, True, query="lake"),
        Mark("odd id", True),
    ]
    found = label_hits([answer(hit(1), hit(2), hit(3))], marks)
    assert [entry.right for entry in found] == [True, False, None]
    similar = label_hits([answer(hit(1, size=120), hit(2, size=300), hit(1, scene="b.tif"))], marks)
    assert [entry.right for entry in similar] == [True, None, None]


def test_hits_without_a_label_are_written_to_be_filled_in() -> None:
    found = label_hits([answer(hit(1), hit(2))], [Mark(hit(1).tile.tile, True)])
    lines = list(csv.DictReader(io.StringIO(to_label_csv(found))))
    assert [(line["query"], line["tile"], line["label"]) for line in lines] == [("“river”", hit(2).tile.tile, "")]
