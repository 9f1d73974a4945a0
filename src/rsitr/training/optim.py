"""The optimizer in groups, and the schedule (METHODS 1.10)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

__all__ = ["Groups", "OptimizerName", "build_optimizer", "learning_rate", "lingering_rate"]

OptimizerName = Literal["adamw", "adam"]
Groups = Iterable[tuple[Iterable[nn.Parameter], float]]
LEFT = 0.02
"""Share of its peak that a lingering rate never falls below."""


def build_optimizer(
    groups: Groups, *, name: OptimizerName = "adamw", weight_decay: float, beta2: float
) -> torch.optim.Optimizer:
    """AdamW (the released code) or Adam (the paper's word), without decay on biases and 1-D parameters.

    Adam adds the decay to the gradient, where it is scaled like everything else; AdamW shrinks the weights themselves.

    Args:
        groups: parameters with their peak learning rate, noted as `peak_lr` for the schedule.
        name: which of the two.
        weight_decay: of matrices.
        beta2: decay of the second moment.
    """
    entries = []
    for parameters, lr in groups:
        known = list(parameters)
        for members, decay in (
            ([p for p in known if p.ndim > 1], weight_decay),
            ([p for p in known if p.ndim <= 1], 0.0),
        ):
            if members:
                entries.append({"params": members, "lr": lr, "peak_lr": lr, "weight_decay": decay})
    # The single-tensor implementation is as fast on a CPU, and the fused one is not offered for every device.
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(entries, betas=(0.9, beta2))


def learning_rate(step: int, *, peak: float, warmup_steps: int, total_steps: int) -> float:
    """Linear growth to the peak, then cosine decay to 0; `step` counts from 0.

    >>> [round(learning_rate(s, peak=1.0, warmup_steps=2, total_steps=6), 3) for s in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def lingering_rate(step: int, *, peak: float, warmup_steps: int, total_steps: int) -> float:
    """Cosine decay over all steps, to a fiftieth of the peak, during whose first ones it grows linearly.

    >>> [round(lingering_rate(s, peak=1.0, warmup_steps=2, total_steps=6), 3) for s in range(6)]
    [0.5, 0.934, 0.755, 0.51, 0.265, 0.086]
    """
    grown = min(1.0, (step + 1) / max(1, warmup_steps))
    return peak * grown * ((1 - LEFT) * (1 + math.cos(math.pi * step / max(1, total_steps))) / 2 + LEFT)
