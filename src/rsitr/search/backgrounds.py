"""What a collection is like for queries of one recipe, measured once and kept: the ground that relevance stands on."""

from __future__ import annotations

import threading

from cachetools import LRUCache

from rsitr.index import IndexFolder
from rsitr.search.query import Query
from rsitr.search.references import load_reference_vectors
from rsitr.search.relevance import Background, mix_references
from rsitr.types import Encoder

__all__ = ["Backgrounds"]

COLLECTION_TILES = 50_000
"""Tiles, evenly spread, that stand for the collection when relevance is estimated."""
REFERENCE_TILES = 500
KEPT = 32
"""Recipes (kinds and weights of parts) whose background is kept, so that people who ask in turns don't pay again."""

Recipe = tuple[object, ...]


class Backgrounds:
    """Backgrounds by recipe, the least recently used forgotten first. Safe for many threads."""

    def __init__(self, folder: IndexFolder) -> None:
        self._folder = folder
        self._kept: LRUCache[Recipe, Background] = LRUCache(KEPT)
        self._version: int | None = None
        self._lock = threading.Lock()

    def find(self, query: Query, *, encoder: Encoder) -> Background:
        """What the collection is like for queries made as this one is; measured again when the index has changed."""
        recipe: Recipe = tuple((part.kind == "words", part.weight) for part in query.parts)
        with self._lock:  # who comes second waits, rather than measure the same again
            version = self._folder.store.version
            if version != self._version:
                self._version = version
                self._kept.clear()
            if recipe not in self._kept:
                self._kept[recipe] = self._measure(query, encoder=encoder)
            return self._kept[recipe]

    def _measure(self, query: Query, *, encoder: Encoder) -> Background:
        sample = self._folder.store.sample(COLLECTION_TILES)
        is_text = all(part.kind == "words" for part in query.parts)
        # A tile as a reference would find itself in the collection: one half asks, the other answers.
        references = sample[::2][:REFERENCE_TILES]
        collection = sample if is_text else sample[1::2]
        folder = self._folder.path
        asked = [
            load_reference_vectors(folder, encoder) if part.kind == "words" else references for part in query.parts
        ]
        mixed = mix_references(asked, weights=[part.weight for part in query.parts])
        return Background.measure(mixed, collection=collection)
