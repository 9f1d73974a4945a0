"""BERT's layers: post-norm, with names of parts that follow their roles."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.models.layers import Attention

__all__ = ["BERT_EPS", "INIT_STD", "FeedForward", "TextBlock", "init_as_bert"]

BERT_EPS = 1e-12
INIT_STD = 0.02


class FeedForward(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, *, width: int, mlp_width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, mlp_width)
        self.reduce = nn.Linear(mlp_width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, M, W) -> (B, M, W)."""
        out: Tensor = self.reduce(F.gelu(self.expand(x)))
        return out


class TextBlock(nn.Module):
    """One layer of BERT: self-attention and feed-forward, a layer norm after each residual sum."""

    def __init__(self, *, width: int, heads: int, mlp_width: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width=width, heads=heads)
        self.norm_attention = nn.LayerNorm(width, eps=BERT_EPS)
        self.mlp = FeedForward(width=width, mlp_width=mlp_width)
        self.norm_mlp = nn.LayerNorm(width, eps=BERT_EPS)
        self.dropout = nn.Dropout(dropout)

    def attend_text(self, x: Tensor, *, mask: Tensor) -> Tensor:
        """The self-attention half: (B, M, W) -> (B, M, W). `mask` (B, M) bool, True where there is a token."""
        out: Tensor = self.norm_attention(x + self.dropout(self.attention(x, x, mask=mask)))
        return out

    def feed_forward(self, x: Tensor) -> Tensor:
        """The feed-forward half: (B, M, W) -> (B, M, W)."""
        out: Tensor = self.norm_mlp(x + self.dropout(self.mlp(x)))
        return out

    def forward(self, x: Tensor, *, mask: Tensor) -> Tensor:
        """(B, M, W) -> (B, M, W)."""
        return self.feed_forward(self.attend_text(x, mask=mask))


def init_as_bert(module: nn.Module, *, std: float = INIT_STD) -> None:
    """BERT's initial weights: normal with a deviation of 0.02, biases 0.

    That deviation is for BERT's width. The fusion encoder scales it to its own, so that a narrow one hears the image as
    loudly at its start.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
