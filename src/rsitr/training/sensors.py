"""Pictures as another flight and another sensor would have shown them: turned, mirrored, nearer, coarser, hazier.

For batches on any device. Torch's own generator draws, so that who seeds it knows what comes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["OtherSensor"]

TILT, ASPECT = 0.2, 0.1
"""Radians by which half of the pictures are turned beyond right angles; logarithm of how much their sides change."""
NEAREST, FARTHEST = 0.4, 1.6
"""Shares of a picture's side that are shown of those whose scale changes much; beyond its rim it is mirrored."""
COARSE, HAZY, NOISY = 0.3, 0.2, 0.2
"""Shares of the pictures, the first two multiplied by `sensor`."""


@dataclass(frozen=True, kw_only=True)
class OtherSensor:
    """Draws another view of each picture.

    Attributes:
        zoom: pictures are cut to between this share of their side and all of it.
        sensor: how unlike the sensor is, 0 to 1: the strength of other colours, contrast, brightness and noise, and the
            share of pictures that are coarser, hazier, or much nearer or farther.
    """

    zoom: float
    sensor: float

    def __call__(self, images: Tensor, size_px: int) -> Tensor:
        """RGB in [0, 1] (B, 3, S, S) -> (B, 3, size_px, size_px)."""
        return self._cloud(self._colour(self._move(images, size_px)), size_px).clamp(0, 1)

    def _move(self, x: Tensor, size_px: int) -> Tensor:
        n = len(x)
        angle = torch.randint(0, 4, (n,), device=x.device) * (math.pi / 2)
        angle = angle + _between(x, -TILT, TILT) * _chance(x, 0.5)
        zoom = torch.where(_chance(x, self.sensor * 0.5), _between(x, NEAREST, FARTHEST), _between(x, self.zoom, 1.0))
        mirror = torch.where(_chance(x, 0.5), -1.0, 1.0)
        aspect = _between(x, -ASPECT, ASPECT).exp()
        shift = [_between(x, -1, 1) * (1 - zoom).clamp(min=0) for _ in range(2)]
        theta = torch.stack(
            [
                torch.stack([angle.cos() * zoom * mirror * aspect, -angle.sin() * zoom / aspect, shift[0]], 1),
                torch.stack([angle.sin() * zoom * mirror * aspect, angle.cos() * zoom / aspect, shift[1]], 1),
            ],
            1,
        )
        if size_px < x.shape[-1] * 0.7:
            x = F.interpolate(x, (size_px, size_px), mode="bilinear", antialias=True)
        grid = F.affine_grid(theta, [n, 3, size_px, size_px], align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def _colour(self, x: Tensor) -> Tensor:
        """Other gains of the channels, brightness, contrast, saturation."""
        spread = 0.2 + 0.2 * self.sensor
        x = x * (1 + _between(x, -0.5, 0.5, 3, 1, 1) * spread) + _between(x, -0.5, 0.5, 1, 1, 1) * spread
        mean = x.mean((1, 2, 3), keepdim=True)
        x = (x - mean) * (1 + _between(x, -1, 1, 1, 1, 1) * spread) + mean
        grey = x.mean(1, keepdim=True)
        return grey + (x - grey) * (1 + _between(x, -0.5, 0.5, 1, 1, 1) * (0.6 + self.sensor))

    def _cloud(self, x: Tensor, size_px: int) -> Tensor:
        """Some pictures coarser, some hazier, some with noise."""
        which = torch.rand(len(x), 1, 1, 1, device=x.device)
        pixels = 2 if float(torch.rand(())) < 0.6 else 4
        coarse = F.interpolate(F.avg_pool2d(x, pixels), (size_px, size_px), mode="bilinear")
        x = torch.where(which < self.sensor * COARSE, coarse, x)
        haze = _between(x, 0, 0.5, 1, 1, 1)
        hazy = x * (1 - haze) + haze * _between(x, 0.6, 0.9, 3, 1, 1)
        is_hazy = (which >= self.sensor * COARSE) & (which < self.sensor * (COARSE + HAZY))
        x = torch.where(is_hazy, hazy, x)
        return torch.where(which > 1 - NOISY, x + torch.randn_like(x) * 0.04 * self.sensor, x)


def _between(x: Tensor, low: float, high: float, *shape: int) -> Tensor:
    """A number for each picture (B,), or (B, *shape)."""
    return torch.rand(len(x), *shape, device=x.device) * (high - low) + low


def _chance(x: Tensor, share: float) -> Tensor:
    """(B,) bool: true of this share of the pictures."""
    return torch.rand(len(x), device=x.device) < share
