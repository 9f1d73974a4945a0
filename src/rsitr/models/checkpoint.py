"""Checkpoint folders: `config.json`, `model.safetensors`, and a model card. No pickles.

The config names the SHA-256 of the weights that it was saved with, so that nobody takes others for its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from safetensors import SafetensorError

from rsitr.errors import ModelError
from rsitr.files import fingerprint_files, write_json
from rsitr.types import Mixture

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Content = TypeVar("Content")

FORMAT = 1
PACKAGED = Path(__file__).parent / "weights"
"""Folder of the packaged models."""
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
WEIGHTS_PART = f".{WEIGHTS_FILE}.part"
ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
"""Of an adapter, as peft calls them."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """What `config.json` holds.

    Attributes:
        kind: which builder makes the model: `compact` or `open_clip`.
        name: what the model is called.
        model: that builder's settings.
        inference: local tokens and preprocessing; mixture and, if there is one, re-ranking, as tuned on validation.
        training: how the weights came about: config, commit, data, hash of the ids trained on, validation results.
        weights_sha256: of the weights' file; :func:`save_checkpoint` sets it. Empty in older checkpoints.
        base: of an adapter the model that it belongs to, its name and the digest of its weights; empty for a model.
    """

    kind: str
    name: str
    model: dict[str, Any]
    inference: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""
    base: dict[str, Any] = field(default_factory=dict)

    @property
    def weights_file(self) -> str:
        """Name of the file that holds its weights."""
        return ADAPTER_WEIGHTS_FILE if self.base else WEIGHTS_FILE


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        config: what `config.json` holds.
        weights: float32; whole numbers as they are.
        fingerprint: digest of both files.
        folder: where it lies; a text side may have its vocabulary there.
    """

    config: CheckpointConfig
    weights: dict[str, Tensor]
    fingerprint: str
    folder: Path


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint(Generic[Content]):
    """Both files of a checkpoint, which belong together.

    Attributes:
        config: what `config.json` holds.
        content: of the weights' file, as it was asked for.
        fingerprint: digest of both files.
    """

    config: CheckpointConfig
    content: Content
    fingerprint: str


def save_checkpoint(
    folder: Path, *, config: CheckpointConfig, weights: dict[str, Tensor], dtype: torch.dtype | None = None
) -> None:
    """Write a checkpoint folder; who reads it gets what was there, or what is saved, or for a moment an error.

    Matrices are stored in `dtype`, float16 where it is None.
    """
    import torch
    from safetensors.torch import save_file

    dtype = dtype or torch.float16
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: _stored(value, dtype=dtype) for name, value in weights.items()}
    part = folder / WEIGHTS_PART
    save_file(stored, part, metadata={"format": "pt"})
    # save_file leaves the mode of a temporary file; others on the machine may read a model.
    part.chmod(0o644)
    # The config first: it tells that older weights are not its own, which an older config cannot.
    write_config(folder, replace(config, weights_sha256=fingerprint_files(part)))
    part.replace(folder / WEIGHTS_FILE)


def write_config(folder: Path, config: CheckpointConfig) -> None:
    """Write a checkpoint folder's `config.json` alone; one without a base is as older versions read it."""
    content = asdict(config)
    if not config.base:
        del content["base"]
    write_json(folder / CONFIG_FILE, {"format": FORMAT, **content})


def read_config(folder: Path) -> CheckpointConfig:
    """Read a checkpoint folder's `config.json` alone.

    Raises:
        ModelError: it is missing or malformed.
    """
    return _parse_config(folder, _read_config(folder))


def _read_config(folder: Path) -> bytes:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ModelError(f"{folder} is no checkpoint, it has no {CONFIG_FILE}: name a folder that `rsitr train` wrote")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error}); restore it or train again") from error


def _parse_config(folder: Path, content: bytes) -> CheckpointConfig:
    path = folder / CONFIG_FILE
    try:
        raw = json.loads(content.decode("utf-8"))
    except ValueError as error:  # json's and the decoder's errors are ValueErrors
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
        ModelError: a file is missing or malformed, or the weights are not those that the config was saved with.
    """
    from safetensors.torch import load_file

    opened = open_checkpoint(folder, load_file)
    weights = {name: value.float() if value.is_floating_point() else value for name, value in opened.content.items()}
    return Checkpoint(config=opened.config, weights=weights, fingerprint=opened.fingerprint, folder=folder)


def open_checkpoint(folder: Path, load: Callable[[Path], Content]) -> OpenedCheckpoint[Content]:
    """Read a checkpoint folder, its weights as `load` reads them, and make sure that both files belong together.

    Raises:
        ModelError: as :func:`load_checkpoint`.
    """
    written = _read_config(folder)
    config = _parse_config(folder, written)
    path = folder / config.weights_file
    fingerprint, digest = hashlib.sha256(written), hashlib.sha256()
    try:
        with path.open("rb") as file:
            content = load(path)
            for chunk in iter(lambda: file.read(2**20), b""):
                fingerprint.update(chunk)
                digest.update(chunk)
            # As long as it is open, no other file can be taken for it: what was loaded is what was digested.
            same = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError as error:
        raise ModelError(f"{folder} has no {path.name}; copy the whole checkpoint folder") from error
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read as safetensors ({error}); copy it again") from error
    if config.weights_sha256 and not (same and config.weights_sha256 == digest.hexdigest()):
        raise ModelError(
            f"{path} is not what {CONFIG_FILE} was saved with: somebody is saving, then try again; or was interrupted, "
            f"then rename .{path.name}.part to {path.name}; or has copied one file without the other"
        )
    return OpenedCheckpoint(config=config, content=content, fingerprint=fingerprint.hexdigest())


def fingerprint_folder(folder: Path) -> str:
    """What the model of a checkpoint folder is known by: digest of its weights and of its settings.

    Of an adapter, its strength is part of that; where its base lies is not.

    Raises:
        ModelError: as :func:`load_checkpoint`.
    """
    opened = open_checkpoint(folder, lambda _path: None)
    if not opened.config.base:
        return opened.fingerprint
    path = folder / ADAPTER_CONFIG_FILE
    try:
        about = dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}); copy it again") from error
    about.pop("base_model_name_or_path", None)
    return hashlib.sha256(f"{json.dumps(about, sort_keys=True)} {opened.fingerprint}".encode()).hexdigest()


def record_mixture(folder: Path, checkpoint: Checkpoint, *, mixture: Mixture, rerank: str | None = None) -> None:
    """Write another mixture, and another re-ranking if one is given, into a checkpoint's config.

    The weights stay, the fingerprint changes.
    """
    chosen = {"mixture": asdict(mixture), **({} if rerank is None else {"rerank": rerank})}
    config = replace(checkpoint.config, inference={**checkpoint.config.inference, **chosen})
    write_config(folder, config)


def _stored(value: Tensor, *, dtype: torch.dtype) -> Tensor:
    """Matrices in `dtype`; vectors are small and stay as they are, and so do counters, which fp16 would spoil."""
    target = dtype if value.is_floating_point() and value.ndim > 1 else value.dtype
    return value.detach().to(device="cpu", dtype=target).contiguous()
