"""Conversion of the ImageNet weights that the compact encoder starts from (Gluon/ONNX model zoo, Apache-2.0)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rsitr.models.trunk import IMAGENET_MEAN, IMAGENET_STD

BN_EPS = 1e-5
Weights = Mapping[str, Tensor]


def convert_resnet50v2(weights: Weights) -> dict[str, Tensor]:
    """Weights of `resnet50v2_gluon_stages123` -> state dict of :class:`rsitr.models.trunk.ResNet50v2`."""
    source = _Source(weights)
    out: dict[str, Tensor] = {}
    scale, shift = source.affine("bn0")
    std, mean = torch.tensor(IMAGENET_STD), torch.tensor(IMAGENET_MEAN)
    out["input.weight"], out["input.bias"] = scale / std, shift - scale * mean / std
    source.fold(out, "stem", conv="conv0", bn="bn1")
    flat = 0
    for stage, depth in enumerate((3, 4, 6)):
        for unit in range(depth):
            old, new = f"st.{stage}.{unit}", f"units.{flat}"
            out[f"{new}.pre.weight"], out[f"{new}.pre.bias"] = source.affine(f"{old}.bn.0")
            source.fold(out, f"{new}.reduce", conv=f"{old}.c.0", bn=f"{old}.bn.1")
            source.fold(out, f"{new}.spatial", conv=f"{old}.c.1", bn=f"{old}.bn.2")
            out[f"{new}.expand.weight"] = source.tensor(f"{old}.c.2.weight")
            if unit == 0:
                out[f"{new}.project.weight"] = source.tensor(f"{old}.ds.weight")
            flat += 1
    out["post.weight"], out["post.bias"] = source.affine("post")
    return out


def convert_mobilenetv2(weights: Weights) -> dict[str, Tensor]:
    """Weights of `mobilenetv2_gluon` -> state dict of :class:`rsitr.models.trunk.MobileNetV2`."""
    source = _Source(weights)
    out: dict[str, Tensor] = {}
    std, mean = torch.tensor(IMAGENET_STD), torch.tensor(IMAGENET_MEAN)
    out["input.weight"], out["input.bias"] = 1 / std, -mean / std
    source.fold(out, "stem", conv="c0", bn="b0")
    units = {int(match[1]) for name in weights if (match := re.match(r"u\.(\d+)\.", name))}
    for unit in sorted(units):
        for index, part in enumerate(("expand", "spatial", "project")):
            source.fold(out, f"units.{unit}.{part}", conv=f"u.{unit}.c.{index}", bn=f"u.{unit}.bn.{index}")
    source.fold(out, "head", conv="c1", bn="b1")
    return out


CONVERTERS: dict[str, Callable[[Weights], dict[str, Tensor]]] = {
    "resnet50v2": convert_resnet50v2,
    "mobilenetv2": convert_mobilenetv2,
}


class _Source:
    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def tensor(self, name: str) -> Tensor:
        return self.weights[name].float()

    def affine(self, bn: str) -> tuple[Tensor, Tensor]:
        """A batch norm in evaluation mode as (scale, shift)."""
        scale = self.tensor(f"{bn}.weight") / torch.sqrt(self.tensor(f"{bn}.running_var") + BN_EPS)
        return scale, self.tensor(f"{bn}.bias") - self.tensor(f"{bn}.running_mean") * scale

    def fold(self, out: dict[str, Tensor], target: str, *, conv: str, bn: str) -> None:
        """Conv followed by batch norm -> one convolution with a bias."""
        scale, shift = self.affine(bn)
        out[f"{target}.weight"] = self.tensor(f"{conv}.weight") * scale[:, None, None, None]
        out[f"{target}.bias"] = shift
