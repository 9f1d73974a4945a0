"""How a model is measured on a split: encode, score, re-rank, count (METHODS 4)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsitr.data import CaptionedImage, require_images
from rsitr.data.captions import number_captions
from rsitr.data.ceiling import recall_ceiling
from rsitr.evaluation.metrics import RetrievalMetrics, retrieval_metrics
from rsitr.pictures import read_picture
from rsitr.rerank import Reranker
from rsitr.rerank.fusion import FusionReranker
from rsitr.similarity import score_pairs
from rsitr.types import EncodedImages, EncodedTexts, Encoder, ImageArray, Mixture

__all__ = [
    "NO_BANK",
    "BankScores",
    "EncodedSplit",
    "SplitResult",
    "encode_captions",
    "encode_images",
    "encode_split",
    "measure",
    "measure_scores",
    "read_image",
    "score_split",
]

READ_AHEAD = 256


@dataclass(frozen=True, slots=True)
class EncodedSplit:
    """A split as a model sees it. Each distinct caption is encoded once, so that equal texts score equal.

    Attributes:
        images: n_image encoded images.
        texts: the distinct captions' features.
        caption_text: (n_text,) distinct caption of each caption.
        text_image: (n_text,) image of each caption.
        mR_ceiling: the most any model can reach here, given the repeated captions.
        encode_s: seconds for both sides.
    """

    images: EncodedImages
    texts: EncodedTexts
    caption_text: NDArray[np.int64]
    text_image: NDArray[np.int64]
    mR_ceiling: float  # the field's name
    encode_s: float


@dataclass(frozen=True, slots=True)
class BankScores:
    """Reference queries' scores of a split's candidates; None where the split's own queries are the reference.

    Attributes:
        to_image: (n_bank_text, n_image).
        to_text: (n_distinct, n_bank_image).
    """

    to_image: torch.Tensor | None = None
    to_text: torch.Tensor | None = None


NO_BANK = BankScores()


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Metrics of a split and the seconds they took in total."""

    metrics: RetrievalMetrics
    mR_ceiling: float
    encode_s: float
    score_s: float
    rerank_s: float

    def as_dict(self) -> dict[str, Any]:
        """The measured part of `rsitr evaluate --json`. Every image and every caption is a query."""
        metrics = self.metrics
        n_images, n_texts = len(metrics.image_ranks.better), len(metrics.text_ranks.better)
        times = {"encode": self.encode_s, "score": self.score_s, "rerank": self.rerank_s}
        return {
            "n_images": n_images,
            "n_texts": n_texts,
            "image_to_text": metrics.image_to_text,
            "text_to_image": metrics.text_to_image,
            "mR": metrics.mR,
            "mR_best": metrics.mR_best,
            "mR_worst": metrics.mR_worst,
            "mR_ceiling": self.mR_ceiling,
            "time_s": {**times, "per_query": {name: value / (n_images + n_texts) for name, value in times.items()}},
        }


def encode_split(
    encoder: Encoder,
    images: Sequence[CaptionedImage],
    *,
    batch_size: int = 64,
    progress: Callable[[int], None] = lambda _done: None,
) -> EncodedSplit:
    """Encode a split's pictures and distinct captions.

    Args:
        encoder: the model.
        images: of the split.
        batch_size: of the image encoder.
        progress: called with the number of pictures done.

    Raises:
        DataError: a picture is missing or cannot be decoded.
    """
    start = time.perf_counter()
    encoded = encode_images(encoder, images, batch_size=batch_size, progress=progress)
    split = encode_captions(encoder, images, encoded=encoded)
    return dataclasses.replace(split, encode_s=time.perf_counter() - start)


def encode_images(
    encoder: Encoder,
    images: Sequence[CaptionedImage],
    *,
    batch_size: int = 64,
    progress: Callable[[int], None] = lambda _done: None,
) -> EncodedImages:
    """Read and encode pictures of a data set; arguments and errors as :func:`encode_split`."""
    require_images(images)
    parts = []
    for first in range(0, len(images), READ_AHEAD):
        pictures = [read_image(image) for image in images[first : first + READ_AHEAD]]
        parts.append(encoder.encode_images(pictures, batch_size=batch_size))
        progress(min(len(images), first + READ_AHEAD))
    return EncodedImages(
        np.concatenate([part.global_emb for part in parts]), np.concatenate([part.tokens for part in parts])
    )


def encode_captions(encoder: Encoder, images: Sequence[CaptionedImage], *, encoded: EncodedImages) -> EncodedSplit:
    """A split whose pictures are encoded already; `encode_s` covers the captions alone."""
    start = time.perf_counter()
    captions = number_captions([image.captions for image in images])
    return EncodedSplit(
        images=encoded,
        texts=encoder.encode_texts(captions.texts),
        caption_text=captions.row_text,
        text_image=captions.row_image,
        mR_ceiling=recall_ceiling([image.captions for image in images]).mR,
        encode_s=time.perf_counter() - start,
    )


def score_split(split: EncodedSplit, *, mixture: Mixture, device: str | torch.device = "cpu") -> torch.Tensor:
    """Scores of distinct captions against images, (n_distinct, n_image)."""
    return score_pairs(texts=split.texts, images=split.images, mixture=mixture, device=device)


def measure(
    split: EncodedSplit,
    *,
    mixture: Mixture,
    device: str | torch.device = "cpu",
    rerank: Reranker | FusionReranker | None = None,
    bank: BankScores = NO_BANK,
) -> SplitResult:
    """Metrics of an encoded split.

    Args:
        split: from :func:`encode_split`.
        mixture: how similarities are mixed.
        device: where to score.
        rerank: sorts each direction again, over distinct captions.
        bank: reference queries of the re-ranking, in place of the split's own.
    """
    start = time.perf_counter()
    scores = score_split(split, mixture=mixture, device=device).cpu()
    scored = time.perf_counter()
    metrics, rerank_s = measure_scores(
        scores, caption_text=split.caption_text, text_image=split.text_image, rerank=rerank, bank=bank
    )
    return SplitResult(
        metrics=metrics,
        mR_ceiling=split.mR_ceiling,
        encode_s=split.encode_s,
        score_s=scored - start,
        rerank_s=rerank_s,
    )


def measure_scores(
    scores: torch.Tensor,
    *,
    caption_text: NDArray[np.int64],
    text_image: NDArray[np.int64],
    rerank: Reranker | FusionReranker | None,
    bank: BankScores = NO_BANK,
) -> tuple[RetrievalMetrics, float]:
    """Metrics of scores, re-ranked in each direction, and the seconds the re-ranking took.

    A caption that repeats is one candidate, and one query, of the re-ranking: as several it would fill a top K with
    copies of itself, of which the last tie across its border. It is measured as often as it stands in the split.

    Args:
        scores: (n_distinct, n_image) of the distinct captions.
        caption_text: (n_text,) distinct caption of each caption.
        text_image: (n_text,) image of each caption.
        rerank: what sorts again, or None.
        bank: reference queries in place of the split's own.
    """
    rows = torch.from_numpy(caption_text)
    if rerank is None:
        return retrieval_metrics(scores[rows].numpy(), text_image=text_image), 0.0
    start = time.perf_counter()
    to_image = rerank(scores, direction="text_to_image", bank_scores=bank.to_image)
    to_text = rerank(scores, direction="image_to_text", bank_scores=bank.to_text)
    seconds = time.perf_counter() - start
    metrics = retrieval_metrics(
        to_image[rows].numpy(), text_image=text_image, image_to_text_scores=to_text[rows].numpy()
    )
    return metrics, seconds


def read_image(image: CaptionedImage) -> ImageArray:
    """A picture of a data set, (H, W, 3) RGB.

    Raises:
        DataError: it cannot be decoded.
    """
    return read_picture(image.path, hint="; `rsitr data check` lists all such files")
