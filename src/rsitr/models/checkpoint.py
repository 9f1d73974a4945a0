"""Checkpoint folders: `config.json`, `model.safetensors`, and a model card. No pickles."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rsitr.errors import ModelError
from rsitr.types import Mixture

FORMAT = 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """What `config.json` holds.

    Attributes:
        kind: which builder makes the model: `compact` or `open_clip`.
        name: what the model is called.
        model: that builder's settings.
        inference: local tokens and preprocessing; mixture and, if there is one, re-ranking, as tuned on validation.
        training: how the weights came about: config, commit, data, hash of the ids trained on, validation results.
    """

    kind: str
    name: str
    model: dict[str, Any]
    inference: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as read: its config, its weights (float32; counters as they are), and the digest of both files."""

    config: CheckpointConfig
    weights: dict[str, Tensor]
    fingerprint: str


def save_checkpoint(
    folder: Path, *, config: CheckpointConfig, weights: dict[str, Tensor], dtype: torch.dtype = torch.float16
) -> None:
    """Write a checkpoint folder; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: _stored(value, dtype=dtype) for name, value in weights.items()}
    part = folder / f".{WEIGHTS_FILE}.part"
    save_file(stored, part, metadata={"format": "pt"})
    part.replace(folder / WEIGHTS_FILE)
    # save_file leaves the mode of a temporary file; others on the machine may read a model.
    (folder / WEIGHTS_FILE).chmod(0o644)
    write_json(folder / CONFIG_FILE, {"format": FORMAT, **asdict(config)})


def read_config(folder: Path) -> CheckpointConfig:
    """Read a checkpoint folder's `config.json` alone.

    Raises:
        ModelError: it is missing or malformed.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ModelError(f"{folder} is no checkpoint, it has no {CONFIG_FILE}: name a folder that `rsitr train` wrote")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:  # json's and the decoder's errors are ValueErrors
        raise ModelError(f"{path} cannot be read as JSON ({error}); restore it or train again") from error
    if not isinstance(raw, dict) or "format" not in raw:
        raise ModelError(f"{path} is not a checkpoint's config, it names no format; restore it or train again")
    version = raw.pop("format")
    if version != FORMAT:
        raise ModelError(f"{path} has format {version}, this rsitr reads format {FORMAT}; update rsitr")
    try:
        return CheckpointConfig(**raw)
    except TypeError as error:
        raise ModelError(f"{path} is not a checkpoint's config ({error}); restore it or train again") from error


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint folder.

    Raises:
        ModelError: a file is missing or malformed.
    """
    config = read_config(folder)
    weights_path = folder / WEIGHTS_FILE
    try:
        stored = load_file(weights_path)
        weights = {name: value.float() if value.is_floating_point() else value for name, value in stored.items()}
    except FileNotFoundError as error:
        raise ModelError(f"{folder} has no {WEIGHTS_FILE}; copy the whole checkpoint folder") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{weights_path} cannot be read as safetensors ({error}); copy it again") from error
    return Checkpoint(config=config, weights=weights, fingerprint=fingerprint_files(folder / CONFIG_FILE, weights_path))


def record_mixture(folder: Path, checkpoint: Checkpoint, *, mixture: Mixture, rerank: str | None = None) -> None:
    """Write another mixture, and another re-ranking if one is given, into a checkpoint's config.

    The weights stay, the fingerprint changes.
    """
    chosen = {"mixture": asdict(mixture), **({} if rerank is None else {"rerank": rerank})}
    config = replace(checkpoint.config, inference={**checkpoint.config.inference, **chosen})
    write_json(folder / CONFIG_FILE, {"format": FORMAT, **asdict(config)})


def _stored(value: Tensor, *, dtype: torch.dtype) -> Tensor:
    """Matrices in `dtype`; vectors are small and stay as they are, and so do counters, which fp16 would spoil."""
    target = dtype if value.is_floating_point() and value.ndim > 1 else value.dtype
    return value.detach().to(device="cpu", dtype=target).contiguous()


def fingerprint_files(*paths: Path) -> str:
    """SHA-256 over the files' contents, in order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()


def write_json(path: Path, content: object) -> None:
    """Write JSON that appears whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
