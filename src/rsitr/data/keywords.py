"""Keywords of caption data sets: the most frequent words that carry meaning (METHODS 1.2, EBAKER section 2.1.3).

Counted over training captions only, which is this project's choice (the paper counts the whole data set). Captions come
picture by picture: the rule by which the published lists were made looks at what the captions of one picture share.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rsitr.errors import ConfigError, DataError
from rsitr.files import write_file

__all__ = [
    "STOP_WORDS",
    "KeywordComparison",
    "Rule",
    "collect_keywords",
    "compare_keywords",
    "count_words",
    "rank_words",
    "read_keywords",
    "split_words",
    "write_keywords",
]

Rule = Literal["frequency", "published"]
"""`frequency`: how often a word occurs. `published`: the same, but counting only where at least two occurrences are in
captions of one picture; numbers are words, and of equal counts those come first that occurred first. By that rule the
words of EBAKER's published lists come out, see docs/methods/keywords.md."""
Pictures = Iterable[Sequence[str]]
"""The captions of each picture."""

# A word is a run of letters, as in CLIP's tokenizer, which also takes the endings of contractions for themselves.
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+", re.IGNORECASE)
_WORD_OR_NUMBER = re.compile(rf"{_WORD.pattern}|\d+", re.IGNORECASE)

STOP_WORDS = frozenset(
    """
    a an the this that these those each every both either neither all any some no none few more less most other same
    such own
    i you he she it we they me him her us them my your his its our their who whom whose which what ones
    where when why how there here
    am is are was were be been being do does did has have had having
    can cannot could may might must shall should will would
    and or but nor so yet for as if because since though although unless until while whereas than whether
    about above against at below between by down during except from in into of off on onto out over per
    through throughout to toward towards under underneath up upon via with within without
    not never too very just only then thus therefore however etc e g s t
    """.split()  # noqa: SIM905 - lines of words read better than a list of literals
)
"""Function words of English: determiners, pronouns, auxiliaries, conjunctions, degree and negation, and prepositions.

Kept as keywords, although grammars count some of them as function words: numbers and amounts (`many`, `several`, `two`)
and words of place next to another thing (`near`, `beside`, `around`, `along`, `next`, `inside`), because they tell one
picture from another. Single letters that name a shape (`u`, `l`) stay; `e`, `g`, `s`, `t` are left-overs of
abbreviations and contractions.
"""


def split_words(caption: str, *, numbers: bool = False) -> list[str]:
    """Lower-cased words of a caption, without punctuation, the endings of contractions and, by default, numbers.

    >>> split_words("There's a Fan-shaped building, near 2 ponds.")
    ['there', 'a', 'fan', 'shaped', 'building', 'near', 'ponds']
    """
    pattern = _WORD_OR_NUMBER if numbers else _WORD
    return [word for word in pattern.findall(caption.lower()) if not word.startswith("'")]


def count_words(pictures: Pictures, *, rule: Rule = "frequency") -> Counter[str]:
    """How often each word occurs, stop words left out.

    >>> count_words([["a pond", "one pond"], ["a tree"]], rule="published")
    Counter({'pond': 2})
    """
    counts: Counter[str] = Counter()
    for captions in pictures:
        words = Counter(
            word
            for caption in captions
            for word in split_words(caption, numbers=rule == "published")
            if word not in STOP_WORDS
        )
        for word, count in words.items():
            if count > 1 or rule == "frequency":
                counts[word] += count
    return counts


def rank_words(pictures: Pictures, *, top_k: int | None = None, rule: Rule = "frequency") -> list[str]:
    """The `top_k` most frequent words of one data set, or all, the most frequent first.

    Equal counts are in alphabetical order; by the `published` rule in that in which they first occurred.

    Raises:
        ConfigError: `top_k` is less than 1.
    """
    if top_k is not None and top_k < 1:
        raise ConfigError(f"top_k must be at least 1 word per data set, got {top_k}")
    counts = count_words(pictures, rule=rule)
    if rule == "published":
        return [word for word, _ in counts.most_common(top_k)]
    return sorted(counts, key=lambda word: (-counts[word], word))[:top_k]


def collect_keywords(
    captions_by_set: Mapping[str, Pictures], *, top_k: int = 512, rule: Rule = "frequency"
) -> list[str]:
    """Keywords of several data sets: the top k words of each, merged without duplicates.

    Args:
        captions_by_set: the captions of each training picture of each data set, by the data set's name.
        top_k: words per data set; the paper's choice is 512.
        rule: how words are counted.

    Returns:
        Words in the order of the data sets, within a set as `rank_words` orders them.

    Raises:
        ConfigError: `top_k` is less than 1.
        DataError: a data set has no word that is not a stop word.

    >>> collect_keywords({"one": [["many green trees", "green trees"]], "two": [["a green pond"]]}, top_k=2)
    ['green', 'trees', 'pond']
    """
    merged: dict[str, None] = {}
    for name, pictures in captions_by_set.items():
        words = rank_words(pictures, top_k=top_k, rule=rule)
        if not words:
            raise DataError(f"the training captions of {name} hold no keyword: are they empty, or all stop words?")
        merged.update(dict.fromkeys(words))
    return list(merged)


def read_keywords(path: Path) -> list[str]:
    """Read a keyword list, one word per line; blank lines are skipped, case and repetitions dropped.

    Raises:
        DataError: the file cannot be read, is not UTF-8 text, holds no word, or a line holds more than one.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"cannot read the keyword list {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"the keyword list {path} is not UTF-8 text: save it as UTF-8, one word per line") from error
    words: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        word = line.strip().lower()
        if len(word.split()) > 1:
            raise DataError(f"{path}, line {number}: {word!r} is more than one word: write one word per line")
        if word:
            words[word] = None
    if not words:
        raise DataError(f"the keyword list {path} is empty: write one word per line (`rsitr data keywords --out` does)")
    return list(words)


def write_keywords(path: Path, words: Sequence[str]) -> None:
    """Write a keyword list, one word per line, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    write_file(path, "".join(f"{word}\n" for word in words), error=DataError)


@dataclass(frozen=True, slots=True)
class KeywordComparison:
    """A keyword list beside a reference list.

    Attributes:
        common: words of both, in the reference's order.
        missing: words of the reference that the list lacks, each with the reason.
        added: words that the reference lacks, in the list's order.
    """

    common: tuple[str, ...]
    missing: Mapping[str, str]
    added: tuple[str, ...]

    @property
    def share(self) -> float:
        """The part of the reference that the list has, 0 to 1."""
        return len(self.common) / max(len(self.common) + len(self.missing), 1)


def compare_keywords(
    keywords: Sequence[str],
    *,
    reference: Sequence[str],
    captions_by_set: Mapping[str, Pictures],
    rule: Rule = "frequency",
) -> KeywordComparison:
    """Compare a keyword list with a reference, and say for each word that is missing how often the captions have it.

    >>> captions = {"one": [["many green trees", "green trees"]]}
    >>> compare_keywords(["green", "trees"], reference=["green", "many", "sea"], captions_by_set=captions).missing
    {'many': 'one: 1 time, rank 3', 'sea': 'in no training caption'}
    """
    have, listed = frozenset(keywords), frozenset(reference)
    ranked = {name: _rank_all(pictures, rule=rule) for name, pictures in captions_by_set.items()}
    missing = {}
    for word in reference:
        if word not in have:
            missing[word] = "a stop word here" if word in STOP_WORDS else _describe(word, ranked)
    return KeywordComparison(
        common=tuple(word for word in reference if word in have),
        missing=missing,
        added=tuple(word for word in keywords if word not in listed),
    )


def _rank_all(pictures: Pictures, *, rule: Rule) -> dict[str, tuple[int, int]]:
    """Word -> (count, 1-based rank)."""
    pictures = list(pictures)
    counts = count_words(pictures, rule=rule)
    ordered = rank_words(pictures, rule=rule)
    return {word: (counts[word], rank) for rank, word in enumerate(ordered, start=1)}


def _describe(word: str, ranked: Mapping[str, Mapping[str, tuple[int, int]]]) -> str:
    parts = []
    for name, ranks in ranked.items():
        if word in ranks:
            count, rank = ranks[word]
            parts.append(f"{name}: {count:,} time{'' if count == 1 else 's'}, rank {rank:,}")
    return "; ".join(parts) or "in no training caption"
