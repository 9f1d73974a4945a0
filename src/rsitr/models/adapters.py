"""Adapters: small matrices beside those of a model, which are trained in its place (LoRA, Hu et al. 2021).

peft has the layers and the files. Here is which parts of a dual encoder get an adapter, what stays frozen, and what a
training saves: `adapter_config.json` and `adapter_model.safetensors` as peft writes them, beside a `config.json` like
that of any checkpoint. Needs the extra: pip install "rsitr[adapters]".
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora.layer import MultiheadAttention
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call

from rsitr.config import AdapterConfig
from rsitr.errors import ConfigError
from rsitr.files import fingerprint_files, write_file
from rsitr.models.checkpoint import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    CheckpointConfig,
    write_config,
)

__all__ = [
    "Adapted",
    "ExactAttention",
    "adapt_model",
    "adapted_part",
    "choose_targets",
    "digest_weights",
    "save_adapter",
]

PREFIX = "base_model.model."
"""Before every name in peft's files."""
SHOWN = 8


class ExactAttention(MultiheadAttention):  # type: ignore[misc]  # peft has no types
    """peft's LoRA of a fused attention, on what goes into it alone, computed beside the frozen matrices.

    peft's own adds to the matrices before each pass and takes away after it, which leaves rounding behind: a frozen
    model would drift, and an adapter would belong to a base that nobody has. It also counts what is learned for the
    output matrix twice (https://github.com/huggingface/peft/pull/3774, open for 0.21). That stays at zero here, so that
    a file means the same to every version of peft, and to us.
    """

    def forward(self, query: Tensor, *inputs: Any, **more: Any) -> Any:
        """As :class:`torch.nn.MultiheadAttention`."""
        base = self.get_base_layer()
        if self.disable_adapters or self.merged:
            return base(query, *inputs, **more)
        into = base.in_proj_weight
        for name in self.active_adapters:
            into = into + self.get_delta_weight(name).to(into.dtype)
        return functional_call(base, {"in_proj_weight": into}, (query, *inputs), more)

    def leave_output(self) -> None:
        """Train nothing for the output matrix."""
        for name, parameter in self.get_base_layer().out_proj.named_parameters():
            if "lora_" in name:
                parameter.requires_grad_(False)


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """A model that has adapters in it.

    Attributes:
        part: whose parts' names the files have: transformers' or open_clip's own model, or all of ours.
        config: peft's.
        base: what stays as it is: its name, and the digest of its weights.
        n_targets: parts that have an adapter.
        n_trained: parameters that are trained.
        n_parameters: of the base.
    """

    part: nn.Module
    config: LoraConfig
    base: Mapping[str, str]
    n_targets: int
    n_trained: int
    n_parameters: int

    @property
    def note(self) -> str:
        """What a person is told before training."""
        return (
            f"adapters: LoRA of rank {self.config.r} on {self.n_targets} parts of {self.base['name']}; trained are "
            f"{self.n_trained:,} parameters beside its {self.n_parameters:,} "
            f"({self.n_trained / self.n_parameters:.1%}), which stay as they are"
        )


def adapt_model(model: nn.Module, *, settings: AdapterConfig, base: str, untrained: Collection[str] = ()) -> Adapted:
    """Freeze a model, batch norms and all, and put adapters into it, whose weights are then the only ones to train.

    Args:
        model: with the weights of the base; it is changed.
        settings: a config's section `adapter`.
        base: name of the base, which goes into the files.
        untrained: parts that no phase trains, which get no adapter.

    Raises:
        ConfigError: a target is no part of the model, or cannot have an adapter.
    """
    part = adapted_part(model)
    weights_sha256, n_parameters = digest_weights(part.state_dict()), sum(one.numel() for one in part.parameters())
    targets = choose_targets(part, settings.targets, called=_called(model), untrained=untrained)
    if not targets:
        raise ConfigError("no part of the model can have an adapter: it has neither attention nor linear layers")
    whole = [name for name in targets if isinstance(part.get_submodule(name), nn.MultiheadAttention)]
    if settings.dropout and whole:
        raise ConfigError(
            f"adapter.dropout has no effect on {whole[0]}, whose matrices are used as a whole: set it to 0.0, or leave "
            "such attention out of adapter.targets"
        )
    model.requires_grad_(False)
    _freeze_batch_norms(part)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # peft divides it, and takes fractions
        lora_dropout=settings.dropout,
        target_modules=targets,
        base_model_name_or_path=base,
    )
    config._register_custom_module({nn.MultiheadAttention: ExactAttention})
    inject_adapter_in_model(config, part)
    for module in part.modules():
        if isinstance(module, ExactAttention):
            module.leave_output()
    return Adapted(
        part=part,
        config=config,
        base={"name": base, "weights_sha256": weights_sha256},
        n_targets=len(targets),
        n_trained=sum(one.numel() for one in model.parameters() if one.requires_grad),
        n_parameters=n_parameters,
    )


def adapted_part(model: nn.Module) -> nn.Module:
    """The module that adapters are put into: open_clip's or transformers' model where one is inside, as others do."""
    found: nn.Module = getattr(model, "clip", getattr(model, "towers", model))
    return found


def choose_targets(
    part: nn.Module, asked: Sequence[str] | None, *, called: Collection[nn.Module], untrained: Collection[str] = ()
) -> list[str]:
    """Names of the parts that get an adapter.

    Args:
        part: the model.
        called: the parts that compute something themselves.
        asked: ends of names, or whole ones; None takes attention and linear layers, and convolutions that are not there
            to cut a picture into patches.
        untrained: parts that no phase trains.

    Raises:
        ConfigError: one that is asked for is not there, cannot have an adapter, or is not trained.
    """
    able = {name: module for name, module in _able(part) if module in called}
    idle = {name for name in able if any(name == one or name.startswith(f"{one}.") for one in untrained)}
    if asked is None:
        return [name for name, module in able.items() if name not in idle and not _cuts_patches(module)]
    chosen: dict[str, None] = {}
    for target in asked:
        found = [name for name in able if _ends(name, target)]
        if not found:
            raise ConfigError(_explain_target(part, target, able=list(able)))
        if not set(found) - idle:
            raise ConfigError(
                f"adapter.targets: {target} is in {' and '.join(untrained)}, which no phase trains: set "
                "phases.N.trunk_lr, or leave it out"
            )
        chosen |= dict.fromkeys(name for name in found if name not in idle)
    return list(chosen)


@torch.inference_mode()
def _called(model: Any) -> set[nn.Module]:
    """The parts that are called for a picture and a text; others are read by these, past any adapter on them."""
    found: set[nn.Module] = set()
    hooks = [one.register_forward_pre_hook(lambda one, _inputs: found.add(one)) for one in model.modules()]
    training = model.training
    try:
        model.eval()
        device = next(model.parameters()).device
        model.image_features(torch.zeros(1, 3, model.image_size_px, model.image_size_px, device=device))
        model.text_features(torch.ones(1, model.context_length, dtype=torch.int64, device=device))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _able(part: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts that can have an adapter, by name, with no way of their own to compute, such as a padding.

    What is inside of attention is read by it, never called.
    """
    from open_clip.modified_resnet import AttentionPool2d

    inside: tuple[str, ...] = ()
    for name, module in part.named_modules():
        if name.startswith(inside or ("\0",)):
            continue
        if isinstance(module, nn.MultiheadAttention | AttentionPool2d):
            inside = (*inside, f"{name}.")
        if isinstance(module, nn.MultiheadAttention):
            if module._qkv_same_embed_dim:
                yield name, module
        elif type(module).forward is nn.Linear.forward or (
            type(module).forward is nn.Conv2d.forward and module.groups == 1
        ):
            yield name, module


def _cuts_patches(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == module.stride != (1, 1)


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _explain_target(part: nn.Module, target: str, *, able: list[str]) -> str:
    there = next(((name, module) for name, module in part.named_modules() if _ends(name, target)), None)
    ends = list(dict.fromkeys(".".join(word for word in name.split(".") if not word.isdigit()) for name in able))
    short = list(dict.fromkeys(".".join(name.split(".")[-2:]) for name in ends))
    known = ", ".join(short[:SHOWN]) + (f" and {len(short) - SHOWN} more" if len(short) > SHOWN else "")
    if there is None:
        return f"adapter.targets: no part of the model is called {target!r}; those that can have one end in {known}"
    return (
        f"adapter.targets: {there[0]} is a {type(there[1]).__name__} that cannot have an adapter of its own; those "
        f"that can end in {known}"
    )


def _freeze_batch_norms(part: nn.Module) -> None:
    """Their running means would go on in training, and no adapter would tell of it."""
    if any(isinstance(module, nn.BatchNorm2d) for module in part.modules()):
        from timm.utils.model import freeze_batch_norm_2d

        freeze_batch_norm_2d(part)


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of a model's weights as numbers, however they are stored: names, shapes, and what is in them."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name].detach().cpu()
        value = value.float() if value.is_floating_point() else value
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(np.ascontiguousarray(value.numpy()).tobytes())
    return digest.hexdigest()


def save_adapter(folder: Path, *, config: CheckpointConfig, adapted: Adapted) -> None:
    """Write a checkpoint folder that holds an adapter; its base is named, and not in it.

    Args:
        folder: made if it is not there.
        config: of the checkpoint; its `base` and `weights_sha256` are set here.
        adapted: what was trained.
    """
    found = get_peft_model_state_dict(adapted.part, save_embedding_layers=False)
    weights = {PREFIX + name: value.detach().to("cpu", torch.float32).contiguous() for name, value in found.items()}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{ADAPTER_WEIGHTS_FILE}.part"
    save_file(weights, part, metadata={"format": "pt"})
    part.chmod(0o644)
    # The config first, as in any checkpoint: it tells that older weights are not its own.
    write_config(folder, replace(config, base=dict(adapted.base), weights_sha256=fingerprint_files(part)))
    with tempfile.TemporaryDirectory() as place:
        adapted.config.save_pretrained(place)
        write_file(folder / ADAPTER_CONFIG_FILE, (Path(place) / ADAPTER_CONFIG_FILE).read_bytes())
    part.replace(folder / ADAPTER_WEIGHTS_FILE)
