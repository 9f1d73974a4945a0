"""A training that is small enough for a test: sizes, configs, a trunk of one layer, and the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generators import write_karpathy_dataset
from rsitr.config import DataConfig, EbaConfig, KerConfig, LossConfig, ModelConfig, Phase, TrainConfig
from rsitr.models import CheckpointConfig, CompactConfig, CompactDualEncoder, TorchEncoder, save_checkpoint
from rsitr.models.lookout import LookoutConfig, LookoutDualEncoder
from rsitr.types import Mixture

__all__ = [
    "SIZES",
    "TinyTrunk",
    "tiny_config",
    "tiny_encoder",
    "tiny_model",
    "tiny_yaml",
    "write_tiny_data",
    "write_tiny_lookout",
]

SIZES: dict[str, Any] = {
    "trunk": "mobilenetv2",
    "image_size_px": 32,
    "grid": 2,
    "dim": 16,
    "image_width": 16,
    "image_layers": 1,
    "image_heads": 2,
    "text_width": 16,
    "text_layers": 1,
    "text_heads": 2,
    "embedding_width": 8,
    "context_length": 24,
}


PIECES = [
    "[PAD]",
    *(f"[unused{n}]" for n in range(99)),
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "lake",
    "road",
    "##s",
]


class TinyTrunk(nn.Module):
    """One convolution in place of a trunk (`monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)`)."""

    out_channels = 12
    stride = 16

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, self.out_channels, 16, 16)

    def forward(self, images: Tensor) -> Tensor:
        return F.relu(self.stem(images))


def tiny_model(**changes: Any) -> CompactDualEncoder:
    """A compact encoder of a few layers, the same in every call."""
    torch.manual_seed(0)
    return CompactDualEncoder(CompactConfig(**(SIZES | changes)))


def tiny_encoder(model: Any, **settings: Any) -> TorchEncoder:
    """A model behind the Encoder Protocol."""
    from rsitr.models.bpe import clip_tokenizer

    defaults = {"mixture": Mixture(alpha=1.0, beta=0.0), "name": "tiny", "fingerprint": "0" * 64, "device": "cpu"}
    return TorchEncoder(model, tokenizer=clip_tokenizer(model.context_length), **(defaults | settings))


def tiny_config(**changes: Any) -> TrainConfig:
    """Two frozen epochs and two unfrozen ones with everything switched on, dropping from the second epoch on."""
    common: dict[str, Any] = {"batch_size": 6, "lr": 1e-3, "warmup_steps": 2, "weight_decay": 0.1}
    defaults: dict[str, Any] = {
        "name": "tiny",
        "recipe": "ebaker",
        "data": DataConfig(sets=("ucm",), symmetries=True),
        "model": ModelConfig(kind="compact", settings=SIZES | {"dropout": 0.1}),
        "loss": LossConfig(repeats="positive", learn_scale=True),
        "ker": KerConfig(layers=1, vocabulary="keywords"),
        "eba": EbaConfig(drop_ratio=0.2, drop_epoch=1),
        "phases": (Phase(epochs=2, **common), Phase(epochs=2, trunk_lr=1e-3, image_size_px=48, **common)),
    }
    return TrainConfig(**(defaults | changes))


def tiny_yaml(path: Path, *, epochs: int = 1, workers: int = 0, init: str | None = None) -> Path:
    """A config file with a frozen and an unfrozen phase of `epochs` each. Returns its path."""
    sizes = "{" + ", ".join(f"{name}: {value}" for name, value in SIZES.items()) + "}"
    path.write_text(
        f"""# rsitr train {path.name}
name: tiny
recipe: ebaker
data: {{sets: [ucm], workers: {workers}}}
model: {{kind: compact, settings: {sizes}, init: {init or "null"}}}
ker: {{layers: 1, vocabulary: keywords}}
phases:
  - {{epochs: {epochs}, batch_size: 5, lr: 1.0e-3, warmup_steps: 2}}
  - {{epochs: {epochs}, batch_size: 5, lr: 1.0e-3, trunk_lr: 1.0e-4, warmup_steps: 2}}
""",
        encoding="utf-8",
    )
    return path


def write_tiny_data(root: Path, *, n_images: int = 12, seed: int = 0) -> Path:
    """UCM-Captions in small under `root`: two thirds train, a third val. Returns the root."""
    write_karpathy_dataset(
        root / "ucm", name="ucm", n_images=n_images, splits=("train", "train", "val"), size_px=40, seed=seed
    )
    return root


def write_tiny_lookout(folder: Path, **changes: Any) -> Path:
    """A checkpoint of a lookout model with one text layer, randomly initialised."""
    torch.manual_seed(0)
    settings = {"trunk": "lite0", "text_layers": 1, "image_size_px": 64, "grid": 2, "context_length": 8} | changes
    model = LookoutDualEncoder(LookoutConfig(**settings))
    model.text.words.random_(-127, 128)
    config = CheckpointConfig(kind="lookout", name="tiny", model=settings)
    save_checkpoint(folder, config=config, weights=model.state_dict())
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return folder
