"""BERT's layers, and the fusion encoder's: post-norm, with cross-attention to the image (MTGFE, section 3.1.2).

The names of the parts follow BERT's roles; :mod:`rsitr.models.fusion.loading` maps its checkpoints onto them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.models.layers import Attention, Projected

__all__ = ["BERT_EPS", "FeedForward", "FusionBlock", "FusionEncoder", "TextBlock", "init_as_bert"]

BERT_EPS = 1e-12
INIT_STD = 0.02
BERT_WIDTH = 768


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


class FusionBlock(TextBlock):
    """A layer of BERT with cross-attention from the text to the image between its halves."""

    def __init__(self, *, width: int, heads: int, mlp_width: int, image_width: int, dropout: float) -> None:
        super().__init__(width=width, heads=heads, mlp_width=mlp_width, dropout=dropout)
        self.cross = Attention(width=width, heads=heads, context_width=image_width)
        self.norm_cross = nn.LayerNorm(width, eps=BERT_EPS)

    def attend_image(self, x: Tensor, image: Projected) -> Tensor:
        """The cross-attention: text (B, M, W) looks at a projected image -> (B, M, W)."""
        out: Tensor = self.norm_cross(x + self.dropout(self.cross.attend(x, image)))
        return out


class FusionEncoder(nn.Module):
    """Blocks that read an image into a text.

    The first half of the first block sees the text alone, and keys and values depend on the image alone; both are
    steps of their own, so that scoring many pairs does each once per text and once per image.
    """

    def __init__(
        self, *, layers: int, width: int, heads: int, mlp_width: int, image_width: int, dropout: float
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            FusionBlock(width=width, heads=heads, mlp_width=mlp_width, image_width=image_width, dropout=dropout)
            for _ in range(layers)
        )
        self.apply(partial(init_as_bert, std=INIT_STD * (BERT_WIDTH / width) ** 0.5))

    def project_image(self, image: Tensor) -> list[Projected]:
        """Keys and values of an image sequence (B, 1 + N, W_image), one per block."""
        return [block.cross.project(image) for block in self.blocks]  # type: ignore[union-attr, operator]

    def start_text(self, text: Tensor, *, mask: Tensor) -> Tensor:
        """What the first block does with the text (B, M, W) before it looks at an image."""
        out: Tensor = self.blocks[0].attend_text(text, mask=mask)  # type: ignore[operator]
        return out

    def finish(self, started: Tensor, *, mask: Tensor, image: Sequence[Projected]) -> Tensor:
        """The rest: a started text (B, M, W) and projected images, of B items or of one for all -> u (B, M, W)."""
        x = started
        for number, (block, projected) in enumerate(zip(self.blocks, image, strict=True)):
            if number:
                x = block.attend_text(x, mask=mask)  # type: ignore[operator]
            x = block.feed_forward(block.attend_image(x, projected))  # type: ignore[operator]
        return x

    def forward(self, text: Tensor, *, mask: Tensor, image: Tensor) -> Tensor:
        """Text (B, M, W) and image sequence (B, 1 + N, W_image) -> joint representation u (B, M, W)."""
        return self.finish(self.start_text(text, mask=mask), mask=mask, image=self.project_image(image))


def init_as_bert(module: nn.Module, *, std: float = INIT_STD) -> None:
    """BERT's initial weights: normal with a deviation of 0.02, biases 0.

    That deviation is for BERT's width. The fusion encoder scales it to its own, so that a narrow one hears the image as
    loudly at its start.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
