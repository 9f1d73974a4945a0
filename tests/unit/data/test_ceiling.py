from __future__ import annotations

import itertools
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsitr.data import load_dataset
from rsitr.data.ceiling import hit_probability, recall_ceiling
from rsitr.evaluation.metrics import retrieval_metrics

KS = (1, 2, 3)


@given(a=st.integers(0, 12), e=st.integers(1, 40), share=st.floats(0, 1), k=st.integers(1, 12))
def test_hit_probability_is_the_closed_form(a: int, e: int, share: float, k: int) -> None:
    r = max(1, round(share * e))
    if a >= k:
        expected = 0.0
    elif k - a >= e:
        expected = 1.0
    else:
        expected = 1 - comb(e - r, k - a) / comb(e, k - a)
    assert hit_probability(better=a, equal=e, relevant=r, k=k) == pytest.approx(expected, abs=1e-12)


def test_hit_probability_does_not_overflow_and_broadcasts() -> None:
    found = hit_probability(better=[0, 3, 10], equal=10**6, relevant=[1, 5, 5], k=10)
    assert found[0] == pytest.approx(1e-5)
    assert found[1] == pytest.approx(1 - (1 - 5e-6) ** 7, rel=1e-4)
    assert found[2] == 0.0


def test_captions_that_never_repeat_set_no_ceiling() -> None:
    ceiling = recall_ceiling([("a", "b"), ("c",), ("d", "e")])
    assert ceiling.mR == ceiling.mR_bound == 100.0


def test_two_pictures_with_the_same_caption_share_the_first_place() -> None:
    ceiling = recall_ceiling([("a farm",), ("a farm",)], ks=(1, 2))
    assert ceiling.image_to_text == {"R@1": 50.0, "R@2": 100.0}
    assert ceiling.text_to_image == {"R@1": 50.0, "R@2": 100.0}
    assert ceiling.mR == 75.0


def test_a_rare_caption_lifts_the_image_to_text_ceiling() -> None:
    pictures = [("a farm", "two ponds"), ("a farm", "a farm")]
    ceiling = recall_ceiling(pictures, ks=(1,))
    # picture 0: "two ponds" is its own; picture 1: two of the three copies of "a farm" are its own
    assert ceiling.image_to_text["R@1"] == pytest.approx(100 * (1 + 2 / 3) / 2)
    # "two ponds" finds its picture; "a farm" (three queries) finds either of two
    assert ceiling.text_to_image["R@1"] == pytest.approx(100 * (1 + 3 / 2) / 4)
    # whoever puts picture 1 first for "a farm" is right for two queries of three
    assert ceiling.text_to_image_bound["R@1"] == pytest.approx(100 * (1 + 2) / 4)


@pytest.mark.parametrize(
    "pictures",
    [
        [("a",), ("a",), ("a", "b")],
        [("a", "a"), ("a", "b"), ("b", "b", "a")],
        [("a", "a", "b", "b"), ("a", "b"), ("b", "b", "a", "a", "a")],
        [("a", "c"), ("a", "b", "c")],
    ],
)
def test_no_model_is_above_the_ceiling_and_some_model_reaches_it(pictures: list[tuple[str, ...]]) -> None:
    """Tried on every matrix that three levels of score allow."""
    texts = [(index, caption) for index, captions in enumerate(pictures) for caption in captions]
    distinct = sorted({caption for _, caption in texts})
    rows = np.array([distinct.index(caption) for _, caption in texts])
    text_image = np.array([index for index, _ in texts])
    best_text: dict[str, float] = {}
    best_image: dict[str, float] = {}
    best_mean = 0.0
    for values in itertools.product((0.0, 1.0, 2.0), repeat=len(distinct) * len(pictures)):
        scores = np.reshape(values, (len(distinct), len(pictures)))[rows]
        metrics = retrieval_metrics(scores, text_image=text_image, ks=KS)
        for best, found in ((best_text, metrics.image_to_text), (best_image, metrics.text_to_image)):
            for name, value in found.items():
                best[name] = max(best.get(name, 0.0), value)
        best_mean = max(best_mean, metrics.mR)
    ceiling = recall_ceiling(pictures, ks=KS)
    assert best_text == pytest.approx(ceiling.image_to_text)
    assert best_image == pytest.approx(ceiling.text_to_image_bound)
    assert best_mean <= ceiling.mR_bound + 1e-9


def test_pictures_without_captions_have_no_ceiling() -> None:
    for pictures in ([], [("a",), ()]):
        with pytest.raises(ValueError, match="at least one caption"):
            recall_ceiling(pictures)


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "expected"), [("ucm", 78.0), ("rsicd", 89.0)])
def test_the_published_ceilings(real_data: Path, name: str, expected: float) -> None:
    images = load_dataset(f"{name}:{real_data / name}").split("val")
    assert round(recall_ceiling([image.captions for image in images]).mR, 1) == expected
