"""Which patches a word looks at: attention maps of a fusion model, and a dual encoder's similarities (METHODS 3.8)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rsitr.errors import ConfigError, QueryError
from rsitr.models.encoder import TorchEncoder, inference
from rsitr.models.fusion.blocks import FusionBlock
from rsitr.models.fusion.model import image_sequence, match_score
from rsitr.models.fusion.scorer import PairScorer
from rsitr.models.fusion.vocabulary import BpeVocabulary
from rsitr.models.wordpiece import Word
from rsitr.types import ImageArray

__all__ = ["WordMaps", "attention_maps", "similarity_maps"]


@dataclass(frozen=True, slots=True, eq=False)
class WordMaps:
    """Heat maps of a text's words over a picture.

    Attributes:
        words: in their order.
        maps: (n_words, grid, grid) float32. Attention: at least 0, what a word gives to each patch, the mean over
            heads and over the word's tokens; similarity: cosines.
        score: of the pair: the probability of a match, or the cosine.
        kind: what the maps are, in words.
    """

    words: tuple[str, ...]
    maps: NDArray[np.float32]
    score: float
    kind: str


def attention_maps(scorer: PairScorer, picture: ImageArray, text: str, *, layer: int | None = None) -> WordMaps:
    """Cross-attention of each word over the patches; the image's class vector, which has no place, is left out.

    Args:
        scorer: the fusion model.
        picture: (H, W, 3).
        text: what it is read with.
        layer: of the cross-attention, from 1; None is the last but one, the fifth of the paper's six.

    Raises:
        ConfigError: there is no such layer.
        QueryError: the text has no word.
    """
    model = scorer.model
    n_layers = len(model.fusion.blocks)
    chosen = max(1, n_layers - 1) if layer is None else layer
    if not 1 <= chosen <= n_layers:
        raise ConfigError(f"there is no cross-attention layer {chosen}: {scorer.name} has 1 to {n_layers}")
    words = _words_of(scorer.vocabulary.words(text), text)
    images, texts = scorer.encode_images([picture]), scorer.encode_texts([text])
    weights = torch.empty(0)
    with inference(model):
        projected = model.fusion.project_image(image_sequence(images))
        x = texts.tokens
        for number, (block, image) in enumerate(zip(model.fusion.blocks, projected, strict=True), start=1):
            assert isinstance(block, FusionBlock)
            x = block.attend_text(x, mask=texts.mask)
            if number == chosen:
                weights = block.cross.weights(x, image.key)[0].mean(dim=0)[:, 1:]
            x = block.feed_forward(block.attend_image(x, image))
        score = float(torch.sigmoid(match_score(model.match(x)))[0])
    return WordMaps(
        words=tuple(word.text for word in words),
        maps=_as_grids(weights.float().cpu().numpy(), words),
        score=score,
        kind=f"cross-attention, layer {chosen} of {n_layers}",
    )


def similarity_maps(encoder: TorchEncoder, picture: ImageArray, text: str) -> WordMaps:
    """Cosine of each word with each patch of a dual encoder (the entries of METHODS 1.4's matrix).

    Args:
        encoder: the dual encoder.
        picture: (H, W, 3).
        text: what it is compared with.

    Raises:
        QueryError: the text has no word.
    """
    words = _words_of(BpeVocabulary(context_length=encoder.model.context_length).words(text), text)
    images, texts = encoder.encode_images([picture]), encoder.encode_texts([text])
    patches, tokens = _unit(images.tokens[0]), _unit(texts.tokens[0])
    return WordMaps(
        words=tuple(word.text for word in words),
        maps=_as_grids(tokens @ patches.T, words),
        score=float(images.global_emb[0] @ texts.global_emb[0]),
        kind="cosine of word and patch",
    )


def _words_of(words: list[Word], text: str) -> list[Word]:
    if not words:
        raise QueryError(f"{text!r} has no word to draw a map for; say what is to be seen")
    return words


def _as_grids(rows: NDArray[np.float32], words: list[Word]) -> NDArray[np.float32]:
    """(n_tokens, N) -> (n_words, grid, grid): the mean over each word's tokens."""
    grid = round(rows.shape[1] ** 0.5)
    return np.stack([rows[list(word.positions)].mean(axis=0).reshape(grid, grid) for word in words])


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return unit
