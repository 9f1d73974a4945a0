"""The two unimodal encoders of a fusion model (MTGFE, section 3.1.1), and compact ones in their place.

Whatever is inside, an image becomes a class vector and patches, and a text a sequence whose first vector is its class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from rsitr.models.bert import BERT_EPS, TextBlock, init_as_bert
from rsitr.models.compact import CompactConfig, CompactImageEncoder, CompactTextEncoder
from rsitr.models.dual import Features
from rsitr.models.fusion.config import FusionConfig
from rsitr.models.preparing import EOS_ID
from rsitr.models.trunk import IMAGENET_MEAN, IMAGENET_STD

__all__ = ["BertText", "CompactImage", "CompactText", "ImageSide", "TextSide", "TextStates", "VitImage", "build_sides"]

PAD_ID = 0


@dataclass(frozen=True, slots=True)
class TextStates:
    """Texts as the text side leaves them.

    Attributes:
        tokens: (B, M, W), the class vector w_cls first.
        mask: (B, M) bool, True where there is a token.
    """

    tokens: Tensor
    mask: Tensor

    def take(self, index: Tensor) -> TextStates:
        """The texts of these indices, in this order."""
        return TextStates(self.tokens[index], self.mask[index])


class ImageSide(Protocol):
    """An image encoder: pictures -> class vector and patches."""

    width: int
    n_patches: int
    size_px: int

    def features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, S, S) -> v_cls (B, W_image) and patches (B, N, W_image)."""


class TextSide(Protocol):
    """A text encoder: ids -> states."""

    def __call__(self, ids: Tensor) -> TextStates:
        """Ids (B, M), zero-padded -> states."""


class VitImage(nn.Module):
    """A ViT of timm's layout; the ImageNet normalisation is part of it."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.width, self.size_px = config.image_width, config.image_size_px
        self.n_patches = (config.image_size_px // config.patch_px) ** 2
        self.vit = VisionTransformer(
            img_size=config.image_size_px,
            patch_size=config.patch_px,
            embed_dim=config.image_width,
            depth=config.image_layers,
            num_heads=config.image_heads,
            num_classes=0,
        )
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, S, S) -> v_cls (B, W_image) and patches (B, N, W_image)."""
        sequence: Tensor = self.vit.forward_features((images - self.mean) / self.std)
        return Features(global_emb=sequence[:, 0], tokens=sequence[:, 1:])


class CompactImage(CompactImageEncoder):
    """The compact encoder's image side, up to its joint space."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config)
        self.width, self.size_px, self.n_patches = config.dim, config.image_size_px, config.grid**2

    def features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, H, W) -> global (B, D) and local (B, N, D) features."""
        features: Features = self(self.patches(images))
        return features


class BertText(nn.Module):
    """Embeddings and the first layers of BERT."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(config.vocabulary_size, config.width)
        self.positions = nn.Embedding(config.context_length, config.width)
        self.segment = nn.Parameter(torch.zeros(config.width))
        self.norm = nn.LayerNorm(config.width, eps=BERT_EPS)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            TextBlock(width=config.width, heads=config.heads, mlp_width=config.mlp_width, dropout=config.dropout)
            for _ in range(config.text_layers)
        )
        self.apply(init_as_bert)

    def forward(self, ids: Tensor) -> TextStates:
        """WordPiece ids (B, M), zero-padded -> states; w_cls is at [CLS]."""
        mask = ids != PAD_ID
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.segment
        x = self.dropout(self.norm(x))
        for block in self.blocks:
            x = block(x, mask=mask)
        return TextStates(x, mask)


class CompactText(CompactTextEncoder):
    """The compact encoder's text side; its global feature takes the place of [SOS] as the class vector."""

    def forward(self, ids: Tensor) -> TextStates:  # type: ignore[override]  # states, as a fusion model wants them
        """BPE ids (B, M), zero-padded after [EOS] -> states: the global feature, then the words."""
        features: Features = super().forward(ids)
        tokens = torch.cat([features.global_emb[:, None], features.tokens[:, 1:]], dim=1)
        end = (ids == EOS_ID).int().argmax(dim=1, keepdim=True)
        return TextStates(tokens, torch.arange(ids.shape[1], device=ids.device) < end)


def build_sides(config: FusionConfig) -> tuple[ImageSide, TextSide]:
    """Both sides, randomly initialised."""
    image = VitImage(config) if config.image == "vit" else CompactImage(config.compact_sizes)
    text = BertText(config) if config.text == "bert" else CompactText(config.compact_sizes)
    return cast("ImageSide", image), cast("TextSide", text)
