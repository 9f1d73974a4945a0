"""Transformer layers shared by the compact encoder, the keyword-reasoning head and the fusion encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.errors import ConfigError

Activation = Literal["gelu", "quick_gelu"]


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the activation of OpenAI's CLIP."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> same shape."""
        return x * torch.sigmoid(1.702 * x)


def build_activation(name: Activation) -> nn.Module:
    """The activation called `name`."""
    return QuickGELU() if name == "quick_gelu" else nn.GELU()


@dataclass(frozen=True, slots=True)
class Projected:
    """A context as an attention layer sees it: keys and values, each (B, heads, N, W / heads)."""

    key: Tensor
    value: Tensor


class Attention(nn.Module):
    """Multi-head attention; queries may come from another sequence than keys and values.

    What belongs to the context alone is a step of its own (:meth:`project`), so that a context which many queries look
    at is projected once.

    Args:
        width: of the queries and the result.
        heads: they share the width.
        context_width: of the context; that of the queries when None.

    Raises:
        ConfigError: the heads don't divide the width.
    """

    def __init__(self, *, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ConfigError(f"a width of {width} cannot be split into {heads} attention heads; choose a divisor")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width or width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """(B, M, W), (B, N, W) -> (B, M, W). `mask` (B, N) bool, True where a context item may be attended."""
        return self.attend(queries, self.project(context), mask=mask)

    def project(self, context: Tensor) -> Projected:
        """Keys and values of a context (B, N, W)."""
        key, value = self.key_value(context).chunk(2, dim=-1)
        return Projected(self._split(key), self._split(value))

    def forward_packed(self, x: Tensor, packing: Packing) -> Tensor:
        """Self-attention of packed sequences (rows, W) -> (rows, W); the linear maps do not see the padding."""
        key, value = packing.pad(self.key_value(x)).chunk(2, dim=-1)
        query = packing.pad(self.query(x))
        weights = self._weights(self._split(query), self._split(key), mask=packing.inside)
        y = (weights.to(value.dtype) @ self._split(value)).transpose(1, 2).flatten(2)
        out: Tensor = self.out(packing.pack(y))
        return out

    def attend(self, queries: Tensor, projected: Projected, *, mask: Tensor | None = None) -> Tensor:
        """(B, M, W) and a projected context -> (B, M, W).

        A context of one item serves all queries, in one matrix product per head. `mask` as in :meth:`forward`.
        """
        size, length, width = queries.shape
        shared = projected.key.shape[0] == 1 and size > 1 and mask is None
        if shared:
            queries = queries.reshape(1, size * length, width)
        weights = self.weights(queries, projected.key, mask=mask)
        y = weights.to(projected.value.dtype) @ projected.value
        out: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return out.view(size, length, width) if shared else out

    def weights(self, queries: Tensor, key: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Who looks at what: (B, M, W) and keys -> (B, heads, M, N), rows sum to 1."""
        return self._weights(self._split(self.query(queries)), key, mask=mask)

    @staticmethod
    def _weights(q: Tensor, key: Tensor, *, mask: Tensor | None) -> Tensor:
        # Written out: for sequences as short as these it is twice as fast on a CPU in bf16 as the fused kernel.
        weights = (q * q.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        if mask is not None:
            weights = weights.masked_fill(~mask[:, None, None, :], float("-inf"))
        return torch.softmax(weights, dim=-1)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)


class Packing:
    """Sequences of several lengths without their padding, and back.

    Rows are filled up to a multiple of ROWS: kernels are made anew for every size, and kept.

    Args:
        inside: (B, M) bool, True where a sequence has an item.
    """

    ROWS = 256

    def __init__(self, inside: Tensor) -> None:
        self.inside = inside
        self._places = inside.flatten().nonzero().flatten()
        self._filled = F.pad(self._places, (0, -len(self._places) % self.ROWS))

    def pack(self, x: Tensor) -> Tensor:
        """(B, M, W) -> (rows, W), sequence after sequence, then some rows of no meaning."""
        return x.flatten(0, 1).index_select(0, self._filled)

    def pad(self, x: Tensor) -> Tensor:
        """(rows, W) -> (B, M, W), zeros in the padding."""
        padded = x.new_zeros(self.inside.numel(), x.shape[-1]).index_copy(0, self._places, x[: len(self._places)])
        return padded.view(*self.inside.shape, -1)


class Block(nn.Module):
    """Pre-norm transformer block: self-attention and a four times wider MLP, each with a residual."""

    def __init__(self, *, width: int, heads: int, activation: Activation = "gelu", dropout: float = 0.0) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width=width, heads=heads)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), build_activation(activation), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward_packed(self, x: Tensor, packing: Packing) -> Tensor:
        """(rows, W) -> (rows, W): the same for packed sequences, of which each sees itself."""
        x = x + self.dropout(self.attention.forward_packed(self.norm_attention(x), packing))
        out: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return out

    def forward(self, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """(B, N, W) -> (B, N, W). `mask` (B, N) bool, True where an item may be attended."""
        y = self.norm_attention(x)
        x = x + self.dropout(self.attention(y, y, mask=mask))
        out: Tensor = x + self.dropout(self.mlp(self.norm_mlp(x)))
        return out
