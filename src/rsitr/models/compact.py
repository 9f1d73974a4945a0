"""The compact dual encoder: a small convolutional trunk under a short transformer, and a small text transformer.

Our own design (not a paper's): it makes everything run on a laptop without any download. It obeys METHODS 1.1: global
features from a class token and the [EOS] token, local features from patches and words, all through one projection per
side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.errors import ConfigError
from rsitr.models.dual import Features
from rsitr.models.layers import Block, Packing
from rsitr.models.preparing import EOS_ID
from rsitr.models.trunk import MobileNetV2, ResNet50v2

TrunkName = Literal["resnet50v2", "mobilenetv2"]
TRUNKS: dict[str, type[ResNet50v2] | type[MobileNetV2]] = {"resnet50v2": ResNet50v2, "mobilenetv2": MobileNetV2}
VOCABULARY_SIZE = 49408


@dataclass(frozen=True, kw_only=True)
class CompactConfig:
    """Sizes of a compact dual encoder.

    Attributes:
        trunk: convolutional image trunk.
        image_size_px: side of the square input picture.
        grid: patches per side; the trunk's feature map is average-pooled to (grid, grid).
        patch_norm: bring each patch's trunk features to mean 0 and deviation 1: the ResNet's are fifty times smaller,
            so that a member would learn from its position embedding first.
        dim: joint width of a member, and of the local features.
        members: a committee shares the trunk; each member has a word embedding, blocks and projections of its own. The
            global feature is theirs side by side, each of unit length (D = members * dim), so that a cosine is the mean
            of the members'. The local features are the first member's.
        image_width, image_layers, image_heads: transformer over the patches.
        text_width, text_layers, text_heads: transformer over the words.
        embedding_width: width of the factorised token embedding (49,408 rows of it, then a linear map up).
        context_length: longest text in BPE tokens, [SOS] and [EOS] included.
        dropout: on residual branches, in training.
        patch_dropout: share of an image's patches that is left out at random, in training (Li et al. 2023, FLIP).
        symmetries: at inference the blocks see the feature map in its eight turns and mirrorings, and the global
            feature is their mean: seen from above there is no up. Turning features is not turning the picture, but the
            trunk, which takes most of the time, runs once. A committee's members share the eight among them.

    Raises:
        ConfigError: a trunk that there is not, or a size that makes no sense.
    """

    trunk: TrunkName = "resnet50v2"
    image_size_px: int = 224
    grid: int = 7
    patch_norm: bool = False
    dim: int = 256
    members: int = 1
    image_width: int = 256
    image_layers: int = 2
    image_heads: int = 4
    text_width: int = 256
    text_layers: int = 3
    text_heads: int = 4
    embedding_width: int = 64
    context_length: int = 48
    dropout: float = 0.0
    patch_dropout: float = 0.0
    symmetries: bool = False

    def __post_init__(self) -> None:
        if self.trunk not in TRUNKS:
            raise ConfigError(f"trunk is {self.trunk!r}; it may be {', '.join(TRUNKS)}")
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), 0 if field.name.endswith("layers") else 1
            if field.type == "int" and not (isinstance(value, int) and value >= least):
                raise ConfigError(f"{field.name} must be a whole number of at least {least}, not {value!r}")
        for side in ("image", "text"):
            width, heads = getattr(self, f"{side}_width"), getattr(self, f"{side}_heads")
            if width % heads:
                raise ConfigError(f"{side}_width {width} cannot be split into {side}_heads {heads}; choose a divisor")
        for name in ("dropout", "patch_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")


class CompactImageMember(nn.Module):
    """A class token and `image_layers` transformer blocks over the trunk's patches."""

    def __init__(self, config: CompactConfig, *, number: int = 0) -> None:
        super().__init__()
        self.patch_dropout = config.patch_dropout
        # Which of the eight turns and mirrorings this member sees at inference, the first one for the local features.
        self.turns = tuple(range(number, 8, config.members)) if config.symmetries else (0,)
        width, channels = config.image_width, TRUNKS[config.trunk].out_channels
        self.embed = nn.Linear(channels, width)
        self.class_token = nn.Parameter(torch.randn(width) * 0.02)
        self.position = nn.Parameter(torch.randn(1 + config.grid**2, width) * 0.02)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(width=width, heads=config.image_heads, dropout=config.dropout) for _ in range(config.image_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, config.dim, bias=False)

    def look(self, patches: Tensor) -> Features:
        """Trunk features (B, grid * grid, C) -> global (B, dim) and local (B, grid * grid, dim) features.

        In training, `patch_dropout` leaves fewer local features. At inference, `symmetries` concern the global feature
        alone: local ones keep their places.
        """
        if self.training:
            return self._encode(patches)
        seen = [self._encode(_turned(patches, turn)) for turn in self.turns]
        global_emb = torch.stack([features.global_emb for features in seen]).mean(dim=0)
        return Features(global_emb=global_emb, tokens=seen[0].tokens)

    def _encode(self, patches: Tensor) -> Features:
        x = self._drop(self.embed(patches) + self.position[1:])
        first = (self.class_token + self.position[0]).expand(x.shape[0], 1, -1)
        x = torch.cat([first.to(x.dtype), x], dim=1)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x)
        x = self.projection(self.norm(x))
        return Features(global_emb=x[:, 0], tokens=x[:, 1:])

    def _drop(self, patches: Tensor) -> Tensor:
        """In training, a random part of each image's patches (B, N, W) -> (B, kept, W), in any order."""
        if not (self.training and self.patch_dropout):
            return patches
        count = patches.shape[1]
        kept = max(1, round(count * (1 - self.patch_dropout)))
        chosen = torch.rand(len(patches), count, device=patches.device).topk(kept, dim=1).indices
        return patches.gather(1, chosen[..., None].expand(-1, -1, patches.shape[2]))


class CompactImageEncoder(CompactImageMember):
    """The trunk, and the members that look at its patches; this one is the first of them."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config)
        self.grid = config.grid
        self.trunk = TRUNKS[config.trunk]()
        channels = self.trunk.out_channels
        self.patch_norm = nn.LayerNorm(channels, elementwise_affine=False) if config.patch_norm else nn.Identity()
        self.others = nn.ModuleList(CompactImageMember(config, number=number) for number in range(1, config.members))

    def patches(self, images: Tensor) -> Tensor:
        """RGB in [0, 1] (B, 3, H, W) -> trunk features (B, grid * grid, C): what a first training phase may cache."""
        features = self.trunk(images.contiguous(memory_format=torch.channels_last))
        return F.adaptive_avg_pool2d(features, self.grid).flatten(2).transpose(1, 2)

    def forward(self, patches: Tensor) -> Features:
        """Trunk features (B, grid * grid, C) -> global (B, D) and local (B, grid * grid, dim) features."""
        seen = self.patch_norm(patches)
        return _side_by_side([member.look(seen) for member in (self, *self.members)])

    @property
    def members(self) -> tuple[CompactImageMember, ...]:
        """The members beyond the first."""
        return tuple(self.others)  # type: ignore[arg-type]  # a ModuleList knows modules alone


class CompactTextMember(nn.Module):
    """Factorised BPE embedding under `text_layers` bidirectional transformer blocks."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        width = config.text_width
        self.embedding = nn.Embedding(VOCABULARY_SIZE, config.embedding_width)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.expand = nn.Linear(config.embedding_width, width)
        self.position = nn.Parameter(torch.randn(config.context_length, width) * 0.02)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(width=width, heads=config.text_heads, dropout=config.dropout) for _ in range(config.text_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, config.dim, bias=False)

    def read(self, ids: Tensor) -> Features:
        """BPE ids (B, M), zero-padded after [EOS] -> global (B, dim) and local (B, M, dim) features."""
        end = (ids == EOS_ID).int().argmax(dim=1)
        inside = torch.arange(ids.shape[1], device=ids.device) <= end[:, None]
        x = self.dropout(self.expand(self.embedding(ids)) + self.position[: ids.shape[1]])
        if not torch.compiler.is_compiling():
            # Half of a batch is padding and more: the words alone take less time. Their number is another each time,
            # which a compiled or exported graph would not bear.
            packing = Packing(inside)
            x = packing.pack(x)
            for block in self.blocks:
                x = block.forward_packed(x, packing)  # type: ignore[operator]  # a ModuleList knows modules alone
            x = packing.pad(self.projection(self.norm(x)))
        else:
            for block in self.blocks:
                x = block(x, mask=inside)
            x = self.projection(self.norm(x))
        return Features(global_emb=x[torch.arange(x.shape[0], device=x.device), end], tokens=x)


class CompactTextEncoder(CompactTextMember):
    """The members that read a text; this one is the first of them."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config)
        self.others = nn.ModuleList(CompactTextMember(config) for _ in range(config.members - 1))

    def forward(self, ids: Tensor) -> Features:
        """BPE ids (B, M), zero-padded after [EOS] -> global (B, D) and local (B, M, dim) features.

        Trailing columns that are padding in every row may be cut off beforehand; the result does not depend on it.
        """
        return _side_by_side([member.read(ids) for member in (self, *self.members)])

    @property
    def members(self) -> tuple[CompactTextMember, ...]:
        """The members beyond the first."""
        return tuple(self.others)  # type: ignore[arg-type]  # a ModuleList knows modules alone


def _turned(patches: Tensor, turn: int) -> Tensor:
    """A square of patches (B, N, C) in one of its eight turns and mirrorings."""
    if turn == 0:
        return patches
    grid = round(patches.shape[1] ** 0.5)
    square = patches.reshape(patches.shape[0], grid, grid, -1).rot90(turn % 4, (1, 2))
    return (square.flip(1) if turn > 3 else square).flatten(1, 2)


def _side_by_side(parts: Sequence[Features]) -> Features:
    """The members' features -> the committee's: one member's are its own."""
    if len(parts) == 1:
        return parts[0]
    unit = [F.normalize(part.global_emb, dim=-1) for part in parts]
    return Features(global_emb=torch.cat(unit, dim=-1), tokens=parts[0].tokens, members=len(parts))


class CompactDualEncoder(nn.Module):
    """Image and text side of the compact model, behind :class:`rsitr.models.dual.DualEncoder`."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.image = CompactImageEncoder(config)
        self.text = CompactTextEncoder(config)

    @property
    def dim(self) -> int:
        """Joint width D, of all members."""
        return self.config.dim * self.config.members

    @property
    def token_dim(self) -> int:
        """Width of the local features."""
        return self.config.dim

    @property
    def image_size_px(self) -> int:
        """Side of the square input picture."""
        return self.config.image_size_px

    @property
    def context_length(self) -> int:
        """Longest text in BPE tokens."""
        return self.config.context_length

    def image_features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, H, W) -> global (B, D), local (B, N, dim)."""
        features: Features = self.image(self.image.patches(images))
        return features

    def text_features(self, ids: Tensor) -> Features:
        """BPE ids (B, M) -> global (B, D), local (B, M, dim)."""
        features: Features = self.text(ids)
        return features
