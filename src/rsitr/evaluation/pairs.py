"""Measuring a fusion model: every pair, or those that a filter lets through (METHODS 3.6, 3.7)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsitr.data import CaptionedImage, require_images
from rsitr.data.captions import number_captions
from rsitr.data.ceiling import recall_ceiling
from rsitr.evaluation.protocol import READ_AHEAD, SplitResult, measure_scores, read_image
from rsitr.models.dual import Features
from rsitr.models.fusion import PairScorer, TextStates, load_fusion
from rsitr.models.fusion.filter import RetrievalFilter
from rsitr.rerank import FusionPlan
from rsitr.rerank.fusion import FusionReranker

__all__ = ["PairSplit", "build_fusion_reranker", "encode_pairs", "measure_pairs"]


@dataclass(frozen=True, slots=True)
class PairSplit:
    """A split as a fusion model's sides see it; each distinct caption once.

    Attributes:
        images: n_image images.
        texts: the distinct captions.
        caption_text: (n_text,) distinct caption of each caption.
        text_image: (n_text,) image of each caption.
        mR_ceiling: the most any model can reach here.
        encode_s: seconds for both sides.
    """

    images: Features
    texts: TextStates
    caption_text: NDArray[np.int64]
    text_image: NDArray[np.int64]
    mR_ceiling: float
    encode_s: float


def encode_pairs(
    scorer: PairScorer,
    images: Sequence[CaptionedImage],
    *,
    batch_size: int = 64,
    progress: Callable[[int], None] = lambda _done: None,
) -> PairSplit:
    """Encode a split's pictures and distinct captions.

    Args:
        scorer: the fusion model.
        images: of the split.
        batch_size: of the image side.
        progress: called with the number of pictures done.

    Raises:
        DataError: a picture is missing or cannot be decoded.
    """
    start = time.perf_counter()
    require_images(images)
    parts = []
    for first in range(0, len(images), READ_AHEAD):
        pictures = [read_image(image) for image in images[first : first + READ_AHEAD]]
        parts.append(scorer.encode_images(pictures, batch_size=batch_size))
        progress(min(len(images), first + READ_AHEAD))
    captions = number_captions([image.captions for image in images])
    return PairSplit(
        images=Features(torch.cat([part.global_emb for part in parts]), torch.cat([part.tokens for part in parts])),
        texts=scorer.encode_texts(captions.texts),
        caption_text=captions.row_text,
        text_image=captions.row_image,
        mR_ceiling=recall_ceiling([image.captions for image in images]).mR,
        encode_s=time.perf_counter() - start,
    )


def measure_pairs(
    scorer: PairScorer,
    split: PairSplit,
    *,
    student: RetrievalFilter | None = None,
    top: int = 128,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> SplitResult:
    """Metrics of a fusion model on an encoded split.

    Args:
        scorer: the fusion model.
        split: from :func:`encode_pairs`.
        student: a retrieval filter; the fusion model then reads the `top` candidates of each query alone. None scores
            every pair.
        top: candidates per query.
        progress: of the exhaustive scoring: images done, and their number.
    """
    start = time.perf_counter()
    if student is None:
        n_images = len(split.images.tokens)
        scores = scorer.score_all(split.texts, split.images, progress=lambda done: progress(done, n_images))
        scored, rerank_s = time.perf_counter(), 0.0
        metrics, _ = measure_scores(scores, caption_text=split.caption_text, text_image=split.text_image, rerank=None)
    else:
        first: Tensor = student.score_all(
            texts=split.texts.tokens[:, 0], images=split.images.global_emb, half=scorer.half
        ).cpu()
        scored = time.perf_counter()
        plan = FusionPlan(scorer.name, top=top)
        reranker = FusionReranker(plan, scorer=scorer, texts=split.texts, images=split.images)
        metrics, rerank_s = measure_scores(
            first, caption_text=split.caption_text, text_image=split.text_image, rerank=reranker
        )
    return SplitResult(
        metrics=metrics,
        mR_ceiling=split.mR_ceiling,
        encode_s=split.encode_s,
        score_s=scored - start,
        rerank_s=rerank_s,
    )


def build_fusion_reranker(
    plan: FusionPlan,
    images: Sequence[CaptionedImage],
    *,
    device: str | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> FusionReranker:
    """A fusion model that has read a split, ready to re-rank what another model found there.

    Raises:
        ModelError: the checkpoint is none, or no fusion model's.
        DataError: a picture is missing or cannot be decoded.
    """
    scorer = load_fusion(plan.checkpoint, device=device)
    split = encode_pairs(scorer, images, progress=progress)
    return FusionReranker(plan, scorer=scorer, texts=split.texts, images=split.images)
