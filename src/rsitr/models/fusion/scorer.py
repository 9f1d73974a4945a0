"""Scoring many pairs with a fusion model: what depends on one side alone is computed once per item.

Per image that is the image encoder and the keys and values of every cross-attention; per text the text encoder and the
first block's self-attention (METHODS 3.7). Exhaustive evaluation and the re-ranking of candidates both come here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsitr.models.compact import CompactImageEncoder
from rsitr.models.dual import Features
from rsitr.models.encoder import choose_device, inference, preprocess
from rsitr.models.fusion.model import FusionModel, image_sequence, match_score
from rsitr.models.fusion.sides import TextStates
from rsitr.models.fusion.vocabulary import Vocabulary
from rsitr.models.layers import Projected
from rsitr.models.precision import has_bf16
from rsitr.types import ImageArray

__all__ = ["PairScorer", "StartedTexts"]

IMAGES_AT_ONCE = 64
SMALL_GROUP = 32
"""Fewer texts than this for one image are scored together with other images' texts."""
BLOCK, MANY = 32, 256
"""Texts per pass on a CPU, where more are no faster but padded more; of many texts, twice as many. Passes of few shapes
are faster, since kernels are made for each."""
LENGTHS = 4
"""Texts are padded to a multiple of this, for the same reason."""


@dataclass(frozen=True, slots=True)
class StartedTexts:
    """Texts after the first block's self-attention.

    Attributes:
        tokens: (n, M, W).
        mask: (n, M) bool.
        length: (n,) tokens of each.
    """

    tokens: Tensor
    mask: Tensor
    length: Tensor

    def take(self, index: Tensor) -> StartedTexts:
        """The texts of these indices, without the columns that none of them needs."""
        length = self.length[index]
        longest = _round_up(int(length.max()))
        return StartedTexts(self.tokens[index, :longest], self.mask[index, :longest], length)


class PairScorer:
    """A fusion model ready to score, in evaluation mode; several threads may use it.

    Scores are log-odds of a match: the paper's probability (METHODS 3.6) before the sigmoid, which keeps the order and
    rounds no two confident pairs to a tie.

    Args:
        model: the fusion model.
        vocabulary: of its text side.
        name: what a person typed to get it.
        fingerprint: digest of weights and settings.
        device: where to compute; a GPU if there is one when it is None.
        batch_size: pairs per pass through the fusion encoder.
        half: compute in bf16; where the device has it when None.

    Raises:
        ConfigError: the device is not there.
    """

    def __init__(
        self,
        model: FusionModel,
        *,
        vocabulary: Vocabulary,
        name: str,
        fingerprint: str,
        device: str | None = None,
        batch_size: int = 256,
        half: bool | None = None,
    ) -> None:
        self.device = choose_device(device)
        self.model = model.to(self.device).eval()
        self.vocabulary = vocabulary
        self.name = name
        self.fingerprint = fingerprint
        self.batch_size = batch_size
        self.half = has_bf16(self.device) if half is None else half

    def encode_images(
        self,
        images: Sequence[ImageArray],
        *,
        batch_size: int = 64,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> Features:
        """Pictures of any size, each (H, W, 3) uint8 RGB -> v_cls (n, W_image), patches (n, N, W_image)."""
        parts = []
        with inference(self.model), self.precision():
            for start in range(0, len(images), batch_size):
                pictures = images[start : start + batch_size]
                batch = torch.stack([preprocess(picture, size_px=self.model.image_size_px) for picture in pictures])
                parts.append(self.model.image_features(batch.to(self.device)))
                progress(min(len(images), start + batch_size))
        return Features(
            global_emb=torch.cat([part.global_emb.float() for part in parts]),
            tokens=torch.cat([part.tokens.float() for part in parts]),
        )

    def encode_patches(self, patches: NDArray[np.float16]) -> Features:
        """Trunk features (n, N, C) of a compact image side -> what :meth:`encode_images` gives of their pictures."""
        with inference(self.model), self.precision():
            batch = torch.from_numpy(np.array(patches)).to(self.device).float()
            features: Features = cast("CompactImageEncoder", self.model.image)(batch)
        return Features(global_emb=features.global_emb.float(), tokens=features.tokens.float())

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> TextStates:
        """Texts -> states (n, M, W), w_cls first."""
        ids = torch.from_numpy(self.vocabulary.encode(texts)).to(self.device)
        with inference(self.model), self.precision():
            parts = [self.model.text_states(batch) for batch in torch.split(ids, batch_size)]
        return TextStates(torch.cat([part.tokens.float() for part in parts]), torch.cat([part.mask for part in parts]))

    def start_texts(self, texts: TextStates) -> StartedTexts:
        """The part of the fusion encoder that sees the text alone."""
        length = texts.mask.sum(dim=1)
        tokens = torch.zeros_like(texts.tokens)
        with inference(self.model), self.precision():
            for block in self.blocks(length):
                longest = _round_up(int(length[block].max()))
                started = self.model.fusion.start_text(texts.tokens[block, :longest], mask=texts.mask[block, :longest])
                tokens[block, :longest] = started.to(tokens.dtype)
        return StartedTexts(tokens, texts.mask, length)

    def blocks(self, length: Tensor) -> list[Tensor]:
        """Items of these lengths (n,) in blocks of about one length each, so that short ones are hardly padded."""
        order = length.argsort(stable=True)
        rounded = (length[order] + LENGTHS - 1) // LENGTHS
        step = (BLOCK if len(order) < MANY else 2 * BLOCK) if self.device.type == "cpu" else self.batch_size
        found: list[Tensor] = []
        for alike in torch.split(order, torch.unique_consecutive(rounded, return_counts=True)[1].tolist()):
            # Whole blocks of one length may be large; what is left of it goes with the next length.
            whole = len(alike) // self.batch_size * self.batch_size
            found += torch.split(alike[:whole], self.batch_size)
        taken = torch.cat([order[:0], *found])
        rest = order[~torch.isin(order, taken)]
        return [*(block for block in found if len(block)), *torch.split(rest, min(step, self.batch_size))]

    def score_all(
        self, texts: TextStates, images: Features, *, progress: Callable[[int], None] = lambda _done: None
    ) -> Tensor:
        """Every text with every image: (n_text, n_image) float32, on the CPU.

        Args:
            texts: from :meth:`encode_texts`.
            images: from :meth:`encode_images`.
            progress: called with the number of images done.
        """
        started = self.start_texts(texts)
        blocks = self.blocks(started.length)
        sequence = image_sequence(images)
        scores = torch.empty(len(texts.tokens), len(sequence), device=self.device)
        with inference(self.model), self.precision():
            for first in range(0, len(sequence), IMAGES_AT_ONCE):
                projected = self.model.fusion.project_image(sequence[first : first + IMAGES_AT_ONCE])
                for block in blocks:
                    part = started.take(block)
                    for place in range(len(projected[0].key)):
                        scores[block, first + place] = self._finish(part, _take(projected, slice(place, place + 1)))
                progress(first + len(projected[0].key))
        return scores.cpu()

    def score_pairs(
        self,
        texts: TextStates,
        images: Features,
        *,
        text_index: Tensor,
        image_index: Tensor,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> Tensor:
        """Chosen pairs: (P,) float32, on the CPU.

        Args:
            texts: from :meth:`encode_texts`.
            images: from :meth:`encode_images`.
            text_index: (P,) text of each pair.
            image_index: (P,) image of each pair.
            progress: called with the number of pairs done.
        """
        image_index = image_index.to(self.device)
        read, text_index = torch.unique(text_index.to(self.device), return_inverse=True)
        started = self.start_texts(texts.take(read))
        sequence = image_sequence(images)
        scores = torch.empty(len(text_index), device=self.device)
        order = image_index.argsort(stable=True)  # pairs of one image together: they share keys and values
        needed, counts = torch.unique_consecutive(image_index[order], return_counts=True)
        begins = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).tolist()
        with inference(self.model), self.precision():
            for first in range(0, len(needed), IMAGES_AT_ONCE):
                members = needed[first : first + IMAGES_AT_ONCE]
                # In one piece each: pairs take copies of them, and many small products of such are faster.
                projected = [
                    Projected(layer.key.contiguous(), layer.value.contiguous())
                    for layer in self.model.fusion.project_image(sequence[members])
                ]
                small: list[Tensor] = []
                for place in range(len(members)):
                    group = order[begins[first + place] : begins[first + place + 1]]
                    if len(group) < SMALL_GROUP:
                        small.append(torch.stack([group, torch.full_like(group, place)]))
                        continue
                    for alike in self.blocks(started.length[text_index[group]]):
                        block = group[alike]
                        part = started.take(text_index[block])
                        scores[block] = self._finish(part, _take(projected, slice(place, place + 1)))
                if small:
                    self._score_small(torch.cat(small, dim=1), started, text_index, projected, scores)
                progress(begins[first + len(members)])
        return scores.cpu()

    def _score_small(
        self,
        pairs: Tensor,
        started: StartedTexts,
        text_index: Tensor,
        projected: Sequence[Projected],
        scores: Tensor,
    ) -> None:
        """Pairs (2, P) of a place in the scores and a place among the projected images, each with its own image."""
        for alike in self.blocks(started.length[text_index[pairs[0]]]):
            block, places = pairs[:, alike]
            scores[block] = self._finish(started.take(text_index[block]), _take(projected, places))

    def _finish(self, started: StartedTexts, image: Sequence[Projected]) -> Tensor:
        u = self.model.fusion.finish(started.tokens, mask=started.mask, image=image)
        return match_score(self.model.match(u))

    def precision(self) -> AbstractContextManager[object]:
        """Autocast to bf16 where that is wanted."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half)


def _round_up(length: int) -> int:
    return -(-length // LENGTHS) * LENGTHS


def _take(projected: Sequence[Projected], which: slice | Tensor) -> list[Projected]:
    return [Projected(layer.key[which], layer.value[which]) for layer in projected]
