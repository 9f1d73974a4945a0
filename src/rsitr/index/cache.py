"""The tiles of an index as files beside its table, which are read many times faster than the table is."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rsitr.index.filtering import TileColumns
from rsitr.index.matrix import TileMatrix, is_sound, require_sound
from rsitr.index.rows import VECTORS

__all__ = ["CACHE", "Precision", "choose_precision", "open_cached"]

CACHE = ".cache"
ROWS, MATRIX = "rows.arrow", "vectors.npy"
SCAN_ROWS = 16_384
ABANDONED_S = 3600

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
    in large pages, is passed over in two thirds of the time that a mapped file takes. Where nothing can be written, in
    an index that may only be read, both come from the table, and no file is left.
    """
    place = folder / CACHE / f"{version}-{precision}"
    if place.is_dir():
        try:
            return _open(place)
        except (OSError, ValueError):  # damaged, or another process has just put those of a newer version in its place
            shutil.rmtree(place, ignore_errors=True)
    try:
        _make(table, place, precision=precision)
        return _open(place)
    except OSError:
        vectors = np.empty(_shape(table), precision)
        return _matrix(_read(table, into=vectors), vectors)


def _open(place: Path) -> TileMatrix:
    vectors = np.load(place / MATRIX)
    with pa.memory_map(os.fspath(place / ROWS)) as file, pa.ipc.open_file(file) as reader:
        rows = reader.read_all()
    if len(rows) != len(vectors):
        raise ValueError(f"{len(rows)} rows and {len(vectors)} vectors")
    if not all(is_sound(vectors[start : start + SCAN_ROWS]) for start in range(0, len(vectors), SCAN_ROWS)):
        raise ValueError("its vectors were overwritten")
    return _matrix(rows, vectors)


def _matrix(rows: Any, vectors: NDArray[np.floating[Any]]) -> TileMatrix:
    return TileMatrix(rows=rows, columns=TileColumns.from_table(rows), vectors=vectors)


def _make(table: Any, place: Path, *, precision: Precision) -> None:
    """Write the files under another name first: whoever looks finds all of them or none."""
    place.parent.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        vectors = np.lib.format.open_memmap(part / MATRIX, mode="w+", dtype=precision, shape=_shape(table))
        rows = _read(table, into=vectors)
        vectors.flush()
        with pa.OSFile(os.fspath(part / ROWS), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)
        _remove_others(part)
        try:
            part.replace(place)
        except OSError:
            if not place.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_others(part: Path) -> None:
    """Files of other versions, which whoever has opened them keeps, and what processes that were killed left."""
    for other in part.parent.iterdir():
        is_part = other.name.startswith(".")
        if other != part and (not is_part or time.time() - other.stat().st_mtime > ABANDONED_S):
            shutil.rmtree(other, ignore_errors=True)


def _shape(table: Any) -> tuple[int, int]:
    return int(table.count_rows()), int(table.schema.field("vector").type.list_size)


def _read(table: Any, *, into: NDArray[np.floating[Any]]) -> Any:
    """Read a table in pieces: its vectors go into an array (n, dim), the other columns are returned."""
    names = [name for name in table.schema.names if name not in VECTORS]
    schema = pa.schema([table.schema.field(name) for name in names])
    done = 0
    pieces = []
    for batch in table.search().select([*names, "vector"]).to_batches(SCAN_ROWS):
        vectors = batch["vector"].flatten().to_numpy().reshape(-1, into.shape[1])
        require_sound(vectors)
        into[done : done + len(batch)] = vectors
        done += len(batch)
        pieces.append(batch.select(names))
    if done != len(into):
        raise OSError(f"{done} of {len(into)} rows could be read")
    return pa.Table.from_batches(pieces, schema=schema).combine_chunks()
