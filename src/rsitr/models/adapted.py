"""A folder with an adapter, as a model: its base, with the adapter put into its matrices.

Our trainings write such folders, and so does peft, on open_clip's or transformers' models. The file
`adapter_config.json` names the base, `base_model_name_or_path`. Needs the extra: pip install "rsitr[adapters]".
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rsitr.errors import ConfigError, ModelError
from rsitr.extras import need
from rsitr.files import fingerprint_files
from rsitr.models.checkpoint import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    PACKAGED,
    CheckpointConfig,
    fingerprint_folder,
    open_checkpoint,
    read_config,
    save_checkpoint,
)
from rsitr.models.encoder import DualModule, TorchEncoder, choose_device
from rsitr.models.fast import trial_pictures
from rsitr.models.inference import explain_misfit, read_inference
from rsitr.models.kinds import KINDS
from rsitr.models.precision import FAITHFUL
from rsitr.models.start import find_checkpoint
from rsitr.models.wordpiece import VOCABULARY_FILE

__all__ = ["Base", "Merged", "export_merged", "load_adapted"]

TRIAL_TEXTS = ("a river with a bridge", "many planes are parked beside a terminal in an airport", "farmland")
TOWERS_FILES = ("*.json", "*.model", "merges.txt", "vocab.txt")
"""What of a folder of transformers is beside its weights."""


@dataclass(frozen=True, slots=True)
class Base:
    """The model that an adapter belongs to.

    Attributes:
        name: as the adapter's file has it.
        place: by what it is loaded here.
    """

    name: str
    place: str


@dataclass(frozen=True, slots=True)
class Merged:
    """A whole model that was written of an adapter, and how near it is: least cosines on pictures and on texts."""

    folder: Path
    image_cosine: float
    text_cosine: float
    size_bytes: int


def load_adapted(
    folder: Path, *, name: str, find: Callable[[str], str], load: Callable[[str], TorchEncoder], device: str | None
) -> TorchEncoder:
    """The model that an adapter and its base make together, its adapter put into its matrices.

    Args:
        folder: of the adapter.
        name: what a person typed to get this model.
        find: from the name of the base to what `load` takes; raises ModelError where it is not here.
        load: loads a model, on the CPU.
        device: as :func:`rsitr.models.load_model` takes it.

    Raises:
        ModelError: the base is missing or another than the adapter was trained on, a file is missing or damaged, or
            they do not fit.
        ConfigError: there is no such device.
    """
    need("peft", what=f"{folder}, an adapter,", error=ModelError)
    choose_device(device)  # before anything is loaded
    about = _read_about(folder)
    own = open_checkpoint(folder, load_file) if find_checkpoint(str(folder)) is not None else None
    base = _find_base(folder, about, find=find)
    try:
        encoder = load(base.place)
    except ModelError as error:
        raise ModelError(f"{folder} is an adapter of {base.name}, which cannot be loaded: {error}") from error
    if not isinstance(encoder, TorchEncoder):
        raise ModelError(f"{folder} is an adapter of {base.name}, which is no model that torch runs")
    model = encoder.model if own is None else _restore(folder, own.config, encoder, base=base)
    _merge(folder, model, base=base)
    fingerprint = fingerprint_folder(folder) if own else _fingerprint(folder, about, encoder)
    if own is None:
        used: Any = encoder
    else:
        used = read_inference(own.config, folder=folder, name=name, fingerprint=fingerprint)
    return TorchEncoder(
        model,
        tokenizer=encoder.tokenizer,
        end_id=encoder.end_id,
        name=name,
        fingerprint=fingerprint,
        mixture=used.mixture,
        local_tokens=used.local_tokens,
        resize=used.resize,
        interpolation=used.interpolation,
        rerank=used.rerank if own else None,
        calibration=used.calibration if own else None,
        device=device,
    )


def export_merged(
    source: Path, into: Path, *, find: Callable[[str], str], load: Callable[[str], TorchEncoder]
) -> Merged:
    """Write an adapter and its base as a model that needs neither base nor peft, and compare the two.

    Args:
        source: folder of the adapter.
        into: a folder, made if it is not there.
        find: as for :func:`load_adapted`.
        load: likewise.

    Raises:
        ModelError: as :func:`load_adapted`; the model is of a kind that has no checkpoints; or what was written is not
            the same.
    """
    encoder = load_adapted(source, name=str(source), find=find, load=load, device="cpu")
    base = _find_base(source, _read_about(source), find=find)
    model: Any = encoder.model
    into.mkdir(parents=True, exist_ok=True)
    if hasattr(model, "towers"):
        model.towers.save_pretrained(into)
        for file in (file for pattern in TOWERS_FILES for file in sorted(Path(base.place).glob(pattern))):
            if not (into / file.name).exists():
                shutil.copyfile(file, into / file.name)
    else:
        save_checkpoint(into, config=_describe(source, encoder, base=base), weights=dict(model.state_dict()))
        for words in (PACKAGED / base.place / VOCABULARY_FILE, Path(base.place) / VOCABULARY_FILE):
            if words.is_file():
                shutil.copyfile(words, into / VOCABULARY_FILE)
                break
    written = load(str(into))
    pictures = trial_pictures(encoder.image_size_px)
    sides = [
        (one.encode_images(pictures).global_emb, one.encode_texts(TRIAL_TEXTS).global_emb) for one in (encoder, written)
    ]
    image_cosine, text_cosine = (float((a * b).sum(axis=1).min()) for a, b in zip(*sides, strict=True))
    if (least := min(image_cosine, text_cosine)) < FAITHFUL:
        raise ModelError(
            f"{into}: the written model gives other vectors than {source} (cosine {least:.4f}): do not use it, and "
            "report the model's architecture"
        )
    size_bytes = sum(file.stat().st_size for file in into.glob("*.safetensors"))
    return Merged(into, image_cosine=image_cosine, text_cosine=text_cosine, size_bytes=size_bytes)


def _describe(source: Path, encoder: TorchEncoder, *, base: Base) -> CheckpointConfig:
    """The config of the whole model."""
    if find_checkpoint(str(source)) is not None:
        own = read_config(source)
        return replace(own, base={}, training={**own.training, "merged_from": own.base})
    model: Any = encoder.model
    if not hasattr(model, "clip"):
        raise ModelError(f"{source}: an adapter of {base.name}, of a kind that no checkpoint is written of")
    return CheckpointConfig(
        kind="open_clip",
        name=source.name,
        model={"architecture": base.name.partition(":")[0], "quick_gelu": model.quick_gelu},
        inference={
            "mixture": asdict(encoder.mixture),
            "local_tokens": encoder.local_tokens,
            "resize": encoder.resize,
            "interpolation": encoder.interpolation,
        },
        training={"merged_from": {"name": base.name}},
    )


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / ADAPTER_CONFIG_FILE
    if not (folder / ADAPTER_WEIGHTS_FILE).is_file():
        raise ModelError(
            f"{folder} has no {ADAPTER_WEIGHTS_FILE}; adapters are read as safetensors alone: fetch or save that file"
        )
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(found, dict) or "peft_type" not in found:
        raise ModelError(f"{path} is no config of peft, it names no peft_type; copy it again")
    return found


def _find_base(folder: Path, about: dict[str, Any], *, find: Callable[[str], str]) -> Base:
    name = about.get("base_model_name_or_path")
    hint = f"at base_model_name_or_path of {folder / ADAPTER_CONFIG_FILE}"
    if not name or not isinstance(name, str):
        raise ModelError(
            f"{folder}: an adapter that does not say of which model: write {hint} what `--model` would take, such as "
            "ViT-B-32-quickgelu:openai or a folder"
        )
    for path in (Path(name).expanduser(), folder / name):
        if path.is_dir():
            if path.resolve() == folder.resolve() or (path / ADAPTER_CONFIG_FILE).is_file():
                raise ModelError(
                    f"{folder} is an adapter of {name}, which is an adapter itself: write the whole model of that one, "
                    f"`rsitr export {name} --merged NEW`, and name it {hint}"
                )
            return Base(name, str(path))
    try:
        return Base(name, find(name))
    except ModelError as error:
        raise ModelError(f"{folder} is an adapter of {name}: {error}; or write {hint} where it is") from error


def _restore(folder: Path, config: CheckpointConfig, encoder: TorchEncoder, *, base: Base) -> DualModule:
    """The base of a training's adapter as it was trained, known to be the one."""
    from rsitr.models.adapters import adapted_part, digest_weights

    expected, found = config.base.get("weights_sha256"), digest_weights(adapted_part(encoder.model).state_dict())
    if expected != found:
        raise ModelError(
            f"{folder}: trained on {config.base.get('name')} with weights of digest {str(expected)[:12]}, and those of "
            f"{base.place} have {found[:12]}: they are others; get back the model that it was trained on"
        )
    if config.kind == "open_clip":  # with the mean and deviation of the pictures that its weights came with
        return encoder.model
    try:
        model = KINDS[config.kind].restore(config.model)
        model.load_state_dict(encoder.model.state_dict())
    except (TypeError, ValueError, RuntimeError, ConfigError) as error:
        raise explain_misfit(str(folder), error) from error
    return cast("DualModule", model)


def _merge(folder: Path, model: nn.Module, *, base: Base) -> None:
    """Put an adapter into the matrices of its base."""
    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict

    from rsitr.models.adapters import adapted_part

    part = adapted_part(model)
    try:
        weights = load_file(folder / ADAPTER_WEIGHTS_FILE)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{folder / ADAPTER_WEIGHTS_FILE} cannot be read as safetensors ({error})") from error
    if broken := [name for name, value in weights.items() if _is_broken(value)]:
        raise ModelError(f"{folder}: this adapter holds NaN or infinity ({broken[0]}): its training has failed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the check below finds
            config = PeftConfig.from_pretrained(str(folder))
            config.inference_mode = True
            wrapped: Any = get_peft_model(part, config)
            found = set_peft_model_state_dict(wrapped, weights)
    except Exception as error:  # peft and torch raise many kinds
        reason = " ".join(str(error).split())
        more = "..." if len(reason) > 300 else ""
        raise ModelError(f"{folder} does not fit its base {base.name} ({reason[:300]}{more})") from error
    trained = [name for name in found.missing_keys if wrapped.base_model.prefix in name]
    if wrong := [*found.unexpected_keys, *trained]:
        raise ModelError(
            f"{folder} does not fit its base {base.name}: {len(wrong):,} of its tensors have no place there, or are "
            f"missing ({sorted(wrong)[0]}); it was made for another model"
        )
    try:
        wrapped.merge_and_unload(safe_merge=True)
    except Exception as error:
        raise ModelError(
            f"{folder}: an adapter of kind {config.peft_type} cannot be put into matrices ({error})"
        ) from error
    part.requires_grad_(False)


def _is_broken(value: Tensor) -> bool:
    return value.is_floating_point() and not bool(torch.isfinite(value).all())


def _fingerprint(folder: Path, about: dict[str, Any], base: TorchEncoder) -> str:
    """Of an adapter of others: its base has one, too."""
    settings = {key: value for key, value in about.items() if key != "base_model_name_or_path"}
    weights = fingerprint_files(folder / ADAPTER_WEIGHTS_FILE)
    return hashlib.sha256(f"{json.dumps(settings, sort_keys=True)} {weights} {base.fingerprint}".encode()).hexdigest()
