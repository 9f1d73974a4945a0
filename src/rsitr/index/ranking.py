"""Tiles whose vectors stay in Milvus, which names the nearest; what passes a filter, and the order, is decided here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsitr.index.collection import PAGE_ROWS, TILE
from rsitr.index.condition import condition_of
from rsitr.index.filtering import Rows
from rsitr.index.matrix import Ranked, TileMatrix, best_rows, require_sound
from rsitr.index.traffic import count_bytes
from rsitr.index.versions import State
from rsitr.types import FloatArray, TileFilter

__all__ = ["EXACT_ROWS", "ChangedError", "MilvusTiles"]

EXACT_ROWS = 1024  # so few tiles are scored one by one
SPARE = 64  # more than asked for, so that equal scores at the end seldom take a second search
ROUNDING = 1e-5  # of inner products there and here


class ChangedError(Exception):
    """What was read is of another version by now."""


@dataclass(frozen=True, slots=True)
class MilvusTiles(TileMatrix):
    """Tiles at one version, of which only the columns are in memory; `vectors` is an empty (n, 0).

    Attributes:
        state: the version.
        ids: (n,) numbers of their rows in Milvus, ascending.
        collection: where they are.
        dim: width of their vectors.
        cache: the folder in which what is read is counted.
    """

    state: State | None = None
    ids: Any = None
    collection: Any = None
    dim: int = 0
    cache: Path = Path()

    def rank(self, vector: FloatArray, *, k: int, where: TileFilter | None = None) -> Ranked:
        """As `TileMatrix.rank`; exact."""
        passed = self.columns.passing(where)
        n = len(self) if passed is None else len(passed)
        limit = k + SPARE
        conditions = [f"kind == {TILE}", self.state.seen(), *condition_of(where, self.columns)]  # type: ignore[union-attr]
        while n > EXACT_ROWS and limit < min(n, PAGE_ROWS):
            nearest = self.collection.nearest(vector.tolist(), k=limit, condition=" and ".join(conditions))
            count_bytes(self.cache, 4 * self.dim * len(nearest.numbers))
            rows = self._rows(nearest.numbers)
            passes = np.ones(len(rows), bool) if passed is None else np.isin(rows, passed)
            scores = nearest.scores[passes]
            # All that there are, or so many that no other could come among the first k.
            if len(rows) < limit or (len(scores) >= k and scores[k - 1] > nearest.scores[-1] + ROUNDING):
                vectors = nearest.vectors[passes]
                require_sound(vectors)
                return self._best(rows[passes], vectors @ vector, k=k)
            limit *= 4
        return self._rank_exactly(vector, np.arange(len(self)) if passed is None else passed, k=k)

    def take(self, rows: Rows) -> FloatArray:
        """The fp32 vectors of some rows, (len(rows), dim)."""
        found = self.read(rows, "vector", row_bytes=4 * self.dim)
        vectors = np.asarray(found, np.float32).reshape(len(rows), self.dim)
        require_sound(vectors)
        return vectors

    def read(self, rows: Rows, field: str, *, row_bytes: int) -> list[Any]:
        """A field of some rows of this version, in their order."""
        found: dict[int, Any] = {}
        if len(rows) > len(self) // 2:
            condition = f"kind == {TILE} and {self.state.seen()}"  # type: ignore[union-attr]
            for page in self.collection.pages(condition, [field], row_bytes=row_bytes):
                found |= {row["number"]: row[field] for row in page}
        else:
            wanted = self.ids[rows].tolist()
            for start in range(0, len(wanted), PAGE_ROWS // 4):
                some = ", ".join(map(str, wanted[start : start + PAGE_ROWS // 4]))
                for page in self.collection.pages(f"number in [{some}]", [field], row_bytes=row_bytes):
                    found |= {row["number"]: row[field] for row in page}
        count_bytes(self.cache, row_bytes * len(found))
        try:
            return [found[number] for number in self.ids[rows].tolist()]
        except KeyError:
            raise ChangedError from None

    def _rows(self, found: NDArray[np.int64]) -> Rows:
        rows = np.searchsorted(self.ids, found)
        if (rows >= len(self.ids)).any() or (self.ids[rows] != found).any():
            raise ChangedError
        return rows

    def _rank_exactly(self, vector: FloatArray, rows: Rows, *, k: int) -> Ranked:
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), PAGE_ROWS):
            vectors = self.take(rows[start : start + PAGE_ROWS])
            scores[start : start + len(vectors)] = vectors @ vector
        return self._best(rows, scores, k=k)

    def _best(self, rows: Rows, scores: FloatArray, *, k: int) -> Ranked:
        chosen = best_rows(scores, k=k)
        return self._ordered(rows[chosen], scores[chosen], k=k)

    def __len__(self) -> int:
        return len(self.ids)
