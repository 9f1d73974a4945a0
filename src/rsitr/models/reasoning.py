"""Keyword explicit reasoning: predicts masked words of a caption from image patches (EBAKER, section 2.3; METHODS 1.6).

Training only: an exported model carries none of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rsitr.data.masking import IGNORED_LABEL
from rsitr.errors import ConfigError
from rsitr.models.layers import Attention, Block, QuickGELU


class KeywordReasoner(nn.Module):
    """One cross-attention layer without residual, transformer blocks, layer norm, and the masked-word head.

    Args:
        dim: joint width D; heads are D / 64.
        layers: transformer blocks, 4 in the paper, 2 in the released code.
        vocabulary: ids the head can predict. The paper's head spans all 49,408; a small model saves most of its cost by
            naming only the ids that occur in keywords. None is all of `vocabulary_size`.
        vocabulary_size: ids there are.

    Raises:
        ConfigError: `dim` cannot be split into heads, or there is no word to predict.
    """

    def __init__(
        self, *, dim: int, layers: int = 4, vocabulary: Sequence[int] | None = None, vocabulary_size: int = 49408
    ) -> None:
        super().__init__()
        heads = max(1, dim // 64)
        if dim % heads:
            raise ConfigError(f"keyword reasoning needs a joint width below 64 or a multiple of it, not {dim}")
        known = range(vocabulary_size) if vocabulary is None else sorted(set(vocabulary))
        if not known:
            raise ConfigError(
                "keyword reasoning has nothing to predict: no training caption has a word to mask; "
                "set ker.weight to 0, or choose another ker.strategy"
            )
        self.norm_query = nn.LayerNorm(dim)
        self.norm_context = nn.LayerNorm(dim)
        self.attention = Attention(width=dim, heads=heads)
        self.blocks = nn.ModuleList(Block(width=dim, heads=heads, activation="quick_gelu") for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Sequential(nn.Linear(dim, dim), QuickGELU(), nn.LayerNorm(dim), nn.Linear(dim, len(known)))
        classes = torch.full((vocabulary_size,), IGNORED_LABEL, dtype=torch.long)
        classes[list(known)] = torch.arange(len(known))
        self.classes: Tensor
        self.register_buffer("classes", classes, persistent=False)

    def forward(self, *, text_tokens: Tensor, image_tokens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the masked words. All M positions take part, without causal or padding mask.

        Args:
            text_tokens: (B, M, D) local features of the masked captions.
            image_tokens: (B, N, D) local features of the images.
            labels: (B, M) the masked positions' true ids, -100 elsewhere. The head runs on masked positions alone.

        Returns:
            Logits (n, V) of the n masked positions, and their labels (n,) as classes of the head.
        """
        x = self.attention(self.norm_query(text_tokens), self.norm_context(image_tokens))
        for block in self.blocks:
            x = block(x)
        masked = labels != IGNORED_LABEL
        logits: Tensor = self.head(self.norm(x[masked]))
        return logits, self.classes[labels[masked]]
