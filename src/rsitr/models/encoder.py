"""From a dual encoder to vectors: preprocessing, tokenising, batching. What search and evaluation use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.calibration import Calibration
from rsitr.errors import ConfigError
from rsitr.models.dual import DualEncoder
from rsitr.models.lexicon import Lexicon
from rsitr.models.preparing import (
    EOS_ID,
    Interpolation,
    LocalTokens,
    Resize,
    cut_padding,
    local_mask,
)
from rsitr.types import EncodedImages, EncodedTexts, FloatArray, ImageArray, Mixture

CPU_BATCH = 16
"""Pictures at once on a CPU: a larger batch's feature maps are too large for the allocator to keep, and asking the
system for zeroed memory at every layer costs up to as much again as the arithmetic."""


class DualModule(nn.Module, DualEncoder):
    """Type of a module that is a dual encoder; never instantiated."""


class TorchEncoder:
    """A dual encoder with its preprocessing, behind :class:`rsitr.types.Encoder`.

    Args:
        model: the dual encoder.
        tokenizer: texts -> (n, context) int64 ids, zero-padded after the one that ends a text.
        name: what a person types to get this model.
        fingerprint: digest of weights and settings.
        mixture: how its similarities are mixed.
        local_tokens: which text tokens count as local (METHODS 1.1): the words, the words and [SOS], or all positions,
            padding included, as in the released code.
        resize: `squash` to the square, or resize the shorter side and `crop` the centre (open_clip's way).
        interpolation: of the resize.
        rerank: the re-ranking that was chosen for it on validation, as :func:`rsitr.rerank.parse_rerank` reads it.
        device: where to compute; a GPU if there is one when it is None.
        calibration: what makes its scores probabilities; None where that has not been fitted.
        end_id: the id that ends a text: CLIP's [EOS], or a WordPiece vocabulary's [SEP].

    Attributes:
        lexicon: which words it can know; None until whoever loads it tells.

    Raises:
        ConfigError: the device is not there.
    """

    def __init__(
        self,
        model: DualModule,
        *,
        tokenizer: Callable[[list[str]], Tensor],
        name: str,
        fingerprint: str,
        mixture: Mixture,
        local_tokens: LocalTokens = "valid",
        resize: Resize = "squash",
        interpolation: Interpolation = "bilinear",
        rerank: str | None = None,
        device: str | None = None,
        calibration: Calibration | None = None,
        end_id: int = EOS_ID,
    ) -> None:
        self.device = choose_device(device)
        self.end_id = end_id
        self.calibration = calibration
        self.lexicon: Lexicon | None = None
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        self._name = name
        self._fingerprint = fingerprint
        self._mixture = mixture
        self.local_tokens = local_tokens
        self.resize = resize
        self.interpolation = interpolation
        self.rerank = rerank
        self.set_image_model(None, name=f"fp32 on {self.device.type}")

    @property
    def name(self) -> str:
        """What a person typed to get this model."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Hex digest of weights and settings."""
        return self._fingerprint

    @property
    def dim(self) -> int:
        """Joint width D."""
        return self.model.dim

    @property
    def image_size_px(self) -> int:
        """Side of the square picture the image encoder sees."""
        return self.model.image_size_px

    @property
    def mixture(self) -> Mixture:
        """How global and local similarity are mixed for this model."""
        return self._mixture

    @property
    def image_path(self) -> str:
        """How pictures are encoded, e.g. `bf16 weights on cpu`."""
        return self._image_path

    def set_image_model(self, model: nn.Module | None, *, name: str) -> None:
        """Encode pictures with another form of the model from now on (:mod:`rsitr.models.fast`); None: the model."""
        self._image_model: DualModule = self.model if model is None else model.eval()  # type: ignore[assignment]
        self._image_dtype = next((weight.dtype for weight in self._image_model.parameters()), torch.float32)
        self._image_path = name

    def preprocess(self, image: ImageArray) -> Tensor:
        """One picture (H, W, 3) uint8 -> (3, S, S) float in [0, 1], S = image_size_px."""
        return preprocess(image, size_px=self.image_size_px, resize=self.resize, interpolation=self.interpolation)

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        """Encode pictures of any size, each (H, W, 3) uint8 RGB; at once `batch_size`, on a CPU 16 at most.

        Returns:
            Unit global features (n, D) and local features (n, N, D), float32.
        """
        if self.device.type == "cpu":
            batch_size = min(batch_size, CPU_BATCH)
        global_emb: list[FloatArray] = []
        tokens: list[FloatArray] = []
        with inference(self._image_model):
            for start in range(0, len(images), batch_size):
                batch = torch.stack([self.preprocess(image) for image in images[start : start + batch_size]])
                features = self._image_model.image_features(batch.to(self.device, self._image_dtype))
                global_emb.append(_numpy(F.normalize(features.global_emb.float(), dim=-1)))
                tokens.append(_numpy(features.tokens))
        if not global_emb:
            return EncodedImages(_empty(0, self.dim), _empty(0, 0, self.dim))
        return EncodedImages(np.concatenate(global_emb), np.concatenate(tokens))

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
        """Encode captions or queries. Columns that no text needs are cut off, unless all positions count as local.

        Returns:
            Unit global features (n, D), local features (n, M, D), float32, and which of them count.
        """
        if not texts:
            return EncodedTexts(_empty(0, self.dim), _empty(0, 0, self.dim), np.zeros((0, 0), dtype=np.bool_))
        ids = self.tokenizer(list(texts))
        if self.local_tokens != "all":
            ids = cut_padding(ids, end_id=self.end_id)
        global_emb: list[FloatArray] = []
        tokens: list[FloatArray] = []
        with inference(self.model):
            for batch in torch.split(ids, batch_size):
                features = self.model.text_features(batch.to(self.device))
                global_emb.append(_numpy(F.normalize(features.global_emb.float(), dim=-1)))
                tokens.append(_numpy(features.tokens))
        return EncodedTexts(np.concatenate(global_emb), np.concatenate(tokens), self._counted(ids))

    def _counted(self, ids: Tensor) -> NDArray[np.bool_]:
        return local_mask(ids, local_tokens=self.local_tokens, end_id=self.end_id).numpy()


def preprocess(
    image: ImageArray, *, size_px: int, resize: Resize = "squash", interpolation: Interpolation = "bilinear"
) -> Tensor:
    """One picture (H, W, 3) uint8 -> (3, size_px, size_px) float in [0, 1]; see :class:`TorchEncoder`."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    height, width = pixels.shape[-2:]
    target = (size_px, size_px)
    if resize == "crop":
        factor = size_px / min(height, width)
        target = (max(size_px, round(height * factor)), max(size_px, round(width * factor)))
    if (height, width) != target:
        pixels = F.interpolate(pixels, target, mode=interpolation, antialias=True)
    top, left = (target[0] - size_px) // 2, (target[1] - size_px) // 2
    return pixels[0, :, top : top + size_px, left : left + size_px].float() / 255


def choose_device(name: str | None) -> torch.device:
    """The device called `name`; a GPU if there is one when it is None.

    Raises:
        ConfigError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for a device
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device {name!r} cannot be used ({reason}); use cpu, or cuda where there is a GPU"
        ) from error
    return device


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the model's mode is put back afterwards.

    A model that is in evaluation mode is not touched, so that several threads may use it.
    """
    training = model.training
    if training:
        model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if training:
            model.train()


def _numpy(x: Tensor) -> FloatArray:
    result: FloatArray = x.float().cpu().numpy()
    return result


def _empty(*shape: int) -> FloatArray:
    return np.zeros(shape, dtype=np.float32)
