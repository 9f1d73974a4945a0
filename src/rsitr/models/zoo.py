"""From a name to the model: a packaged one, a checkpoint folder, or an open_clip model with its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_args

from rsitr.calibration import read_calibration
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError, ModelError
from rsitr.models.checkpoint import CONFIG_FILE, PACKAGED, Checkpoint, load_checkpoint
from rsitr.models.encoder import Interpolation, LocalTokens, Resize, TorchEncoder, choose_device
from rsitr.models.kinds import KINDS
from rsitr.models.weight_files import require_fit
from rsitr.registry import Registry
from rsitr.types import Encoder, Mixture

__all__ = ["MODELS", "describe_models", "from_checkpoint", "load_model"]

INFERENCE = {
    "local_tokens": get_args(LocalTokens),
    "resize": get_args(Resize),
    "interpolation": get_args(Interpolation),
}


MODELS: Registry[Callable[[str | None], Encoder]] = Registry("model", group="models", error=ModelError)
"""Encoders of one's own: what gives one, from the device."""


def load_model(name: str = DEFAULT_MODEL, *, device: str | None = None) -> TorchEncoder:
    """Load a model for inference.

    Args:
        name: `lookout` or `compact` (packaged); a checkpoint folder; an open_clip architecture with its tag or weights
            file, `ARCHITECTURE:TAG` or `ARCHITECTURE:FILE`; or `hf-hub:OWNER/NAME`; or the name of one's own that is
            registered in `MODELS`, which need not be a `TorchEncoder`.
        device: e.g. `cpu`, `cuda:0`; a GPU if there is one when it is None.

    Returns:
        The model behind :class:`rsitr.types.Encoder`.

    Raises:
        ModelError: there is no such model, or its files cannot be read.
        ConfigError: there is no such device.

    Example:
        >>> model = load_model("lookout", device="cpu")
        >>> model.encode_texts(["a runway with two planes"]).global_emb.shape
        (1, 384)
    """
    if name in MODELS:
        return cast("TorchEncoder", MODELS[name](device))  # or less: commands that need more of it ask
    folder = PACKAGED / name if (PACKAGED / name / CONFIG_FILE).is_file() else Path(name).expanduser()
    if folder.is_dir():
        return from_checkpoint(load_checkpoint(folder), name=name, device=device)
    from rsitr.models.openclip import load_open_clip, looks_like_open_clip  # slow to import, and for others not needed

    if looks_like_open_clip(name):
        return load_open_clip(name, device=device)
    raise ModelError(
        f"there is no model {name!r}: use {describe_models()}, a checkpoint folder, an open_clip name with its tag or "
        "file such as ViT-B-32-quickgelu:openai, or hf-hub:OWNER/NAME"
    )


def describe_models() -> str:
    """The packaged models, for messages."""
    return ", ".join(sorted(path.parent.name for path in PACKAGED.glob(f"*/{CONFIG_FILE}"))) or "a trained model"


def from_checkpoint(checkpoint: Checkpoint, *, name: str, device: str | None = None) -> TorchEncoder:
    """The model of a checkpoint.

    Raises:
        ModelError: its config does not describe a model of this version, or its weights do not fit the config.
    """
    config = checkpoint.config
    choose_device(device)  # before anything is built
    try:
        if config.kind not in KINDS:
            raise ModelError(
                f"checkpoint {name} is of kind {config.kind!r}, and a dual encoder ({', '.join(KINDS)}) is needed; a "
                "fusion model re-ranks what one finds: --rerank fusion:FOLDER"
            )
        kind = KINDS[config.kind]
        model = kind.restore(config.model)
        require_fit(checkpoint.weights, model.state_dict(), what=name, architecture=f"this {config.kind} model")
        model.load_state_dict(checkpoint.weights)
        reader = kind.read(model, checkpoint)
        settings = dict(config.inference)
        mixture = Mixture(**settings.pop("mixture", {}))
        settings.pop("relevance", None)  # of earlier versions, which judged a tile by its collection
        calibration = read_calibration(checkpoint.folder, fingerprint=checkpoint.fingerprint)
        rerank = settings.pop("rerank", None)
        if rerank is not None and not isinstance(rerank, str):
            raise ValueError(f"inference setting rerank is {rerank!r}; it is a text such as sar:k=20")
        encoder = TorchEncoder(
            model,  # type: ignore[arg-type]  # both are dual encoders; nn.Module hides it
            tokenizer=reader.tokenizer,
            end_id=reader.end_id,
            name=name,
            fingerprint=checkpoint.fingerprint,
            mixture=mixture,
            rerank=rerank,
            calibration=calibration,
            device=device,
            **_known(settings),
        )
        if calibration is not None and calibration.known and reader.lexicon is not None:
            encoder.lexicon = reader.lexicon(calibration.known)
        return encoder
    except (TypeError, ValueError, RuntimeError, ConfigError) as error:
        raise ModelError(f"checkpoint {name} does not fit this rsitr: {_first_line(error)}") from error


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    for name, value in settings.items():
        if name not in INFERENCE:
            raise ValueError(f"unknown inference setting {name!r}")
        if value not in INFERENCE[name]:
            raise ValueError(f"inference setting {name} is {value!r}; it may be {', '.join(INFERENCE[name])}")
    return settings


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return " ".join(line.strip() for line in lines[:2])
