"""What repeated captions do to recall: the chance of a hit among ties, and the most that a split lets anyone reach.

Captions repeat within a data set, and a repeated caption scores equal with itself whatever the model is. So recall is
an expectation over random orders of ties, and it has a ceiling that depends on the captions alone (METHODS 4).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["RECALL_KS", "RecallCeiling", "hit_probability", "recall_ceiling"]

RECALL_KS = (1, 5, 10)
"""The k of the R@K that mR is the mean of."""


@dataclass(frozen=True, slots=True)
class RecallCeiling:
    """The most that recall can be on a split, in percent, given its repeated captions.

    Attributes:
        image_to_text: {"R@1": ..., ...}, each reachable.
        text_to_image: of a model to which pictures with the same caption are interchangeable.
        mR: mean over both.
        text_to_image_bound: where a caption was given to some picture more than once, a model that puts the pictures
            of the caption in the order of how often they have it would reach this. It takes luck, not
            understanding: neither picture nor caption shows the number.
        mR_bound: mean over `image_to_text` and `text_to_image_bound`: no model at all is above it.
    """

    image_to_text: dict[str, float]
    text_to_image: dict[str, float]
    mR: float
    text_to_image_bound: dict[str, float]
    mR_bound: float


def hit_probability(*, better: ArrayLike, equal: ArrayLike, relevant: ArrayLike, k: int) -> NDArray[np.float64]:
    """Probability that a relevant candidate is in the top k, over random orders of ties (METHODS 4).

    With a candidates better than the best relevant one, e equal to it and r of those relevant:
    0 if a >= k; 1 if k - a >= e; else 1 - C(e - r, k - a) / C(e, k - a), here as a product of at most k factors.

    >>> float(hit_probability(better=0, equal=4, relevant=1, k=1))
    0.25

    Args:
        better: a, any shape; the three broadcast.
        equal: e >= 1, the relevant ones included.
        relevant: r, 1 <= r <= e.
        k: depth of the list.

    Returns:
        Probabilities of the broadcast shape.
    """
    a, e, r = np.broadcast_arrays(np.asarray(better), np.asarray(equal), np.asarray(relevant))
    drawn = np.clip(k - a, 0, e)
    miss = np.ones(a.shape)
    for place in range(int(drawn.max(initial=0))):
        left = np.maximum(e - place, 1)
        miss *= np.where(place < drawn, np.maximum(e - r - place, 0) / left, 1.0)
    return 1.0 - miss


def recall_ceiling(captions: Sequence[Sequence[str]], *, ks: Sequence[int] = RECALL_KS) -> RecallCeiling:
    """The most that any model can reach on pictures with these captions.

    Text to image: a query that n pictures share finds its own in the top k with probability min(1, k / n).
    Image to text: the model puts one of the picture's captions on top, the one that most often hits: with n copies in
    the split, m of them this picture's, P = 1 - C(n - m, k) / C(n, k). (Several captions tied on top are never better
    for a k than the best of them alone: the chance to miss is log-concave in the number drawn from each.)

    Args:
        captions: the captions of each picture of the split; at least one each, equal texts being one caption.
        ks: depths.

    Raises:
        ValueError: a picture has no caption, or there is no picture.
    """
    if not captions or not all(captions):
        raise ValueError("a ceiling needs at least one picture, and at least one caption for each")
    copies = Counter(caption for texts in captions for caption in texts)
    given: defaultdict[str, list[int]] = defaultdict(list)  # how often each picture of a caption has it
    for texts in captions:
        for caption, count in Counter(texts).items():
            given[caption].append(count)
    n_texts = copies.total()
    to_text = {f"R@{k}": 100.0 * _mean_best(captions, copies, k=k) for k in ks}
    to_image, bound = {}, {}
    for k in ks:
        to_image[f"R@{k}"] = 100.0 * sum(min(1.0, k / len(given[c])) * n for c, n in copies.items()) / n_texts
        bound[f"R@{k}"] = 100.0 * sum(sum(sorted(counts)[-k:]) for counts in given.values()) / n_texts
    return RecallCeiling(
        image_to_text=to_text,
        text_to_image=to_image,
        mR=_mean(*to_text.values(), *to_image.values()),
        text_to_image_bound=bound,
        mR_bound=_mean(*to_text.values(), *bound.values()),
    )


def _mean_best(captions: Sequence[Sequence[str]], copies: Counter[str], *, k: int) -> float:
    """Mean over pictures of the best caption's chance to hit in the top k."""
    pairs = [
        (picture, copies[text], own) for picture, texts in enumerate(captions) for text, own in Counter(texts).items()
    ]
    picture, equal, relevant = np.array(pairs).T
    best = np.zeros(len(captions))
    np.maximum.at(best, picture, hit_probability(better=0, equal=equal, relevant=relevant, k=k))
    return float(best.mean())


def _mean(*values: float) -> float:
    return sum(values) / len(values)
