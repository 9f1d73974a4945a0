"""Encoding pictures the fastest way that a machine has and that is still faithful to fp32.

Half the bytes of the weights are half the traffic of the memory, and processors that multiply bf16 do so faster; ONNX
Runtime and compilation join small steps to larger ones. What is faster on paper need not be on this machine, and what
is faster need not be faithful for this model: both are measured on a few pictures before anything is encoded.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rsitr.errors import ModelError
from rsitr.models.dual import Features
from rsitr.models.encoder import DualModule, TorchEncoder
from rsitr.models.onnx import OnnxImages
from rsitr.models.precision import FAITHFUL, has_bf16
from rsitr.types import FloatArray, ImageArray

__all__ = ["FAITHFUL", "EncodingPath", "accelerate", "keep_path", "trial_pictures"]

TRIAL_PICTURES = 8
TRIAL_RUNS = 2


@dataclass(frozen=True, slots=True)
class EncodingPath:
    """How pictures are encoded.

    Attributes:
        name: what and where, e.g. `bf16 weights on cpu`.
        cosine: least cosine with the fp32 vectors on the trial pictures.
        speedup: times as fast as fp32 there.
        tried: all paths that were tried, this one among them, fp32 not.
    """

    name: str
    cosine: float
    speedup: float
    tried: tuple[EncodingPath, ...] = ()

    def describe(self) -> str:
        """The path with what the trial said of it.

        >>> EncodingPath("bf16 weights on cpu", 0.99998, 1.9).describe()
        'bf16 weights on cpu (1.9 times fp32, cosine 0.99998)'
        """
        if self.name.startswith("fp32 on"):
            return self.name
        return f"{self.name} ({self.speedup:.1f} times fp32, cosine {self.cosine:.5f})"


class _Autocast(nn.Module):
    """The model as it is, its products computed in half precision (AMP)."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model: DualModule = model  # type: ignore[assignment]  # a dual encoder; nn.Module hides it
        self.dtype = dtype

    def image_features(self, images: Tensor) -> Features:
        """As of the model."""
        with torch.autocast(images.device.type, self.dtype):
            return self.model.image_features(images)


class _Compiled(nn.Module):
    """A model whose image side `torch.compile` has turned into kernels of its own; batches may be of any size."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: DualModule = model  # type: ignore[assignment]  # a dual encoder; nn.Module hides it
        self._run = torch.compile(self.model.image_features)

    def image_features(self, images: Tensor) -> Features:
        """As of the model."""
        if images.shape[0] > 1:
            torch._dynamo.mark_dynamic(images, 0)
        found: Features = self._run(images)
        return found


def accelerate(encoder: TorchEncoder, *, onnx: Path | None = None, compiled: bool = False) -> EncodingPath:
    """Let an encoder take the fastest path for pictures that is faithful; fp32 as the model is, where none is faster.

    Tried are: bf16 weights, where the device has the instructions; on a GPU AMP; ONNX Runtime, with what `rsitr export
    --onnx` wrote; and `torch.compile` of the best of these, which takes about a minute. Words stay fp32: a query is one
    text, and its vector meets those of all kinds.

    Args:
        encoder: whose pictures are encoded so from now on; its `image_path` names the path.
        onnx: a folder of `rsitr export --onnx`, made from the same model.
        compiled: also try `torch.compile`.

    Returns:
        The path that is taken.

    Raises:
        ModelError: the folder holds the export of another model or none, or ONNX Runtime is not installed.
    """
    best = EncodingPath(f"fp32 on {encoder.device.type}", cosine=1.0, speedup=1.0)
    best_model: nn.Module | None = None
    candidates = _candidates(encoder, onnx=onnx)
    first = next(candidates, None)
    if first is None and not compiled:
        return best
    pictures = trial_pictures(encoder.image_size_px)
    encoder.set_image_model(None, name=best.name)
    expected, plain_s = _trial(encoder, pictures)
    tried: list[EncodingPath] = []

    def consider(name: str, model: nn.Module) -> None:
        nonlocal best, best_model
        encoder.set_image_model(model, name=name)
        found, time_s = _trial(encoder, pictures)
        path = EncodingPath(name, cosine=float((expected * found).sum(axis=1).min()), speedup=plain_s / time_s)
        tried.append(path)
        if path.cosine >= FAITHFUL and path.speedup > best.speedup:
            best, best_model = path, model

    for name, model in [] if first is None else [first, *candidates]:
        consider(name, model)
    if compiled and not isinstance(best_model, OnnxImages):
        name = best.name.replace(" on ", ", compiled, on ")
        try:
            consider(name, _Compiled(encoder.model if best_model is None else best_model))
        except RuntimeError as error:  # no compiler for this machine, or one that does not get along with the model
            encoder.set_image_model(best_model, name=best.name)
            reason = str(error).strip().splitlines()
            raise ModelError(
                f"torch.compile cannot be used here ({reason[0] if reason else type(error).__name__}); "
                "leave out --compile"
            ) from error
    encoder.set_image_model(best_model, name=best.name)
    return replace(best, tried=tuple(tried))


def keep_path(encoder: TorchEncoder, path: str, *, onnx: Path | None = None) -> bool:
    """Let an encoder encode in a way that is named, without a trial: as an index was encoded that is to grow.

    Args:
        encoder: whose pictures are encoded so from now on, if it can be.
        path: the name of an :class:`EncodingPath`; on which device is no part of the way.
        onnx: a folder of `rsitr export --onnx`, made from the same model.

    Returns:
        Whether it can be done here; the encoder is left as it was where it cannot.
    """
    way = path.rpartition(" on ")[0]
    plain, is_compiled = way.removesuffix(", compiled,"), way.endswith(", compiled,")
    ways = chain([(f"fp32 on {encoder.device.type}", None)], _candidates(encoder, onnx=onnx))
    found = next(((name, model) for name, model in ways if name.rpartition(" on ")[0] == plain), None)
    if found is None:
        return False
    name, model = found
    if not is_compiled:
        encoder.set_image_model(model, name=name)
        return True
    before = encoder.image_path
    try:
        encoder.set_image_model(_Compiled(model or encoder.model), name=name.replace(" on ", ", compiled, on "))
        encoder.encode_images(trial_pictures(encoder.image_size_px))
    except RuntimeError:  # no compiler on this machine
        encoder.set_image_model(None, name=before)
        return False
    return True


def _candidates(encoder: TorchEncoder, *, onnx: Path | None) -> Iterator[tuple[str, nn.Module]]:
    where = encoder.device.type
    if has_bf16(encoder.device):
        yield f"bf16 weights on {where}", _halved(encoder.model)
    if where == "cuda":
        dtype = torch.bfloat16 if has_bf16(encoder.device) else torch.float16
        yield f"AMP {str(dtype).removeprefix('torch.')} on {where}", _Autocast(encoder.model, dtype)
    if onnx is not None:
        yield f"ONNX Runtime on {where}", OnnxImages(onnx, fingerprint=encoder.fingerprint, device=encoder.device)


def _halved(model: nn.Module) -> nn.Module:
    """A copy with bf16 weights, convolutions channels-last as the compact trunk's pictures are."""
    half = copy.deepcopy(model).to(torch.bfloat16)
    for module in half.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
    return half.eval()


def _trial(encoder: TorchEncoder, pictures: list[ImageArray]) -> tuple[FloatArray, float]:
    """Vectors, and the seconds of the fastest run; the first one is for warming up."""
    encoder.encode_images(pictures)
    times_s = []
    for _ in range(TRIAL_RUNS):
        start = time.perf_counter()
        vectors = encoder.encode_images(pictures).global_emb
        times_s.append(time.perf_counter() - start)
    return vectors, min(times_s)


def trial_pictures(size_px: int) -> list[ImageArray]:
    """Textures from smooth to fine, in colours: no two alike, as tiles are."""
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[0:size_px, 0:size_px] / size_px
    pictures = []
    for number in range(TRIAL_PICTURES):
        waves = rng.normal(size=(3, 3, 2)) * 2.0 ** (number - 1)
        phases = rng.uniform(0, 2 * np.pi, size=(3, 3))
        angles = 2 * np.pi * (waves[..., 0, None, None] * rows + waves[..., 1, None, None] * cols)
        values = np.sin(angles + phases[..., None, None]).mean(axis=1)
        values += rng.normal(scale=0.1, size=values.shape)
        pictures.append(np.clip(128 + 90 * np.moveaxis(values, 0, -1), 0, 255).astype(np.uint8))
    return pictures
