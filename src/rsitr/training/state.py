"""How far a run is, and the file that it goes on from."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rsitr.errors import ConfigError

__all__ = ["STATE_FILE", "Position", "read_state", "write_state"]

STATE_FILE = "state.pt"


@dataclass
class Position:
    """How far a run is.

    Attributes:
        phase: index of the current phase; their number when the run is finished.
        epoch: epochs done over all phases.
        step, phase_step, total_step: steps done in this epoch, in this phase, in all.
        seconds: of training and validation, over all resumptions.
        best, best_epoch: the highest validation mR of this phase and its epoch, counted from 0 over all phases. A phase
            hands on the weights of its best epoch; the last one's are what the run is for.
        history: per epoch its number, mean loss and validation results.
        losses: of this epoch's steps so far.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    phase_step: int = 0
    total_step: int = 0
    seconds: float = 0.0
    best: float = -1.0
    best_epoch: int = -1
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def write_state(state: dict[str, Any], folder: Path) -> None:
    """Save a state: it appears whole or not at all."""
    part = folder / f".{STATE_FILE}.part"
    torch.save(state, part)
    part.replace(folder / STATE_FILE)


def read_state(folder: Path, *, device: torch.device) -> dict[str, Any]:
    """The saved state.

    Raises:
        ConfigError: it is damaged.
    """
    path = folder / STATE_FILE
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{path} is damaged and cannot be resumed from; --fresh starts over") from error
    return state
