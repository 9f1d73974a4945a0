r"""Exact local similarity between every text and every image, at the cost of one matrix product.

The score of a pair is the Frobenius norm of its cosine matrix, S_l = ||V T^T||_F with unit rows (EBAKER, equation 5;
METHODS 1.4). Since ||V T^T||_F^2 = <V^T V, T^T T>_F, each side condenses to its Gram matrix, whose upper triangle
(off-diagonal entries times sqrt 2) is a vector of D(D+1)/2: all pairs are then one GEMM, followed by a square root.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from rsitr.errors import ConfigError
from rsitr.similarity.grams import gram, multiply_grams, unit_tokens

__all__ = ["LocalNorm", "gram_vectors", "pack_grams", "score_local"]

LocalNorm = Literal["l2", "rms"]

# Room for what one block takes; with it RSICD test's images at D = 512 stay in memory while its texts pass by.
BLOCK_BYTES = 2**30
HELD_SHARE = 7 / 8
STRIP = 32
"""Rows of a Gram matrix that are one product: fewer would be smaller products, more would be more entries counted."""


def gram_vectors(tokens: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Condense token sets so that an inner product of two results is the squared local similarity, norm `l2`.

    Args:
        tokens: (n, L, D), not necessarily normalised.
        mask: (n, L) bool, True where a token counts.

    Returns:
        (n, D(D+1)/2): upper triangles of the Gram matrices of the unit tokens, off-diagonal entries times sqrt 2.

    Example:
        >>> v, t = torch.tensor([[[3.0, 0.0], [0.0, 2.0]]]), torch.tensor([[[1.0, 1.0]]])
        >>> round((gram_vectors(v) @ gram_vectors(t).T).item(), 6)  # two cosines of 1 / sqrt 2
        1.0
    """
    return pack_grams(unit_tokens(tokens, mask))


def pack_grams(rows: Tensor) -> Tensor:
    """Rows as they are (n, L, D) -> upper triangles of their Gram matrices (n, D(D+1)/2), as in `gram_vectors`."""
    gram = rows.transpose(1, 2) @ rows
    dim = gram.shape[-1]
    first, second = torch.triu_indices(dim, dim, device=gram.device)
    weight = gram.new_full(first.shape, 2.0**0.5).masked_fill(first == second, 1.0)
    return gram.flatten(1).index_select(1, first * dim + second).mul_(weight)


def score_local(
    *,
    text_tokens: Tensor,
    image_tokens: Tensor,
    text_mask: Tensor | None = None,
    norm: LocalNorm = "l2",
    block_bytes: int = BLOCK_BYTES,
    gradient_rows: int | None = None,
) -> Tensor:
    """Local similarity of all pairs; differentiable (EBAKER, equation 5; METHODS 1.4).

    Uses the Gram identity or the pairwise cosine matrices, whichever takes fewer multiplications, in blocks over both
    sides: memory beyond inputs and result stays near `block_bytes` when no gradient is recorded. With gradients, what
    autograd keeps is the Gram matrices, never a tensor of (n_text, n_image, M, N); with `gradient_rows` not even these.

    Args:
        text_tokens: (n_text, M, D), not necessarily normalised. Of half precision with gradients and `l2`, the result
            is of single precision.
        image_tokens: (n_image, N, D), not necessarily normalised.
        text_mask: (n_text, M) bool, True where a token counts; all count when it is None.
        norm: `l2`, the Frobenius norm, or `rms`, divided by sqrt(N M) and thus within [0, 1].
        block_bytes: working memory to stay near.
        gradient_rows: with gradients, Gram matrices of so many texts and images are held at a time and made again on
            the way back, which takes longer; None holds those of all.

    Returns:
        (n_text, n_image), higher is more similar. A text without any counted token scores 0 (1e-6 with gradients,
        whose root is kept off 0).

    Raises:
        ConfigError: the norm is unknown.
        ValueError: shapes do not fit.
    """
    if norm not in ("l2", "rms"):
        raise ConfigError(f"local norm {norm!r} is unknown; use 'l2' or 'rms'")
    if text_tokens.ndim != 3 or image_tokens.ndim != 3 or text_tokens.shape[-1] != image_tokens.shape[-1]:
        raise ValueError(f"tokens must be (n, L, D) with one D, not {text_tokens.shape} and {image_tokens.shape}")
    n_text, m, dim = text_tokens.shape
    n_image, n, _ = image_tokens.shape
    if text_mask is not None and text_mask.shape != (n_text, m):
        raise ValueError(f"text_mask must be {(n_text, m)}, not {tuple(text_mask.shape)}")
    gradients = torch.is_grad_enabled() and (text_tokens.requires_grad or image_tokens.requires_grad)
    if gradients or _gram_is_cheaper(n_text=n_text, n_image=n_image, m=m, n=n, dim=dim):
        squared = (
            _squared_with_gradients(
                text_tokens, image_tokens, text_mask, precise=norm == "l2", rows=gradient_rows or max(n_text, n_image)
            )
            if gradients
            else _squared_by_gram(text_tokens, image_tokens, text_mask, block_bytes)
        )
    else:
        squared = _squared_pairwise(text_tokens, image_tokens, text_mask, block_bytes)
    if norm == "rms":
        counted = torch.full((n_text,), m, device=squared.device) if text_mask is None else text_mask.sum(dim=1)
        squared = squared / (counted.clamp(min=1) * n).to(squared.dtype).unsqueeze(1)
    # The root's slope is infinite at 0, which rounding can reach: the floor keeps gradients finite.
    return squared.clamp(min=1e-12).sqrt() if gradients else squared.clamp(min=0).sqrt()


def _gram_is_cheaper(*, n_text: int, n_image: int, m: int, n: int, dim: int) -> bool:
    pairwise = n_text * n_image * m * n * dim
    gram = (n_text * m + n_image * n + n_text * n_image) * _strip_length(dim)
    return gram <= pairwise


def _strip_length(dim: int) -> int:
    return sum(min(STRIP, dim - first) * (dim - first) for first in range(0, dim, STRIP))


def _squared_with_gradients(texts: Tensor, images: Tensor, mask: Tensor | None, *, precise: bool, rows: int) -> Tensor:
    """From whole Gram matrices: twice the product, but strips of them are slow to differentiate.

    `precise`: the product is of single precision at least, whatever the tokens are. Squares up to M N, rounded to
    bf16's eight bits, would leave few different values; a mean square within [0, 1] bears it.
    """
    if rows < max(len(texts), len(images)):
        return multiply_grams(texts, images, mask, precise=precise, rows=rows)
    text_grams, image_grams = gram(texts, mask).flatten(1), gram(images, None).flatten(1)
    if precise:
        dtype = torch.promote_types(text_grams.dtype, torch.float32)
        text_grams, image_grams = text_grams.to(dtype), image_grams.to(dtype)
    return text_grams @ image_grams.T


def _squared_by_gram(texts: Tensor, images: Tensor, mask: Tensor | None, block_bytes: int) -> Tensor:
    # One side's strips stay while the other's pass by, built anew for every block of those that stay.
    held = {side: _items_in(int(block_bytes * HELD_SHARE), tokens) for side, tokens in enumerate((texts, images))}
    (n_text, m, _), (n_image, n, _) = texts.shape, images.shape
    holding_texts = n_text * m + n_image * n * math.ceil(n_text / held[0])
    holding_images = n_image * n + n_text * m * math.ceil(n_image / held[1])
    out = texts.new_empty(n_text, n_image)
    room = int(block_bytes * (1 - HELD_SHARE))
    if holding_images <= holding_texts:
        _fill(out, texts, mask, images, None, held=held[1], passing_room=room)
    else:
        _fill(out.T, images, None, texts, mask, held=held[0], passing_room=room)
    return out


def _items_in(room_bytes: int, tokens: Tensor) -> int:
    """How many items' strips and unit tokens fit."""
    _, length, dim = tokens.shape
    return max(1, room_bytes // max(1, (_strip_length(dim) + length * dim) * tokens.element_size()))


def _fill(
    out: Tensor,
    passing: Tensor,
    passing_mask: Tensor | None,
    staying: Tensor,
    staying_mask: Tensor | None,
    *,
    held: int,
    passing_room: int,
) -> None:
    """Write the squared similarities (n_passing, n_staying) into `out`, block by block."""
    moving = _items_in(passing_room, passing)
    held_space = _strip_space(staying, min(held, len(staying)))
    space = _strip_space(passing, min(moving, len(passing)))
    for first in range(0, len(staying), held):
        stay = slice(first, first + held)
        held_strips = _strips(staying[stay], _part(staying_mask, stay), out=held_space)
        for strip in held_strips:
            strip[:, :, STRIP:] *= 2
        for start in range(0, len(passing), moving):
            part = slice(start, start + moving)
            strips = _strips(passing[part], _part(passing_mask, part), out=space)
            block = strips[0].flatten(1) @ held_strips[0].flatten(1).T
            for mine, theirs in zip(strips[1:], held_strips[1:], strict=True):
                block.addmm_(mine.flatten(1), theirs.flatten(1).T)
            out[part, stay] = block


def _strip_space(tokens: Tensor, count: int) -> list[Tensor]:
    """Memory for `count` items' strips; getting it anew for every block costs as much as filling it."""
    dim = tokens.shape[-1]
    return [tokens.new_empty(count, min(STRIP, dim - first), dim - first) for first in range(0, dim, STRIP)]


def _strips(tokens: Tensor, mask: Tensor | None, *, out: list[Tensor]) -> list[Tensor]:
    """The Gram matrices' upper triangles as strips of STRIP rows, from the diagonal block rightwards.

    Each strip is one small product, with no entries to pick afterwards. Its diagonal block is whole, so it counts its
    off-diagonal entries twice by itself; what lies right of it has to be doubled on one of the two sides.
    """
    unit = unit_tokens(tokens, mask)
    strips = [space[: len(unit)] for space in out]
    for first, strip in zip(range(0, unit.shape[-1], STRIP), strips, strict=True):
        torch.bmm(unit[:, :, first : first + STRIP].transpose(1, 2), unit[:, :, first:], out=strip)
    return strips


def _part(mask: Tensor | None, part: slice) -> Tensor | None:
    return None if mask is None else mask[part]


def _squared_pairwise(texts: Tensor, images: Tensor, mask: Tensor | None, block_bytes: int) -> Tensor:
    (n_text, m, dim), (n_image, n, _) = texts.shape, images.shape
    # Per pair a cosine matrix and its square, and per item its unit tokens and their squares; half for each side.
    numbers = block_bytes // 2 // texts.element_size()
    columns = max(1, min(n_image, numbers // max(1, 2 * n * (m + dim))))
    rows = max(1, min(n_text, numbers // max(1, 2 * m * (n * columns + dim))))
    out = texts.new_empty(n_text, n_image)
    for image in range(0, n_image, columns):
        unit_images = unit_tokens(images[image : image + columns], None).flatten(0, 1)
        for text in range(0, n_text, rows):
            part = slice(text, text + rows)
            unit_texts = unit_tokens(texts[part], _part(mask, part))
            cosines = (unit_texts.flatten(0, 1) @ unit_images.T).square()
            out[part, image : image + columns] = cosines.view(len(unit_texts), m, -1, n).sum(dim=(1, 3))
    return out
