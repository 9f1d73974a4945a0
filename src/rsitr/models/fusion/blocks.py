"""The fusion encoder's layers: BERT's, with cross-attention to the image (MTGFE, section 3.1.2).

The names of the parts follow BERT's roles; :mod:`rsitr.models.fusion.loading` maps its checkpoints onto them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from rsitr.models.bert import BERT_EPS, INIT_STD, TextBlock, init_as_bert
from rsitr.models.layers import Attention, Projected

__all__ = ["FusionBlock", "FusionEncoder"]

BERT_WIDTH = 768


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
