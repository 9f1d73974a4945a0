"""Masked captions for the masked-language term (METHODS 1.6): which words of a caption the model has to name.

Three strategies, the rows of EBAKER's table 4: `random` (IRR), `attribute` (MAM) and `keyword` (KER).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rsitr.data.adjectives import ADJECTIVES
from rsitr.errors import ConfigError

__all__ = [
    "IGNORED_LABEL",
    "MASK_ID",
    "BpeTokenizer",
    "CaptionMasker",
    "MaskPosition",
    "MaskStrategy",
    "MaskedCaptions",
    "mask_at_random",
]

MaskStrategy = Literal["random", "attribute", "keyword"]
MaskPosition = Literal["word", "released"]

MASK_ID = 49405
"""The last merge of CLIP's vocabulary, used as [mask] so that the vocabulary keeps its size (the authors' choice)."""

IGNORED_LABEL = -100
"""The label of a position that is not predicted; `torch.nn.functional.cross_entropy` ignores it by default."""

_SELECTED, _MASKED, _REPLACED = 0.15, 0.8, 0.1
_KEPT = 2**16
"""Captions, and words, whose tokens are kept: some 40 MB. A training set's fit; a service's queries have no end."""


class BpeTokenizer(Protocol):
    """What is needed of `open_clip.tokenizer.SimpleTokenizer`: its cleaning, its split into words, its merges."""

    sot_token_id: int
    eot_token_id: int
    clean_fn: Callable[[str], str]
    pat: re.Pattern[str]
    byte_encoder: dict[int, str]
    encoder: dict[str, int]

    def bpe(self, token: str) -> str:
        """Merge a word's byte symbols; the parts are separated by blanks."""


@dataclass(frozen=True, slots=True)
class MaskedCaptions:
    """Masked captions of one batch.

    Attributes:
        ids: (n, M) int64 BPE ids with [SOS] and [EOS], zero-padded, masked.
        labels: (n, M) int64, the id that was there where one is to be predicted, else -100. A row without any
            maskable word has no label.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Tokens:
    """One caption: `ids` (length,) without padding, `chosen` the positions that are masked."""

    ids: NDArray[np.int64]
    chosen: NDArray[np.intp]


class CaptionMasker:
    """Tokenises captions and masks words. Keeps the tokens of the captions that it met last.

    `keyword` and `attribute` mask every BPE token of every occurrence of a listed word, whatever its case. A word is
    what the tokenizer takes for one: a run of letters, so that `Buildings,` is an occurrence of `buildings`. With
    `mask_position="released"` it is done as the authors' code does: the caption is split at white space, and the index
    of a listed word is taken for its token position, which misses [SOS] (the token before the word is masked) and
    words of several tokens. `random` masks 15 % of the tokens, each on its own, with BERT's 80 % [mask], 10 % another
    token, 10 % as it was. [SOS] (except by `released`), [EOS] and padding are never masked.
    """

    def __init__(
        self,
        tokenizer: BpeTokenizer,
        *,
        context_length: int,
        strategy: MaskStrategy = "keyword",
        keywords: Iterable[str] = (),
        mask_position: MaskPosition = "word",
    ) -> None:
        """Set up the masking of captions.

        Args:
            tokenizer: CLIP's.
            context_length: M, longest text in tokens, [SOS] and [EOS] included; the rest is cut off.
            strategy: what is masked.
            keywords: the words that `keyword` masks; the other strategies don't look at them.
            mask_position: where a listed word is looked for; without meaning for `random`.

        Raises:
            ConfigError: an unknown name, a setting that does not go with the strategy, or no keywords for `keyword`.
        """
        if strategy not in ("random", "attribute", "keyword"):
            raise ConfigError(f"unknown mask strategy {strategy!r}: choose random, attribute or keyword")
        if mask_position not in ("word", "released"):
            raise ConfigError(f"unknown mask position {mask_position!r}: choose word or released")
        if strategy == "random" and mask_position == "released":
            raise ConfigError("mask_position: released is about words; strategy random masks tokens: leave it at word")
        if context_length < 3:
            raise ConfigError(
                f"context_length must leave room for a token between [SOS] and [EOS], got {context_length}"
            )
        words = {"keyword": keywords, "attribute": ADJECTIVES, "random": ()}[strategy]
        self._words = frozenset(word.lower() for word in words)
        if strategy == "keyword" and not self._words:
            raise ConfigError("mask strategy keyword needs a list of keywords, got none")
        self.context_length = context_length
        self.strategy = strategy
        self.mask_position = mask_position
        self._tokenizer = tokenizer
        self._encode_word = lru_cache(maxsize=_KEPT)(self._encode_new_word)
        self._tokens = lru_cache(maxsize=_KEPT)(self._read)

    def tokenize(self, captions: Sequence[str]) -> NDArray[np.int64]:
        """BPE ids (n, M) int64 as the tokenizer itself gives them, nothing masked."""
        ids = np.zeros((len(captions), self.context_length), dtype=np.int64)
        for row, caption in enumerate(captions):
            tokens = self._tokens(caption).ids
            ids[row, : len(tokens)] = tokens
        return ids

    def mask(self, captions: Sequence[str], *, rng: np.random.Generator) -> MaskedCaptions:
        """Mask a batch of captions.

        Args:
            captions: n texts.
            rng: source of chance for `random`, which draws three numbers per position, whatever the captions say;
                the other strategies draw none.
        """
        ids = self.tokenize(captions)
        if self.strategy == "random":
            positions = np.arange(ids.shape[1])
            end = (ids == self._tokenizer.eot_token_id).argmax(axis=1)
            inside = (positions > 0) & (positions < end[:, None])
            return mask_at_random(ids, inside=inside, mask_id=MASK_ID, vocabulary_size=MASK_ID, disturb=True, rng=rng)
        chosen = self._choose_words(captions)
        return MaskedCaptions(ids=np.where(chosen, MASK_ID, ids), labels=np.where(chosen, ids, IGNORED_LABEL))

    def _choose_words(self, captions: Sequence[str]) -> NDArray[np.bool_]:
        chosen = np.zeros((len(captions), self.context_length), dtype=np.bool_)
        for row, caption in enumerate(captions):
            chosen[row, self._tokens(caption).chosen] = True
        return chosen

    def _read(self, caption: str) -> _Tokens:
        """Tokenise as `SimpleTokenizer` does, but word by word, to know which tokens are whose."""
        start, end = self._tokenizer.sot_token_id, self._tokenizer.eot_token_id
        ids: list[int] = [start]
        chosen: list[int] = []
        for word in self._tokenizer.pat.findall(self._tokenizer.clean_fn(caption)):
            word_ids = self._encode_word(word)
            if self.mask_position == "word" and word.lower() in self._words:
                chosen.extend(range(len(ids), len(ids) + len(word_ids)))
            ids.extend(word_ids)
        ids = [*ids[: self.context_length - 1], end]
        if self.mask_position == "released":
            chosen = [index for index, word in enumerate(caption.split()) if word.lower() in self._words]
        last = len(ids) - 1
        return _Tokens(
            ids=np.array(ids, dtype=np.int64),
            chosen=np.array([position for position in chosen if position < last], dtype=np.intp),
        )

    def _encode_new_word(self, word: str) -> list[int]:
        symbols = "".join(self._tokenizer.byte_encoder[byte] for byte in word.encode("utf-8"))
        return [self._tokenizer.encoder[part] for part in self._tokenizer.bpe(symbols).split(" ")]


def mask_at_random(
    ids: NDArray[np.int64],
    *,
    inside: NDArray[np.bool_],
    mask_id: int,
    vocabulary_size: int,
    disturb: bool,
    rng: np.random.Generator,
) -> MaskedCaptions:
    """Mask 15 % of the tokens, each on its own, whatever the tokenizer.

    Args:
        ids: (n, M).
        inside: (n, M) bool, what may be masked.
        mask_id: the id of [mask].
        vocabulary_size: other ids are drawn below it.
        disturb: BERT's way with the chosen: 80 % [mask], 10 % any token, 10 % as it was; False masks all of them.
        rng: one number per position is drawn from it, with `disturb` three.
    """
    chosen = inside & (rng.random(ids.shape) < _SELECTED)
    labels = np.where(chosen, ids, IGNORED_LABEL)
    if not disturb:
        return MaskedCaptions(ids=np.where(chosen, mask_id, ids), labels=labels)
    fate = rng.random(ids.shape)
    others = rng.integers(0, vocabulary_size, size=ids.shape)
    masked = np.where(chosen & (fate < _MASKED), mask_id, ids)
    masked = np.where(chosen & (fate >= _MASKED) & (fate < _MASKED + _REPLACED), others, masked)
    return MaskedCaptions(ids=masked, labels=labels)
