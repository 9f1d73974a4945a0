"""Words minus words: tiles that show what is not wanted go down, and nothing else moves.

To subtract the vector of what is not wanted moves everything: "harbour" minus "boats" brings whatever is far from
boats, sea and forest alike. Our own method: tiles are found by what is wanted alone, and each is then judged by its own
relevance to what is not (`rsitr.search.relevance`), which a calibrated model can tell. The answer is in the order of
the relevance that is left. Without a calibration, vectors are subtracted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from rsitr.calibration import Calibration
from rsitr.formats import HitStage
from rsitr.search.encoding import EncodedQuery
from rsitr.search.relevance import estimate_relevance
from rsitr.types import FloatArray, Hit

__all__ = ["STAGE", "search_without"]

STAGE = "relevance"
FIRST, GROWTH, MOST = 200, 4, 20_000
"""Tiles that are looked at first, by how much more where most of them are unwanted, and how many at most."""
SHOWS = 0.5
"""Relevance to what is not wanted from which a tile counts as showing it."""


def search_without(
    query: EncodedQuery,
    *,
    k: int,
    find: Callable[[FloatArray, int], list[Hit]],
    vectors: Callable[[list[str]], FloatArray],
    calibration: Calibration,
) -> tuple[list[Hit], tuple[HitStage, ...]]:
    """The k best tiles of a query with unwanted parts, and what the two stages said of them.

    Args:
        query: with wanted and unwanted parts.
        k: at most so many.
        find: the tiles nearest to a unit vector, best first, at most so many.
        vectors: of tiles by their ids.
        calibration: of the model.
    """
    begun = time.perf_counter()
    wanted = np.sum([part.weight * part.global_emb for part in query.parts if part.weight > 0], axis=0)
    wanted = np.asarray(wanted / np.linalg.norm(wanted), dtype=np.float32)
    size = max(FIRST, GROWTH * k)
    while True:
        found = find(wanted, size)
        tiles = vectors([hit.tile.tile for hit in found]) if found else np.empty((0, len(wanted)), np.float32)
        relevance = np.array(estimate_relevance(query.asked, tiles=tiles, calibration=calibration))
        alone = np.array(
            estimate_relevance([part for part in query.asked if part.weight > 0], tiles=tiles, calibration=calibration)
        )
        n_left = int((relevance >= SHOWS * alone).sum())
        if n_left >= k or len(found) < size or size >= MOST:
            break
        size = min(MOST, GROWTH * size)
    scores = np.array([hit.score for hit in found])
    order = np.lexsort((-scores, -relevance))[:k]
    hits = [
        Hit(tile=found[place].tile, score=found[place].score, rank=rank, relevance=float(relevance[place]))
        for rank, place in enumerate(order.tolist(), start=1)
    ]
    took_s = time.perf_counter() - begun
    is_cut = n_left < k and len(found) == size
    note = f"most of the {size:,} tiles that fit best show what is not wanted; no more were looked at" if is_cut else ""
    stages = (
        HitStage("global", tuple(float(scores[place]) for place in order), 0.0, ""),
        HitStage(STAGE, tuple(float(relevance[place]) for place in order), took_s, note),
    )
    return hits, stages
