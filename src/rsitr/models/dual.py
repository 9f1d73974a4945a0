"""What every dual encoder offers to training and to inference, whatever is inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Features:
    """Features of one batch from one side, in the joint space, not normalised.

    Attributes:
        global_emb: (B, D).
        tokens: (B, N, D) patches or (B, M, D) words; of a committee (B, N, D / members), the first member's.
        members: that many unit vectors of equal width stand side by side in `global_emb`, each of a member of a
            committee that learns on its own.
    """

    global_emb: Tensor
    tokens: Tensor
    members: int = 1


class DualEncoder(Protocol):
    """A trainable dual encoder (METHODS 1.1). Images are RGB in [0, 1]; each model normalises them itself."""

    @property
    def dim(self) -> int:
        """Joint width D."""

    @property
    def token_dim(self) -> int:
        """Width of the local features: D, or less for a committee."""

    @property
    def image_size_px(self) -> int:
        """Side of the square input picture."""

    @property
    def context_length(self) -> int:
        """Longest text in BPE tokens."""

    def image_features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, H, W) -> global (B, D), local (B, N, D)."""

    def text_features(self, ids: Tensor) -> Features:
        """BPE ids (B, M) -> global (B, D), local (B, M, D)."""
