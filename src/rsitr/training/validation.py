"""Validation in training: every validation split after an epoch, mR as their mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from rsitr.data import CaptionedImage
from rsitr.data.captions import number_captions
from rsitr.evaluation.protocol import EncodedSplit, SplitResult, encode_captions, encode_split, measure, measure_scores
from rsitr.evaluation.tuning import tune_rerank
from rsitr.models.compact import CompactDualEncoder
from rsitr.models.dual import Features
from rsitr.models.encoder import DualModule, TorchEncoder, inference
from rsitr.models.fusion import PairScorer
from rsitr.rerank import Reranker
from rsitr.training.cache import cache_patches
from rsitr.training.rows import read_picture
from rsitr.training.views import CachedViews
from rsitr.types import EncodedImages, Mixture

__all__ = ["FeatureCache", "MtgfeValidator", "Validation", "Validator"]

MIXTURES = tuple(Mixture(alpha=1.0, beta=beta / 10, norm="rms") for beta in range(0, 21, 2))


class FeatureCache:
    """Trunk features of all pictures, computed when asked for with weights that they were not computed for yet."""

    def __init__(
        self,
        model: DualModule,
        images: Sequence[CaptionedImage],
        *,
        folder: Path,
        on_cache: Callable[[int, int], None],
    ) -> None:
        self.model, self.images, self.folder, self.on_cache = model, images, folder, on_cache

    def __call__(self) -> NDArray[np.float16]:
        """(n_images, N, C), in the order of the pictures."""
        return cache_patches(
            cast("CompactDualEncoder", self.model),
            self.images,
            folder=self.folder,
            progress=lambda done: self.on_cache(done, len(self.images)),
        )


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        results: `mR_SET` of each data set, and their mean `mR`.
        mixture: of global and local similarity that they were measured with.
    """

    results: dict[str, float]
    mixture: Mixture


class Validator:
    """Measures the model on every validation split; mR is the mean over the sets.

    Args:
        encoder: the model in training.
        splits: pictures by the name of their data set.
        cache: features of the training pictures and then of these, in this order.
        n_training: how many training pictures come first.
    """

    def __init__(
        self, encoder: TorchEncoder, splits: dict[str, list[CaptionedImage]], *, cache: FeatureCache, n_training: int
    ) -> None:
        self.encoder, self.splits, self.cache = encoder, splits, cache
        self.n_training = n_training
        self.encoded: dict[str, EncodedSplit] = {}
        self.latest = Validation({}, encoder.mixture)

    def __call__(self, frozen: bool) -> dict[str, float]:
        """Measure the model as it is; `frozen`: with the cached features."""
        self.encoded = {}  # the last epoch's make room first
        self.encoded = self.encode(frozen=frozen)
        self.latest = self._measure(self.encoder.mixture)
        return self.latest.results

    def encode(self, *, frozen: bool) -> dict[str, EncodedSplit]:
        """The splits as the model sees them now; a frozen trunk's features come from the cache."""
        encoded = {}
        first = self.n_training
        for name, images in self.splits.items():
            if frozen:
                encoded[name] = self._from_cache(images, self.cache()[first : first + len(images)])
            else:
                encoded[name] = encode_split(self.encoder, images)
            first += len(images)
        return encoded

    def answer(self, asked: Sequence[tuple[Mixture, Reranker | None]], *, frozen: bool) -> list[dict[str, SplitResult]]:
        """Measure every split, by name, in each of the ways asked; see :class:`rsitr.training.runs.Run`."""
        encoded, device = self.encode(frozen=frozen), self.encoder.device
        return [
            {name: measure(split, mixture=mixture, device=device, rerank=rerank) for name, split in encoded.items()}
            for mixture, rerank in asked
        ]

    def tuned(self, *, local: bool) -> Validation:
        """The best mixture on what was measured last; without `local` similarity there is but one."""
        mixtures = MIXTURES if local else MIXTURES[:1]
        return max((self._measure(mixture) for mixture in mixtures), key=lambda result: result.results["mR"])

    def reranked(self, method: str, mixture: Mixture) -> str | None:
        """The method's best settings on what was measured last."""
        splits = list(self.encoded.values())
        return tune_rerank(splits, method=method, mixture=mixture, device=self.encoder.device).rerank

    def _measure(self, mixture: Mixture) -> Validation:
        device = self.encoder.device
        each = {name: measure(split, mixture=mixture, device=device) for name, split in self.encoded.items()}
        results = {f"mR_{name}": result.metrics.mR for name, result in each.items()}
        return Validation({**results, "mR": float(np.mean(list(results.values())))}, mixture)

    def _from_cache(self, images: list[CaptionedImage], patches: NDArray[np.float16]) -> EncodedSplit:
        model = cast("CompactDualEncoder", self.encoder.model)
        parts = []
        with inference(model):
            for first in range(0, len(images), 256):
                batch = torch.from_numpy(np.array(patches[first : first + 256])).to(self.encoder.device).float()
                features = model.image(batch)
                parts.append((F.normalize(features.global_emb, dim=-1).cpu().numpy(), features.tokens.cpu().numpy()))
        emb, tokens = (np.concatenate(side) for side in zip(*parts, strict=True))
        return encode_captions(self.encoder, images, encoded=EncodedImages(emb, tokens))


class MtgfeValidator:
    """Scores every pair of each validation split (or of a sample of its pictures); mR is the mean over the sets.

    Args:
        scorer: of the model in training.
        splits: the pictures that are looked at, by set.
        cache: for phases with a frozen trunk.
    """

    def __init__(
        self, scorer: PairScorer, splits: Mapping[str, Sequence[CaptionedImage]], *, cache: CachedViews | None
    ) -> None:
        self.scorer, self.splits, self.cache = scorer, splits, cache
        self.latest: dict[str, float] = {}

    def __call__(self, frozen: bool) -> dict[str, float]:
        """MR per set, and their mean."""
        first = 0
        results = {}
        for name, images in self.splits.items():
            part = slice(first, first + len(images))
            features = self._from_cache(part) if frozen and self.cache is not None else self._encode(images)
            results[f"mR_{name}"] = self._measure(images, features)
            first += len(images)
        self.latest = {**results, "mR": float(np.mean(list(results.values())))}
        return self.latest

    def _measure(self, images: Sequence[CaptionedImage], features: Features) -> float:
        captions = number_captions([image.captions for image in images])
        scores = self.scorer.score_all(self.scorer.encode_texts(captions.texts), features)
        metrics, _ = measure_scores(scores, caption_text=captions.row_text, text_image=captions.row_image, rerank=None)
        return metrics.mR

    def _encode(self, images: Sequence[CaptionedImage]) -> Features:
        return self.scorer.encode_images([read_picture(image).permute(1, 2, 0).numpy() for image in images])

    def _from_cache(self, part: slice) -> Features:
        return self.scorer.encode_patches(cast("CachedViews", self.cache).held_out()[part])
