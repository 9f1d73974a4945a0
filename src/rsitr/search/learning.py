"""Detectors of an index, learned from what was marked in it and kept with it."""

from __future__ import annotations

from collections.abc import Sequence

from rsitr.errors import MissingError
from rsitr.index import IndexFolder
from rsitr.search.detectors import Detector, changing, list_detectors, load_detector, save_detector
from rsitr.search.feedback import BACKGROUND_TILES, Mark, learn_detector
from rsitr.types import FloatArray

__all__ = ["learn_from_marks"]


def learn_from_marks(
    index: IndexFolder, name: str, *, query: str, start: FloatArray, marks: Sequence[Mark]
) -> Detector:
    """Learn a detector and keep it with the index; marks of one of the same name are added to.

    Args:
        index: whose tiles are marked.
        name: of the detector.
        query: what was asked, in words.
        start: (dim,) unit vector of the query.
        marks: the last one of a tile counts.

    Raises:
        QueryError: no tile is marked right, or the name cannot be one.
        StoreError: a marked tile is not in the index, or the detector cannot be written.
    """
    with changing(index.path):
        earlier = load_detector(index.path, name).marks if name in list_detectors(index.path) else ()
        there = _there(index, [tile for tile, _ in earlier])
        every = [*(Mark(tile, right) for tile, right in earlier if tile in there), *marks]
        learned = learn_detector(
            name,
            query=query,
            start=start,
            marks=every,
            vectors=index.store.vectors([mark.tile for mark in every]),
            background=index.store.sample(BACKGROUND_TILES),
            fingerprint=index.manifest.model.fingerprint,
            gone=[tile for tile, _ in earlier if tile not in there],
            is_measured=True,
        )
        save_detector(index.path, learned)
    return learned


def _there(index: IndexFolder, tiles: Sequence[str]) -> set[str]:
    """Which of the tiles are in the index."""
    try:
        return {tile.tile for tile in index.store.tiles(tiles)}
    except MissingError:
        if len(tiles) == 1:
            return set()
        half = len(tiles) // 2
        return _there(index, tiles[:half]) | _there(index, tiles[half:])
