"""Retrieval metrics (METHODS 4), pure: scores in, numbers out.

Exact ties are common, since captions repeat. A query's hit at k is a probability over random orders of the tied, in
closed form (`rsitr.data.ceiling.hit_probability`); beside it stand the best case, every tie in the query's favour, and
the worst. All recall is in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsitr.data.ceiling import RECALL_KS, hit_probability
from rsitr.errors import ModelError

__all__ = [
    "Interval",
    "QueryRanks",
    "RetrievalIntervals",
    "RetrievalMetrics",
    "bootstrap_intervals",
    "retrieval_metrics",
]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class QueryRanks:
    """Where each query's best-scored relevant candidate stands, ties told apart from the rest.

    Attributes:
        better: (n_queries,) candidates with a strictly higher score.
        equal: (n_queries,) candidates with the same score, itself included.
        relevant: (n_queries,) how many of those are relevant.
    """

    better: IntArray
    equal: IntArray
    relevant: IntArray

    @property
    def best(self) -> IntArray:
        """(n_queries,) rank, from 1, of the first relevant candidate with ties in the query's favour."""
        return self.better + 1

    @property
    def worst(self) -> IntArray:
        """(n_queries,) the same with ties against it."""
        return self.better + self.equal - self.relevant + 1

    @property
    def expected(self) -> NDArray[np.float64]:
        """(n_queries,) the same over random orders of ties: a + (e + 1) / (r + 1)."""
        return self.better + (self.equal + 1) / (self.relevant + 1)

    def hits(self, k: int) -> NDArray[np.float64]:
        """(n_queries,) probability of a relevant candidate in the top k, over random orders of ties."""
        return hit_probability(better=self.better, equal=self.equal, relevant=self.relevant, k=k)


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalMetrics:
    """Recall of both directions, in percent.

    Attributes:
        image_to_text: {"R@1", ...}; a hit is any of the image's captions. In expectation over ties.
        text_to_image: {"R@1", ...}; a hit is the caption's own image. In expectation over ties.
        mR: mean over both.
        mR_best: the mean with all ties in the queries' favour, nearest to how papers count.
        mR_worst: the mean with all ties against them.
        ks: the depths.
        image_ranks: of each image's first caption, in the order of the images.
        text_ranks: of each text's image, in the order of the texts.
        text_image: (n_text,) index of each text's image.
    """

    image_to_text: dict[str, float]
    text_to_image: dict[str, float]
    mR: float
    mR_best: float
    mR_worst: float
    ks: tuple[int, ...]
    image_ranks: QueryRanks = field(repr=False)
    text_ranks: QueryRanks = field(repr=False)
    text_image: IntArray = field(repr=False)


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval, in percent."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RetrievalIntervals:
    """Bootstrap intervals of what `RetrievalMetrics` holds under the same names."""

    image_to_text: dict[str, Interval]
    text_to_image: dict[str, Interval]
    mR: Interval
    mR_best: Interval
    mR_worst: Interval


def retrieval_metrics(
    scores: NDArray[np.floating],
    *,
    text_image: NDArray[np.integer],
    ks: Sequence[int] = RECALL_KS,
    image_to_text_scores: NDArray[np.floating] | None = None,
) -> RetrievalMetrics:
    """R@K in both directions, and mR.

    Args:
        scores: (n_text, n_image), higher is better; a row per caption, so that a repeated caption has equal rows.
        text_image: (n_text,) index of each text's image; every image has a text.
        ks: depths.
        image_to_text_scores: (n_text, n_image) for image-to-text, where re-ranking gave each direction scores of its
            own; `scores` then serve text-to-image alone.

    Raises:
        ModelError: a score is NaN: the model is broken, and no order would mean anything.
        ValueError: the shapes don't fit, an index is out of range, an image has no text, or a k is not positive.
    """
    index = text_image.astype(np.int64)
    to_text_scores = scores if image_to_text_scores is None else image_to_text_scores
    _check(scores, text_image=index, ks=ks)
    if image_to_text_scores is not None:
        _check(image_to_text_scores, text_image=index, ks=ks)
    text_ranks = _rank_images(scores, text_image=index)
    image_ranks = _rank_texts(to_text_scores, text_image=index)
    to_text = {f"R@{k}": 100.0 * float(image_ranks.hits(k).mean()) for k in ks}
    to_image = {f"R@{k}": 100.0 * float(text_ranks.hits(k).mean()) for k in ks}
    return RetrievalMetrics(
        image_to_text=to_text,
        text_to_image=to_image,
        mR=float(np.mean([*to_text.values(), *to_image.values()])),
        mR_best=_mean_recall(image_ranks.best, text_ranks.best, ks=ks),
        mR_worst=_mean_recall(image_ranks.worst, text_ranks.worst, ks=ks),
        ks=tuple(ks),
        image_ranks=image_ranks,
        text_ranks=text_ranks,
        text_image=index,
    )


def bootstrap_intervals(
    metrics: RetrievalMetrics, *, n_resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> RetrievalIntervals:
    """Percentile bootstrap: images are drawn with replacement, each with all its captions.

    The candidates stay the whole split, so the interval answers for the choice of queries; captions of one image are
    not independent and are drawn together.

    Args:
        metrics: from `retrieval_metrics`.
        n_resamples: number of draws.
        level: the share of draws between the ends of an interval.
        seed: of the draws.

    Raises:
        ValueError: `level` is not between 0 and 1, or there is nothing to draw.
    """
    if not 0.0 < level < 1.0 or n_resamples < 1:
        raise ValueError(f"level {level} must be between 0 and 1, and n_resamples {n_resamples} positive")
    n_images = len(metrics.image_ranks.better)
    n_texts = np.bincount(metrics.text_image, minlength=n_images)
    draws = np.random.default_rng(seed).multinomial(n_images, np.full(n_images, 1 / n_images), size=n_resamples)
    drawn_texts = draws @ n_texts

    def resample(image_hits: NDArray[np.floating], text_hits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Both directions' recall of every draw: (2, n_resamples)."""
        of_image = np.bincount(metrics.text_image, weights=text_hits, minlength=n_images)
        return 100.0 * np.stack([draws @ image_hits / n_images, draws @ of_image / drawn_texts])

    def interval(values: NDArray[np.float64]) -> Interval:
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return Interval(low=float(low), high=float(high))

    image, text = metrics.image_ranks, metrics.text_ranks
    expected = {f"R@{k}": resample(image.hits(k), text.hits(k)) for k in metrics.ks}
    best = [resample((image.best <= k).astype(float), (text.best <= k).astype(float)) for k in metrics.ks]
    worst = [resample((image.worst <= k).astype(float), (text.worst <= k).astype(float)) for k in metrics.ks]
    return RetrievalIntervals(
        image_to_text={name: interval(values[0]) for name, values in expected.items()},
        text_to_image={name: interval(values[1]) for name, values in expected.items()},
        mR=interval(np.mean([*expected.values()], axis=(0, 1))),
        mR_best=interval(np.mean(best, axis=(0, 1))),
        mR_worst=interval(np.mean(worst, axis=(0, 1))),
    )


def _check(scores: NDArray[np.floating], *, text_image: IntArray, ks: Sequence[int]) -> None:
    if scores.ndim != 2 or text_image.shape != scores.shape[:1] or not scores.size:
        raise ValueError(f"scores {scores.shape} must be (n_text, n_image), text_image {text_image.shape} (n_text,)")
    n_images = scores.shape[1]
    if text_image.min() < 0 or text_image.max() >= n_images:
        raise ValueError(f"text_image points outside the {n_images} images")
    without = np.flatnonzero(np.bincount(text_image, minlength=n_images) == 0)
    if len(without):
        raise ValueError(f"{len(without)} images have no text, the first is image {without[0]}")
    if not ks or min(ks) < 1:
        raise ValueError(f"ks {tuple(ks)} must be one or more positive numbers")
    broken = np.isnan(scores)
    if broken.any():
        text, image = np.argwhere(broken)[0]
        raise ModelError(
            f"{int(broken.sum()):,} of {scores.size:,} scores are NaN (the first: text {text}, image {image}): "
            "the model's weights are damaged or its training has diverged; use another checkpoint"
        )


def _rank_images(scores: NDArray[np.floating], *, text_image: IntArray) -> QueryRanks:
    """For each text: its image among all images."""
    own = scores[np.arange(len(text_image)), text_image][:, None]
    return QueryRanks(
        better=np.count_nonzero(scores > own, axis=1).astype(np.int64),
        equal=np.count_nonzero(scores == own, axis=1).astype(np.int64),
        relevant=np.ones(len(text_image), dtype=np.int64),
    )


def _rank_texts(scores: NDArray[np.floating], *, text_image: IntArray) -> QueryRanks:
    """For each image: the best-scored of its texts among all texts."""
    own = scores[np.arange(len(text_image)), text_image]
    best = np.full(scores.shape[1], scores.min())
    np.maximum.at(best, text_image, own)
    on_top = own == best[text_image]
    return QueryRanks(
        better=np.count_nonzero(scores > best, axis=0).astype(np.int64),
        equal=np.count_nonzero(scores == best, axis=0).astype(np.int64),
        relevant=np.bincount(text_image[on_top], minlength=scores.shape[1]).astype(np.int64),
    )


def _mean_recall(image_ranks: IntArray, text_ranks: IntArray, *, ks: Sequence[int]) -> float:
    return 100.0 * float(np.mean([[(ranks <= k).mean() for k in ks] for ranks in (image_ranks, text_ranks)]))
