"""The weights of a trained model as the start of another training: what fits is taken, and it is said what."""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from rsitr.errors import ModelError
from rsitr.models.checkpoint import CONFIG_FILE, load_checkpoint

__all__ = ["find_checkpoint", "take_weights"]

NAMED = 6
"""Parts that a note names; of more it gives the number."""


def find_checkpoint(name: str, *, packaged: Path | None = None) -> Path | None:
    """The folder of a checkpoint of this project, by the name of a packaged one or by its path; None if it is none."""
    places = [Path(name).expanduser()] if packaged is None else [packaged / name, Path(name).expanduser()]
    return next((place for place in places if _is_ours(place / CONFIG_FILE)), None)


def _is_ours(config: Path) -> bool:
    """Whether this is a config of this project's, be it damaged; timm's and transformers' have that name, too."""
    if not config.is_file():
        return False
    try:
        found = json.loads(config.read_bytes())
    except (OSError, ValueError):
        return True
    return not isinstance(found, dict) or "format" in found


def take_weights(model: nn.Module, folder: Path, *, kind: str) -> str:
    """Give a model all weights of a checkpoint that have the name and the shape of one of its own.

    Args:
        model: built, with weights of its own for what does not fit.
        folder: of the checkpoint.
        kind: of the model; a checkpoint of another kind has other parts.

    Returns:
        A note for the log: how many weights were taken, and the parts that start as the model had them.

    Raises:
        ModelError: the checkpoint cannot be read, is of another kind, or nothing of it fits.
    """
    checkpoint = load_checkpoint(folder)
    if checkpoint.config.kind != kind:
        raise ModelError(f"{folder} is of kind {checkpoint.config.kind}, model.kind is {kind}: name one of that kind")
    if checkpoint.config.base:
        raise ModelError(
            f"{folder} is an adapter, no whole model: write one, `rsitr export {folder} --merged NEW`, and name that"
        )
    own = model.state_dict()
    taken = {
        name: value for name, value in checkpoint.weights.items() if name in own and value.shape == own[name].shape
    }
    if not taken:
        raise ModelError(f"nothing of {folder} fits this model: give it the settings that {folder / CONFIG_FILE} has")
    model.load_state_dict({**own, **taken})
    note = f"weights: {len(taken)} of {len(own)} from {folder}"
    left = list(dict.fromkeys(name.rpartition(".")[0] or name for name in own if name not in taken))
    if left:
        named = ", ".join(left[:NAMED]) + (f" and {len(left) - NAMED} more" if len(left) > NAMED else "")
        note += f"; initialised, since it lacks them or has them in another size: {named}"
    unused = sum(name not in own for name in checkpoint.weights)
    return f"{note}; {unused} of its weights are of no part of this model" if unused else note
