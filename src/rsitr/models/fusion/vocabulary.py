"""From words to ids and back, for both kinds of text side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsitr.data.masking import MASK_ID, CaptionMasker
from rsitr.models.bpe import clip_tokenizer
from rsitr.models.preparing import local_mask
from rsitr.models.wordpiece import Word

__all__ = ["BpeVocabulary", "Vocabulary"]

IntArray = NDArray[np.int64]


class Vocabulary(Protocol):
    """What a fusion model's text side reads."""

    @property
    def size(self) -> int:
        """Ids there are."""

    @property
    def mask_id(self) -> int:
        """The id that stands for a masked token."""

    def encode(self, texts: Sequence[str]) -> IntArray:
        """Texts -> ids (n, M), zero-padded, M the longest text; what exceeds the context is cut off."""

    def maskable(self, ids: IntArray) -> NDArray[np.bool_]:
        """Ids (n, M) -> (n, M) bool: the tokens of words, neither special nor padding."""

    def words(self, text: str) -> list[Word]:
        """The words of a text in order, as far as they are within the context."""


class BpeVocabulary:
    """CLIP's byte-pair encoding, as the compact encoder reads it."""

    def __init__(self, *, context_length: int) -> None:
        tokenizer = clip_tokenizer(context_length)
        self._masker = CaptionMasker(tokenizer, context_length=context_length, strategy="random")
        self._tokenizer = tokenizer

    @property
    def size(self) -> int:
        """Ids there are."""
        return int(self._tokenizer.vocab_size)

    @property
    def mask_id(self) -> int:
        """The last merge, as EBAKER has it."""
        return MASK_ID

    def encode(self, texts: Sequence[str]) -> IntArray:
        """Texts -> ids (n, M), [SOS] first, zero-padded after [EOS]."""
        ids = self._masker.tokenize(texts)
        ends = (ids == self._tokenizer.eot_token_id).argmax(axis=1)
        return ids[:, : int(ends.max(initial=-1)) + 1]

    def maskable(self, ids: IntArray) -> NDArray[np.bool_]:
        """Ids (n, M) -> (n, M) bool: between [SOS] and [EOS]."""
        mask: NDArray[np.bool_] = local_mask(ids, local_tokens="valid")
        return mask

    def words(self, text: str) -> list[Word]:
        """The words of a text: a token that ends one says so."""
        ids = self.encode([text])[0]
        found: list[Word] = []
        parts: list[str] = []
        places: list[int] = []
        for position in np.flatnonzero(self.maskable(ids[None])[0]):
            part = self._tokenizer.decoder[int(ids[position])]
            parts.append(part.removesuffix("</w>"))
            places.append(int(position))
            if part.endswith("</w>"):
                found.append(Word("".join(parts), tuple(places)))
                parts, places = [], []
        return found
