"""Cross-entropy of pictures and texts with targets that are shares: several texts fit a picture, some of them a little.

Our own (not a paper's), for the lookout model. B pictures, T texts, each of which was drawn for one of the pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Shares", "class_loss", "share_loss", "share_targets"]


@dataclass(frozen=True, slots=True)
class Shares:
    """Targets of which every row's sum is 1.

    Attributes:
        texts: (B, T), of each picture.
        images: (T, B), of each text.
    """

    texts: Tensor
    images: Tensor


def share_targets(fits: Tensor, *, owner: Tensor, likeness: Tensor, temperature: float, alike: float) -> Shares:
    """Targets from what fits, and from how alike texts are.

    A picture's target is shared by the texts that fit, and a text's by the pictures; `alike` of it goes by a softmax of
    the texts' likeness instead: to the pictures that its like were drawn for, and to the texts that are like a
    picture's own.

    Args:
        fits: (B, T) bool; the text that was drawn for a picture fits it, whatever is said here.
        owner: (T,) the picture that a text was drawn for.
        likeness: (T, T) cosines.
        temperature: of the softmax over them.
        alike: share of the target, 0 to 1.

    Example:
        >>> one = torch.arange(2)
        >>> share_targets(torch.eye(2) > 0, owner=one, likeness=torch.ones(2, 2), temperature=1.0, alike=0.2).texts
        tensor([[0.9000, 0.1000],
                [0.1000, 0.9000]])
    """
    mine = F.one_hot(owner, len(fits)).float()
    positive = (fits | (mine.T > 0)).float()
    soft = (likeness / temperature).softmax(dim=1)
    by_image = mine.T @ soft
    return Shares(
        texts=(1 - alike) * positive / positive.sum(1, keepdim=True) + alike * by_image / by_image.sum(1, keepdim=True),
        images=(1 - alike) * (positive / positive.sum(0, keepdim=True)).T + alike * soft @ mine,
    )


def share_loss(logits: Tensor, targets: Shares) -> Tensor:
    """Mean of both directions' cross-entropies: logits (B, T), pictures in rows -> scalar."""
    by_image = -(targets.texts * logits.log_softmax(1)).sum(1).mean()
    by_text = -(targets.images * logits.T.log_softmax(1)).sum(1).mean()
    return (by_image + by_text) / 2


def class_loss(logits: Tensor, classes: Tensor, *, smoothing: float) -> Tensor:
    """Cross-entropy of the pictures whose class is known: logits (B, C), classes (B,), -1 where not -> scalar.

    It is 0 where none is.
    """
    total = F.cross_entropy(logits, classes, ignore_index=-1, label_smoothing=smoothing, reduction="sum")
    return total / torch.clamp((classes >= 0).sum(), min=1)
