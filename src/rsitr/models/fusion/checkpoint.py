"""Checkpoint folders of fusion models: as any other's, and BERT's `vocab.txt` where its text side needs one."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from rsitr.errors import ConfigError, ModelError
from rsitr.models.checkpoint import (
    CONFIG_FILE,
    Checkpoint,
    CheckpointConfig,
    load_checkpoint,
    read_config,
    save_checkpoint,
)
from rsitr.models.fusion.config import FusionConfig
from rsitr.models.fusion.model import FusionModel
from rsitr.models.fusion.scorer import PairScorer
from rsitr.models.fusion.vocabulary import BpeVocabulary, Vocabulary
from rsitr.models.wordpiece import VOCABULARY_FILE, WordPieceVocabulary

__all__ = ["KIND", "build_fusion", "build_vocabulary", "is_fusion", "load_fusion", "save_fusion"]

KIND = "fusion"


def save_fusion(
    folder: Path,
    model: FusionModel,
    *,
    name: str,
    vocabulary: Vocabulary,
    training: dict[str, Any],
    inference: dict[str, Any] | None = None,
) -> None:
    """Write a checkpoint folder: `config.json`, `model.safetensors`, and for a BERT text side its `vocab.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(vocabulary, WordPieceVocabulary) and vocabulary.path != folder / VOCABULARY_FILE:
        shutil.copyfile(vocabulary.path, folder / VOCABULARY_FILE)
    save_checkpoint(
        folder,
        config=CheckpointConfig(
            kind=KIND,
            name=name,
            model=dataclasses.asdict(model.config),
            inference=inference or {},
            training=training,
        ),
        weights=dict(model.state_dict()),
    )


def is_fusion(name: str) -> bool:
    """Is this the folder of a fusion model's checkpoint?"""
    folder = Path(name).expanduser()
    return (folder / CONFIG_FILE).is_file() and read_config(folder).kind == KIND


def load_fusion(name: str, *, device: str | None = None, batch_size: int = 256, half: bool | None = None) -> PairScorer:
    """Load a fusion model for scoring.

    Args:
        name: the checkpoint's folder.
        device: where to compute; a GPU if there is one when it is None.
        batch_size: pairs per pass through the fusion encoder.
        half: compute in bf16; where the device has it when None.

    Raises:
        ModelError: it is none, or does not fit this version.
        ConfigError: there is no such device.
    """
    folder = Path(name).expanduser()
    checkpoint = load_checkpoint(folder)
    if checkpoint.config.kind != KIND:
        raise ModelError(f"checkpoint {name} is of kind {checkpoint.config.kind!r}, a fusion model is needed here")
    model = build_fusion(checkpoint, name=name)
    return PairScorer(
        model,
        vocabulary=build_vocabulary(model.config, folder=folder),
        name=name,
        fingerprint=checkpoint.fingerprint,
        device=device,
        batch_size=batch_size,
        half=half,
    )


def build_fusion(checkpoint: Checkpoint, *, name: str) -> FusionModel:
    """The model of a checkpoint.

    Raises:
        ModelError: its config does not describe a model of this version, or its weights do not fit the config.
    """
    try:
        model = FusionModel(FusionConfig(**checkpoint.config.model))
        model.load_state_dict(checkpoint.weights)
    except (TypeError, ValueError, RuntimeError, ConfigError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ModelError(f"checkpoint {name} does not fit this rsitr: {reason}") from error
    return model


def build_vocabulary(config: FusionConfig, *, folder: Path) -> Vocabulary:
    """The vocabulary of a model; `folder` holds BERT's `vocab.txt` where its text side is a BERT.

    Raises:
        ModelError: that file is missing, or of another size than the model's.
    """
    if config.text == "compact":
        return BpeVocabulary(context_length=config.context_length)
    vocabulary = WordPieceVocabulary(folder / VOCABULARY_FILE, context_length=config.context_length)
    if vocabulary.size > config.vocabulary_size:
        raise ModelError(
            f"{folder / VOCABULARY_FILE} has {vocabulary.size} words, the model {config.vocabulary_size}: "
            "they don't belong together"
        )
    return vocabulary
