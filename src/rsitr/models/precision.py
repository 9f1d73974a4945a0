"""Where half precision pays, and how near to fp32 is near enough."""

from __future__ import annotations

import torch

__all__ = ["FAITHFUL", "has_bf16"]

FAITHFUL = 0.999
"""The least cosine with the fp32 vector, over all trials, of what may be used in its place."""


def has_bf16(device: torch.device) -> bool:
    """Does this device compute in bf16, rather than emulate it several times slower than fp32?"""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
