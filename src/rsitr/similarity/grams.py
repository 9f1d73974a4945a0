"""Gram matrices of token sets, and products of all of them whose gradient takes no more memory than a block of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = ["gram", "multiply_grams", "unit_tokens"]


def unit_tokens(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Tokens (n, L, D) of length 1; of length 0 those that do not count."""
    rows = F.normalize(tokens, dim=-1)
    return rows if mask is None else rows * mask.unsqueeze(-1)


def gram(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(n, L, D) -> Gram matrices (n, D, D) of the unit tokens."""
    rows = unit_tokens(tokens, mask)
    return rows.transpose(1, 2) @ rows


def multiply_grams(texts: Tensor, images: Tensor, mask: Tensor | None, *, precise: bool, rows: int) -> Tensor:
    """Squared local similarities (n_text, n_image), differentiable: inner products of Gram matrices.

    Autograd alone would keep the Gram matrix of every text and image. Here `rows` of either side at a time are made,
    once on the way there, and on the way back once more for every block of the other side.

    Args:
        texts: (n_text, M, D) tokens.
        images: (n_image, N, D) tokens.
        mask: (n_text, M) bool, True where a token counts.
        precise: in single precision at least, whatever the tokens are.
        rows: of a block.
    """
    product: Tensor = _Product.apply(texts, images, mask, precise, rows)
    return product


class _Product(torch.autograd.Function):
    """With G_i of text i and H_j of image j, S_ij = <G_i, H_j>: dG_i = sum_j dS_ij H_j, dH_j = sum_i dS_ij G_i."""

    @staticmethod
    def forward(ctx: Any, texts: Tensor, images: Tensor, mask: Tensor | None, precise: bool, rows: int) -> Tensor:  # noqa: PLR0917  # autograd passes by position
        ctx.save_for_backward(texts, images, mask)
        ctx.precise, ctx.rows = precise, rows
        dtype = torch.promote_types(texts.dtype, torch.float32) if precise else texts.dtype
        out = texts.new_empty(len(texts), len(images), dtype=dtype)
        for own in _blocks(len(texts), rows):
            grams = _flat(texts, mask, own, dtype)
            for other in _blocks(len(images), rows):
                out[own, other] = grams @ _flat(images, None, other, dtype).T
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        texts, images, mask = ctx.saved_tensors
        of_texts = of_images = None
        if ctx.needs_input_grad[0]:
            of_texts = _back(slope, texts, mask, images, None, rows=ctx.rows)
        if ctx.needs_input_grad[1]:
            of_images = _back(slope.T, images, None, texts, mask, rows=ctx.rows)
        return of_texts, of_images, None, None, None


def _back(
    slope: Tensor, tokens: Tensor, mask: Tensor | None, others: Tensor, other_mask: Tensor | None, *, rows: int
) -> Tensor:
    """The gradient of one side's tokens, from that of the product (n, n_other)."""
    gradient = torch.empty_like(tokens)
    dim = tokens.shape[-1]
    total = slope.new_empty(min(rows, len(tokens)), dim**2)
    for own in _blocks(len(tokens), rows):
        part = tokens[own].detach().requires_grad_()
        of_grams = total[: len(part)].zero_()
        for other in _blocks(len(others), rows):
            of_grams.addmm_(slope[own, other], _flat(others, other_mask, other, slope.dtype))
        with torch.enable_grad():
            grams = gram(part, None if mask is None else mask[own])
        (gradient[own],) = torch.autograd.grad(grams, part, of_grams.view_as(grams).to(grams.dtype))
    return gradient


def _blocks(count: int, rows: int) -> list[slice]:
    return [slice(first, min(first + rows, count)) for first in range(0, count, rows)]


def _flat(tokens: Tensor, mask: Tensor | None, rows: slice, dtype: torch.dtype) -> Tensor:
    return gram(tokens[rows], None if mask is None else mask[rows]).flatten(1).to(dtype)
