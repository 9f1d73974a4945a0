"""Re-ranking candidates with a fusion model: what any first stage found best is read again, text and image together.

The first stage is a retrieval filter (METHODS 3.7) or a dual encoder; both hand over their scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsitr.errors import ConfigError
from rsitr.models.dual import Features
from rsitr.models.fusion import PairScorer, TextStates
from rsitr.rerank.layout import Direction, require_count, view_queries
from rsitr.rerank.methods import Reranker, parse_rerank

__all__ = [
    "FUSION_PREFIX",
    "FusionPlan",
    "FusionReranker",
    "parse_fusion",
    "parse_method",
    "place_above",
    "top_candidates",
]

FUSION_PREFIX = "fusion:"


@dataclass(frozen=True, slots=True)
class FusionPlan:
    """Which fusion model re-ranks how much.

    Attributes:
        checkpoint: its folder.
        top: candidates per query.
        weight: of the first stage's score in that of a candidate, which is log-odds + weight x score; to be tuned on
            validation. 0 leaves the order among candidates to the fusion model alone, as the paper does.

    Raises:
        ConfigError: fewer than one candidate, or a negative weight.
    """

    checkpoint: str
    top: int = 128
    weight: float = 0.0

    def __post_init__(self) -> None:
        require_count(self.top, name="top")
        if not 0 <= self.weight < float("inf"):
            raise ConfigError(f"weight must be at least 0, not {self.weight:g}")

    def __str__(self) -> str:
        """As `parse_fusion` reads it."""
        return f"{FUSION_PREFIX}{self.checkpoint},top={self.top},weight={self.weight:g}"


def parse_fusion(text: str) -> FusionPlan:
    """Read `fusion:CHECKPOINT[,top=N][,weight=W]`.

    >>> parse_fusion("fusion:runs/mtgfe/best,top=64")
    FusionPlan(checkpoint='runs/mtgfe/best', top=64, weight=0.0)

    Raises:
        ConfigError: no checkpoint, an unknown setting, or a value that is no number or an impossible one.
    """
    checkpoint, *rest = text.strip().removeprefix(FUSION_PREFIX).split(",")
    if not checkpoint:
        raise ConfigError(f"the re-ranking {text!r} names no checkpoint: write fusion:CHECKPOINT,top=128")
    settings: dict[str, float] = {}
    for part in rest:
        name, _, value = part.partition("=")
        if name not in ("top", "weight") or name in settings:
            raise ConfigError(f"cannot read {part!r} in the re-ranking {text!r}: it may have top=N and weight=W, once")
        try:
            settings[name] = int(value) if name == "top" else float(value)
        except ValueError:
            raise ConfigError(f"{name} in the re-ranking {text!r} must be a number, got {value!r}") from None
    return FusionPlan(checkpoint, top=int(settings.get("top", 128)), weight=settings.get("weight", 0.0))


def parse_method(text: str) -> Reranker | FusionPlan:
    """Read a re-ranking of either kind: without training (:func:`rsitr.rerank.parse_rerank`), or a fusion model.

    Raises:
        ConfigError: it is neither.
    """
    return parse_fusion(text) if text.strip().startswith(FUSION_PREFIX) else parse_rerank(text)


def top_candidates(scores: Tensor, *, top: int) -> Tensor:
    """The best of each query: (n_query, n_candidate) -> (n_query, min(top, n_candidate)) indices, best first.

    Of equal candidates the first ones are taken.
    """
    return scores.argsort(dim=1, descending=True, stable=True)[:, :top]


def place_above(base: Tensor, *, candidates: Tensor, values: Tensor) -> Tensor:
    """Scores in which the candidates are in their new order, and above all others, which keep theirs.

    Args:
        base: (n_query, n_candidate) of the first stage.
        candidates: (n_query, k) indices.
        values: (n_query, k) new scores of these.

    Returns:
        (n_query, n_candidate) float64, so that no two scores become one.

    Example:
        >>> base = torch.tensor([[0.9, 0.8, 0.1, 0.3]])
        >>> new = place_above(base, candidates=torch.tensor([[0, 1]]), values=torch.tensor([[-3.0, 2.0]]))
        >>> new[0].argsort(descending=True).tolist()
        [1, 0, 3, 2]
    """
    values = values.double()
    lowest = values.min(dim=1, keepdim=True).values
    placed = base.double() - base.double().max(dim=1, keepdim=True).values + lowest - 1.0
    return placed.scatter(1, candidates, values)


class FusionReranker:
    """A fusion model that re-ranks the texts and images of one collection; called as any :class:`Reranker`.

    Args:
        plan: how much is re-ranked, and the weight of the first stage.
        scorer: the fusion model.
        texts: the distinct texts.
        images: the images.
        row_text: (n_rows,) distinct text of each row of the scores that will be given.
    """

    def __init__(
        self,
        plan: FusionPlan,
        *,
        scorer: PairScorer,
        texts: TextStates,
        images: Features,
        row_text: NDArray[np.int64],
    ) -> None:
        self.plan, self.scorer, self.texts, self.images = plan, scorer, texts, images
        self.row_text = torch.from_numpy(row_text)

    def __call__(self, scores: Tensor, *, direction: Direction, bank_scores: Tensor | None = None) -> Tensor:
        """Re-rank (n_rows, n_image) scores for one direction. Rows of one text must be equal.

        Args:
            scores: of the first stage, higher is better.
            direction: whose candidates are read again.
            bank_scores: not used: a fusion model needs no reference queries.

        Returns:
            (n_rows, n_image) float64.

        Raises:
            ConfigError: there is no such direction.
            ModelError: a score is NaN or infinite.
        """
        rows = torch.full((len(self.texts.tokens),), -1)
        rows[self.row_text.flip(0)] = torch.arange(len(self.row_text)).flip(0)
        view = view_queries(scores[rows], direction=direction, bank_scores=None)
        candidates = top_candidates(view.scores, top=self.plan.top)
        queries = torch.arange(len(candidates))[:, None].expand_as(candidates)
        text_index, image_index = (candidates, queries) if view.transposed else (queries, candidates)
        values = self.scorer.score_pairs(
            self.texts, self.images, text_index=text_index.flatten(), image_index=image_index.flatten()
        ).view_as(candidates)
        values = values + self.plan.weight * view.scores.gather(1, candidates)
        return view.restore(place_above(view.scores, candidates=candidates, values=values))[self.row_text]

    def __str__(self) -> str:
        """As `parse_fusion` reads it."""
        return str(self.plan)
