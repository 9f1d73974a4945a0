"""The similarity bank: what an epoch saw of every pair's similarity, and the threshold that follows (METHODS 1.7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["SimilarityBank"]


class SimilarityBank:
    """Similarities of the training pairs by row index, for the current epoch.

    Args:
        size: number of rows of the training set.
    """

    def __init__(self, size: int) -> None:
        self.values = torch.full((size,), math.nan)

    def record(self, rows: Tensor, similarities: Tensor) -> None:
        """Note the similarities (B,) of rows (B,), dropped pairs included."""
        self.values[rows.cpu()] = similarities.detach().float().cpu()

    def start_epoch(self) -> None:
        """Forget the epoch before."""
        self.values.fill_(math.nan)

    def threshold(self, *, drop_ratio: float) -> float | None:
        """The value at index floor(drop_ratio * L) of the L similarities sorted ascending; None if nothing may drop."""
        seen = self.values[~self.values.isnan()]
        if drop_ratio <= 0 or len(seen) == 0:
            return None
        # A product such as 0.29 * 100 comes out a little below the whole number that it is.
        index = min(math.floor(drop_ratio * len(seen) + 1e-9), len(seen) - 1)
        return float(seen.sort().values[index])

    def below(self, threshold: float) -> Tensor:
        """Row indices whose similarity of this epoch does not exceed the threshold, least similar first."""
        rows = (self.values <= threshold).nonzero().flatten()
        return rows[self.values[rows].argsort()]

    def state_dict(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """From a checkpoint."""
        self.values.copy_(state["values"])
