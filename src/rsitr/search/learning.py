"""Detectors of an index, learned from what was marked in it and kept with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rsitr.errors import MissingError
from rsitr.index import IndexFolder
from rsitr.search.detectors import Detector, changing, list_detectors, load_detector, save_detector
from rsitr.search.feedback import BACKGROUND_TILES, Mark, learn_detector
from rsitr.search.kept import KeptSearch
from rsitr.search.query import Query
from rsitr.types import FloatArray, Tile

__all__ = ["find_known", "learn_from_marks"]


def learn_from_marks(
    index: IndexFolder, name: str, *, query: Query, start: FloatArray, marks: Sequence[Mark], afresh: bool = False
) -> Detector:
    """Learn a detector and keep it with the index; marks of one of the same name are added to.

    Args:
        index: whose tiles are marked.
        name: of the detector.
        query: what was asked.
        start: (dim,) unit vector of the query.
        marks: the last one of a tile counts.
        afresh: marks of one of the same name give way to these.

    Raises:
        QueryError: no tile is marked right, or the name cannot be one.
        StoreError: a marked tile is not in the index, or the detector cannot be written.
    """
    with changing(index.path):
        known = load_detector(index.path, name).marks if name in list_detectors(index.path) and not afresh else ()
        there = {tile.tile for tile in find_known(index, [tile for tile, _ in known])}
        every = [*(Mark(tile, right) for tile, right in known if tile in there), *marks]
        learned = learn_detector(
            name,
            query=query.describe(),
            start=start,
            marks=every,
            vectors=index.store.vectors([mark.tile for mark in every]),
            background=index.store.sample(BACKGROUND_TILES),
            fingerprint=index.manifest.model.fingerprint,
            gone=[tile for tile, _ in known if tile not in there],
            is_measured=True,
        )
        kept = None if query.image is not None else KeptSearch.of(query)
        learned = dataclasses.replace(learned, search=kept)
        save_detector(index.path, learned)
    return learned


def find_known(index: IndexFolder, tiles: Sequence[str]) -> list[Tile]:
    """Those of the tiles that are in the index, in their order."""
    if not tiles:
        return []  # for which no tile need be loaded
    try:
        return index.store.tiles(tiles)
    except MissingError:
        if len(tiles) == 1:
            return []
        half = len(tiles) // 2
        return find_known(index, tiles[:half]) + find_known(index, tiles[half:])
