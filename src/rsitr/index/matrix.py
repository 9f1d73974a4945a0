"""Exact search in memory: filters first, then one matrix-vector product over what is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import StoreError
from rsitr.index.filtering import Rows, TileColumns
from rsitr.index.rows import VECTORS, numbers, take, texts, tiles_from_rows, vectors_from_table
from rsitr.types import FloatArray, Hit, Tile, TileFilter

__all__ = [
    "HALF_ERROR",
    "Ranked",
    "TileMatrix",
    "best_rows",
    "is_sound",
    "make_hits",
    "require_fitting",
    "require_sound",
]

HALF_ERROR = 2.0**-11
"""How far the cosine of a unit vector rounded to fp16 may be off: half a unit in the last of its 11 digits."""
LENGTH_TOLERANCE = 0.01  # of unit vectors, those of models that compute in halves included
DAMAGED = (
    "the index is damaged: vectors in it are not of unit length, as all are when they are written; delete its folder "
    "and make it again"
)
BLOCK_ROWS = 32_768  # of fp16 vectors are widened at once
BLOCK_SCORES = 1024
GATHER_SHARE = 0.2  # with more rows than this passing, a product over all is cheaper than copying those


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows of tiles and their scores, best first: (m,) each."""

    rows: Rows
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class TileMatrix:
    """The tiles of one version of an index, in memory.

    Attributes:
        rows: Arrow table of all columns but the vectors and codes, n rows.
        columns: what filters look at.
        vectors: (n, dim), unit rows, fp32 or fp16.
        exact: gives fp32 vectors of some rows where `vectors` are fp16; the best few are scored with these, so that
            rounding changes no ranking.
    """

    rows: Any
    columns: TileColumns
    vectors: NDArray[np.floating[Any]]
    exact: Callable[[Rows], FloatArray] | None = None

    @classmethod
    def from_table(cls, table: Any) -> TileMatrix:
        """Take an Arrow table of tiles apart."""
        rows = table.drop_columns([name for name in VECTORS if name in table.column_names])
        return cls(rows=rows, columns=TileColumns.from_table(rows), vectors=vectors_from_table(table))

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, vector: FloatArray, *, k: int, where: TileFilter | None = None) -> list[Hit]:
        """The k tiles with the highest cosine among those that pass, best first; equal scores by tile id.

        Args:
            vector: (dim,), of unit length.
            k: at most so many.
            where: the filter, applied before anything is ranked.
        """
        return make_hits(self.rows, self.rank(vector, k=k, where=where))

    def rank(self, vector: FloatArray, *, k: int, where: TileFilter | None = None) -> Ranked:
        """As `search`, as rows and scores.

        Raises:
            StoreError: vectors are damaged.
        """
        passed = self.columns.passing(where)
        with np.errstate(all="ignore"):  # of damage the next line tells
            scores = self._score(vector, passed)
        if not np.isfinite(scores.max(initial=0.0)):
            raise StoreError(DAMAGED)
        if self.vectors.dtype == np.float32 or self.exact is None:
            chosen = best_rows(scores, k=k)
            rows = chosen if passed is None else passed[chosen]
            best = self._ordered(rows, scores[chosen], k=k)
            require_sound(self.vectors[best.rows])
            return best
        # Whoever could be among the best k but for the rounding is scored again with what was rounded.
        chosen = best_rows(scores, k=k, margin=2 * HALF_ERROR)
        rows = chosen if passed is None else passed[chosen]
        exact = self.exact(rows)
        require_sound(exact)
        return self._ordered(rows, exact @ vector, k=k)

    def find(self, tiles: Sequence[str]) -> NDArray[np.int64]:
        """Rows of tiles by their ids, -1 for one that is not there."""
        # One pass over the ids with a small table, not a table of all of them.
        import pyarrow.compute as pc  # slow to import

        there = numbers(pc.indices_nonzero(pc.is_in(self.rows["tile"], value_set=texts(tiles))))
        row_of = dict(zip(take(self.rows["tile"], there).to_pylist(), there.tolist(), strict=True))
        return np.array([row_of.get(tile, -1) for tile in tiles], dtype=np.int64)

    def take(self, rows: Rows) -> FloatArray:
        """The fp32 vectors of some rows, (len(rows), dim)."""
        if self.exact is not None:
            return self.exact(rows)
        return np.asarray(self.vectors[rows], dtype=np.float32)

    def browse(self, where: TileFilter | None = None, *, start: int, n: int) -> list[Tile]:
        """Up to n of the tiles that pass a filter, after the first `start`, in the order of the rows."""
        passed = self.columns.passing(where)
        rows = np.arange(start, min(start + n, len(self))) if passed is None else passed[start : start + n]
        return tiles_from_rows(take(self.rows, rows))

    def count(self, where: TileFilter | None = None) -> int:
        """How many tiles pass a filter."""
        passed = self.columns.passing(where)
        return len(self) if passed is None else len(passed)

    def _score(self, vector: FloatArray, passed: Rows | None) -> FloatArray:
        if passed is None:
            return self._score_all(vector)
        if len(passed) > GATHER_SHARE * len(self):
            return self._score_all(vector)[passed]
        return np.asarray(self.vectors[passed], dtype=np.float32) @ vector

    def _score_all(self, vector: FloatArray) -> FloatArray:
        if self.vectors.dtype == np.float32:
            return np.asarray(self.vectors @ vector, dtype=np.float32)
        scores: FloatArray = np.empty(len(self), dtype=np.float32)
        for start in range(0, len(self), BLOCK_ROWS):
            block = self.vectors[start : start + BLOCK_ROWS].astype(np.float32)
            np.dot(block, vector, out=scores[start : start + len(block)])
        return scores

    def _ordered(self, rows: Rows, scores: FloatArray, *, k: int) -> Ranked:
        names = take(self.rows["tile"], rows).to_pylist()
        order = sorted(range(len(rows)), key=lambda i: (-scores[i], names[i]))[:k]
        return Ranked(rows=rows[order], scores=scores[order])


def is_sound(vectors: NDArray[np.floating[Any]]) -> bool:
    """Whether (n, dim) vectors are all of unit length, as none is that holds NaN or infinity."""
    wide = np.asarray(vectors, dtype=np.float32)
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        return bool((np.abs(lengths - 1.0) <= LENGTH_TOLERANCE).all())


def require_sound(vectors: NDArray[np.floating[Any]]) -> None:
    """Raises StoreError if one of the vectors, (n, dim), cannot be what was written."""
    if not is_sound(vectors):
        raise StoreError(DAMAGED)


def require_fitting(
    vectors: FloatArray,
    codes: NDArray[np.float16] | None,
    *,
    n: int,
    dim: int,
    code_length: int,
    folder: Path,
) -> None:
    """Raises StoreError unless vectors and codes of n tiles are what the index in a folder keeps."""
    if vectors.shape != (n, dim):
        raise StoreError(f"{folder}: {n} tiles of width {dim}, but vectors {vectors.shape}")
    if (0 if codes is None else codes.shape[1]) != code_length:
        raise StoreError(f"{folder}: codes of {code_length} numbers are kept here, and no others")
    if not is_sound(vectors):
        raise StoreError(
            f"{folder}: the model gave vectors with NaN or infinity in them, or not of unit length; try another "
            "--device"
        )


def best_rows(scores: FloatArray, *, k: int, margin: float = 0.0) -> Rows:
    """Positions of the k highest scores and of all that equal the k-th, or fall short of it by `margin` at most.

    All that are equal stay, so that their order can be by their names and not by chance.
    """
    if k >= len(scores):
        return np.arange(len(scores))
    n_blocks = len(scores) // BLOCK_SCORES
    if n_blocks < 2 * k:
        return np.flatnonzero(scores >= _highest(scores, k) - margin)
    # The k-th highest of the blocks' best scores is no higher than the k-th of all: what lies below it is out, which
    # takes a tenth of the time that a partition of millions takes.
    tops = scores[: n_blocks * BLOCK_SCORES].reshape(n_blocks, BLOCK_SCORES).max(axis=1)
    high = np.flatnonzero(scores >= _highest(tops, k) - margin)
    return high[scores[high] >= _highest(scores[high], k) - margin]


def _highest(scores: FloatArray, k: int) -> np.floating[Any]:
    """The k-th highest of the scores."""
    least: np.floating[Any] = np.partition(scores, len(scores) - k)[len(scores) - k]
    return least


def make_hits(rows: Any, ranked: Ranked) -> list[Hit]:
    """Hits of ranked rows of an Arrow table of tiles."""
    found = tiles_from_rows(take(rows, ranked.rows))
    return [
        Hit(tile=tile, score=score, rank=rank)
        for rank, (tile, score) in enumerate(zip(found, ranked.scores.tolist(), strict=True), start=1)
    ]
