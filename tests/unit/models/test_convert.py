"""The trunks against the networks that their weights come from, with batch norm as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.models.convert import CONVERTERS
from rsitr.models.trunk import IMAGENET_MEAN, IMAGENET_STD, MobileNetV2, ResNet50v2


class Unit(nn.Module):
    """Pre-activation bottleneck of ResNet v2, batch norm before each convolution."""

    def __init__(self, *, inputs: int, outputs: int, stride: int, project: bool) -> None:
        super().__init__()
        middle = outputs // 4
        self.bn = nn.ModuleList(nn.BatchNorm2d(channels) for channels in (inputs, middle, middle))
        self.c = nn.ModuleList(
            (
                nn.Conv2d(inputs, middle, 1, bias=False),
                nn.Conv2d(middle, middle, 3, stride, 1, bias=False),
                nn.Conv2d(middle, outputs, 1, bias=False),
            )
        )
        if project:
            self.ds = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.bn[0](x))
        y = self.c[0](first)
        y = self.c[1](F.relu(self.bn[1](y)))
        y = self.c[2](F.relu(self.bn[2](y)))
        return y + (self.ds(first) if hasattr(self, "ds") else x)


class ReferenceResNet(nn.Module):
    """ResNet-50 v2 up to its third stage."""

    def __init__(self) -> None:
        super().__init__()
        self.bn0, self.conv0, self.bn1 = nn.BatchNorm2d(3), nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        stages, inputs = [], 64
        for stage, (depth, outputs) in enumerate(((3, 256), (4, 512), (6, 1024))):
            units = []
            for place in range(depth):
                stride = 2 if stage and not place else 1
                units.append(Unit(inputs=inputs, outputs=outputs, stride=stride, project=not place))
                inputs = outputs
            stages.append(nn.ModuleList(units))
        self.st = nn.ModuleList(stages)
        self.post = nn.BatchNorm2d(1024)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv0(self.bn0(x)))), 3, 2, 1)
        for stage in self.st:
            for unit in stage:  # type: ignore[union-attr]
                x = unit(x)
        return F.relu(self.post(x))


class Inverted(nn.Module):
    """Inverted residual of MobileNet v2, batch norm after each convolution."""

    def __init__(self, *, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.c = nn.ModuleList(
            (
                nn.Conv2d(inputs, middle, 1, bias=False),
                nn.Conv2d(middle, middle, 3, stride, 1, groups=middle, bias=False),
                nn.Conv2d(middle, outputs, 1, bias=False),
            )
        )
        self.bn = nn.ModuleList(nn.BatchNorm2d(channels) for channels in (middle, middle, outputs))
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.bn[0](self.c[0](x)))
        y = F.relu6(self.bn[1](self.c[1](y)))
        y = self.bn[2](self.c[2](y))
        return x + y if self.skips else y


class ReferenceMobileNet(nn.Module):
    """MobileNet v2 at width 1 without its classifier."""

    # (outputs, blocks, stride of the first, expansion), as in the paper's table 2
    PLAN = ((16, 1, 1, 1), (24, 2, 2, 6), (32, 3, 2, 6), (64, 4, 2, 6), (96, 3, 1, 6), (160, 3, 2, 6), (320, 1, 1, 6))

    def __init__(self) -> None:
        super().__init__()
        self.c0, self.b0 = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)
        blocks, inputs = [], 32
        for outputs, depth, stride, expansion in self.PLAN:
            for place in range(depth):
                step = 1 if place else stride
                blocks.append(Inverted(inputs=inputs, outputs=outputs, expansion=expansion, stride=step))
                inputs = outputs
        self.u = nn.ModuleList(blocks)
        self.c1, self.b1 = nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.b0(self.c0(x)))
        for block in self.u:
            x = block(x)
        return F.relu6(self.b1(self.c1(x)))


TRUNKS = {"resnet50v2": (ResNet50v2, ReferenceResNet), "mobilenetv2": (MobileNetV2, ReferenceMobileNet)}
FILES = {
    "resnet50v2": "resnet50v2_gluon_stages123.fp16.safetensors",
    "mobilenetv2": "mobilenetv2_gluon.fp16.safetensors",
}


def randomise(network: nn.Module) -> None:
    """Weights of the usual size, and statistics that a batch norm without training would not have."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_converted_trunk_computes_what_its_source_does(name: str) -> None:
    trunk, reference = (kind() for kind in TRUNKS[name])
    randomise(reference)
    reference.eval()
    trunk.load_state_dict(CONVERTERS[name](reference.state_dict()))
    pictures = torch.rand(2, 3, 65, 64)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        expected, found = reference((pictures - mean) / std), trunk(pictures)
    assert expected.std().item() > 0.05
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


@pytest.mark.parametrize("name", TRUNKS)
def test_shapes_are_as_promised(name: str) -> None:
    trunk = TRUNKS[name][0]()
    with torch.inference_mode():
        found = trunk(torch.rand(1, 3, 64, 96))
    assert found.shape == (1, trunk.out_channels, 64 // trunk.stride, 96 // trunk.stride)


def test_conversion_names_what_is_missing() -> None:
    with pytest.raises(KeyError, match="bn0"):
        CONVERTERS["resnet50v2"]({})


@pytest.mark.real_data
@pytest.mark.parametrize("name", TRUNKS)
def test_the_real_initial_weights_convert(name: str, real_data: Path) -> None:
    weights = load_file(real_data / "init" / FILES[name])
    trunk, reference = (kind() for kind in TRUNKS[name])
    reference.eval()
    reference.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
    missing = set(reference.state_dict()) - set(weights)
    assert all(key.endswith("num_batches_tracked") for key in missing)
    trunk.load_state_dict(CONVERTERS[name](weights))
    pictures = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        expected, found = reference((pictures - mean) / std), trunk(pictures)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
