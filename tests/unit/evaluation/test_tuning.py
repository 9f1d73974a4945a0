"""Choosing settings on encoded splits whose best ones are known."""

from __future__ import annotations

import numpy as np
import pytest

from rsitr.errors import ConfigError
from rsitr.evaluation.protocol import EncodedSplit, measure
from rsitr.evaluation.tuning import RERANK_GRID, tune, tune_rerank
from rsitr.rerank import parse_rerank
from rsitr.types import EncodedImages, EncodedTexts, Mixture

N = 12


def split(*, told_by: str, seed: int = 0) -> EncodedSplit:
    """Pairs that either the global features or the tokens tell apart; the others are noise."""
    rng = np.random.default_rng(seed)
    right = np.eye(N, dtype=np.float32)
    wrong_texts, wrong_images = (rng.normal(size=(N, N)).astype(np.float32) for _ in range(2))
    emb = (right, right) if told_by == "global" else (wrong_texts, wrong_images)
    tokens = (right, right) if told_by == "local" else (wrong_texts, wrong_images)
    return EncodedSplit(
        images=EncodedImages(emb[1], np.repeat(tokens[1][:, None], 2, axis=1)),
        texts=EncodedTexts(emb[0], tokens[0][:, None], np.ones((N, 1), dtype=np.bool_)),
        caption_text=np.arange(N),
        text_image=np.arange(N),
        mR_ceiling=100.0,
        encode_s=0.0,
    )


def test_the_mixture_follows_what_tells_pairs_apart() -> None:
    for told_by in ("global", "local"):
        result = tune([split(told_by=told_by)], reranks=["sar:k=3"])
        assert result.best_plain.mR == 100.0
        for trial in result.trials:
            if trial.rerank is None and trial.mixture.beta in (0.0, 1.0):
                only = "global" if trial.mixture.beta == 0 else "local"
                assert (trial.mR == 100.0) is (only == told_by)


def test_several_splits_count_alike() -> None:
    parts = [split(told_by="global"), split(told_by="local")]
    result = tune(parts, reranks=[])
    single = [tune([part], reranks=[]) for part in parts]
    for trial, first, second in zip(result.trials, *(each.trials for each in single), strict=True):
        assert trial.mR == pytest.approx((first.mR + second.mR) / 2)


def test_one_methods_settings_are_chosen_with_the_mixture_given() -> None:
    parts = [split(told_by="local", seed=3)]
    mixture = Mixture(alpha=1.0, beta=0.02)
    best = tune_rerank(parts, method="csls", mixture=mixture)
    assert best.rerank is not None
    assert parse_rerank(best.rerank).name == "csls"
    assert best.mixture == mixture
    every = [parse_rerank(text) for text in RERANK_GRID if text.startswith("csls:")]
    assert len(every) > 1
    assert best.mR == max(measure(parts[0], mixture=mixture, rerank=each).metrics.mR for each in every)
    with pytest.raises(ConfigError, match="no re-ranking 'magic'"):
        tune_rerank(parts, method="magic", mixture=mixture)


def test_the_best_of_a_method_is_found_among_the_trials() -> None:
    result = tune([split(told_by="local", seed=3)], reranks=["sar:k=1", "sar:k=5", "csls:k=5"])
    sar = {trial.rerank: trial.mR for trial in result.trials if trial.rerank and trial.rerank.startswith("sar")}
    assert set(sar) == {"sar:k=1", "sar:k=5"}
    assert sar[result.best_of("sar:k=99")] == max(sar.values())
    assert result.best_of("mean-rank:k=3") is None
