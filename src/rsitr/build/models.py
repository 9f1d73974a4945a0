"""The model of a config, from its initial weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import cast

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from rsitr.config import ModelConfig, TrainConfig, parse
from rsitr.errors import ConfigError, ModelError
from rsitr.files import fingerprint_files
from rsitr.models.checkpoint import read_config
from rsitr.models.compact import CompactConfig, CompactDualEncoder
from rsitr.models.convert import CONVERTERS
from rsitr.models.encoder import DualModule
from rsitr.models.openclip import OpenClipDualEncoder, create_open_clip
from rsitr.models.start import find_checkpoint, take_weights
from rsitr.models.zoo import PACKAGED

__all__ = ["build_model", "check_phases", "model_settings"]


def build_model(
    config: ModelConfig, *, root: Path | None, on_note: Callable[[str], None] = lambda _note: None
) -> DualModule:
    """The model to train, from its initial weights.

    Args:
        config: what to build.
        root: initial weights are also looked for in `init/` of this folder.
        on_note: told what was taken from a checkpoint.

    Raises:
        ConfigError: the settings name nothing that exists.
        ModelError: the initial weights are missing or others than expected.
    """
    trained = None if config.init is None else find_checkpoint(config.init, packaged=PACKAGED)
    if trained is not None and config.init_sha256 is not None:
        raise ConfigError(f"model.init_sha256 is about a file, and model.init {config.init!r} a folder; leave it out")
    if config.kind == "open_clip":
        clip = _build_open_clip(config, trained=trained)
        if trained is not None:
            on_note(take_weights(clip, trained, kind=config.kind))
        return cast("DualModule", clip)
    settings = parse(CompactConfig, config.settings, where="model.settings")
    model = CompactDualEncoder(settings)
    if trained is not None:
        on_note(take_weights(model, trained, kind=config.kind))
    elif config.init is not None:
        path = _find_initial_weights(config.init, root=root)
        _check_sha256(path, expected=config.init_sha256)
        try:
            model.image.trunk.load_state_dict(CONVERTERS[settings.trunk](load_file(path)))
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{path} does not hold the weights of trunk {settings.trunk} ({reason})") from error
    return cast("DualModule", model)


def _build_open_clip(config: ModelConfig, *, trained: Path | None) -> OpenClipDualEncoder:
    architecture = config.settings.get("architecture")
    if not isinstance(architecture, str) or len(config.settings) > 1:
        raise ConfigError(
            "model.settings of kind open_clip are the architecture and nothing else, e.g. "
            f"{{architecture: ViT-B-32-quickgelu}}, not {config.settings}"
        )
    if trained is not None:
        # The activation that its weights were trained with, whatever the architecture's name says.
        quick = bool(read_config(trained).model.get("quick_gelu", False))
        return OpenClipDualEncoder.from_architecture(architecture, quick_gelu=quick)
    if config.init is None:
        return OpenClipDualEncoder.from_architecture(architecture)
    if config.init_sha256 is not None:
        if not Path(config.init).is_file():
            raise ConfigError(
                f"model.init_sha256 is about a file, and model.init {config.init!r} is none; leave it out"
            )
        _check_sha256(Path(config.init), expected=config.init_sha256)
    return OpenClipDualEncoder.of(create_open_clip(f"{architecture}:{config.init}"))


def _find_initial_weights(name: str, *, root: Path | None) -> Path:
    places = [Path(name).expanduser()] if root is None else [Path(name).expanduser(), root / "init" / name]
    for path in places:
        if path.is_file():
            return path
    raise ModelError(
        f"initial weights {name} are not there (looked for {' and '.join(map(str, places))}); the model card says "
        "where to get them"
    )


def _check_sha256(path: Path, *, expected: str | None) -> None:
    found = fingerprint_files(path)
    if expected is not None and found != expected:
        raise ModelError(f"{path} has SHA-256 {found}, the config expects {expected}: it is another file")


def check_phases(config: TrainConfig, *, size_px: int) -> None:
    """Raise ConfigError where a phase sets something that this kind of model would not heed."""
    for number, phase in enumerate(config.phases, start=1):
        if config.model.kind == "open_clip" and phase.trunk_lr is not None:
            raise ConfigError(f"phase {number}: trunk_lr is for the compact model's trunk; leave it out")
        if phase.image_size_px in (None, size_px):
            continue
        if config.model.kind == "open_clip":
            raise ConfigError(f"phase {number}: image_size_px must be the model's own {size_px}; leave it out")
        if phase.trunk_lr is None:
            raise ConfigError(
                f"phase {number}: image_size_px has no effect without trunk_lr, on cached features; leave it out"
            )


def model_settings(model: nn.Module, *, config: ModelConfig) -> dict[str, object]:
    """What the model has to be built from again."""
    if isinstance(model, OpenClipDualEncoder):
        # The activation may have come with the weights' tag, which a checkpoint does not know.
        return {**config.settings, "quick_gelu": model.quick_gelu}
    return dataclasses.asdict(cast("CompactDualEncoder", model).config)
