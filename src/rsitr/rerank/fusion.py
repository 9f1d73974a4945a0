"""Re-ranking candidates with a fusion model: what any first stage found best is read again, text and image together.

The first stage is a retrieval filter (METHODS 3.7) or a dual encoder; both hand over their scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rsitr.models.dual import Features
from rsitr.models.fusion import PairScorer, TextStates
from rsitr.rerank.layout import Direction, QueryView, view_queries
from rsitr.rerank.plan import FusionPlan

__all__ = ["FusionReranker", "ReadCandidates", "place_above", "top_candidates"]


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


@dataclass(frozen=True, slots=True)
class ReadCandidates:
    """Candidates of every query as a fusion model sees them.

    Attributes:
        view: the first stage's scores by query.
        candidates: (n_query, k) indices, the first stage's best first.
        log_odds: (n_query, k) of a match.
    """

    view: QueryView
    candidates: Tensor
    log_odds: Tensor


class FusionReranker:
    """A fusion model that re-ranks the texts and images of one collection; called as any :class:`Reranker`.

    Args:
        plan: how much is re-ranked, and the weight of the first stage.
        scorer: the fusion model.
        texts: the distinct texts.
        images: the images.
    """

    def __init__(
        self,
        plan: FusionPlan,
        *,
        scorer: PairScorer,
        texts: TextStates,
        images: Features,
    ) -> None:
        self.plan, self.scorer, self.texts, self.images = plan, scorer, texts, images

    def __call__(self, scores: Tensor, *, direction: Direction, bank_scores: Tensor | None = None) -> Tensor:
        """Re-rank (n_text, n_image) scores for one direction.

        Args:
            scores: of the first stage, higher is better.
            direction: whose candidates are read again.
            bank_scores: not used: a fusion model needs no reference queries.

        Returns:
            (n_text, n_image) float64.

        Raises:
            ConfigError: there is no such direction.
            ModelError: a score is NaN or infinite.
        """
        return self.place(self.read(scores, direction=direction), plan=self.plan)

    def read(self, scores: Tensor, *, direction: Direction) -> ReadCandidates:
        """The costly part of a call, which any smaller `top` and every `weight` can share; arguments as there."""
        view = view_queries(scores, direction=direction, bank_scores=None)
        candidates = top_candidates(view.scores, top=self.plan.top)
        queries = torch.arange(len(candidates))[:, None].expand_as(candidates)
        text_index, image_index = (candidates, queries) if view.transposed else (queries, candidates)
        values = self.scorer.score_pairs(
            self.texts, self.images, text_index=text_index.flatten(), image_index=image_index.flatten()
        ).view_as(candidates)
        return ReadCandidates(view=view, candidates=candidates, log_odds=values)

    def place(self, read: ReadCandidates, *, plan: FusionPlan) -> Tensor:
        """Scores (n_text, n_image) float64 in which the candidates that were read are sorted as the plan says."""
        candidates, first = read.candidates[:, : plan.top], read.view.scores
        values = read.log_odds[:, : plan.top] + plan.weight * first.gather(1, candidates)
        return read.view.restore(place_above(first, candidates=candidates, values=values))

    def __str__(self) -> str:
        """As `parse_fusion` reads it."""
        return str(self.plan)
