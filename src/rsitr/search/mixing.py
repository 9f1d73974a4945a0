"""Reference queries made as a query is, for re-ranking: kept by recipe."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from cachetools import LRUCache

from rsitr.index import IndexFolder
from rsitr.search.query import Query
from rsitr.search.references import load_reference_vectors
from rsitr.types import Encoder, FloatArray

__all__ = ["ReferenceMixes", "mix_references"]

SAMPLED_TILES, REFERENCE_TILES = 50_000, 500
"""Of so many tiles, evenly spread, so many are example queries."""
KEPT = 32
"""Recipes (kinds and weights of parts) that are kept, so that people who ask in turns don't pay again."""
SHORTEST = 1e-6

Recipe = tuple[object, ...]


class ReferenceMixes:
    """Reference vectors by recipe, the least recently used forgotten first. Safe for many threads."""

    def __init__(self, folder: IndexFolder) -> None:
        self._folder = folder
        self._kept: LRUCache[Recipe, FloatArray] = LRUCache(KEPT)
        self._version: int | None = None
        self._lock = threading.Lock()

    def find(self, query: Query, *, encoder: Encoder) -> FloatArray:
        """Unit rows (n, dim): captions where the query has words, tiles of the index where it has examples."""
        recipe: Recipe = tuple((part.kind == "words", part.weight) for part in query.parts)
        with self._lock:  # who comes second waits, rather than mix the same again
            version = self._folder.store.version
            if version != self._version:
                self._version = version
                self._kept.clear()
            if recipe not in self._kept:
                self._kept[recipe] = self._mix(query, encoder=encoder)
            return self._kept[recipe]

    def _mix(self, query: Query, *, encoder: Encoder) -> FloatArray:
        def of(kind: str) -> FloatArray:
            if kind == "words":
                return load_reference_vectors(self._folder.path, encoder)
            return self._folder.store.sample(SAMPLED_TILES)[::2][:REFERENCE_TILES]

        return mix_references([of(part.kind) for part in query.parts], weights=[part.weight for part in query.parts])


def mix_references(asked: Sequence[FloatArray], *, weights: Sequence[float]) -> FloatArray:
    """Reference queries for a mixture: one reference per part, by chance, mixed as the query is.

    Args:
        asked: for each part, (n, dim) references of its kind.
        weights: of the parts.

    Returns:
        (as many as the fewest of them, dim), unit rows; the same in every call.
    """
    if len(asked) == 1:
        return asked[0] if weights[0] > 0 else -asked[0]
    count = min(len(each) for each in asked)
    chance = np.random.default_rng(0)
    mixed = sum(
        weight * each[chance.permutation(len(each))[:count]] for each, weight in zip(asked, weights, strict=True)
    )
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed / np.maximum(length, SHORTEST), dtype=np.float32)
