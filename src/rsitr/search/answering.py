"""From a query to its hits: by words and examples, without what is unwanted, by a detector, by marks.

Each way finds as many hits as are asked for, of which no two show the same ground of the same day (`copies`), and can
find more of the same list later: places are made of all tiles that match, however many hits were asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from rsitr.formats import HitStage, Place, find_unsuitable
from rsitr.geo import Window
from rsitr.index import IndexFolder
from rsitr.search.collection import Collection
from rsitr.search.copies import find_distinct
from rsitr.search.detectors import Detector, require_same_model
from rsitr.search.encoding import EncodedQuery, encode_query
from rsitr.search.feedback import BACKGROUND_TILES, Mark, last_marks, learn_detector, push_away
from rsitr.search.query import Query
from rsitr.search.ranking import CandidateRanker, RankingSettings, explain_stages
from rsitr.search.relevance import JUDGED
from rsitr.search.timeline import follow
from rsitr.search.unwanted import search_without
from rsitr.types import FloatArray, Hit, Ring, Tile, TileFilter

__all__ = ["Answering", "Found", "Look"]

MOST_MATCHING = 500
"""Hits among which tiles that match are joined into places, unless more are asked for."""
FARTHEST_MARK = 16_384
"""Hits among which tiles that were marked right are looked for."""


class Look(Protocol):
    """Gives tiles that pass a filter, scored and judged."""

    def __call__(self, where: TileFilter, most: int | None = None) -> Sequence[Hit]:
        """The best `most` of them, best first; None: all."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        hits: best first, at least as many as the answer is judged by where there are so many.
        stages: how they were ranked.
        n_copies: tiles that were left out, since better hits show the same ground of the same day.
        further: gives the same list with more at its end.
        look: gives all tiles that pass a filter, or so many of the best, scored and judged as the hits were.
        find_window: of some ground in the scene of a tile.
    """

    hits: tuple[Hit, ...]
    stages: tuple[HitStage, ...]
    n_copies: int
    further: Callable[[], Sequence[Hit]] = field(compare=False, repr=False)
    look: Look = field(compare=False, repr=False)
    find_window: Callable[[Tile, Ring], Window] = field(compare=False, repr=False)

    def follow(self, place: Place, threshold: float) -> Place:
        """A place with its time line."""
        return follow(place, look=self.look, find_window=self.find_window, threshold=threshold)


class Answering:
    """Answers queries about an index.

    Args:
        folder: of the index.
        collection: what a search asks it for.
    """

    def __init__(self, folder: IndexFolder, collection: Collection) -> None:
        self._folder = folder
        self._collection = collection

    def by_query(self, query: Query, settings: RankingSettings) -> Found:
        """By words, pictures and tiles; raises as `Index.answer`."""
        mixture = self._collection.encoder.mixture
        encoded = encode_query(query, self._collection, with_tokens=settings.local and bool(mixture.beta))
        by_global = settings.rerank is None and not (settings.local and mixture.beta)
        if by_global and encoded.has_unwanted and self._is_judged(query):
            return self._without(encoded)
        begun = time.perf_counter()
        candidates, copies = self._find(query, encoded.vector, k=max(query.k, settings.n_candidates))
        found_s = time.perf_counter() - begun
        ranker = CandidateRanker(candidates, query=encoded, index=self._collection)
        ranked = ranker.rank(settings, mixture=mixture, found_s=found_s)

        def hits(n: int) -> tuple[Hit, ...]:
            order = ranked.order[:n]
            chosen = [
                replace(candidates[place], score=float(ranked.scores[place]), rank=rank)
                for rank, place in enumerate(order.tolist(), start=1)
            ]
            return self._judged(encoded, chosen)

        def further() -> tuple[Hit, ...]:
            if len(ranked.stages) > 1:  # sorted anew: what lies beyond the candidates was not
                return hits(len(candidates))
            more, _ = self._find(query, encoded.vector, k=max(query.k, MOST_MATCHING))
            return self._judged(encoded, more)

        # However many hits are asked for, the answer is judged by the same tiles.
        best = hits(max(query.k, JUDGED))
        stages = explain_stages(ranked, order=ranked.order[: query.k])
        return self._found(query, best, copies, further=further, look=self._looking(encoded), stages=stages)

    def by_detector(self, query: Query, detector: Detector) -> Found:
        """By what a detector has learned, without the model.

        Raises:
            StoreError: it was learned with another model.
        """
        require_same_model(detector, self._folder)
        return self._by_head(query, detector)

    def by_marks(self, query: Query, marks: Sequence[Mark]) -> Found:
        """By the query, moved towards what is marked right and away from what is marked wrong."""
        store, encoded = self._folder.store, encode_query(query, self._collection)
        vectors = store.vectors([mark.tile for mark in marks])
        background = store.sample(BACKGROUND_TILES)
        if any(marks[row].right for row in last_marks(marks)):
            learned = learn_detector(
                "refined",
                query=query.describe(),
                start=encoded.vector,
                marks=marks,
                vectors=vectors,
                background=background,
                fingerprint=self._folder.manifest.model.fingerprint,
            )
            return self._by_head(query, learned)
        vector = push_away(encoded.vector, wrong=vectors, background=background)
        wrong = {mark.tile for mark in marks}

        def find(n: int) -> tuple[tuple[Hit, ...], list[Hit]]:
            found, copies = self._find(query, vector, k=n + len(wrong))
            kept = [hit for hit in found if hit.tile.tile not in wrong][:n]
            return self._judged(encoded, _ranked(kept)), copies

        best, copies = find(max(query.k, JUDGED))
        return self._found(
            query, best, copies, further=lambda: find(max(query.k, MOST_MATCHING))[0], look=self._looking(encoded)
        )

    def _by_head(self, query: Query, detector: Detector) -> Found:
        """By a linear head. A person's word stands: wrong tiles are gone, right ones come first, and are sure."""
        right, wrong = set(detector.right), set(detector.wrong)

        def find(n: int) -> tuple[tuple[Hit, ...], list[Hit]]:
            size = n + len(wrong)
            while True:
                found, copies = self._find(query, detector.direction, k=size)
                if len(found) < size or size >= FARTHEST_MARK or right <= {hit.tile.tile for hit in found}:
                    break
                size *= 4
            relevance = detector.relevance(np.array([hit.score for hit in found], dtype=np.float32))
            judged = [
                replace(hit, relevance=1.0, mark=True) if hit.tile.tile in right else replace(hit, relevance=value)
                for hit, value in zip(found, relevance, strict=True)
                if hit.tile.tile not in wrong
            ]
            return _ranked(sorted(judged, key=lambda hit: not hit.mark)[:n]), copies

        def look(where: TileFilter, most: int | None = None) -> list[Hit]:
            store = self._folder.store
            found = store.search(detector.direction, k=store.count(where) if most is None else most, where=where)
            relevance = detector.relevance(np.array([hit.score for hit in found], dtype=np.float32))
            return [replace(hit, relevance=value) for hit, value in zip(found, relevance, strict=True)]

        best, copies = find(max(query.k, JUDGED))
        return self._found(query, best, copies, further=lambda: find(max(query.k, MOST_MATCHING))[0], look=look)

    def _without(self, encoded: EncodedQuery) -> Found:
        """Hits by what is wanted, those with what is not below."""
        calibration, query = self._collection.calibration, encoded.query
        if calibration is None:
            raise ValueError("what is unwanted is judged by a calibrated model")
        left_out: dict[str, Hit] = {}

        def find(vector: FloatArray, k: int) -> list[Hit]:
            found, copies = self._find(query, vector, k=k)
            left_out.update({hit.tile.tile: hit for hit in copies})
            return found

        def hits(n: int) -> tuple[list[Hit], tuple[HitStage, ...]]:
            found, stages = search_without(
                encoded, k=n, find=find, vectors=self._folder.store.vectors, calibration=calibration
            )
            return [replace(hit, relevance=None) if find_unsuitable(hit.tile) else hit for hit in found], stages

        best, stages = hits(max(query.k, JUDGED))
        return self._found(
            query,
            best,
            list(left_out.values()),
            further=lambda: hits(max(query.k, MOST_MATCHING))[0],
            look=self._looking(encoded),
            stages=tuple(replace(stage, scores=stage.scores[: query.k]) for stage in stages),
        )

    def _found(
        self,
        query: Query,
        best: Sequence[Hit],
        copies: Sequence[Hit],
        *,
        further: Callable[[], Sequence[Hit]],
        look: Look,
        stages: tuple[HitStage, ...] = (),
    ) -> Found:
        lowest = min((hit.score for hit in best[: query.k]), default=0.0)
        n_copies = sum(hit.score >= lowest for hit in copies)
        return Found(tuple(best), stages, n_copies, further, look, self._collection.scenery.find_window)

    def _looking(self, encoded: EncodedQuery) -> Look:
        """All tiles that pass a filter, scored by a query."""
        store = self._folder.store

        def look(where: TileFilter, most: int | None = None) -> tuple[Hit, ...]:
            k = store.count(where) if most is None else most
            return self._judged(encoded, store.search(encoded.vector, k=k, where=where))

        return look

    def _find(self, query: Query, vector: FloatArray, *, k: int) -> tuple[list[Hit], list[Hit]]:
        """The k best tiles for a unit vector, and those that were left out between them."""
        store, limits = self._folder.store, query.limits
        if query.every:
            return store.search(vector, k=k, where=limits), []
        return find_distinct(lambda n: store.search(vector, k=n, where=limits), k=k, vectors=store.vectors)

    def _is_judged(self, query: Query) -> bool:
        return self._collection.calibration is not None and not self._collection.is_foreign(query)

    def _judged(self, encoded: EncodedQuery, hits: Sequence[Hit]) -> tuple[Hit, ...]:
        relevance = self._collection.relevance(encoded.query, encoded.asked, hits)
        return tuple(replace(hit, relevance=value) for hit, value in zip(hits, relevance, strict=True))


def _ranked(hits: Sequence[Hit]) -> tuple[Hit, ...]:
    return tuple(replace(hit, rank=rank) for rank, hit in enumerate(hits, start=1))
