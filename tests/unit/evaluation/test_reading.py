"""Choosing weight and number of candidates, and what the other half of the queries says of the choice."""

from __future__ import annotations

import numpy as np
import pytest

from rsitr.evaluation.metrics import retrieval_metrics
from rsitr.evaluation.reading import ReadingTrial, ReadingTuning, _Hits
from rsitr.rerank import FusionPlan

TEXT_IMAGE = np.array([0, 0, 1, 1, 2, 2, 3, 3])


def hits(seed: int) -> _Hits:
    scores = np.random.default_rng(seed).normal(size=(8, 4))
    return _Hits.of(retrieval_metrics(scores, text_image=TEXT_IMAGE, ks=(1, 2)))


def test_of_all_queries_it_is_the_split_s_own() -> None:
    scores = np.random.default_rng(3).normal(size=(8, 4))
    metrics = retrieval_metrics(scores, text_image=TEXT_IMAGE, ks=(1, 2))
    assert _Hits.of(metrics).mR() == pytest.approx(metrics.mR)


def test_halves_of_equal_size_average_to_the_whole() -> None:
    found = hits(1)
    assert (found.mR(0) + found.mR(1)) / 2 == pytest.approx(found.mR())


def test_one_half_of_each() -> None:
    one, other = hits(1), hits(2)
    mixed = one.beside(other)
    assert mixed.mR(0) == pytest.approx(one.mR(0))
    assert mixed.mR(1) == pytest.approx(other.mR(1))


def test_of_equal_settings_the_first_is_best() -> None:
    trials = tuple(ReadingTrial(FusionPlan("x", top=top), mR) for top, mR in ((5, 1.0), (10, 2.0), (20, 2.0)))
    assert ReadingTuning(alone=0.0, trials=trials, crossed_mR=0.0).best.plan.top == 10
