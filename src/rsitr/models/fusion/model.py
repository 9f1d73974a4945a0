"""The fusion model: whether a text and an image belong together, judged by reading them together (METHODS 3.1)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from rsitr.models.bert import init_as_bert
from rsitr.models.dual import Features
from rsitr.models.fusion.blocks import FusionEncoder
from rsitr.models.fusion.config import FusionConfig
from rsitr.models.fusion.sides import ImageSide, TextSide, TextStates, build_sides

__all__ = ["FusionModel", "image_sequence", "match_score"]


class FusionModel(nn.Module):
    """Image side, text side, fusion encoder, and the head that tells matching pairs (ITM)."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        image, text = build_sides(config)
        self.image, self.text = cast("nn.Module", image), cast("nn.Module", text)
        self.fusion = FusionEncoder(
            layers=config.fusion_layers,
            width=config.width,
            heads=config.heads,
            mlp_width=config.mlp_width,
            image_width=image.width,
            dropout=config.dropout,
        )
        self.itm = nn.Linear(config.width, 2)
        self.itm.apply(init_as_bert)

    @property
    def image_size_px(self) -> int:
        """Side of the square input picture."""
        return cast("ImageSide", self.image).size_px

    @property
    def image_width(self) -> int:
        """Width of the image side."""
        return cast("ImageSide", self.image).width

    @property
    def n_patches(self) -> int:
        """Patches of an image, the class vector not counted."""
        return cast("ImageSide", self.image).n_patches

    @property
    def context_length(self) -> int:
        """Longest text in tokens."""
        return self.config.context_length

    def image_features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, S, S) -> v_cls (B, W_image) and patches (B, N, W_image)."""
        return cast("ImageSide", self.image).features(images)

    def text_states(self, ids: Tensor) -> TextStates:
        """Ids (B, M), zero-padded -> states, w_cls first. Columns that are padding in every row may be cut off."""
        return cast("TextSide", self.text)(ids)

    def fuse(self, text: TextStates, images: Features) -> Tensor:
        """B texts with B images -> joint representations u (B, M, W), u_cls first."""
        u: Tensor = self.fusion(text.tokens, mask=text.mask, image=image_sequence(images))
        return u

    def match(self, u: Tensor) -> Tensor:
        """Joint representations (B, M, W) -> logits (B, 2): no match, match; in fp32, which tells close ones apart."""
        with torch.autocast(u.device.type, enabled=False):
            logits: Tensor = self.itm(u[:, 0].float())
        return logits


def image_sequence(images: Features) -> Tensor:
    """What cross-attention looks at: (B, 1 + N, W_image), the class vector first."""
    return torch.cat([images.global_emb[:, None], images.tokens], dim=1)


def match_score(logits: Tensor) -> Tensor:
    """ITM logits (..., 2) -> log-odds of a match (...).

    The paper ranks by the probability of a match (METHODS 3.6), which is the sigmoid of this: the same order, but the
    probability of confident pairs rounds to 1 and would tie them.
    """
    return logits[..., 1] - logits[..., 0]
