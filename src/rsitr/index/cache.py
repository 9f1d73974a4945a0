"""The tiles of an index as files beside its table, which are read many times faster than the table is."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from rsitr.index.filtering import TileColumns
from rsitr.index.matrix import TileMatrix
from rsitr.index.rows import VECTORS

__all__ = ["CACHE", "Precision", "choose_precision", "open_cached"]

CACHE = ".cache"
ROWS, MATRIX = "rows.arrow", "vectors.npy"
SCAN_ROWS = 16_384

Precision = Literal["float32", "float16"]


def choose_precision(*, n: int, dim: int, memory_bytes: int) -> Precision | None:
    """How n vectors are held within a budget of memory: fp32, else fp16, else not at all.

    >>> choose_precision(n=1_000_000, dim=512, memory_bytes=2**30)
    'float16'
    """
    if 4 * n * dim <= memory_bytes:
        return "float32"
    return "float16" if 2 * n * dim <= memory_bytes else None


def open_cached(table: Any, *, folder: Path, version: int, precision: Precision) -> TileMatrix:
    """The tiles of one version of a table, from the files in `folder`, which are made if they are not there.

    Columns are mapped. Vectors are read: every search without a filter passes over all of them, and memory of its own,
    in large pages, is passed over in two thirds of the time that a mapped file takes.

    Raises:
        OSError: the files cannot be written.
    """
    place = folder / CACHE / f"{version}-{precision}"
    if not place.is_dir():
        _make(table, place, precision=precision)
    vectors = np.load(place / MATRIX)
    with pa.memory_map(os.fspath(place / ROWS)) as file, pa.ipc.open_file(file) as reader:
        rows = reader.read_all()
    return TileMatrix(rows=rows, columns=TileColumns.from_table(rows), vectors=vectors)


def _make(table: Any, place: Path, *, precision: Precision) -> None:
    """Write the files under another name first: whoever looks finds all of them or none."""
    place.parent.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        _write(table, part, precision=precision)
        for other in place.parent.iterdir():  # of older versions; who has mapped one keeps it
            if other != part:
                shutil.rmtree(other, ignore_errors=True)
        part.replace(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(table: Any, part: Path, *, precision: Precision) -> None:
    n, dim = int(table.count_rows()), table.schema.field("vector").type.list_size
    vectors = np.lib.format.open_memmap(part / MATRIX, mode="w+", dtype=precision, shape=(n, dim))
    names = [name for name in table.schema.names if name not in VECTORS]
    schema = pa.schema([table.schema.field(name) for name in names])
    done = 0
    pieces = []
    for batch in table.search().select([*names, "vector"]).to_batches(SCAN_ROWS):
        vectors[done : done + len(batch)] = batch["vector"].flatten().to_numpy().reshape(-1, dim)
        done += len(batch)
        pieces.append(batch.select(names))
    if done != n:
        raise OSError(f"{done} of {n} rows could be read")
    vectors.flush()
    rows = pa.Table.from_batches(pieces, schema=schema).combine_chunks()
    with pa.OSFile(os.fspath(part / ROWS), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_table(rows)
