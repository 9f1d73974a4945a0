"""Activation checkpointing (Chen et al. 2016): a block's activations are not kept but computed again on the way back.

A step then holds what goes into each block, and the inside of one block at a time, for a second pass through them. What
a block draws (dropout) it draws again alike, so that in single precision the result is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

__all__ = ["checkpoint_blocks"]

HALVES = ("attend_text", "attend_image", "feed_forward")
"""By which a fusion encoder calls its blocks, and these themselves."""

WHOLE = ("forward", "forward_packed")
"""By which others are called."""


class _Checkpointed:
    """A block's method, which keeps its arguments alone; without gradients, the method as it is.

    An object, not a function: a copy of the block must call the copy's own method.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.method(*arguments, **more)
        return checkpoint(self.method, *arguments, use_reentrant=False, **more)


def checkpoint_blocks(*modules: nn.Module) -> int:
    """Let every block of these modules compute its activations again; returns how many blocks there are.

    Blocks are the members of their innermost lists: transformer blocks, and the units of a convolutional trunk. Those
    with batch norms are left as they are, since these would count a batch twice. Models of timm do it themselves.
    """
    found = 0
    for module in modules:
        for part in module.modules():
            if isinstance(part, nn.ModuleList):
                blocks = [block for block in part if not _holds(block, nn.ModuleList | _BatchNorm)]
                for block in blocks:
                    _checkpoint(block)
                found += len(blocks)
            elif isinstance(part, VisionTransformer):
                part.set_grad_checkpointing()
                found += len(part.blocks)
    return found


def _checkpoint(block: nn.Module) -> None:
    for name in HALVES if hasattr(block, HALVES[0]) else WHOLE:
        method = getattr(block, name, None)
        if method is not None and not isinstance(method, _Checkpointed):
            setattr(block, name, _Checkpointed(method))


def _holds(module: nn.Module, kinds: Any) -> bool:
    return any(isinstance(part, kinds) for part in module.modules())
