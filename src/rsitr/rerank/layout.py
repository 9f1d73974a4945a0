"""The two directions of retrieval on one (n_text, n_image) score matrix, and what the methods require of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from rsitr.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Direction", "QueryView", "require_count", "require_temperature", "view_queries"]

Direction = Literal["text_to_image", "image_to_text"]
"""What is the query, and what is looked for."""
SINGLE_BYTES = 4


@dataclass(frozen=True, slots=True)
class QueryView:
    """A score matrix as its queries see it.

    Attributes:
        scores: (n_query, n_candidate), contiguous.
        reverse: (n_candidate, n_reference), contiguous: each candidate's scores of the queries, or of the bank.
        transposed: True where queries are images, so that results have to be turned back.
    """

    scores: Tensor
    reverse: Tensor
    transposed: bool

    def restore(self, scores: Tensor) -> Tensor:
        """(n_query, n_candidate) -> (n_text, n_image)."""
        return scores.T.contiguous() if self.transposed else scores


def view_queries(scores: Tensor, *, direction: Direction, bank_scores: Tensor | None) -> QueryView:
    """Lay out scores by query and by candidate.

    Args:
        scores: (n_text, n_image), higher is better. Half precision is widened to float32, which is exact.
        direction: whose lists are to be improved.
        bank_scores: the candidates' scores of other queries, in the same layout: (n_bank_text, n_image) for
            `text_to_image`, (n_text, n_bank_image) for `image_to_text`. None: the queries themselves are the bank.

    Raises:
        ConfigError: there is no such direction.
        ModelError: a score is NaN or infinite: the model is broken, and no order would mean anything.
        ValueError: not a matrix, or scores and bank don't have the same candidates.
    """
    if direction not in get_args(Direction):
        raise ConfigError(f"unknown direction {direction!r}: choose {' or '.join(get_args(Direction))}")
    for name, matrix in (("scores", scores), ("bank_scores", bank_scores)):
        if matrix is None:
            continue
        if matrix.ndim != 2:
            raise ValueError(f"{name} must be (n_text, n_image), got the shape {tuple(matrix.shape)}")
        if not bool(matrix.isfinite().all()):
            raise ModelError(f"{name} hold NaN or infinity: the model or its features are broken; check the checkpoint")
    transposed = direction == "image_to_text"
    own = _widen(scores.T if transposed else scores)
    bank = own if bank_scores is None else _widen(bank_scores.T if transposed else bank_scores)
    if bank.shape[1] != own.shape[1]:
        raise ValueError(f"scores have {own.shape[1]} candidates, the bank {bank.shape[1]}: they must be the same ones")
    if len(bank) == 0:
        raise ConfigError("the bank of reference queries is empty: reverse lists need at least one")
    return QueryView(scores=own.contiguous(), reverse=bank.T.contiguous().to(own.dtype), transposed=transposed)


def require_count(k: int, *, name: str = "k") -> None:
    """Refuse a number of candidates or neighbours below 1.

    Raises:
        ConfigError: it is.
    """
    if k < 1:
        raise ConfigError(f"{name} must be at least 1, got {k}")


def require_temperature(temperature: float) -> None:
    """Refuse a temperature that is not positive and finite.

    Raises:
        ConfigError: it is not.
    """
    if not 0 < temperature < math.inf:
        raise ConfigError(f"temperature must be a number above 0, got {temperature:g}")


def _widen(scores: Tensor) -> Tensor:
    return scores if scores.is_floating_point() and scores.dtype.itemsize >= SINGLE_BYTES else scores.float()
