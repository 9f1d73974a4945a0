"""WordPiece, the vocabulary of BERT and of what descends from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from rsitr.errors import ModelError

__all__ = ["VOCABULARY_FILE", "Word", "WordPieceVocabulary"]

VOCABULARY_FILE = "vocab.txt"
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, and the positions of its tokens."""

    text: str
    positions: tuple[int, ...]


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

    def numbers(self) -> dict[str, int]:
        """The id of each piece; those that go on a word begin with `##`."""
        return dict(self._tokenizer.get_vocab())

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
