"""Encoding pictures the fastest way that a machine has and that is still faithful to fp32.

Half the bytes of the weights are half the traffic of the memory, and processors that multiply bf16 do so faster. What
is faster on paper need not be on this machine, and what is faster need not be faithful for this model: both are
measured on a few pictures before anything is encoded.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rsitr.models.encoder import TorchEncoder
from rsitr.models.precision import has_bf16
from rsitr.types import FloatArray, ImageArray

__all__ = ["FAITHFUL", "EncodingPath", "accelerate"]

FAITHFUL = 0.999
"""The least cosine with the fp32 vector, over all trial pictures, of a path that may be taken."""
TRIAL_PICTURES = 8
TRIAL_RUNS = 2


@dataclass(frozen=True, slots=True)
class EncodingPath:
    """How pictures are encoded.

    Attributes:
        name: `fp32` or `bf16 weights`, and where.
        cosine: least cosine with the fp32 vectors on the trial pictures.
        speedup: times as fast as fp32 there.
    """

    name: str
    cosine: float
    speedup: float


def accelerate(encoder: TorchEncoder) -> EncodingPath:
    """Let an encoder take bf16 weights for pictures, if the device has the instructions, and it is faithful and faster.

    Words stay fp32: a query is one text, and its vector meets those of both kinds.

    Returns:
        The path that is taken from now on; `encoder.image_path` names it.
    """
    plain = EncodingPath(f"fp32 on {encoder.device.type}", cosine=1.0, speedup=1.0)
    if not has_bf16(encoder.device):
        return plain
    pictures = _trial_pictures(encoder.image_size_px)
    expected, plain_s = _trial(encoder, pictures)
    encoder.set_image_model(_halved(encoder.model), name=f"bf16 weights on {encoder.device.type}")
    found, half_s = _trial(encoder, pictures)
    path = EncodingPath(
        encoder.image_path, cosine=float((expected * found).sum(axis=1).min()), speedup=plain_s / half_s
    )
    if path.cosine >= FAITHFUL and path.speedup > 1.0:
        return path
    encoder.set_image_model(None, name=plain.name)
    return plain


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


def _trial_pictures(size_px: int) -> list[ImageArray]:
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
