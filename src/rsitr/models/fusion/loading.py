"""Initial weights of a fusion model: BERT's first and last layers, a ViT, or a compact dual encoder (METHODS 3.1).

Checkpoints are folders of the official layouts (`config.json` beside `model.safetensors` or `pytorch_model.bin`), on
disk or on the Hugging Face hub.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rsitr.errors import ModelError
from rsitr.models.checkpoint import Checkpoint
from rsitr.models.fusion.config import FusionConfig
from rsitr.models.fusion.model import FusionModel
from rsitr.models.fusion.sides import VitImage

__all__ = ["BertStart", "find_pretrained", "start_from_bert", "start_from_compact", "start_from_vit"]

Weights = Mapping[str, Tensor]
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
HUB_FILES = ("config.json", "vocab.txt", *WEIGHT_FILES)
HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


@dataclass(frozen=True, slots=True)
class BertStart:
    """What came of starting from a BERT.

    Attributes:
        initialised: parameters of the fusion encoder that BERT lacks, and that stay as they were initialised.
        mlm_head: state dict for :class:`rsitr.models.fusion.heads.MlmHead`, if the checkpoint has BERT's own.
    """

    initialised: tuple[str, ...]
    mlm_head: dict[str, Tensor] | None


def find_pretrained(name: str) -> Path:
    """The folder of a checkpoint: `name` itself where it is one, else what the hub has under that id.

    Raises:
        ModelError: there is neither.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not HUB_NAME.fullmatch(name):
        raise ModelError(f"{name} is neither a folder nor the id of a hub model such as google-bert/bert-base-uncased")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"there is no folder {name}, and the hub does not give a model of that id ({reason})"
        ) from error


def start_from_bert(model: FusionModel, folder: Path) -> BertStart:
    """Give a fusion model BERT's first layers as its text side, and BERT's last ones for its fusion encoder.

    Raises:
        ModelError: the folder holds no BERT, or one of other sizes.
    """
    config = model.config
    found = _read_config(folder)
    layers = int(found.get("num_hidden_layers", 0))
    for name, key, wanted in (
        ("width", "hidden_size", config.width),
        ("heads", "num_attention_heads", config.heads),
        ("mlp_width", "intermediate_size", config.mlp_width),
        ("vocabulary_size", "vocab_size", config.vocabulary_size),
    ):
        if found.get(key) != wanted:
            raise ModelError(f"{folder} has {key} {found.get(key)}, the config's {name} is {wanted}")
    if layers < config.text_layers + config.fusion_layers:
        raise ModelError(
            f"{folder} has {layers} layers; the config takes {config.text_layers} for the text side and "
            f"{config.fusion_layers} for the fusion encoder"
        )
    weights = {_modern(name): value for name, value in _read_weights(folder).items()}
    try:
        model.text.load_state_dict(_bert_text(weights, config=config))
        first = layers - config.fusion_layers
        fusion = {
            f"blocks.{number}.{name}": value
            for number in range(config.fusion_layers)
            for name, value in _bert_layer(weights, first + number).items()
        }
        missing = model.fusion.load_state_dict(fusion, strict=False).missing_keys
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{folder} does not hold a BERT of these sizes ({str(error).splitlines()[0]})") from error
    return BertStart(initialised=tuple(missing), mlm_head=_bert_head(weights))


def start_from_vit(model: FusionModel, folder: Path) -> None:
    """Give a fusion model a ViT or DeiT as its image side, in timm's layout or in that of transformers.

    Raises:
        ModelError: the folder holds no ViT, or one of other sizes.
    """
    if not isinstance(model.image, VitImage):
        raise ModelError("a ViT can start an image side of kind vit only; set model.settings.image")
    weights = dict(_read_weights(folder))
    if any("embeddings.cls_token" in name for name in weights):
        weights = _timm_names(weights)
    weights = {name: value for name, value in weights.items() if not name.startswith("head")}
    try:
        model.image.vit.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ModelError(f"{folder} does not hold a ViT of the config's sizes ({reason})") from error


def start_from_compact(model: FusionModel, checkpoint: Checkpoint, *, side: str) -> None:
    """Give a compact side (`image` or `text`) the weights of a compact dual encoder's; a committee's first member's.

    Raises:
        ModelError: the checkpoint is of another kind or size, or the model has no such side.
    """
    if getattr(model.config, side) != "compact" or checkpoint.config.kind != "compact":
        raise ModelError(
            f"the {side} side is of kind {getattr(model.config, side)}, the weights are of kind "
            f"{checkpoint.config.kind}; both must be compact"
        )
    own = {
        name.removeprefix(f"{side}."): value
        for name, value in checkpoint.weights.items()
        if name.startswith(f"{side}.") and not name.startswith(f"{side}.others.")
    }
    try:
        getattr(model, side).load_state_dict(own)
    except RuntimeError as error:
        raise ModelError(
            f"checkpoint {checkpoint.config.name} has other sizes than model.settings.compact "
            f"({str(error).splitlines()[-1].strip()})"
        ) from error


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); name a checkpoint folder of the official layout") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a model's config; name a checkpoint folder of the official layout")
    return content


def _read_weights(folder: Path) -> Weights:
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise ModelError(f"{folder} has no weights: neither {' nor '.join(WEIGHT_FILES)}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} cannot be read ({str(error).splitlines()[0]}); copy it again") from error


def _modern(name: str) -> str:
    """BERT's parameter names without the prefix of the task, and with today's names of a layer norm's."""
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _bert_text(weights: Weights, *, config: FusionConfig) -> dict[str, Tensor]:
    positions = weights["embeddings.position_embeddings.weight"]
    if len(positions) < config.context_length:
        raise KeyError(f"{len(positions)} positions, context_length is {config.context_length}")
    out = {
        "words.weight": weights["embeddings.word_embeddings.weight"],
        "positions.weight": positions[: config.context_length],
        "segment": weights["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": weights["embeddings.LayerNorm.weight"],
        "norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for number in range(config.text_layers):
        out |= {f"blocks.{number}.{name}": value for name, value in _bert_layer(weights, number).items()}
    return out


def _bert_layer(weights: Weights, number: int) -> dict[str, Tensor]:
    """One layer of BERT as a :class:`rsitr.models.fusion.blocks.TextBlock`."""
    out = {}
    for kind in ("weight", "bias"):

        def take(name: str, kind: str = kind) -> Tensor:
            return weights[f"encoder.layer.{number}.{name}.{kind}"]

        out[f"attention.query.{kind}"] = take("attention.self.query")
        out[f"attention.key_value.{kind}"] = torch.cat([take("attention.self.key"), take("attention.self.value")])
        out[f"attention.out.{kind}"] = take("attention.output.dense")
        out[f"norm_attention.{kind}"] = take("attention.output.LayerNorm")
        out[f"mlp.expand.{kind}"] = take("intermediate.dense")
        out[f"mlp.reduce.{kind}"] = take("output.dense")
        out[f"norm_mlp.{kind}"] = take("output.LayerNorm")
    return out


def _bert_head(weights: Weights) -> dict[str, Tensor] | None:
    head = "cls.predictions"
    if f"{head}.transform.dense.weight" not in weights:
        return None
    out = {
        f"{own}.{kind}": weights[f"{head}.transform.{theirs}.{kind}"]
        for own, theirs in (("transform", "dense"), ("norm", "LayerNorm"))
        for kind in ("weight", "bias")
    }
    # The output matrix is the word embeddings, which some files store once only.
    words = weights.get(f"{head}.decoder.weight", weights["embeddings.word_embeddings.weight"])
    return out | {"decoder.weight": words, "decoder.bias": weights[f"{head}.bias"]}


def _timm_names(weights: Weights) -> dict[str, Tensor]:
    """A transformers ViT's weights under timm's names."""
    weights = {re.sub(r"^(vit|deit)\.", "", name): value for name, value in weights.items()}
    out = {
        "cls_token": weights["embeddings.cls_token"],
        "pos_embed": weights["embeddings.position_embeddings"],
        "patch_embed.proj.weight": weights["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": weights["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": weights["layernorm.weight"],
        "norm.bias": weights["layernorm.bias"],
    }
    numbers = {int(match[1]) for name in weights if (match := re.match(r"encoder\.layer\.(\d+)\.", name))}
    for number in sorted(numbers):
        for kind in ("weight", "bias"):
            old, new = f"encoder.layer.{number}", f"blocks.{number}"
            parts = [weights[f"{old}.attention.attention.{part}.{kind}"] for part in ("query", "key", "value")]
            out[f"{new}.attn.qkv.{kind}"] = torch.cat(parts)
            for mine, theirs in (
                ("attn.proj", "attention.output.dense"),
                ("norm1", "layernorm_before"),
                ("norm2", "layernorm_after"),
                ("mlp.fc1", "intermediate.dense"),
                ("mlp.fc2", "output.dense"),
            ):
                out[f"{new}.{mine}.{kind}"] = weights[f"{old}.{theirs}.{kind}"]
    return out
