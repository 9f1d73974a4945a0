"""Which words of a query a text side can know: those of its captions, and what lies near them.

A text side that knows English gives every string a vector, also "asdfghjkl" and the name of a person, and each lies
near something. Our own method: a word counts as known if captions have it, if its embedding is near that of a word of
theirs ("aerodrome" near "airport"), or if it is made of such words ("carpark").
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from rsitr.types import FloatArray

__all__ = ["Lexicon", "content_words"]

NEAR = 0.31
"""Cosine of centred embeddings from which a word counts as near. Synonyms that no caption of RSICD or UCM holds lie at
0.31 (marina) to 0.74 (railroad), first names, days of the week and greetings at 0.2 to 0.29 to the nearest."""
SHORTEST = 3
"""Letters of a word, or of a part of one, that is known by its neighbours: shorter ones are near anything."""
NAMED = 3
SPELLED_ALIKE = 0.75
BATCH = 4096
# Words that say how and where rather than what: they ask for nothing, and are in every caption.
FUNCTION_WORDS = """
a an the of in on at by to from with without and or not no is are was be there here this that
these those it its as for near next beside between around along over under above below behind
some many several few two three four one five six lot lots photo photograph picture image view
scene satellite aerial seen showing shows show surrounded which who where what
"""
FUNCTION = frozenset(FUNCTION_WORDS.split())


class Lexicon:
    """What a text side knows of words. Nothing is computed before it is first asked.

    Args:
        numbers: gives the id of each piece of its vocabulary.
        embed: ids -> embeddings (n, width).
        known: words of its captions.
    """

    def __init__(
        self,
        numbers: Callable[[], Mapping[str, int]],
        *,
        embed: Callable[[Sequence[int]], FloatArray],
        known: Iterable[str],
    ) -> None:
        self._is_known = frozenset(known)
        self._known = sorted(self._is_known - FUNCTION)
        self._numbers, self._embed = numbers, embed

    @cached_property
    def _number(self) -> Mapping[str, int]:
        return self._numbers()

    @cached_property
    def _mean(self) -> FloatArray:
        ids = list(self._number.values())
        parts = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
        return np.asarray(np.sum([self._embed(part).sum(axis=0) for part in parts], axis=0) / len(ids))

    @cached_property
    def _anchors(self) -> list[str]:
        return [word for word in self._known if len(word) >= SHORTEST and word in self._number]

    @cached_property
    def _anchor_rows(self) -> FloatArray:
        return self._rows(self._anchors)

    def unknown(self, text: str) -> dict[str, tuple[str, ...]]:
        """The words of a text that the model does not know, each with those nearest to it that it knows.

        Words that say how or where rather than what are passed over.
        """
        return {word: self._nearest(word) for word in content_words(text) if not self._knows(word)}

    def is_foreign(self, text: str) -> bool:
        """Whether the model knows none of the words that say what is asked for."""
        words = content_words(text)
        return bool(words) and not any(self._knows(word) for word in words)

    def _knows(self, word: str) -> bool:
        if word in self._is_known or word.isdigit():
            return True
        if len(word) < SHORTEST:
            return False
        if word in self._number:
            return bool(self._near(word).max(initial=-1.0) >= NEAR)
        return any(
            self._knows(word[:cut]) and self._knows(word[cut:])
            for cut in range(SHORTEST, len(word) - SHORTEST + 1)
            if word[:cut] in self._number and word[cut:] in self._number
        )

    def _near(self, word: str) -> FloatArray:
        """Cosines (n_anchors,) of a word of the vocabulary with those of captions."""
        return np.asarray(self._anchor_rows @ self._rows([word])[0])

    def _nearest(self, word: str) -> tuple[str, ...]:
        if word in self._number and self._anchors:
            return tuple(self._anchors[place] for place in np.argsort(-self._near(word), kind="stable")[:NAMED])
        return tuple(difflib.get_close_matches(word, self._known, n=NAMED, cutoff=SPELLED_ALIKE))

    def _rows(self, words: Sequence[str]) -> FloatArray:
        rows = self._embed([self._number[word] for word in words]) - self._mean
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def content_words(text: str) -> list[str]:
    """The words that say what is asked for, each once, in their order.

    >>> content_words("There is a Church near the church, with 2 towers")
    ['church', '2', 'towers']
    """
    return [word for word in dict.fromkeys(re.findall(r"\w+", text.lower())) if word not in FUNCTION]
