from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from rsitr.errors import ModelError
from rsitr.evaluation.metrics import bootstrap_intervals, retrieval_metrics

KS = (1, 2, 3)


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Few levels of score, so that ties are everywhere; every image has a text."""
    n_image = draw(st.integers(1, 4))
    extra = draw(st.lists(st.integers(0, n_image - 1), max_size=5 - n_image))
    text_image = np.array(draw(st.permutations([*range(n_image), *extra])))
    levels = hnp.arrays(np.float64, (len(text_image), n_image), elements=st.integers(0, 2).map(float))
    return draw(levels), text_image


def enumerate_orders(scores: NDArray[np.float64], relevant: NDArray[np.bool_]) -> list[int]:
    """The first relevant candidate's rank in every order that sorting with any tie-break can give."""
    ranks = []
    for shuffle in itertools.permutations(range(len(scores))):
        order = sorted(shuffle, key=lambda candidate: -scores[candidate])
        ranks.append(1 + min(place for place, candidate in enumerate(order) if relevant[candidate]))
    return ranks


@given(small_cases())
def test_recall_is_the_mean_over_all_orders_of_ties(case: tuple[NDArray[np.float64], NDArray[np.int64]]) -> None:
    scores, text_image = case
    n_text, n_image = scores.shape
    metrics = retrieval_metrics(scores, text_image=text_image, ks=KS)
    of_texts = [enumerate_orders(scores[t], np.arange(n_image) == text_image[t]) for t in range(n_text)]
    of_images = [enumerate_orders(scores[:, i], text_image == i) for i in range(n_image)]
    for found, ranks, queries in (
        (metrics.text_to_image, metrics.text_ranks, of_texts),
        (metrics.image_to_text, metrics.image_ranks, of_images),
    ):
        for k in KS:
            assert found[f"R@{k}"] == pytest.approx(
                100 * np.mean([np.mean([rank <= k for rank in orders]) for orders in queries])
            )
        assert ranks.best.tolist() == [min(orders) for orders in queries]
        assert ranks.worst.tolist() == [max(orders) for orders in queries]
        assert ranks.expected == pytest.approx([float(np.mean(orders)) for orders in queries])
    for mean, pick in ((metrics.mR_best, min), (metrics.mR_worst, max)):
        both = [np.mean([pick(orders) <= k for orders in queries]) for queries in (of_texts, of_images) for k in KS]
        assert mean == pytest.approx(100 * np.mean(both))


@given(small_cases())
def test_the_order_of_texts_and_images_and_a_rising_function_change_nothing(
    case: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> None:
    scores, text_image = case
    rng = np.random.default_rng(0)
    texts, images = rng.permutation(scores.shape[0]), rng.permutation(scores.shape[1])
    moved = retrieval_metrics(
        np.exp(scores[np.ix_(texts, images)]) - 7, text_image=np.argsort(images)[text_image[texts]], ks=KS
    )
    stayed = retrieval_metrics(scores, text_image=text_image, ks=KS)
    assert moved.text_to_image == pytest.approx(stayed.text_to_image)
    assert moved.image_to_text == pytest.approx(stayed.image_to_text)
    assert (moved.mR_best, moved.mR_worst) == pytest.approx((stayed.mR_best, stayed.mR_worst))


def test_a_case_that_a_hand_can_check() -> None:
    # Texts 0 and 1 belong to image 0, text 2 to image 1, text 3 to image 2.
    scores = np.array([[9, 1, 1], [2, 5, 2], [5, 5, 1], [3, 3, 3]], dtype=np.float32)
    metrics = retrieval_metrics(scores, text_image=np.array([0, 0, 1, 2]), ks=(1, 2))
    assert metrics.text_to_image["R@1"] == pytest.approx(100 * (1 + 0 + 1 / 2 + 1 / 3) / 4)
    assert metrics.text_to_image["R@2"] == pytest.approx(100 * (1 + 1 / 2 + 1 + 2 / 3) / 4)
    assert metrics.image_to_text["R@1"] == pytest.approx(100 * (1 + 1 / 2 + 1) / 3)
    assert metrics.image_to_text["R@2"] == pytest.approx(100.0)
    assert metrics.mR_best >= metrics.mR >= metrics.mR_worst
    assert metrics.text_ranks.best.tolist() == [1, 2, 1, 1]
    assert metrics.text_ranks.worst.tolist() == [1, 3, 2, 3]


def test_equal_scores_everywhere_give_chance() -> None:
    metrics = retrieval_metrics(np.zeros((100, 20)), text_image=np.repeat(np.arange(20), 5))
    assert metrics.text_to_image["R@5"] == pytest.approx(25.0)
    assert metrics.mR_best == 100.0
    assert metrics.mR_worst == 0.0


def test_infinite_scores_are_scores() -> None:
    scores = np.array([[np.inf, 0.0], [-np.inf, 1.0]])
    assert retrieval_metrics(scores, text_image=np.array([0, 1]), ks=(1,)).mR == 100.0


def test_a_test_set_of_full_size_takes_well_under_a_second() -> None:
    scores = np.random.default_rng(0).normal(size=(5465, 1093)).astype(np.float32)
    start = time.perf_counter()
    retrieval_metrics(scores, text_image=np.repeat(np.arange(1093), 5))
    assert time.perf_counter() - start < 1.0


def test_a_nan_score_is_an_error_that_blames_the_model() -> None:
    scores = np.zeros((3, 2))
    scores[1, 1] = np.nan
    with pytest.raises(ModelError, match=r"1 of 6 scores are NaN \(the first: text 1, image 1\)"):
        retrieval_metrics(scores, text_image=np.array([0, 1, 1]))


@pytest.mark.parametrize(
    ("shape", "text_image", "ks", "message"),
    [
        ((3,), [0, 0, 0], (1,), "n_text, n_image"),
        ((3, 2), [0, 1], (1,), "n_text, n_image"),
        ((0, 0), [], (1,), "n_text, n_image"),
        ((3, 2), [0, 1, 2], (1,), "outside the 2 images"),
        ((3, 2), [0, 1, -1], (1,), "outside the 2 images"),
        ((3, 2), [0, 0, 0], (1,), "the first is image 1"),
        ((3, 2), [0, 1, 1], (0, 1), "positive"),
        ((3, 2), [0, 1, 1], (), "positive"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], text_image: list[int], ks: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(np.zeros(shape), text_image=np.array(text_image, dtype=np.int64), ks=ks)


def noisy_case(n_image: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(5)
    text_image = np.repeat(np.arange(n_image), rng.integers(1, 6, n_image))
    match = text_image[:, None] == np.arange(n_image)
    return rng.normal(size=match.shape) + 2.0 * match, text_image


def test_intervals_hold_the_estimate_and_shrink_with_more_images() -> None:
    widths = []
    for n_image in (50, 800):
        scores, text_image = noisy_case(n_image)
        metrics = retrieval_metrics(scores, text_image=text_image)
        found = bootstrap_intervals(metrics, n_resamples=400, seed=3)
        for name, value in metrics.text_to_image.items():
            assert found.text_to_image[name].low <= value <= found.text_to_image[name].high
        for name, value in metrics.image_to_text.items():
            assert found.image_to_text[name].low <= value <= found.image_to_text[name].high
        assert found.mR.low < metrics.mR < found.mR.high
        assert found.mR_best == found.mR_worst  # no ties here
        widths.append(found.text_to_image["R@10"].high - found.text_to_image["R@10"].low)
    assert widths[1] < widths[0] / 2


def test_an_interval_agrees_with_the_binomial_of_independent_queries() -> None:
    """One text an image and a hit rate p: the standard error of the mean is sqrt(p (1 - p) / n)."""
    n = 900
    hit = np.arange(n) % 3 == 0
    scores = np.where(hit[:, None] & np.eye(n, dtype=bool), 2.0, 1.0)
    scores[~hit] -= np.eye(n)[~hit] * 2  # the others rank their own last
    found = bootstrap_intervals(retrieval_metrics(scores, text_image=np.arange(n), ks=(1,)), n_resamples=4000)
    half = 100 * 1.96 * np.sqrt(2 / 9 / n)
    assert found.text_to_image["R@1"].low == pytest.approx(100 / 3 - half, abs=0.4)
    assert found.text_to_image["R@1"].high == pytest.approx(100 / 3 + half, abs=0.4)


def test_the_seed_decides_the_intervals() -> None:
    scores, text_image = noisy_case(60)
    metrics = retrieval_metrics(scores, text_image=text_image)
    assert bootstrap_intervals(metrics, seed=1) == bootstrap_intervals(metrics, seed=1)
    assert bootstrap_intervals(metrics, seed=1) != bootstrap_intervals(metrics, seed=2)


@pytest.mark.parametrize(("n_resamples", "level"), [(0, 0.95), (10, 0.0), (10, 1.0), (10, 95.0)])
def test_an_impossible_interval_is_refused(n_resamples: int, level: float) -> None:
    metrics = retrieval_metrics(np.eye(2), text_image=np.arange(2))
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        bootstrap_intervals(metrics, n_resamples=n_resamples, level=level)
