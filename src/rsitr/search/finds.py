"""What a detector or a saved search finds now, and which of it is new since somebody last looked."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rsitr.errors import StoreError
from rsitr.search import detectors, saved
from rsitr.search.detectors import Detector
from rsitr.search.feedback import Mark
from rsitr.search.index import Index
from rsitr.search.outcome import say_outcome
from rsitr.search.query import Part, make_query
from rsitr.search.ranking import RankingSettings
from rsitr.search.relevance import THRESHOLD
from rsitr.search.result import SearchResult
from rsitr.search.saved import SavedSearch
from rsitr.search.seen import Seen, load_seen, save_seen
from rsitr.search.shelf import DETECTORS, Shelf
from rsitr.types import Hit

__all__ = ["MOST_FINDS", "Finds", "Kept", "find_new", "load_kept", "mark_seen"]

Kept = Detector | SavedSearch

MOST_FINDS = 10_000
"""The best so many are told apart as known or new: more is nothing that anyone looks through."""
FIRST, GROWTH = 256, 4


@dataclass(frozen=True, slots=True)
class Finds:
    """What something finds.

    Attributes:
        hits: of all tiles whose relevance reaches the threshold, of which no two show the same ground of a day; best
            first, at most MOST_FINDS.
        new: of these, those that were not there when it was last looked at, and that nobody has marked.
        seen: when that was; None where nobody has looked yet.
        note: what else a person should know; empty where that is nothing.
        is_cut: whether there may be more than MOST_FINDS.
        version: of the index.
    """

    hits: tuple[Hit, ...]
    new: tuple[Hit, ...]
    seen: str | None
    note: str
    is_cut: bool
    version: int


def find_new(index: Index, kept: Kept) -> Finds:
    """What a detector or a saved search finds, and what of it is new.

    Only what is there now is remembered when it is looked at, so that tiles that have left the index are forgotten.

    Raises:
        StoreError: the detector was learned with another model than the index's.
        MissingError: the search is for what is like a tile that has left the index.
    """
    version = index.version
    hits, notes, is_cut = _find(index, kept)
    marked = set(kept.right if isinstance(kept, Detector) else kept.search.right)
    try:
        seen = load_seen(index.path, _shelf(kept).kind, kept.name)
    except StoreError as error:
        seen, notes = None, [*notes, str(error)]
    known: set[str] = set()
    if seen is not None and seen.made_by != _made_by(index):
        notes.append(
            "the index was made anew since this was last looked at, with another model or other tiles: all is new"
        )
    elif seen is not None:
        known = set(seen.tiles)
    new = tuple(hit for hit in hits if hit.tile.tile not in known and hit.tile.tile not in marked)
    return Finds(hits, new, None if seen is None else seen.when, "; ".join(notes), is_cut, version)


def mark_seen(index: Index, kept: Kept) -> Seen:
    """Remember that all that it finds now has been looked at.

    Args:
        index: that is searched.
        kept: what finds.

    Raises:
        StoreError: the index's folder cannot be written; or as `find_new`.
        QueryError: it was deleted meanwhile.
    """
    hits, _, _ = _find(index, kept)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    seen = Seen(when=now, made_by=_made_by(index), tiles=tuple(hit.tile.tile for hit in hits))
    shelf = _shelf(kept)
    shelf.require(index.path, kept.name)
    with shelf.changing(index.path):
        shelf.require(index.path, kept.name)
        save_seen(index.path, shelf.kind, kept.name, seen)
    return seen


def _find(index: Index, kept: Kept) -> tuple[tuple[Hit, ...], list[str], bool]:
    """All that it finds, best first; what is to be told of that; whether there may be more."""
    threshold = THRESHOLD if isinstance(kept, Detector) else kept.search.threshold
    marks, notes = _marks_there(index, kept)
    k = FIRST
    while True:
        result = _answer(index, kept, marks, k=k)
        judged = [hit.relevance for hit in result if hit.relevance is not None]
        is_whole = len(result) < k or (bool(judged) and min(judged) < threshold) or not judged
        if is_whole or k >= MOST_FINDS:
            break
        k = min(MOST_FINDS, GROWTH * k)
    if result.hits and (result.state is None or result.has_unknown or result.is_foreign):
        return (), [*notes, say_outcome(result, n_all=len(index), are_shown=False)], False
    return tuple(hit for hit in result if (hit.relevance or 0.0) >= threshold), notes, not is_whole


def _answer(index: Index, kept: Kept, marks: Sequence[Mark], *, k: int) -> SearchResult:
    if isinstance(kept, Detector):
        query, threshold = make_query(parts=[Part("detector", kept.name)], k=k), THRESHOLD
    else:
        query, threshold = kept.search.to_query(k=k), kept.search.threshold
    # Relevance is of the whole tile; local similarity would read the pictures of thousands.
    return index.answer(query, marks=marks, ranking=RankingSettings(local=False), threshold=threshold)


def _marks_there(index: Index, kept: Kept) -> tuple[list[Mark], list[str]]:
    """The marks of a saved search whose tiles are still there."""
    if isinstance(kept, Detector):
        return [], []
    every = kept.search.marks
    there = {tile.tile for tile in index.known([tile for tile, _ in every])}
    n_gone = sum(tile not in there for tile, _ in every)
    notes = [f"{n_gone:,} of its {len(every):,} marked tiles have left the index"] if n_gone else []
    return [Mark(tile, right) for tile, right in every if tile in there], notes


def _shelf(kept: Kept) -> Shelf:
    return DETECTORS if isinstance(kept, Detector) else saved.SHELF


def _made_by(index: Index) -> str:
    """A digest of the model and of how scenes are cut: with equal ones, an id means the same tile."""
    return hashlib.sha256(f"{index.model.fingerprint} {index.cut}".encode()).hexdigest()[:32]


def load_kept(folder: Path, kind: str, name: str) -> Kept:
    """A detector (`detector`) or a saved search (`saved`) of an index.

    Raises:
        QueryError: there is none of this name.
        StoreError: its file is damaged.
    """
    return detectors.load_detector(folder, name) if kind == "detector" else saved.load_saved(folder, name)
