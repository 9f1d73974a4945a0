"""Where half precision pays."""

from __future__ import annotations

import torch

__all__ = ["has_bf16"]


def has_bf16(device: torch.device) -> bool:
    """Does this device compute in bf16, rather than emulate it several times slower than fp32?"""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
