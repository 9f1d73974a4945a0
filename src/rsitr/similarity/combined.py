"""Global similarity, and the score of every pair (METHODS 1.3, 1.5)."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rsitr.similarity.local import score_local
from rsitr.similarity.mixing import mix
from rsitr.types import EncodedImages, EncodedTexts, Mixture

__all__ = ["score_global", "score_pairs"]


def score_global(*, text_emb: Tensor, image_emb: Tensor) -> Tensor:
    """Cosine similarity: (n_text, D), (n_image, D), not necessarily normalised -> (n_text, n_image) in [-1, 1]."""
    return F.normalize(text_emb, dim=-1) @ F.normalize(image_emb, dim=-1).T


def score_pairs(
    *, texts: EncodedTexts, images: EncodedImages, mixture: Mixture, device: str | torch.device = "cpu"
) -> Tensor:
    """Scores of all pairs, the one piece of code behind evaluation and live search.

    Args:
        texts: n_text encoded texts.
        images: n_image encoded images.
        mixture: weights of the two similarities.
        device: where to compute.

    Returns:
        (n_text, n_image) float32 on `device`, higher is better.
    """
    scores = score_global(text_emb=_tensor(texts.global_emb, device), image_emb=_tensor(images.global_emb, device))
    if not mixture.beta:
        return mix(scores, None, mixture=mixture)
    local = score_local(
        text_tokens=_tensor(texts.tokens, device),
        image_tokens=_tensor(images.tokens, device),
        text_mask=_tensor(texts.token_mask, device),
        norm=mixture.norm,
    )
    return mix(scores, local, mixture=mixture)


def _tensor(array: NDArray[Any], device: str | torch.device) -> Tensor:
    # What comes from a memory map or a table cannot be written to, which torch warns of.
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)
