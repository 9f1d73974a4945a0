"""Retrieval filters: cheap students of a fusion model that choose what it looks at (MTGFE, section 3.4; METHODS 3.7).

Both see v_cls and w_cls alone. What depends on one side is computed once per item, in evaluation as in training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.errors import ConfigError, ModelError
from rsitr.models.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint

__all__ = ["DotFilter", "FilterConfig", "MlpFilter", "RetrievalFilter", "build_filter", "load_filter", "save_filter"]

KIND = "fusion-filter"
CELLS_AT_ONCE = 2**16
"""Pairs that the MLP scores in one pass: hidden layers of this many rows stay in the cache of a processor core."""


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """Sizes of a filter.

    Attributes:
        kind: `mlp`, the paper's, or `dot`, our addition: two linear towers whose vectors any index can hold.
        image_width: of v_cls.
        text_width: of w_cls.
        hidden: of the MLP's layers, or of the towers' vectors.

    Raises:
        ConfigError: a size that makes no sense.
    """

    kind: Literal["mlp", "dot"] = "mlp"
    image_width: int = 768
    text_width: int = 768
    hidden: int = 256

    def __post_init__(self) -> None:
        if self.kind not in ("mlp", "dot"):
            raise ConfigError(f"unknown filter {self.kind!r}: choose mlp or dot")
        for name in ("image_width", "text_width", "hidden"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")


class MlpFilter(nn.Module):
    """Three linear layers on cat(v_cls, w_cls), batch norm and ReLU after the first two, two outputs.

    The first layer of a concatenation is the sum of a layer for each half, so each half is computed once per item. For
    scoring, the batch norms are folded into the layers before them.
    """

    def __init__(self, config: FilterConfig) -> None:
        super().__init__()
        self.config = config
        self.image = nn.Linear(config.image_width, config.hidden, bias=False)
        self.text = nn.Linear(config.text_width, config.hidden)
        self.norm_1 = nn.BatchNorm1d(config.hidden)
        self.middle = nn.Linear(config.hidden, config.hidden)
        self.norm_2 = nn.BatchNorm1d(config.hidden)
        self.out = nn.Linear(config.hidden, 2)

    def forward(self, *, texts: Tensor, images: Tensor) -> Tensor:
        """Pairs w_cls (P, W_text), v_cls (P, W_image) -> log-odds of a match (P,)."""
        x = F.relu(self.norm_1(self.image(images) + self.text(texts)))
        logits: Tensor = self.out(F.relu(self.norm_2(self.middle(x))))
        return logits[:, 1] - logits[:, 0]

    @torch.inference_mode()
    def score_all(self, *, texts: Tensor, images: Tensor, half: bool = False) -> Tensor:
        """Every text with every image: (n_text, W_text), (n_image, W_image) -> (n_text, n_image).

        With `half` the second layer, which takes nearly all of the time, computes in bf16.
        """
        scale_1, shift_1 = _affine(self.norm_1)
        scale_2, shift_2 = _affine(self.norm_2)
        image_half = (images @ self.image.weight.T) * scale_1
        text_half = F.linear(texts, self.text.weight, self.text.bias) * scale_1 + shift_1
        middle, bias = scale_2[:, None] * self.middle.weight, scale_2 * self.middle.bias + shift_2
        out, out_bias = self.out.weight[1] - self.out.weight[0], self.out.bias[1] - self.out.bias[0]
        scores = torch.empty(len(texts), len(images), device=texts.device)
        dtype = torch.bfloat16 if half else texts.dtype
        text_half, image_half, middle, bias = (part.to(dtype) for part in (text_half, image_half, middle, bias))
        step = max(1, CELLS_AT_ONCE // max(1, len(images)))
        for first in range(0, len(texts), step):
            x = F.relu(text_half[first : first + step, None] + image_half[None]).flatten(0, 1)
            hidden = F.relu_(torch.addmm(bias, x, middle.T))
            scores[first : first + step] = (hidden.to(out.dtype) @ out + out_bias).view(-1, len(images))
        return scores


class DotFilter(nn.Module):
    """Two linear towers and an inner product: log-odds = scale <a(v), b(w)> + bias, with unit a and b.

    Scale and bias change no order: ranking by the towers' inner product, as an index does, is ranking by the filter.
    """

    def __init__(self, config: FilterConfig) -> None:
        super().__init__()
        self.config = config
        self.image = nn.Linear(config.image_width, config.hidden)
        self.text = nn.Linear(config.text_width, config.hidden)
        if config.image_width == config.text_width == config.hidden:
            # Sides that share a space already, as those of a dual encoder, are ranked by it from the first step on.
            for tower in (self.image, self.text):
                nn.init.eye_(tower.weight)
                nn.init.zeros_(tower.bias)
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-2.0))

    def image_vectors(self, images: Tensor) -> Tensor:
        """v_cls (n, W_image) -> unit vectors (n, D)."""
        return F.normalize(self.image(images), dim=-1)

    def text_vectors(self, texts: Tensor) -> Tensor:
        """w_cls (n, W_text) -> unit vectors (n, D)."""
        return F.normalize(self.text(texts), dim=-1)

    def forward(self, *, texts: Tensor, images: Tensor) -> Tensor:
        """Pairs w_cls (P, W_text), v_cls (P, W_image) -> log-odds of a match (P,)."""
        similarity = (self.text_vectors(texts) * self.image_vectors(images)).sum(dim=-1)
        return self.log_scale.exp() * similarity + self.bias

    @torch.inference_mode()
    def score_all(self, *, texts: Tensor, images: Tensor, half: bool = False) -> Tensor:
        """Every text with every image: (n_text, W_text), (n_image, W_image) -> (n_text, n_image).

        With `half` it computes in fp32, too: inner products take no time.
        """
        return self.log_scale.exp() * (self.text_vectors(texts) @ self.image_vectors(images).T) + self.bias


RetrievalFilter = MlpFilter | DotFilter
KINDS: dict[str, Callable[[FilterConfig], RetrievalFilter]] = {"mlp": MlpFilter, "dot": DotFilter}


def build_filter(config: FilterConfig) -> RetrievalFilter:
    """A filter with random weights."""
    return KINDS[config.kind](config)


def save_filter(folder: Path, student: RetrievalFilter, *, teacher: str, training: dict[str, object]) -> None:
    """Write a filter's checkpoint folder.

    Args:
        folder: made if need be.
        student: the filter.
        teacher: fingerprint of the fusion model that it belongs to.
        training: how it came about.
    """
    config = CheckpointConfig(
        kind=KIND,
        name=folder.name,
        model=asdict(student.config),
        inference={"teacher": teacher},
        training=dict(training),
    )
    save_checkpoint(folder, config=config, weights=dict(student.state_dict()), dtype=torch.float32)


def load_filter(folder: Path, *, teacher: str, device: torch.device) -> RetrievalFilter:
    """Read a filter.

    Args:
        folder: of its checkpoint.
        teacher: fingerprint of the fusion model that it is to work for.
        device: where to compute.

    Raises:
        ModelError: it is none, or was taught by another model.
    """
    checkpoint = load_checkpoint(folder)
    if checkpoint.config.kind != KIND:
        raise ModelError(f"checkpoint {folder} is of kind {checkpoint.config.kind!r}, a retrieval filter is needed")
    if checkpoint.config.inference.get("teacher") != teacher:
        raise ModelError(f"the filter {folder} was taught by another fusion model; teach one with `rsitr distill`")
    try:
        student = build_filter(FilterConfig(**checkpoint.config.model))
        student.load_state_dict(checkpoint.weights)
    except (TypeError, ConfigError, RuntimeError) as error:
        raise ModelError(f"checkpoint {folder} does not fit this rsitr: {str(error).splitlines()[0]}") from error
    return student.eval().to(device)


def _affine(norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """A batch norm in evaluation mode as (scale, shift)."""
    if norm.running_var is None or norm.running_mean is None:
        raise ValueError("a batch norm without running statistics cannot be folded")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale
