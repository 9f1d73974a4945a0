"""Weights from a file as people have them: bare or wrapped, and told apart from what is none.

Only tensors are read: safetensors, or pickles with `weights_only=True`, which run no code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rsitr.errors import ModelError

__all__ = ["read_weights", "require_fit", "unwrap"]

WRAPPERS = ("state_dict", "model_state_dict", "model", "model_state", "module", "net", "network", "weights", "params")
"""Under what name programs of training put the weights, beside an optimizer and an epoch."""
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "clip.", "clip_model.")
"""What DataParallel, `torch.compile`, Lightning and own wrappers put before every name."""
SHOWN = 3


def read_weights(file: Path, *, safe: Iterable[Any] = ()) -> dict[str, Tensor]:
    """The tensors of a weights file, without what wraps them.

    Args:
        file: safetensors by its ending, else as `torch.save` writes.
        safe: further types that a pickle may hold beside tensors.

    Raises:
        ModelError: it holds no weights, or cannot be read; the message says what it is instead, and what to do.
    """
    try:
        with file.open("rb") as opened:
            start = opened.read(512)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read ({error.strerror or error})") from error
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{file}: a pointer of Git LFS in place of the weights: fetch them with `git lfs pull`")
    if start.lstrip()[:1] == b"<":
        raise ModelError(f"{file}: a web page in place of the weights: download the file itself, not its page")
    try:
        if file.suffix == ".safetensors":
            found: Any = load_file(file)
        else:
            with torch.serialization.safe_globals(list(safe)):
                found = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError) as error:
        raise ModelError(f"{file}: damaged or cut off: copy or download it again ({_first_line(error)})") from error
    except Exception as error:  # the unpickler raises many kinds
        raise ModelError(f"{file}: {_explain(error)}") from error
    return unwrap(found, file=file)


def unwrap(found: Any, *, file: Path) -> dict[str, Tensor]:
    """The tensors in what a file holds: out of what programs wrap them in, and without prefixes that all have.

    >>> unwrap({"epoch": 3, "model": {"module.scale": torch.ones(1)}}, file=Path("epoch_3.pt"))
    {'scale': tensor([1.])}

    Raises:
        ModelError: there are no tensors by name in it.
    """
    while isinstance(found, Mapping) and not any(isinstance(value, Tensor) for value in found.values()):
        inner = next((found[name] for name in WRAPPERS if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            break
        found = inner
    weights = {name: value for name, value in found.items() if isinstance(value, Tensor)} if _is_named(found) else {}
    if not weights:
        names = ", ".join(map(str, list(found)[:8])) if isinstance(found, Mapping) else type(found).__name__
        raise ModelError(f"{file}: there are no weights in it ({names}); save `model.state_dict()` and use that")
    while prefix := next((one for one in PREFIXES if all(name.startswith(one) for name in weights)), None):
        weights = {name.removeprefix(prefix): value for name, value in weights.items()}
    return weights


def require_fit(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, what: str, architecture: str) -> None:
    """Refuse weights that are not those of a model, naming what is missing, too much or of another shape.

    Args:
        weights: as read.
        expected: of the model.
        what: the file, for the message.
        architecture: of the model, for the message.

    Raises:
        ModelError: they do not fit, or hold NaN or infinity.
    """
    missing = sorted(expected.keys() - weights.keys())
    extra = sorted(weights.keys() - expected.keys())
    shapes = [
        f"{name} is {tuple(weights[name].shape)} in place of {tuple(expected[name].shape)}"
        for name in sorted(weights.keys() & expected.keys())
        if weights[name].shape != expected[name].shape
    ]
    if missing or extra or shapes:
        told = "; ".join(
            f"{_list(names)} {kind}"
            for names, kind in ((missing, "missing"), (extra, "too many"), (shapes, ""))
            if names
        )
        if any(name.startswith(("text_model.", "vision_model.")) for name in extra):
            advice = "they are named as Hugging Face's transformers name them: save them with open_clip's names"
        elif len(missing) == len(expected):
            advice = "they belong to another kind of model"
        else:
            advice = "name the architecture that they were trained with"
        raise ModelError(f"{what}: these weights are not those of {architecture} ({told.strip()}); {advice}")
    if broken := [name for name in sorted(weights) if _is_broken(weights[name])]:
        raise ModelError(f"{what}: these weights hold NaN or infinity ({_list(broken)}): their training has failed")


def _is_named(found: Any) -> bool:
    return isinstance(found, Mapping) and all(isinstance(name, str) for name in found)


def _is_broken(value: Tensor) -> bool:
    return value.is_floating_point() and not bool(torch.isfinite(value).all())


def _list(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _explain(error: Exception) -> str:
    text = str(error)
    if "TorchScript" in text:
        return "a TorchScript archive, which is a program: save the `state_dict()` of what it loads, and use that"
    if "Unsupported global" in text or "Unsupported class" in text or "WeightsUnpickler error" in text:
        return (
            "it holds Python objects beside tensors, which are not read as they could run any code: save "
            "`model.state_dict()` and use that"
        )
    if "zip archive" in text or "central directory" in text:
        return "damaged or cut off: copy or download it again"
    return f"not a file of weights ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
