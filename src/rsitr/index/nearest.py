"""Search in an index whose vectors do not fit into memory: an IVF index of LanceDB, checked for its recall.

What passes a filter is decided by the same columns as in exact search, in memory or mapped from a file. A filter that
leaves few tiles is answered exactly: a fixed number of probes would lose recall there. Otherwise ever more of the
nearest are asked for until enough of them pass. The IVF index holds a byte for each number of a vector; the vectors
themselves decide among twice as many as are wanted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsitr.files import replacing
from rsitr.index.filtering import Rows, TileColumns
from rsitr.index.matrix import Ranked, TileMatrix, best_rows, require_sound
from rsitr.index.names import NEAREST
from rsitr.index.rows import numbers
from rsitr.index.state import NearestCheck, read_check
from rsitr.types import FloatArray, TileFilter

__all__ = ["NearestTiles", "build_nearest"]

RECALL = 0.95
CHECK_QUERIES = 32
CHECK_NOISE = (0.5, 2.0)
"""How far from vectors of the index the check asks, in their lengths: as pictures do, and as words do."""
CHECK_K = 100  # the candidates that a search hands to its later stages
STEP = 1.4
"""From one number of probes that is tried to the next: twice as many would often be too many."""
SPARE = 2
"""So many times as many candidates as are wanted: what a byte for each number says of their order is not exact."""
SCAN_ROWS = BLOCK_ROWS = 16_384
PARTITION_ROWS = 4096
"""At most, on average; smaller ones where the square root of all is: then both steps of a search look at as many."""
GROWN = 4
"""An IVF index whose partitions have become so many times as large is made anew rather than added to."""


@dataclass(frozen=True, slots=True)
class NearestTiles(TileMatrix):
    """Tiles of which only the columns are in memory; `vectors` is an empty (n, 0), and `exact` reads from disk.

    Attributes:
        table: of LanceDB, at the version of the columns.
        addresses: (n,) LanceDB's number of each row.
        order: (n,) what sorts them; None where they are ascending, as they are unless pieces were joined.
        probes: partitions that a search looks into; None where there is no IVF index, and all vectors are passed over.
        exact_rows: so many tiles are scored one by one rather than through the IVF index.
    """

    table: Any = None
    addresses: NDArray[np.uint64] | None = None
    order: Rows | None = None
    probes: int | None = None
    exact_rows: int = 0

    @classmethod
    def of(
        cls,
        rows: Any,
        *,
        table: Any,
        addresses: NDArray[np.uint64],
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
            addresses=addresses,
            order=_order(addresses),
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
        if self.addresses is None:
            raise ValueError("tiles whose vectors are on disk need the numbers of their rows")
        found = _addresses(_query(self.table, vector, k=SPARE * k, probes=self.probes))
        return _rows_at(self.addresses, found, order=self.order)


def _order(addresses: NDArray[np.uint64]) -> Rows | None:
    """What sorts LanceDB's numbers of rows; None where they are ascending."""
    return None if (addresses[:-1] < addresses[1:]).all() else np.argsort(addresses)


def _rows_at(addresses: NDArray[np.uint64], wanted: NDArray[np.uint64], *, order: Rows | None) -> Rows:
    """Where LanceDB's numbers of rows stand among those of all; each of the wanted is there."""
    found = np.searchsorted(addresses, wanted, sorter=order)
    return np.sort(found if order is None else order[found])


def build_nearest(table: Any, *, folder: Path, n: int) -> NearestCheck:
    """Make the IVF index of a table, or bring it up to date; written to `folder`.

    A build that is interrupted leaves the table as it was. What it had finished is not done again: the index itself,
    or what of it was made before.

    Args:
        table: of LanceDB, at its latest version.
        folder: of the index; what the check finds is written there.
        n: rows of the table.
    """
    wanted = max(2, round(math.sqrt(n)), math.ceil(n / PARTITION_ROWS))
    statistics, known = _statistics(table), read_check(folder)
    partitions = wanted if known is None else known.partitions  # where only the check was interrupted, it is of now
    if statistics is None or wanted > GROWN * partitions:
        from lancedb.index import IvfSq  # here, because it takes seconds

        table.create_index("vector", config=IvfSq(distance_type="cosine", num_partitions=wanted), replace=True)
        partitions = wanted
    elif statistics.num_unindexed_rows:
        table.optimize()
    check = _check(table, n=n, partitions=partitions)
    content = {"probes": check.probes, "partitions": check.partitions, "recall": check.recall}
    with replacing(folder / NEAREST) as part:
        part.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return check


def _statistics(table: Any) -> Any:
    """Of the index of the vectors; None where there is none."""
    named = [index.name for index in table.list_indices() if list(index.columns) == ["vector"]]
    return table.index_stats(named[0]) if named else None


def _check(table: Any, *, n: int, partitions: int) -> NearestCheck:
    """The fewest probes, in steps of some four tenths, that find enough of what a pass over all vectors finds."""
    rng = np.random.default_rng(0)
    offsets = np.sort(rng.choice(n, size=min(CHECK_QUERIES, n), replace=False))
    vectors = np.stack(table.take_offsets(offsets.tolist()).select(["vector"]).to_arrow()["vector"].to_numpy())
    noise = rng.normal(size=vectors.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    queries = np.concatenate([vectors + np.float32(far) * noise for far in CHECK_NOISE])
    true = _find_all(table, queries, k=CHECK_K)
    probes = 1
    while True:
        found = [_addresses(_query(table, query, k=SPARE * CHECK_K, probes=probes)) for query in queries]
        shares = [len(np.intersect1d(some, all_)) / len(all_) for some, all_ in zip(found, true, strict=True)]
        recall = float(np.reshape(shares, (len(CHECK_NOISE), -1)).mean(axis=1).min())
        if recall >= RECALL or probes >= partitions:
            return NearestCheck(probes=probes, partitions=partitions, recall=recall)
        probes = min(partitions, math.ceil(STEP * probes))


def _find_all(table: Any, queries: FloatArray, *, k: int) -> list[NDArray[np.uint64]]:
    """LanceDB's numbers of the k rows nearest to each of some queries, (m, dim), in one pass over all vectors."""
    best = np.full((len(queries), 0), -np.inf, np.float32)
    places = np.zeros((len(queries), 0), np.uint64)
    for batch in table.search().select(["vector"]).with_row_id(True).to_batches(SCAN_ROWS):
        vectors = batch["vector"].flatten().to_numpy().reshape(-1, queries.shape[1])
        best = np.concatenate([best, queries @ vectors.T], axis=1)
        rows = np.broadcast_to(numbers(batch["_rowid"]).astype(np.uint64), (len(queries), len(batch)))
        places = np.concatenate([places, rows], axis=1)
        chosen = np.argpartition(-best, min(k, best.shape[1]) - 1, axis=1)[:, :k]
        best, places = np.take_along_axis(best, chosen, 1), np.take_along_axis(places, chosen, 1)
    return list(places)


def _query(table: Any, vector: FloatArray, *, k: int, probes: int | None) -> Any:
    """A query of the nearest; through all vectors where `probes` is None."""
    query = table.search(vector, vector_column_name="vector").distance_type("cosine").limit(k)
    return query.bypass_vector_index() if probes is None else query.nprobes(probes)


def _addresses(query: Any) -> NDArray[np.uint64]:
    found = query.select(["_distance"]).with_row_id(True).to_arrow()
    return numbers(found["_rowid"]).astype(np.uint64)
