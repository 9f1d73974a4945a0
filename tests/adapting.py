"""Small models to put adapters on: open_clip's of every shape that matters, and a compact one, with weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip import factory
from safetensors.torch import save_file

from rsitr.config import AdapterConfig, ModelConfig, Phase, TrainConfig
from rsitr.models import CheckpointConfig, save_checkpoint
from rsitr.models.openclip import OpenClipDualEncoder
from tiny import SIZES, tiny_config, tiny_model

__all__ = ["ARCHITECTURES", "adapter_config", "tiny_architectures", "write_base", "write_compact_base"]

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VISION = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "lora-vit": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT},
    "lora-rn": {
        "embed_dim": 24,
        "vision_cfg": VISION | {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8},
        "text_cfg": TEXT,
    },
    "lora-timm": {
        "embed_dim": 24,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160},
        "text_cfg": TEXT,
    },
}


@contextmanager
def tiny_architectures(folder: Path) -> Iterator[None]:
    """open_clip knows ARCHITECTURES within the block."""
    folder.mkdir()
    for name, config in ARCHITECTURES.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    before = list(factory._MODEL_CONFIG_PATHS)
    open_clip.add_model_config(folder)
    try:
        yield
    finally:
        factory._MODEL_CONFIG_PATHS[:] = before
        factory._rescan_model_configs()


def write_base(file: Path, architecture: str = "lora-vit") -> OpenClipDualEncoder:
    """The weights of an architecture, away from special values, in a file as people have them."""
    torch.manual_seed(1)
    model = OpenClipDualEncoder.from_architecture(architecture)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    save_file({name: value.contiguous() for name, value in model.clip.state_dict().items()}, file)
    return model.eval()


def write_compact_base(folder: Path) -> Path:
    """A checkpoint of the tiny compact model."""
    model = tiny_model()
    save_checkpoint(
        folder,
        config=CheckpointConfig(kind="compact", name="base", model=SIZES),
        weights=model.state_dict(),
        dtype=torch.float32,
    )
    return folder


def adapter_config(model: ModelConfig, **changes: Any) -> TrainConfig:
    """Two epochs of adapters on a model, dropping pairs in the second, with everything switched on."""
    phase = Phase(epochs=2, batch_size=8, lr=1e-2, warmup_steps=2, weight_decay=0.1, average=0.8)
    defaults = {"model": model, "adapter": AdapterConfig(kind="lora", rank=2, alpha=8.0), "phases": (phase,)}
    return tiny_config(**(defaults | changes))
