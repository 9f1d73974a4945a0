"""From a name to the model: a packaged one, a checkpoint folder, or an open_clip model with its weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rsitr.catalogue import CATALOGUE
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError, ModelError
from rsitr.extras import has_package, need
from rsitr.models.checkpoint import ADAPTER_CONFIG_FILE, CONFIG_FILE, PACKAGED, Checkpoint, load_checkpoint
from rsitr.models.graphs import has_graphs
from rsitr.models.inference import explain_misfit, read_inference
from rsitr.registry import Registry
from rsitr.types import Encoder

if TYPE_CHECKING:
    from rsitr.models.encoder import TorchEncoder

__all__ = [
    "MODELS",
    "describe_models",
    "find_base",
    "find_graphs",
    "from_checkpoint",
    "load_encoder",
    "load_model",
]

GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What a system with a GPU that torch may use has: NVIDIA's driver, AMD's, and that of Windows' Linux."""

MODELS: Registry[Callable[[str | None], Encoder]] = Registry("model", group="models", error=ModelError)
"""Encoders of one's own: what gives one, from the device."""


def load_encoder(name: str = DEFAULT_MODEL, *, device: str | None = None, bulk: bool = False) -> Encoder:
    """Load a model for indexing and searching: by ONNX Runtime where its checkpoint has graphs, else by torch.

    Args:
        name: as for :func:`load_model`.
        device: as for :func:`load_model`; ONNX Runtime is for the CPU.
        bulk: many pictures will be encoded: a GPU, where there is one, is worth the time that torch takes to start.

    Raises:
        ModelError: there is no such model, its files cannot be read, or it needs torch, which is not installed.
        ConfigError: there is no such device.

    Example:
        >>> load_encoder("lookout", device="cpu").encode_texts(["a runway with two planes"]).global_emb.shape
        (1, 384)
    """
    wants_torch = device not in (None, "cpu") or (bulk and device is None and has_package("torch") and _has_gpu())
    if (folder := find_graphs(name)) is not None and not wants_torch:
        from rsitr.models.portable import load_portable

        return load_portable(folder, name=name)
    return load_model(name, device=device)


def find_graphs(name: str) -> Path | None:
    """The checkpoint folder of a model that ONNX Runtime runs; None of any other."""
    folder = _find_folder(name)
    return folder if folder is not None and has_graphs(folder) else None


def load_model(name: str = DEFAULT_MODEL, *, device: str | None = None) -> TorchEncoder:
    """Load a model for inference with torch.

    Args:
        name: `lookout` or `compact` (packaged); another one that `rsitr models` lists, e.g. `remoteclip-vit-b-32`; a
            checkpoint folder, one of an adapter, or one of transformers' CLIP or SigLIP; an open_clip architecture with
            its tag or weights file, `ARCHITECTURE:TAG` or `ARCHITECTURE:FILE`; or `hf-hub:OWNER/NAME`; or the name of
            one's own that is
            registered in `MODELS`, which need not be a `TorchEncoder`.
        device: e.g. `cpu`, `cuda:0`; a GPU if there is one when it is None.

    Returns:
        The model behind :class:`rsitr.types.Encoder`.

    Raises:
        ModelError: there is no such model, its files cannot be read, or torch is not installed.
        ConfigError: there is no such device.

    Example:
        >>> model = load_model("lookout", device="cpu")
        >>> model.encode_texts(["a runway with two planes"]).global_emb.shape
        (1, 384)
    """
    known = CATALOGUE.get(name)
    if known is not None and not known.is_packaged and name not in MODELS:
        need("torch", what=f"the model {name}", error=ModelError)
        from rsitr.models.shortnames import load_known

        return load_known(known, device=device)
    folder = _find_folder(name)
    if folder is not None:
        need("torch", what=f"the model {name}", error=ModelError)
        if (folder / ADAPTER_CONFIG_FILE).is_file():
            from rsitr.models.adapted import load_adapted

            return load_adapted(folder, name=name, find=find_base, load=_load_on_cpu, device=device)
        from rsitr.models.huggingface import is_transformers_folder, load_transformers

        if is_transformers_folder(folder):
            return load_transformers(folder, name=name, device=device)
        return from_checkpoint(load_checkpoint(folder), name=name, device=device)
    if name in MODELS:
        return cast("TorchEncoder", MODELS[name](device))  # or less: commands that need more of it ask
    if ":" in name:
        need("torch", what=f"the model {name}", error=ModelError)
    if has_package("torch"):
        from rsitr.models.openclip import load_open_clip, looks_like_open_clip  # slow to import

        if looks_like_open_clip(name):
            return load_open_clip(name, device=device)
    raise ModelError(
        f"there is no model {name!r}: use {describe_models()}, a checkpoint folder, an open_clip name with its tag or "
        "file such as ViT-B-32-quickgelu:openai, or hf-hub:OWNER/NAME; `rsitr models` lists more"
    )


def find_base(name: str) -> str:
    """What :func:`load_model` takes for the base that an adapter names: the same, or the folder of a hub's repository.

    Raises:
        ModelError: the repository is not here, and cannot be fetched.
    """
    known = next((one for one in CATALOGUE.values() if name in (one.name, one.repository)), None)
    if known is not None:
        return known.name
    if _find_folder(name) is not None or name in MODELS or ":" in name or name.count("/") != 1:
        return name
    from rsitr.models.shortnames import fetch_folder

    return str(fetch_folder(name))


def _load_on_cpu(name: str) -> TorchEncoder:
    return load_model(name, device="cpu")


def describe_models() -> str:
    """The packaged models, for messages."""
    return ", ".join(sorted(path.parent.name for path in PACKAGED.glob(f"*/{CONFIG_FILE}"))) or "a trained model"


def from_checkpoint(checkpoint: Checkpoint, *, name: str, device: str | None = None) -> TorchEncoder:
    """The model of a checkpoint.

    Raises:
        ModelError: its config does not describe a model of this version, or its weights do not fit the config.
    """
    from rsitr.models.encoder import TorchEncoder, choose_device
    from rsitr.models.kinds import KINDS
    from rsitr.models.weight_files import require_fit

    config = checkpoint.config
    choose_device(device)  # before anything is built
    if config.kind not in KINDS:
        raise ModelError(
            f"checkpoint {name} is of kind {config.kind!r}, and a dual encoder ({', '.join(KINDS)}) is needed; a "
            "fusion model re-ranks what one finds: --rerank fusion:FOLDER"
        )
    settings = read_inference(config, folder=checkpoint.folder, name=name, fingerprint=checkpoint.fingerprint)
    try:
        kind = KINDS[config.kind]
        model = kind.restore(config.model)
        require_fit(checkpoint.weights, model.state_dict(), what=name, architecture=f"this {config.kind} model")
        model.load_state_dict(checkpoint.weights)
        reader = kind.read(model, checkpoint)
        encoder = TorchEncoder(
            model,  # type: ignore[arg-type]  # both are dual encoders; nn.Module hides it
            tokenizer=reader.tokenizer,
            end_id=reader.end_id,
            name=name,
            fingerprint=checkpoint.fingerprint,
            mixture=settings.mixture,
            local_tokens=settings.local_tokens,
            resize=settings.resize,
            interpolation=settings.interpolation,
            rerank=settings.rerank,
            calibration=settings.calibration,
            device=device,
        )
    except (TypeError, ValueError, RuntimeError, ConfigError) as error:
        raise explain_misfit(name, error) from error
    if settings.calibration is not None and settings.calibration.known and reader.lexicon is not None:
        encoder.lexicon = reader.lexicon(settings.calibration.known)
    return encoder


def _find_folder(name: str) -> Path | None:
    """The folder of a packaged model, or any folder of this name that is not registered; None if there is none."""
    if (PACKAGED / name / CONFIG_FILE).is_file():
        return PACKAGED / name
    folder = Path(name).expanduser()
    return folder if folder.is_dir() and name not in MODELS else None


def _has_gpu() -> bool:
    return any(Path(file).exists() for file in GPU_FILES) or shutil.which("nvidia-smi") is not None
