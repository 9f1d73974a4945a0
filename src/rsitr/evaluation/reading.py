"""How a dual encoder's and a fusion model's scores are put together: chosen on validation, and only there.

The weight of the first score and the number of candidates are what there is to choose. A choice among many flatters
what it was made on; so each half of the queries is also measured with the setting that the other half chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsitr.data import CaptionedImage
from rsitr.evaluation.metrics import RetrievalMetrics, retrieval_metrics
from rsitr.evaluation.pairs import build_fusion_reranker
from rsitr.evaluation.protocol import EncodedSplit, measure_scores, score_split
from rsitr.rerank import Direction, FusionPlan
from rsitr.rerank.fusion import FusionReranker
from rsitr.types import Mixture

__all__ = ["TOPS", "WEIGHTS", "ReadingTrial", "ReadingTuning", "tune_reading"]

WEIGHTS = (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 200.0, 300.0, 500.0)
TOPS = (5, 10, 20, 50, 128)

Hits = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReadingTrial:
    """One setting and its validation mR, averaged over the data sets."""

    plan: FusionPlan
    mR: float  # the field's name for it


@dataclass(frozen=True, slots=True)
class ReadingTuning:
    """What came of trying every setting.

    Attributes:
        alone: mR of the first stage without re-ranking.
        trials: of all settings.
        crossed_mR: mR where each half of the images, with their captions, is measured with the setting that is best on
            the other half; all of them stay candidates.
    """

    alone: float
    trials: tuple[ReadingTrial, ...]
    crossed_mR: float  # the field's name for it

    @property
    def best(self) -> ReadingTrial:
        """The setting with the highest mR; of equal ones the first, which reads the fewest."""
        return max(self.trials, key=lambda trial: trial.mR)


def tune_reading(
    splits: Sequence[EncodedSplit],
    images: Sequence[Sequence[CaptionedImage]],
    *,
    plan: FusionPlan,
    mixture: Mixture,
    device: str | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> ReadingTuning:
    """Read every query's candidates once, then try all weights, and all numbers of candidates up to the plan's.

    Args:
        splits: validation splits as the dual encoder sees them; that they are validation is the caller's promise.
        images: the same splits' pictures, which the fusion model reads.
        plan: the fusion model, and the most candidates; its weight is of no account.
        mixture: of the dual encoder's similarities.
        device: where to compute.
        progress: called with the number of pictures that the fusion model has encoded, over all splits.

    Raises:
        ModelError: the checkpoint is no fusion model's.
        DataError: a picture cannot be decoded.
    """
    tops = sorted({top for top in TOPS if top < plan.top} | {plan.top})
    plans = [FusionPlan(plan.checkpoint, top=top, weight=weight) for top in tops for weight in WEIGHTS]
    alone: list[float] = []
    tried: list[list[_Hits]] = []
    before = 0
    for split, pictures in zip(splits, images, strict=True):
        reranker = build_fusion_reranker(plan, pictures, device=device, progress=_after(before, progress))
        before += len(pictures)
        scores = score_split(split, mixture=mixture, device=reranker.scorer.device).cpu()
        plain, _ = measure_scores(scores, caption_text=split.caption_text, text_image=split.text_image, rerank=None)
        alone.append(plain.mR)
        tried.append([_Hits.of(found) for found in _place_all(reranker, scores, split=split, plans=plans)])
    halves = [
        [float(np.mean([hits[number].mR(half) for hits in tried])) for number in range(len(plans))] for half in (0, 1)
    ]
    of_even, of_odd = (int(np.argmax(values)) for values in halves)
    crossed = [hits[of_odd].beside(hits[of_even]).mR() for hits in tried]
    return ReadingTuning(
        alone=float(np.mean(alone)),
        trials=tuple(
            ReadingTrial(entry, float(np.mean([hits[number].mR() for hits in tried])))
            for number, entry in enumerate(plans)
        ),
        crossed_mR=float(np.mean(crossed)),
    )


def _after(before: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    return lambda done: progress(before + done)


def _place_all(
    reranker: FusionReranker, scores: Tensor, *, split: EncodedSplit, plans: Sequence[FusionPlan]
) -> Iterator[RetrievalMetrics]:
    to_image, to_text = (reranker.read(scores, direction=way) for way in get_args(Direction))
    for plan in plans:
        yield retrieval_metrics(
            reranker.place(to_image, plan=plan).numpy()[split.caption_text],
            text_image=split.text_image,
            image_to_text_scores=reranker.place(to_text, plan=plan).numpy()[split.caption_text],
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Hits:
    """Every query's chance of a hit at each depth: images (n_depth, n_image) and texts (n_depth, n_text)."""

    images: Hits
    texts: Hits
    text_image: NDArray[np.int64]

    @classmethod
    def of(cls, metrics: RetrievalMetrics) -> _Hits:
        images = np.stack([metrics.image_ranks.hits(k) for k in metrics.ks])
        texts = np.stack([metrics.text_ranks.hits(k) for k in metrics.ks])
        return cls(images, texts, metrics.text_image)

    def mR(self, half: int | None = None) -> float:  # noqa: N802  # the measure's name
        """In percent; where a half is named, of the images with even (0) or odd (1) numbers and their captions."""
        if half is None:
            chosen: tuple[Hits, Hits] = (self.images, self.texts)
        else:
            chosen = (self.images[:, half::2], self.texts[:, self.text_image % 2 == half])
        return 100.0 * float(np.mean([part.mean(axis=1) for part in chosen]))

    def beside(self, other: _Hits) -> _Hits:
        """This one's hits for even images and their captions, the other's for odd ones."""
        odd = np.arange(self.images.shape[1]) % 2 == 1
        return _Hits(
            np.where(odd, other.images, self.images),
            np.where(self.text_image % 2 == 1, other.texts, self.texts),
            self.text_image,
        )
