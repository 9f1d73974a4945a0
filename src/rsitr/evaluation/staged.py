"""Retrieval as a live search does it: candidates by global similarity, and a bank instead of the other queries."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch
from numpy.typing import NDArray

from rsitr.errors import ConfigError
from rsitr.evaluation.metrics import retrieval_metrics
from rsitr.evaluation.protocol import EncodedSplit, SplitResult
from rsitr.rerank import Reranker, rank_candidates_in_stages
from rsitr.similarity import score_global, score_pairs
from rsitr.types import EncodedImages, EncodedTexts, FloatArray, Mixture

__all__ = ["measure_staged"]


def measure_staged(
    split: EncodedSplit,
    *,
    mixture: Mixture,
    n_candidates: int = 100,
    rerank: Reranker | None = None,
    bank: EncodedTexts | None = None,
) -> SplitResult:
    """Metrics of the ranking that `rsitr search` gives, by the code that it uses.

    Each distinct caption is one query: the candidates are the best `n_candidates` images by global similarity, ranked
    by `rank_candidates_in_stages`; the images beyond stay in their order. Image to text is not searched live: its lists
    are those of the plain scores.

    Args:
        split: from :func:`rsitr.evaluation.encode_split`.
        mixture: how similarities are mixed.
        n_candidates: images that the second stage sees.
        rerank: a training-free method, with `bank` as its reference queries.
        bank: encoded reference captions.

    Raises:
        ConfigError: a re-ranking method without a bank, or no candidates.
    """
    if rerank is not None and (bank is None or not len(bank)):
        raise ConfigError(f"{rerank} needs a bank of reference captions: live search knows no other queries")
    if n_candidates < 1:
        raise ConfigError(f"n_candidates is the number of images that are looked at twice, at least 1: {n_candidates}")
    start = time.perf_counter()
    plain = score_pairs(texts=split.texts, images=split.images, mixture=mixture).numpy()
    first = score_global(
        text_emb=torch.from_numpy(split.texts.global_emb), image_emb=torch.from_numpy(split.images.global_emb)
    ).numpy()
    scored = time.perf_counter()
    staged = np.stack(
        [
            _rank_query(split, text, first[text], mixture=mixture, n_candidates=n_candidates, rerank=rerank, bank=bank)
            for text in range(len(split.texts))
        ]
    )
    by_caption = split.caption_text
    metrics = retrieval_metrics(staged[by_caption], text_image=split.text_image, image_to_text_scores=plain[by_caption])
    return SplitResult(
        metrics=metrics,
        mR_ceiling=split.mR_ceiling,
        encode_s=split.encode_s,
        score_s=scored - start,
        rerank_s=time.perf_counter() - scored,
    )


def _rank_query(
    split: EncodedSplit,
    text: int,
    scores: FloatArray,
    *,
    mixture: Mixture,
    n_candidates: int,
    rerank: Reranker | None,
    bank: EncodedTexts | None,
) -> FloatArray:
    """(n_image,) values whose descending order is the staged one; equal images keep equal values."""
    best = np.argsort(-scores, kind="stable")[:n_candidates]
    query = _rows(split.texts, slice(text, text + 1))

    def images(positions: NDArray[np.int64]) -> EncodedImages:
        chosen = best[positions]
        return EncodedImages(split.images.global_emb[chosen], split.images.tokens[chosen])

    def local(positions: NDArray[np.int64]) -> FloatArray:
        only_local = dataclasses.replace(mixture, alpha=0.0, beta=1.0)
        return np.asarray(score_pairs(texts=query, images=images(positions), mixture=only_local)[0].numpy())

    def references(positions: NDArray[np.int64], with_local: bool) -> FloatArray:
        used = mixture if with_local else dataclasses.replace(mixture, beta=0.0)
        assert bank is not None
        return np.asarray(score_pairs(texts=bank, images=images(positions), mixture=used).numpy())

    ranking = rank_candidates_in_stages(
        scores[best], mixture=mixture, local=local, reranker=rerank, references=references
    )
    result = scores.copy()
    result[best] = 2.0 + len(best) - ranking.ranks  # cosines are at most 1: all candidates above the rest
    return result


def _rows(texts: EncodedTexts, part: slice) -> EncodedTexts:
    return EncodedTexts(texts.global_emb[part], texts.tokens[part], texts.token_mask[part])
