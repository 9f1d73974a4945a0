"""Convolutional image trunks of the compact encoder, free of batch norm.

Both start from ImageNet networks of the Gluon/ONNX model zoo (Apache-2.0). When such weights are converted
(:mod:`rsitr.models.convert`), every batch norm that follows a convolution is folded into it, and every one that does
not becomes a per-channel affine map: the function is the same, training and inference are about a third faster on a
CPU, and there are no running statistics that a small fine-tuning batch could spoil.

Inputs are RGB in [0, 1], shape (B, 3, H, W); the ImageNet normalisation is part of the trunk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ChannelAffine(nn.Module):
    """x * weight + bias per channel: what is left of a batch norm that no convolution precedes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])


class PreActBottleneck(nn.Module):
    """Pre-activation bottleneck (He et al. 2016): affine, ReLU, 1x1, 3x3, 1x1, and a skip."""

    def __init__(self, *, in_channels: int, out_channels: int, stride: int, project: bool) -> None:
        super().__init__()
        width = out_channels // 4
        self.pre = ChannelAffine(in_channels)
        self.reduce = nn.Conv2d(in_channels, width, 1)
        self.spatial = nn.Conv2d(width, width, 3, stride, 1)
        self.expand = nn.Conv2d(width, out_channels, 1, bias=False)
        self.project = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False) if project else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        y = F.relu(self.pre(x))
        skip = x if self.project is None else self.project(y)
        y = F.relu(self.reduce(y))
        y = F.relu(self.spatial(y))
        out: Tensor = self.expand(y) + skip
        return out


class ResNet50v2(nn.Module):
    """Stages 1 to 3 of ResNet-50 v2: (B, 3, H, W) -> (B, 1024, H / 16, W / 16), 8.5 M parameters."""

    out_channels = 1024
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.input = ChannelAffine(3)
        self.stem = nn.Conv2d(3, 64, 7, 2, 3)
        units: list[nn.Module] = []
        in_channels = 64
        for stage, depth in enumerate((3, 4, 6)):
            out_channels = 256 * 2**stage
            for unit in range(depth):
                units.append(
                    PreActBottleneck(
                        in_channels=in_channels,
                        out_channels=out_channels,
                        stride=2 if unit == 0 and stage > 0 else 1,
                        project=unit == 0,
                    )
                )
                in_channels = out_channels
        self.units = nn.ModuleList(units)
        self.post = ChannelAffine(in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """RGB in [0, 1] (B, 3, H, W) -> features (B, 1024, H / 16, W / 16)."""
        x = self.input(images)
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
        for unit in self.units:
            x = unit(x)
        out: Tensor = F.relu(self.post(x))
        return out


class InvertedResidual(nn.Module):
    """MobileNet v2's block: 1x1 expansion, 3x3 depth-wise, linear 1x1, and a skip where shapes agree."""

    def __init__(self, *, in_channels: int, out_channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.expand = nn.Conv2d(in_channels, width, 1)
        self.spatial = nn.Conv2d(width, width, 3, stride, 1, groups=width)
        self.project = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        y = F.relu6(self.expand(x))
        y = F.relu6(self.spatial(y))
        out: Tensor = self.project(y)
        return x + out if self.residual else out


class MobileNetV2(nn.Module):
    """MobileNet v2, 1.0: (B, 3, H, W) -> (B, 1280, H / 32, W / 32), 2.2 M parameters."""

    out_channels = 1280
    stride = 32

    def __init__(self) -> None:
        super().__init__()
        self.input = ChannelAffine(3)
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        widths = [16] + [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3 + [320]
        strides = [1, 2, 1, 2, 1, 1, 2] + [1] * 6 + [2, 1, 1, 1]
        units: list[nn.Module] = []
        in_channels = 32
        for position, (out_channels, stride) in enumerate(zip(widths, strides, strict=True)):
            units.append(
                InvertedResidual(
                    in_channels=in_channels,
                    out_channels=out_channels,
                    expansion=1 if position == 0 else 6,
                    stride=stride,
                )
            )
            in_channels = out_channels
        self.units = nn.ModuleList(units)
        self.head = nn.Conv2d(in_channels, 1280, 1)

    def forward(self, images: Tensor) -> Tensor:
        """RGB in [0, 1] (B, 3, H, W) -> features (B, 1280, H / 32, W / 32)."""
        x = F.relu6(self.stem(self.input(images)))
        for unit in self.units:
            x = unit(x)
        out: Tensor = F.relu6(self.head(x))
        return out
