"""Image-text matching: negatives drawn from the batch, and the loss (MTGFE, section 3.3.3; METHODS 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Negatives", "draw_negatives", "itm_loss"]


@dataclass(frozen=True, slots=True)
class Negatives:
    """Pairs of a batch that don't belong together, as positions in the batch.

    Attributes:
        texts: (K,) text of each pair.
        images: (K,) image of each pair.
    """

    texts: Tensor
    images: Tensor


def draw_negatives(belongs: Tensor, *, generator: torch.Generator, logits: Tensor | None = None) -> Negatives:
    """For each image of the batch a text, and for each text an image, never one of those that belong to it.

    Args:
        belongs: (B, B) bool, rows text, columns image: is the text, word by word, one that was written for the image?
            True on the diagonal, for other captions of the same image, and for identical captions of other images.
        generator: source of chance, on the CPU.
        logits: (B, B), rows text, columns image: each text draws an image by the softmax of its row, each image a text
            by that of its column, over what is allowed, so that likely mistakes come more often (our addition). None
            draws all alike, as the paper does.

    Returns:
        2 B pairs, fewer where all of the batch belongs to an image or a text.

    Raises:
        ValueError: shapes don't fit.

    Example:
        >>> found = draw_negatives(torch.eye(2, dtype=torch.bool), generator=torch.Generator())
        >>> found.texts.tolist(), found.images.tolist()  # for image 0 and 1, then for text 0 and 1
        ([1, 0, 0, 1], [0, 1, 1, 0])
    """
    if (
        belongs.ndim != 2
        or belongs.shape[0] != belongs.shape[1]
        or (logits is not None and logits.shape != belongs.shape)
    ):
        raise ValueError(f"belongs and logits must be square and alike, not {tuple(belongs.shape)}")
    chances = torch.zeros(belongs.shape) if logits is None else logits.detach().float().cpu()
    chances = chances.masked_fill(belongs.cpu(), -torch.inf)
    texts, for_image = _draw(chances.T, generator=generator)
    images, for_text = _draw(chances, generator=generator)
    device = belongs.device
    return Negatives(texts=torch.cat([texts, for_text]).to(device), images=torch.cat([for_image, images]).to(device))


def _draw(logits: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One column for each row that has any to choose from: columns (K,) and rows (K,).

    Relative to each row's own best that is allowed: next to another row's, all of it may underflow.
    """
    rows = (logits > -torch.inf).any(dim=1).nonzero().flatten()
    if not len(rows):
        return rows, rows
    allowed = logits[rows]
    chance = torch.exp(allowed - allowed.max(dim=1, keepdim=True).values)
    return torch.multinomial(chance, 1, generator=generator).flatten(), rows


def itm_loss(*, positive: Tensor, negative: Tensor) -> Tensor:
    """Cross-entropy over all pairs alike (MTGFE, equation 7).

    Args:
        positive: (B, 2) logits of pairs that match.
        negative: (K, 2) logits of pairs that don't.
    """
    labels = torch.cat(
        [
            torch.ones(len(positive), dtype=torch.long, device=positive.device),
            torch.zeros(len(negative), dtype=torch.long, device=positive.device),
        ]
    )
    return F.cross_entropy(torch.cat([positive, negative]).float(), labels)
