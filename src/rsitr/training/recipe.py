"""What the training loop asks of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsitr.models.dual import Features

__all__ = ["ImageModel", "Recipe", "RecipeModule", "StepOutcome", "TotalLoss", "TrainedModel"]


class TotalLoss(Protocol):
    """A loss and its parts."""

    @property
    def total(self) -> Tensor:
        """Scalar that is minimised."""


class StepOutcome(Protocol):
    """What a step returns: the loop needs the total, the recipe's notes may need more."""

    @property
    def loss(self) -> TotalLoss:
        """The loss and its parts."""


class ImageModel(Protocol):
    """A model with an image side."""

    @property
    def image_size_px(self) -> int:
        """Side of the square input picture."""

    def image_features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, H, W) -> global (B, D), local (B, N, D)."""


class TrainedModel(nn.Module, ImageModel):
    """Type of a module that can be trained; never instantiated."""


class Recipe(Protocol):
    """A method of training: from a batch of rows to a loss. A module, for the parameters that only training needs."""

    def step(
        self, model: Any, *, images: Features, rows: NDArray[np.int64], epoch: int, device: torch.device
    ) -> StepOutcome:
        """Loss of one batch of rows (B,), with the features of their pictures, view by view: (views * B, ...)."""

    def notes(self, outcome: Any) -> Mapping[str, float | int | None]:
        """What of a step goes into the log."""

    def start_epoch(self) -> None:
        """An epoch starts."""

    def end_epoch(self, epoch: int) -> None:
        """The epoch (from 0) is over."""

    def bank_state(self) -> dict[str, object]:
        """What an exact resume needs beyond parameters and buffers."""

    def load_bank_state(self, state: dict[str, object]) -> None:
        """The same, from a checkpoint."""


class RecipeModule(nn.Module, Recipe):
    """Type of a module that is a recipe; never instantiated."""
