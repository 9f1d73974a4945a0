"""Adapters in a training: what becomes of the model before it, and what is saved of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rsitr.config import TrainConfig
from rsitr.extras import need
from rsitr.models.checkpoint import CheckpointConfig, save_checkpoint
from rsitr.models.encoder import DualModule
from rsitr.models.kinds import name_base

if TYPE_CHECKING:
    from rsitr.models.adapters import Adapted

__all__ = ["adapt", "save_trained"]


def adapt(model: DualModule, *, config: TrainConfig, on_note: Callable[[str], None]) -> Adapted | None:
    """Put adapters into a model, if the config has any: of the model they alone are then trained.

    Raises:
        ConfigError: peft is not installed, the training starts from no whole model, or a target makes no sense.
        ModelError: the model that it starts from is another.
    """
    if config.adapter.kind == "none":
        return None
    need("peft", what=f"adapter.kind {config.adapter.kind}")
    from rsitr.models.adapters import adapt_model  # slow to import

    frozen_trunk = config.model.kind == "compact" and all(phase.trunk_lr is None for phase in config.phases)
    adapted = adapt_model(
        model,
        settings=config.adapter,
        base=name_base(config.model, model),
        untrained=("image.trunk",) if frozen_trunk else (),
    )
    on_note(adapted.note)
    return adapted


def save_trained(folder: Path, *, config: CheckpointConfig, model: DualModule, adapted: Adapted | None) -> None:
    """Write a checkpoint of a model, or of its adapters, if these are what was trained."""
    if adapted is None:
        save_checkpoint(folder, config=config, weights=dict(model.state_dict()))
        return
    from rsitr.models.adapters import save_adapter

    save_adapter(folder, config=config, adapted=adapted)
