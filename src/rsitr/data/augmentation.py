"""RandAugment with the nine mild operations of MTGFE (section 4.1; METHODS 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as VF

from rsitr.errors import ConfigError

__all__ = ["OPERATIONS", "RandAugment"]

MOST = 10
"""Magnitudes go from 0 to this."""

LARGEST_FACTOR, LARGEST_SHEAR_DEG, LARGEST_SHIFT, LARGEST_TURN_DEG = 0.9, 17.0, 0.05, 30.0
"""What the largest magnitude does: factors from 0.1 to 1.9, a shear by 0.3, a shift by a twentieth of the side."""


def _move(picture: Tensor, *, turn_deg: float = 0.0, shift: tuple[int, int] = (0, 0), shear_deg: float = 0.0) -> Tensor:
    moved: Tensor = VF.affine(
        picture,
        angle=turn_deg,
        translate=list(shift),
        scale=1.0,
        shear=[0.0, shear_deg],
        interpolation=InterpolationMode.BILINEAR,
    )
    return moved


OPERATIONS: Mapping[str, Callable[[Tensor, float], Tensor]] = MappingProxyType(
    {
        "identity": lambda picture, _amount: picture,
        "autocontrast": lambda picture, _amount: VF.autocontrast(picture),
        "equalize": lambda picture, _amount: VF.equalize(picture),
        "brightness": lambda picture, amount: VF.adjust_brightness(picture, 1 + LARGEST_FACTOR * amount),
        "sharpness": lambda picture, amount: VF.adjust_sharpness(picture, 1 + LARGEST_FACTOR * amount),
        "shear_y": lambda picture, amount: _move(picture, shear_deg=LARGEST_SHEAR_DEG * amount),
        "translate_x": lambda picture, amount: _move(
            picture, shift=(round(LARGEST_SHIFT * amount * picture.shape[-1]), 0)
        ),
        "translate_y": lambda picture, amount: _move(
            picture, shift=(0, round(LARGEST_SHIFT * amount * picture.shape[-2]))
        ),
        "rotate": lambda picture, amount: _move(picture, turn_deg=LARGEST_TURN_DEG * amount),
    }
)
"""By name: a picture and a signed amount between -1 and 1 -> a picture. None changes what a caption says of it."""


class RandAugment:
    """Applies `count` operations drawn at random, each at `magnitude` of 10 in a random direction.

    The paper has (2, 7). What a magnitude means is not said there; the ranges here are those of the original
    RandAugment, with shifts as small as in common retrieval training code.

    Raises:
        ConfigError: no operation, or a magnitude beyond its range.
    """

    def __init__(self, *, count: int = 2, magnitude: int = 7) -> None:
        if count < 1 or not 0 <= magnitude <= MOST:
            raise ConfigError(
                f"RandAugment takes at least 1 operation and a magnitude of 0 to {MOST}, not ({count}, {magnitude})"
            )
        self.count, self.magnitude = count, magnitude

    def __call__(self, picture: Tensor) -> Tensor:
        """Uint8 (3, H, W) -> the same shape; chance is torch's global generator."""
        names = list(OPERATIONS)
        for number in torch.randint(len(names), (self.count,)).tolist():
            sign = 1 if int(torch.randint(2, ())) else -1
            picture = OPERATIONS[names[number]](picture, sign * self.magnitude / MOST)
        return picture
