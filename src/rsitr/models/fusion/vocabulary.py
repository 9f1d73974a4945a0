"""From words to ids and back, for both kinds of text side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import SimpleTokenizer
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from rsitr.data.masking import MASK_ID, CaptionMasker
from rsitr.errors import ModelError
from rsitr.models.encoder import local_mask

__all__ = ["VOCABULARY_FILE", "BpeVocabulary", "Vocabulary", "Word", "WordPieceVocabulary"]

VOCABULARY_FILE = "vocab.txt"
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, and the positions of its tokens."""

    text: str
    positions: tuple[int, ...]


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


class WordPieceVocabulary:
    """BERT's, lower-cased, from the `vocab.txt` of its checkpoint.

    Raises:
        ModelError: the file is missing, or no vocabulary of BERT's.
    """

    def __init__(self, path: Path, *, context_length: int) -> None:
        if not path.is_file():
            raise ModelError(f"there is no {path}: a BERT checkpoint of the official layout has it beside its weights")
        self.path = path
        tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)
        tokenizer.enable_truncation(context_length)
        self._tokenizer: Tokenizer = tokenizer._tokenizer
        special = [self._tokenizer.token_to_id(name) for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")]
        if None in special or special[0] != 0:
            raise ModelError(f"{path} is no vocabulary of BERT's: it needs [PAD] first, and [CLS], [SEP] and [MASK]")
        self._special = np.array(special)

    @property
    def size(self) -> int:
        """Ids there are."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def mask_id(self) -> int:
        """[MASK]."""
        return int(self._special[-1])

    def encode(self, texts: Sequence[str]) -> IntArray:
        """Texts -> ids (n, M), [CLS] first, zero-padded after [SEP]."""
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        ids = np.zeros((len(encoded), max(map(len, encoded), default=0)), dtype=np.int64)
        for row, values in enumerate(encoded):
            ids[row, : len(values)] = values
        return ids

    def maskable(self, ids: IntArray) -> NDArray[np.bool_]:
        """Ids (n, M) -> (n, M) bool: neither special nor padding."""
        return ~np.isin(ids, self._special)

    def words(self, text: str) -> list[Word]:
        """The words of a text: pieces are joined."""
        encoding = self._tokenizer.encode(text)
        groups: dict[int, list[int]] = {}
        for position, word in enumerate(encoding.word_ids):
            if word is not None:
                groups.setdefault(word, []).append(position)
        return [
            Word(text[encoding.offsets[places[0]][0] : encoding.offsets[places[-1]][1]], tuple(places))
            for places in groups.values()
        ]


class BpeVocabulary:
    """CLIP's byte-pair encoding, as the compact encoder reads it."""

    def __init__(self, *, context_length: int) -> None:
        tokenizer = SimpleTokenizer(context_length=context_length)
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
        mask: NDArray[np.bool_] = local_mask(torch.from_numpy(ids), local_tokens="valid").numpy()
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
