"""EfficientNet-Lite 0 and 2 without batch norm: small image trunks that mobile processors, and laptops, run fast.

The architecture is Google's (EfficientNet-Lite, after Tan and Le 2019): inverted residuals, ReLU6, no squeeze and
excitation. As in :mod:`rsitr.models.trunk`, every batch norm is folded into the convolution before it when weights are
converted (:func:`convert_efficientnet_lite`): the function is the same, and nothing is left that a small batch could
spoil.

Inputs are RGB in [0, 1], shape (B, 3, H, W) with sides that 32 divides; the normalisation (mean and deviation 0.5) is
part of the trunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["EfficientNetLite", "InvertedResidual", "LiteName", "TrunkMaps", "convert_efficientnet_lite"]

LiteName = Literal["lite0", "lite2"]
BN_EPS = 1e-3
HEAD_CHANNELS = 1280
STRIDE_16_STAGES = 5


class _Stage(NamedTuple):
    kernel: int
    expansion: int
    channels: int
    depth: int
    stride: int


_STAGES: dict[str, tuple[_Stage, ...]] = {
    "lite0": (
        _Stage(3, 1, 16, 1, 1),
        _Stage(3, 6, 24, 2, 2),
        _Stage(5, 6, 40, 2, 2),
        _Stage(3, 6, 80, 3, 2),
        _Stage(5, 6, 112, 3, 1),
        _Stage(5, 6, 192, 4, 2),
        _Stage(3, 6, 320, 1, 1),
    ),
    "lite2": (
        _Stage(3, 1, 16, 1, 1),
        _Stage(3, 6, 24, 3, 2),
        _Stage(5, 6, 48, 3, 2),
        _Stage(3, 6, 88, 4, 2),
        _Stage(5, 6, 120, 4, 1),
        _Stage(5, 6, 208, 5, 2),
        _Stage(3, 6, 352, 1, 1),
    ),
}


class TrunkMaps(NamedTuple):
    """Feature maps of one batch.

    Attributes:
        fine: (B, C16, H / 16, W / 16).
        coarse: (B, 1280, H / 32, W / 32).
    """

    fine: Tensor
    coarse: Tensor


class _SameConv(nn.Conv2d):
    """A convolution of stride 2 that pads as TensorFlow does for even sides: one pixel more below and to the right."""

    def forward(self, x: Tensor) -> Tensor:
        before = (self.kernel_size[0] - 2) // 2
        after = self.kernel_size[0] - 2 - before
        return super().forward(F.pad(x, (before, after, before, after)))


def _spatial(channels: int, *, kernel: int, stride: int) -> nn.Conv2d:
    if stride == 2:
        return _SameConv(channels, channels, kernel, 2, groups=channels)
    return nn.Conv2d(channels, channels, kernel, 1, kernel // 2, groups=channels)


class InvertedResidual(nn.Module):
    """1x1 expansion (if any), depth-wise convolution, linear 1x1, and a skip where shapes agree."""

    def __init__(self, in_channels: int, stage: _Stage, *, stride: int) -> None:
        super().__init__()
        width = in_channels * stage.expansion
        self.residual = stride == 1 and in_channels == stage.channels
        self.drop = 0.0
        self.expand = nn.Conv2d(in_channels, width, 1) if stage.expansion > 1 else None
        self.spatial = _spatial(width, kernel=stage.kernel, stride=stride)
        self.project = nn.Conv2d(width, stage.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        out: Tensor = self.project(F.relu6(self.spatial(y)))
        if not self.residual:
            return out
        if self.training and self.drop:
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
            out = out * (kept / (1 - self.drop)).to(out.dtype)
        return x + out


class EfficientNetLite(nn.Module):
    """The whole network up to its last feature map: lite0 has 3.4 M parameters, lite2 4.8 M.

    Args:
        name: which of the two.
        drop_path: in training, the chance that the last residual branch is left out for a picture; earlier ones less
            often, in proportion to their depth (stochastic depth, Huang et al. 2016).
    """

    def __init__(self, name: LiteName, *, drop_path: float = 0.0) -> None:
        super().__init__()
        stages = _STAGES[name]
        self.fine_channels = stages[STRIDE_16_STAGES - 1].channels
        self.coarse_channels = HEAD_CHANNELS
        self.stem = _SameConv(3, 32, 3, 2)
        fine: list[nn.Module] = []
        coarse: list[nn.Module] = []
        channels = 32
        for number, stage in enumerate(stages):
            for unit in range(stage.depth):
                block = InvertedResidual(channels, stage, stride=stage.stride if unit == 0 else 1)
                (fine if number < STRIDE_16_STAGES else coarse).append(block)
                channels = stage.channels
        self.fine = nn.Sequential(*fine)
        self.coarse = nn.Sequential(*coarse)
        self.head = nn.Conv2d(channels, HEAD_CHANNELS, 1)
        blocks = [*self.fine, *self.coarse]
        for depth, block in enumerate(blocks):
            block.drop = drop_path * depth / len(blocks)

    def forward(self, images: Tensor) -> TrunkMaps:
        """RGB in [0, 1] (B, 3, H, W) -> maps of stride 16 and 32."""
        x = F.relu6(self.stem(images * 2 - 1))
        fine = self.fine(x)
        return TrunkMaps(fine, F.relu6(self.head(self.coarse(fine))))


def convert_efficientnet_lite(weights: Mapping[str, Tensor], name: LiteName) -> dict[str, Tensor]:
    """Weights named as in Google's network (`_conv_stem`, `_blocks.N._bn0`, ...) -> state dict of the trunk.

    Raises:
        KeyError: a tensor is missing.
    """
    out: dict[str, Tensor] = {}

    def fold(new: str, conv: str, bn: str) -> None:
        factor = weights[f"{bn}.weight"].double() / (weights[f"{bn}.running_var"].double() + BN_EPS).sqrt()
        out[f"{new}.weight"] = (weights[f"{conv}.weight"].double() * factor[:, None, None, None]).float()
        out[f"{new}.bias"] = (weights[f"{bn}.bias"].double() - weights[f"{bn}.running_mean"].double() * factor).float()

    fold("stem", "_conv_stem", "_bn0")
    flat = 0
    n_fine = sum(stage.depth for stage in _STAGES[name][:STRIDE_16_STAGES])
    for stage in _STAGES[name]:
        for _ in range(stage.depth):
            old = f"_blocks.{flat}"
            new = f"fine.{flat}" if flat < n_fine else f"coarse.{flat - n_fine}"
            if stage.expansion > 1:
                fold(f"{new}.expand", f"{old}._expand_conv", f"{old}._bn0")
            fold(f"{new}.spatial", f"{old}._depthwise_conv", f"{old}._bn1")
            fold(f"{new}.project", f"{old}._project_conv", f"{old}._bn2")
            flat += 1
    fold("head", "_conv_head", "_bn1")
    return out
