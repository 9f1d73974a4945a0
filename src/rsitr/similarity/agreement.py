"""How well approximate scores keep the order of exact ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["RankAgreement", "measure_agreement"]


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """Agreement of two score matrices, each value a mean over queries.

    Attributes:
        k: depth of the overlap.
        text_to_image_overlap: share of the exact top k images of a text that are in its approximate top k.
        image_to_text_overlap: the same for the top k texts of an image.
        text_to_image_spearman: rank correlation over all images of a text.
        image_to_text_spearman: rank correlation over all texts of an image.
        relative_error: norm of the difference over the norm of the exact scores, over the whole matrix.
    """

    k: int
    text_to_image_overlap: float
    image_to_text_overlap: float
    text_to_image_spearman: float
    image_to_text_spearman: float
    relative_error: float

    @property
    def overlap(self) -> float:
        """The lower of the two directions' overlaps."""
        return min(self.text_to_image_overlap, self.image_to_text_overlap)


def measure_agreement(*, exact: Tensor, approximate: Tensor, k: int = 10) -> RankAgreement:
    """Compare approximate scores with exact ones, in both directions.

    Where scores are tied at the k-th place, the first of them counts as inside; give each distinct text once.

    Args:
        exact: (n_text, n_image).
        approximate: (n_text, n_image).
        k: depth of the overlap; all candidates where there are fewer.

    Raises:
        ValueError: the shapes differ, there are no scores, or k is not positive.

    Example:
        >>> exact = torch.tensor([[0.9, 0.5, 0.1], [0.2, 0.8, 0.4]])
        >>> measure_agreement(exact=exact, approximate=exact.square(), k=1).text_to_image_spearman
        1.0
    """
    if exact.shape != approximate.shape or exact.ndim != 2 or not exact.numel() or k < 1:
        raise ValueError(
            f"exact {tuple(exact.shape)} and approximate {tuple(approximate.shape)} scores must be (n_text, n_image), "
            f"and k {k} positive"
        )
    one, other = exact.detach().double().cpu(), approximate.detach().double().cpu()
    return RankAgreement(
        k=k,
        text_to_image_overlap=_overlap(one, other, k=k),
        image_to_text_overlap=_overlap(one.T, other.T, k=k),
        text_to_image_spearman=_spearman(one.numpy(), other.numpy()),
        image_to_text_spearman=_spearman(one.T.numpy(), other.T.numpy()),
        relative_error=float((one - other).norm() / one.norm().clamp(min=torch.finfo(one.dtype).tiny)),
    )


def _overlap(one: Tensor, other: Tensor, *, k: int) -> float:
    depth = min(k, one.shape[1])
    inside = [
        torch.zeros_like(lists, dtype=torch.bool).scatter_(
            1, lists.argsort(dim=1, descending=True, stable=True)[:, :depth], True
        )
        for lists in (one, other)
    ]
    return float((inside[0] & inside[1]).sum(dim=1).double().mean() / depth)


def _spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Mean over rows; rows in which all scores are equal say nothing of an order and are left out (none left: 1)."""
    from scipy.stats import rankdata  # slow to import, and scoring does not need it

    first, second = (rankdata(lists, axis=1) for lists in (one, other))
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    told = scale > 0
    return float(((first * second).sum(axis=1)[told] / scale[told]).mean()) if told.any() else 1.0
