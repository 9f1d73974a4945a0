"""EBAKER's objective: global and local alignment after elimination, and keyword reasoning (METHODS 1.7 to 1.9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rsitr.data.masking import IGNORED_LABEL
from rsitr.losses.contrastive import PAIRS, Contrastive, Targets, info_nce

__all__ = ["RELEASED_SCALE", "EbakerLoss", "MaskedWords", "ebaker_loss", "keep_above", "precise", "word_loss"]

RELEASED_SCALE = math.exp(2.996)  # 20.0, the constant inverse temperature of the released code


def keep_above(similarities: Tensor, *, threshold: float | None) -> Tensor | None:
    """Which pairs survive elimination: those whose similarity exceeds the threshold (METHODS 1.7).

    Args:
        similarities: (B,), of the batch's pairs.
        threshold: of this epoch, or None while nothing is dropped.

    Returns:
        (B,) bool, or None when nothing is dropped. If a whole batch would go, its most similar pair stays.
    """
    if threshold is None:
        return None
    keep = similarities.detach() > threshold
    if not bool(keep.any()):
        keep[similarities.argmax()] = True
    return keep


@dataclass(frozen=True, slots=True)
class EbakerLoss:
    """The total and its parts, each a scalar; `mlm` is before its weight."""

    total: Tensor
    global_align: Tensor
    local_align: Tensor
    mlm: Tensor


@dataclass(frozen=True, slots=True)
class MaskedWords:
    """What keyword reasoning said of the masked words.

    Attributes:
        logits: (n, V) of the masked positions alone.
        labels: (n,) classes, -100 where ignored.
        count: masked positions that the mean is over, where these are a part of them; these alone when None.
    """

    logits: Tensor
    labels: Tensor
    count: int | None = None


def precise(values: Tensor) -> Tensor:
    """In single precision at least: half precision is too coarse for a softmax over scaled cosines, or over words."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def word_loss(words: MaskedWords) -> Tensor:
    """Cross-entropy of the masked words: a scalar, their share of the mean over all `count` of them (METHODS 1.6)."""
    count = int((words.labels != IGNORED_LABEL).sum()) if words.count is None else words.count
    if not count:
        return words.logits.new_zeros(())
    summed = F.cross_entropy(precise(words.logits), words.labels, ignore_index=IGNORED_LABEL, reduction="sum")
    return summed / count


def ebaker_loss(
    *,
    global_scores: Tensor,
    local_scores: Tensor | None,
    keep_global: Tensor | None,
    keep_local: Tensor | None,
    words: MaskedWords | Tensor | None,
    scale: float | Tensor = RELEASED_SCALE,
    local_weight: float = 1.0,
    mlm_weight: float = 0.5,
    targets: Targets = PAIRS,
    align: Contrastive = info_nce,
) -> EbakerLoss:
    """InfoNCE(global) + InfoNCE(local) + lambda MLM (EBAKER, equation 15; METHODS 1.9).

    The scheme of elimination is in the masks: `joint` passes the global mask twice, `split` one of each bank.

    Args:
        global_scores: (B, B) cosines, rows text, columns image, pairs on the diagonal; or (members, B, B) of a
            committee, whose losses are summed: each member learns as if it were alone.
        local_scores: (B, B) local similarities without temperature, or None to leave the term out. A temperature inside
            the norm is the same as one outside, since a norm is homogeneous.
        keep_global: (B,) bool from :func:`keep_above`, or None.
        keep_local: (B,) bool, or None.
        words: what keyword reasoning said of the masked positions, or the loss that follows from it, which may be the
            sum over parts of the batch; None to leave the term out.
        scale: inverse temperature.
        local_weight: weight of the local term, 1 in the paper.
        mlm_weight: lambda.
        targets: what counts as a match beside the diagonal.
        align: the contrastive loss of either similarity.
    """
    zero = global_scores.new_zeros(())
    of_global = zero
    for scores in global_scores if global_scores.ndim > 2 else (global_scores,):
        of_global = of_global + align(scores, keep=keep_global, scale=scale, **targets.as_arguments())
    local = zero
    if local_scores is not None:
        local = align(local_scores, keep=keep_local, scale=scale, **targets.as_arguments())
    mlm = zero
    if words is not None:
        mlm = word_loss(words) if isinstance(words, MaskedWords) else words
    total = of_global + local_weight * local + mlm_weight * mlm
    return EbakerLoss(total=total, global_align=of_global, local_align=local, mlm=mlm)
