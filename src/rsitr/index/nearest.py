"""Search in an index whose vectors do not fit into memory: an IVF index of LanceDB, checked for its recall.

What passes a filter is decided by the same columns in memory as in exact search. A filter that leaves few tiles is
answered exactly: a fixed number of probes would lose recall there. Otherwise ever more of the nearest are asked for
until enough of them pass.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsitr.index.filtering import Rows, TileColumns
from rsitr.index.matrix import Ranked, TileMatrix, best_rows, require_sound
from rsitr.index.names import NEAREST
from rsitr.index.state import NearestCheck
from rsitr.types import FloatArray, TileFilter

__all__ = ["NearestTiles", "build_nearest"]

RECALL = 0.95
CHECK_QUERIES = 32
CHECK_K = 100  # the candidates that a search hands to its later stages
BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class NearestTiles(TileMatrix):
    """Tiles of which only the columns are in memory; `vectors` is an empty (n, 0), and `exact` reads from disk.

    Attributes:
        table: of LanceDB, at the version of the columns.
        probes: partitions that a search looks into; None where there is no IVF index, and all vectors are passed over.
        exact_rows: so many tiles are scored one by one rather than through the IVF index.
    """

    table: Any = None
    probes: int | None = None
    exact_rows: int = 0

    @classmethod
    def of(
        cls,
        rows: Any,
        *,
        table: Any,
        probes: int | None,
        exact_rows: int,
        exact: Callable[[Rows], FloatArray],
    ) -> NearestTiles:
        """Tiles whose columns are `rows`."""
        return cls(
            rows=rows,
            columns=TileColumns.from_table(rows),
            vectors=np.empty((len(rows), 0), np.float32),
            exact=exact,
            table=table,
            probes=probes,
            exact_rows=exact_rows,
        )

    def rank(self, vector: FloatArray, *, k: int, where: TileFilter | None = None) -> Ranked:
        """As `TileMatrix.rank`: exact where a filter leaves few tiles, else as good as the recall check says."""
        passed = self.columns.passing(where)
        if passed is not None and len(passed) <= self.exact_rows:
            return self._rank_exactly(vector, passed, k=k)
        passes = None if passed is None else np.isin(np.arange(len(self)), passed, assume_unique=True)
        wanted = k if passed is None else math.ceil(2 * k * len(self) / max(1, len(passed)))
        while True:
            rows = self._nearest(vector, k=min(wanted, len(self)))
            found = rows if passes is None else rows[passes[rows]]
            if len(found) >= k or wanted >= len(self):
                return self._rank_exactly(vector, found, k=k)
            wanted *= 4

    def _rank_exactly(self, vector: FloatArray, rows: Rows, *, k: int) -> Ranked:
        if self.exact is None:
            raise ValueError("tiles whose vectors are on disk need a way to read them")
        blocks = [np.empty(0, np.float32)]
        for start in range(0, len(rows), BLOCK_ROWS):
            vectors = self.exact(rows[start : start + BLOCK_ROWS])
            require_sound(vectors)
            blocks.append(vectors @ vector)
        scores: FloatArray = np.concatenate(blocks)
        chosen = best_rows(scores, k=k)
        return self._ordered(rows[chosen], scores[chosen], k=k)

    def _nearest(self, vector: FloatArray, *, k: int) -> Rows:
        found = _query(self.table, vector, k=k, probes=self.probes).select(["tile", "_distance"]).to_arrow()
        return np.sort(self.find(found["tile"].to_pylist()))


def build_nearest(table: Any, *, folder: Path, n: int) -> NearestCheck:
    """Make or renew the IVF index of a table, and choose the probes that reach the recall; written to `folder`."""
    partitions = max(2, round(math.sqrt(n)))
    from lancedb.index import IvfFlat  # here, because it takes seconds

    table.create_index("vector", config=IvfFlat(distance_type="cosine", num_partitions=partitions), replace=True)
    check = _check(table, n=n, partitions=partitions)
    part = folder / f".{NEAREST}"
    content = {"probes": check.probes, "partitions": check.partitions, "recall": check.recall}
    part.write_text(json.dumps(content) + "\n", encoding="utf-8")
    part.replace(folder / NEAREST)
    return check


def _check(table: Any, *, n: int, partitions: int) -> NearestCheck:
    rng = np.random.default_rng(0)
    offsets = np.sort(rng.choice(n, size=min(CHECK_QUERIES, n), replace=False))
    vectors = np.stack(table.take_offsets(offsets.tolist()).select(["vector"]).to_arrow()["vector"].to_numpy())
    noise = rng.normal(size=vectors.shape).astype(np.float32)
    queries = vectors + 0.5 * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    true = [_tiles(_query(table, query, k=CHECK_K, probes=None)) for query in queries]
    probes, recall = 1, 0.0
    while True:
        found = [_tiles(_query(table, query, k=CHECK_K, probes=probes)) for query in queries]
        recall = sum(len(a & b) for a, b in zip(true, found, strict=True)) / sum(len(a) for a in true)
        if recall >= RECALL or probes >= partitions:
            return NearestCheck(probes=probes, partitions=partitions, recall=recall)
        probes = min(partitions, 2 * probes)


def _query(table: Any, vector: FloatArray, *, k: int, probes: int | None) -> Any:
    """A query of the nearest; through all vectors where `probes` is None."""
    query = table.search(vector, vector_column_name="vector").distance_type("cosine").limit(k)
    return query.bypass_vector_index() if probes is None else query.nprobes(probes)


def _tiles(query: Any) -> set[str]:
    return set(query.select(["tile", "_distance"]).to_arrow()["tile"].to_pylist())
