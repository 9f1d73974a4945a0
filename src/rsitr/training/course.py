"""What a recipe hands to the loop: how pictures reach the model, how phases are gone through, what is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsitr.config import Phase
from rsitr.training.optim import Groups, learning_rate
from rsitr.training.place import Report
from rsitr.training.state import Position

__all__ = ["Course", "Hooks", "Inputs"]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """How the pictures of a batch reach the model.

    Attributes:
        patches: cached trunk features, called for when a phase freezes the trunk; see :class:`BatchReader`.
        views: pictures of a row that a step sees, each augmented on its own.
        augment: further augmentation of a training picture.
        pixels: the training pictures decoded, uint8 (n_images, 3, S, S), called for when they are first needed; None
            reads files.
        draw: makes of decoded pictures what the model sees: RGB in [0, 1] (B, 3, S, S) and a side -> (B, 3, side,
            side). What is random in it, torch's own generator draws, which starts anew from each step's number.
    """

    patches: Callable[[], Sequence[NDArray[np.float16]]] | None = None
    views: int = 1
    augment: Callable[[Tensor], Tensor] | None = None
    pixels: Callable[[], NDArray[np.uint8]] | None = None
    draw: Callable[[Tensor, int], Tensor] | None = None


def _given(phase: Phase, _share: float) -> int | None:
    return phase.image_size_px


@dataclass(frozen=True, kw_only=True)
class Course:
    """How the phases are gone through, where it is otherwise than their settings alone say.

    Attributes:
        groups: a phase's parameters with their peak rates; None: the compact trunk, and the rest.
        rate: the learning rate of a step; as :func:`rsitr.training.optim.learning_rate`.
        repeats: how often a phase's epoch has each picture (n_images,); None: once.
        size_px: side of the pictures, from the phase and how much of it is done, 0 to 1; None: the model's.
        averages_start: the moving average begins with the weights that a phase begins with, not its first step's.
    """

    groups: Callable[[Phase], Groups] | None = None
    rate: Callable[..., float] = learning_rate
    repeats: Callable[[Phase], NDArray[np.int64] | None] = lambda _phase: None
    size_px: Callable[[Phase, float], int | None] = _given
    averages_start: bool = False


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What is called in the course of a training.

    Attributes:
        on_best: when validation improved.
        on_epoch_end: after an epoch, before the thresholds move on.
        report: after each step with the position, steps of the epoch, and the loss.
    """

    on_best: Callable[[Position], None] = lambda _position: None
    on_epoch_end: Callable[[Position], None] = lambda _position: None
    report: Report = lambda _position, _steps, _loss: None
