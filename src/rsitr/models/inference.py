"""The settings with which a checkpoint is used, as its config and the files beside it say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rsitr.calibration import Calibration, read_calibration
from rsitr.errors import ModelError
from rsitr.models.checkpoint import CheckpointConfig
from rsitr.models.preparing import Interpolation, LocalTokens, Resize
from rsitr.types import Mixture

__all__ = ["InferenceSettings", "explain_misfit", "read_inference"]

_CHOICES = {
    "local_tokens": get_args(LocalTokens),
    "resize": get_args(Resize),
    "interpolation": get_args(Interpolation),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceSettings:
    """How a model is used.

    Attributes:
        mixture: of its similarities.
        local_tokens: which text tokens count as local.
        resize: how pictures are brought to its size.
        interpolation: with what.
        rerank: the re-ranking that was chosen for it on validation, or None.
        calibration: what makes its scores probabilities, or None.
    """

    mixture: Mixture
    local_tokens: LocalTokens = "valid"
    resize: Resize = "squash"
    interpolation: Interpolation = "bilinear"
    rerank: str | None = None
    calibration: Calibration | None = None


def read_inference(config: CheckpointConfig, *, folder: Path, name: str, fingerprint: str) -> InferenceSettings:
    """The settings of a checkpoint.

    Args:
        config: of the checkpoint.
        folder: of the checkpoint.
        name: of the model, for messages.
        fingerprint: of the checkpoint; a calibration is of these weights or of none.

    Raises:
        ModelError: a setting is unknown or has a value that this version does not know, or the calibration is damaged.
    """
    try:
        settings = dict(config.inference)
        mixture = Mixture(**settings.pop("mixture", {}))
        settings.pop("relevance", None)  # of earlier versions, which judged a tile by its collection
        rerank = settings.pop("rerank", None)
        if rerank is not None and not isinstance(rerank, str):
            raise ValueError(f"inference setting rerank is {rerank!r}; it is a text such as sar:k=20")
        return InferenceSettings(
            mixture=mixture,
            rerank=rerank,
            calibration=read_calibration(folder, fingerprint=fingerprint),
            **_known(settings),
        )
    except (TypeError, ValueError) as error:
        raise explain_misfit(name, error) from error


def explain_misfit(name: str, error: Exception) -> ModelError:
    """The error for a checkpoint that is read, yet not understood."""
    lines = [line.strip() for line in str(error).splitlines()[:2]]
    return ModelError(f"checkpoint {name} does not fit this rsitr: {' '.join(lines)}")


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    for name, value in settings.items():
        if name not in _CHOICES:
            raise ValueError(f"unknown inference setting {name!r}")
        if value not in _CHOICES[name]:
            raise ValueError(f"inference setting {name} is {value!r}; it may be {', '.join(_CHOICES[name])}")
    return settings
