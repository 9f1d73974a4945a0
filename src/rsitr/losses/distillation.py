"""Teaching the retrieval filter what the fusion encoder says (MTGFE, section 3.4; METHODS 3.7)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["distillation_loss"]


def distillation_loss(student: Tensor, *, teacher: Tensor, labels: Tensor, hard_weight: float = 0.2) -> Tensor:
    """KL(teacher || student) + hard_weight CE(label) of match or no match (MTGFE, equations 9 to 11).

    Both sides are log-odds of a match: two logits count by their difference alone.

    Args:
        student: (B,) log-odds.
        teacher: (B,) log-odds, without gradient.
        labels: (B,) 1 for pairs that match, else 0.
        hard_weight: alpha.

    Example:
        >>> zero = torch.zeros(1)
        >>> round(distillation_loss(zero, teacher=zero, labels=torch.ones(1), hard_weight=1.0).item(), 4)
        0.6931
    """
    target = torch.sigmoid(teacher.detach().float())
    # Cross-entropy with soft labels is KL plus the teacher's entropy, which no student can change.
    entropy = F.binary_cross_entropy_with_logits(teacher.detach().float(), target)
    soft = F.binary_cross_entropy_with_logits(student.float(), target) - entropy
    hard = F.binary_cross_entropy_with_logits(student.float(), labels.float())
    return soft + hard_weight * hard
