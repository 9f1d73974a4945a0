"""InfoNCE over a batch's score matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from rsitr.registry import Registry

__all__ = ["LOSSES", "PAIRS", "Contrastive", "Targets", "info_nce"]


class Contrastive(Protocol):
    """A loss of a batch's score matrix, in both directions; arguments as of :func:`info_nce`."""

    def __call__(
        self,
        scores: Tensor,
        *,
        keep: Tensor | None = None,
        scale: float | Tensor = 1.0,
        positives: Tensor | None = None,
        ignore: Tensor | None = None,
        soft: Tensor | None = None,
        soft_weight: float = 0.0,
    ) -> Tensor:
        """(B, B) scores, rows text, columns image, pairs on the diagonal -> scalar."""


LOSSES: Registry[Contrastive] = Registry("loss", group="losses")
"""By the name that a config gives as `loss.align`."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What counts as a match beside the diagonal; see :func:`info_nce`."""

    positives: Tensor | None = None
    ignore: Tensor | None = None
    soft: Tensor | None = None
    soft_weight: float = 0.0

    def as_arguments(self) -> dict[str, Any]:
        """By the names that a loss takes them."""
        return {
            "positives": self.positives,
            "ignore": self.ignore,
            "soft": self.soft,
            "soft_weight": self.soft_weight,
        }


PAIRS = Targets()
"""The diagonal alone."""


@LOSSES.register("info_nce")
def info_nce(
    scores: Tensor,
    *,
    keep: Tensor | None = None,
    scale: float | Tensor = 1.0,
    positives: Tensor | None = None,
    ignore: Tensor | None = None,
    soft: Tensor | None = None,
    soft_weight: float = 0.0,
) -> Tensor:
    r"""Sum of the two directions' cross-entropies, each the mean over its kept rows (EBAKER, equations 13 and 14).

    A dropped pair loses its row in both directions, B x B becoming (B - n) x B; it stays a negative for the others.

    Args:
        scores: (B, B), rows text, columns image, pairs on the diagonal.
        keep: (B,) bool; False removes the pair's row in each direction (METHODS 1.7). All are kept when it is None.
        scale: multiplies the scores: the inverse temperature.
        positives: (B, B) bool, further pairs that belong together (the diagonal always does). The loss of a row is then
            the mean over its positives. Our addition for captions that repeat (METHODS 1.9).
        ignore: (B, B) bool, pairs that are neither positive nor negative, unless they are positives. Our addition.
        soft: (B, B) how well texts and images fit by other knowledge, as logits: a softmax of each direction's rows is
            a further target. Our addition.
        soft_weight: its share of the target, from 0 to 1.

    Returns:
        Scalar.

    Raises:
        ValueError: shapes do not fit, there are soft targets beside pairs to ignore, or no row is kept (the fallback
            belongs to where the mask is made).

    Example:
        >>> round(info_nce(torch.eye(2)).item(), 4)  # each direction: log(1 + e^-1)
        0.6265
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1]:
        raise ValueError(f"scores must be square, not {tuple(scores.shape)}")
    size = len(scores)
    if keep is not None and (keep.shape != (size,) or not bool(keep.any())):
        raise ValueError("keep must be (B,) with at least one True: keep the best pair where the mask is made")
    for name, mask in (("positives", positives), ("ignore", ignore), ("soft", soft)):
        if mask is not None and mask.shape != scores.shape:
            raise ValueError(f"{name} must be {tuple(scores.shape)}, not {tuple(mask.shape)}")
    if soft is not None and ignore is not None:
        raise ValueError("soft targets give every pair a share, so that none can be ignored: leave out one of the two")
    logits = scores * scale
    diagonal = torch.eye(size, dtype=torch.bool, device=scores.device)
    target = None if positives is None else positives | diagonal
    if ignore is not None:
        logits = logits.masked_fill(ignore & ~(diagonal if target is None else target), float("-inf"))
    return _direction(logits, keep=keep, target=target, soft=soft, soft_weight=soft_weight) + _direction(
        logits.T,
        keep=keep,
        target=None if target is None else target.T,
        soft=None if soft is None else soft.T,
        soft_weight=soft_weight,
    )


def _direction(
    logits: Tensor, *, keep: Tensor | None, target: Tensor | None, soft: Tensor | None, soft_weight: float
) -> Tensor:
    rows = torch.arange(len(logits), device=logits.device)
    if keep is not None:
        rows = rows[keep]
    if target is None:
        loss = F.cross_entropy(logits[rows], rows)
    else:
        log_p = F.log_softmax(logits[rows], dim=1).masked_fill(~target[rows], 0.0)
        loss = -(log_p.sum(dim=1) / target[rows].sum(dim=1)).mean()
    if soft is None or not soft_weight:
        return loss
    share = torch.softmax(soft[rows], dim=1).to(logits.dtype)
    return (1 - soft_weight) * loss + soft_weight * F.cross_entropy(logits[rows], share)
