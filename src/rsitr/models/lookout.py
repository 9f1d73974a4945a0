"""The lookout dual encoder: EfficientNet-Lite for pictures, six layers of MiniLM for texts, one joint space.

Our own design (not a paper's). Both sides start from weights that anybody can install by name: a text side that knows
English before it sees a caption, and a small image trunk. It obeys METHODS 1.1: one global and many local features a
side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.errors import ConfigError
from rsitr.models.bert import BERT_EPS, TextBlock
from rsitr.models.dual import Features
from rsitr.models.efficientnet import EfficientNetLite, LiteName

__all__ = [
    "LookoutConfig",
    "LookoutDualEncoder",
    "LookoutImage",
    "LookoutText",
    "convert_minilm",
    "quantise_rows",
]

WIDTH, HEADS, MLP_WIDTH, VOCABULARY_SIZE, POSITIONS = 384, 12, 1536, 30522, 512
PAD_ID = 0
POOL_HEADS = 8
STRIDE_PX = 32


@dataclass(frozen=True, kw_only=True)
class LookoutConfig:
    """Sizes of a lookout dual encoder; what MiniLM and EfficientNet-Lite have fixed is not among them.

    Attributes:
        trunk: `lite0` or `lite2`.
        image_size_px: side of the square input picture; 32 divides it.
        grid: local features per side; the map of stride 16 is averaged to (grid, grid).
        dim: joint width of the global features.
        local_dim: joint width of the local features.
        text_layers: of MiniLM, at most six.
        context_length: longest text in WordPiece tokens, [CLS] and [SEP] included.
        dropout: on the residual branches of the text side, in training.
        drop_path: of the trunk (:class:`rsitr.models.efficientnet.EfficientNetLite`), in training.
        pool_dropout: on the averaged map of stride 32, in training.

    Raises:
        ConfigError: a trunk that there is not, or a size that makes no sense.
    """

    trunk: LiteName = "lite2"
    image_size_px: int = 224
    grid: int = 7
    dim: int = 384
    local_dim: int = 256
    text_layers: int = 6
    context_length: int = 64
    dropout: float = 0.1
    drop_path: float = 0.0
    pool_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.trunk not in ("lite0", "lite2"):
            raise ConfigError(f"trunk is {self.trunk!r}; it may be lite0 or lite2")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and not (isinstance(value, int) and value >= 1):
                raise ConfigError(f"{field.name} must be a whole number of at least 1, not {value!r}")
            if field.type == "float" and not 0.0 <= value < 1.0:
                raise ConfigError(f"{field.name} must be at least 0 and below 1, not {value}")
        if self.image_size_px % STRIDE_PX:
            raise ConfigError(f"image_size_px must be a multiple of {STRIDE_PX}, not {self.image_size_px}")
        if self.context_length > POSITIONS:
            raise ConfigError(f"context_length must be at most {POSITIONS}, not {self.context_length}")


class LookoutImage(nn.Module):
    """The trunk, its two maps brought together, and an average and a learned attention over them."""

    def __init__(self, config: LookoutConfig) -> None:
        super().__init__()
        self.grid = config.grid
        self.pool_dropout = config.pool_dropout
        self.trunk = EfficientNetLite(config.trunk, drop_path=config.drop_path)
        self.fine = nn.Conv2d(self.trunk.fine_channels, WIDTH, 1)
        self.coarse = nn.Conv2d(self.trunk.coarse_channels, WIDTH, 1)
        self.norm = nn.LayerNorm(WIDTH)
        self.query = nn.Parameter(torch.randn(POOL_HEADS, WIDTH // POOL_HEADS) * 0.1)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.project_average = nn.Linear(self.trunk.coarse_channels, config.dim, bias=False)
        self.project_attended = nn.Linear(WIDTH, config.dim, bias=False)
        nn.init.normal_(self.project_attended.weight, std=0.01)
        self.project_local = nn.Linear(WIDTH, config.local_dim, bias=False)

    def forward(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, H, W) -> global (B, dim) and local (B, grid * grid, local_dim) features."""
        maps = self.trunk(images.contiguous(memory_format=torch.channels_last))
        side = maps.fine.shape[-2:]
        joined = self.fine(maps.fine) + F.interpolate(self.coarse(maps.coarse), side, mode="nearest")
        cells = self.norm(joined.flatten(2).transpose(1, 2))
        average = F.dropout(maps.coarse.mean(dim=(2, 3)), self.pool_dropout, self.training)
        global_emb = self.project_average(average) + self.project_attended(self._attend(cells))
        square = cells.transpose(1, 2).unflatten(2, side)
        local = F.adaptive_avg_pool2d(square, self.grid).flatten(2).transpose(1, 2)
        return Features(global_emb=global_emb, tokens=self.project_local(local))

    def _attend(self, cells: Tensor) -> Tensor:
        """(B, N, W) -> (B, W): each head's weighted mean of the values."""
        key = self.key(cells).unflatten(-1, (POOL_HEADS, -1))
        value = self.value(cells).unflatten(-1, (POOL_HEADS, -1))
        weights = torch.einsum("bnhd,hd->bnh", key, self.query.to(key.dtype)).softmax(dim=1)
        return torch.einsum("bnh,bnhd->bhd", weights.to(value.dtype), value).flatten(1)


class LookoutText(nn.Module):
    """MiniLM; its embeddings stay as they came, eight bits a number: a word no caption holds keeps its meaning."""

    def __init__(self, config: LookoutConfig) -> None:
        super().__init__()
        self.words: Tensor
        self.word_scale: Tensor
        self.positions: Tensor
        self.register_buffer("words", torch.zeros(VOCABULARY_SIZE, WIDTH, dtype=torch.int8))
        self.register_buffer("word_scale", torch.ones(VOCABULARY_SIZE))
        self.register_buffer("positions", torch.zeros(POSITIONS, WIDTH))
        self.norm = nn.LayerNorm(WIDTH, eps=BERT_EPS).requires_grad_(False)
        self.blocks = nn.ModuleList(
            TextBlock(width=WIDTH, heads=HEADS, mlp_width=MLP_WIDTH, dropout=config.dropout)
            for _ in range(config.text_layers)
        )
        self.project = nn.Linear(WIDTH, config.dim, bias=False)
        if config.dim == WIDTH:
            nn.init.eye_(self.project.weight)
        self.project_local = nn.Linear(WIDTH, config.local_dim, bias=False)

    def embed_words(self, ids: Tensor) -> Tensor:
        """WordPiece ids (...) -> their embeddings (..., 384), as all-MiniLM-L6-v2 has them."""
        return self.words[ids].to(self.word_scale.dtype) * self.word_scale[ids][..., None]

    def forward(self, ids: Tensor) -> Features:
        """WordPiece ids (B, M), zero-padded after [SEP] -> global (B, dim) and local (B, M, local_dim) features."""
        mask = ids != PAD_ID
        x = self.norm(self.embed_words(ids).to(self.norm.weight.dtype) + self.positions[: ids.shape[1]])
        for block in self.blocks:
            x = block(x, mask=mask)
        inside = mask[..., None].to(x.dtype)
        mean = (x * inside).sum(dim=1) / inside.sum(dim=1).clamp(min=1)
        return Features(global_emb=self.project(mean), tokens=self.project_local(x))


class LookoutDualEncoder(nn.Module):
    """Image and text side of the lookout model, behind :class:`rsitr.models.dual.DualEncoder`."""

    def __init__(self, config: LookoutConfig) -> None:
        super().__init__()
        self.config = config
        self.image = LookoutImage(config)
        self.text = LookoutText(config)

    @property
    def dim(self) -> int:
        """Joint width D of the global features."""
        return self.config.dim

    @property
    def token_dim(self) -> int:
        """Width of the local features."""
        return self.config.local_dim

    @property
    def image_size_px(self) -> int:
        """Side of the square input picture."""
        return self.config.image_size_px

    @property
    def context_length(self) -> int:
        """Longest text in WordPiece tokens."""
        return self.config.context_length

    def image_features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, H, W) -> global (B, dim), local (B, N, local_dim)."""
        features: Features = self.image(images)
        return features

    def text_features(self, ids: Tensor) -> Features:
        """WordPiece ids (B, M) -> global (B, dim), local (B, M, local_dim)."""
        features: Features = self.text(ids)
        return features


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (n, W) -> int8 rows and the scale (n,) of each: row = int8 * scale, within half a step."""
    scale = (weight.abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
    return (weight / scale[:, None]).round().to(torch.int8), scale


def convert_minilm(weights: Mapping[str, Tensor], *, layers: int = 6) -> dict[str, Tensor]:
    """Weights named as a BERT's (`embeddings.word_embeddings.weight`, ...) -> what they begin in a text side.

    Raises:
        KeyError: a tensor is missing.
    """
    source = {name.removeprefix("bert."): value.float() for name, value in weights.items()}
    words, scale = quantise_rows(source["embeddings.word_embeddings.weight"])
    segment = source["embeddings.token_type_embeddings.weight"][0]
    out = {
        "words": words,
        "word_scale": scale,
        "positions": source["embeddings.position_embeddings.weight"] + segment,
        "norm.weight": source["embeddings.LayerNorm.weight"],
        "norm.bias": source["embeddings.LayerNorm.bias"],
    }
    parts = {
        "attention.query": ("attention.self.query",),
        "attention.key_value": ("attention.self.key", "attention.self.value"),
        "attention.out": ("attention.output.dense",),
        "norm_attention": ("attention.output.LayerNorm",),
        "mlp.expand": ("intermediate.dense",),
        "mlp.reduce": ("output.dense",),
        "norm_mlp": ("output.LayerNorm",),
    }
    for number in range(layers):
        for ours, theirs in parts.items():
            for kind in ("weight", "bias"):
                out[f"blocks.{number}.{ours}.{kind}"] = torch.cat(
                    [source[f"encoder.layer.{number}.{name}.{kind}"] for name in theirs]
                )
    return out
