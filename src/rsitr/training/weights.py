"""The weights that a phase trains, beside them their moving average and the best that validation has seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["TrainedWeights"]


class TrainedWeights:
    """What a phase trains of a model; what is frozen stays to the last bit, and so do its cached features.

    Attributes:
        average: the moving average; empty where there is none.
        best: what :meth:`keep_best` kept last; it outlives its phase.
    """

    def __init__(self, model: nn.Module) -> None:
        self.average: dict[str, Tensor] = {}
        self.best: dict[str, Tensor] = {}
        self._model = model

    def start_average(self) -> None:
        """Let the average begin with the weights as they are."""
        self.average = {name: value.detach().clone() for name, value in self._trained()}

    def update_average(self, decay: float, *, step: int) -> None:
        """Move the average towards the weights; a young one forgets its start quickly (decay (1 + n) / (10 + n))."""
        decay = min(decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in self._trained():
                if name in self.average:
                    self.average[name].lerp_(value, 1 - decay)
                else:
                    self.average[name] = value.detach().clone()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in the model, where there are any, for the time of a validation."""
        if not self.average:
            yield
            return
        weights = {name: value.clone() for name, value in self._model.state_dict().items()}
        self._take(self.average)
        try:
            yield
        finally:
            self._model.load_state_dict(weights)

    def keep_best(self) -> None:
        """Remember the weights in the model as the best so far."""
        self.best = {name: value.detach().clone() for name, value in self._trained()}

    def end_phase(self) -> None:
        """Put the best weights into the model, and begin with no average."""
        self._take(self.best)
        self.average = {}

    def _trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, value) for name, value in self._model.named_parameters() if value.requires_grad)

    def _take(self, weights: dict[str, Tensor]) -> None:
        self._model.load_state_dict({**self._model.state_dict(), **weights})
