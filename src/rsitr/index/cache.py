"""What an index's tables hold, as files beside them: read many times faster, and without starting their engine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rsitr.errors import ConfigError
from rsitr.files import replacing
from rsitr.index.budget import Precision
from rsitr.index.filtering import TileColumns
from rsitr.index.matrix import TileMatrix, is_sound, require_sound
from rsitr.index.names import CACHE
from rsitr.index.rows import VECTORS

__all__ = ["KeptScenes", "open_cached"]

ROWS, MATRIX, SCENES = "rows.arrow", "vectors.npy", "scenes.arrow"
STATE, N_TILES = b"state", b"n_tiles"
SCAN_ROWS = 16_384
ABANDONED_S = 3600


@dataclass(frozen=True, slots=True)
class KeptScenes:
    """What is known of the scenes, and how many tiles there are, in one state of the tables.

    Attributes:
        state: of the tables; another one after every change.
        scenes: rows of the table of scenes.
        n_tiles: in the index.
    """

    state: str
    scenes: Any
    n_tiles: int

    @classmethod
    def read(cls, folder: Path, *, state: str) -> KeptScenes | None:
        """What was kept of this state in an index's folder; None where nothing was, or it is damaged."""
        try:
            with pa.OSFile(os.fspath(folder / CACHE / SCENES)) as file, pa.ipc.open_file(file) as reader:
                about = reader.schema.metadata or {}
                if about.get(STATE) != state.encode():
                    return None
                return cls(state, reader.read_all().replace_schema_metadata(), int(about[N_TILES]))
        except (OSError, ValueError, KeyError):
            return None

    def keep(self, folder: Path) -> None:
        """Leave it for the next process; where nothing can be written, nothing is."""
        table = self.scenes.replace_schema_metadata({STATE: self.state, N_TILES: str(self.n_tiles)})
        with suppress(OSError, ConfigError):
            (folder / CACHE).mkdir(exist_ok=True)
            with (
                replacing(folder / CACHE / SCENES) as part,
                pa.OSFile(os.fspath(part), "wb") as file,
                pa.ipc.new_file(file, table.schema) as writer,
            ):
                writer.write_table(table)


def open_cached(
    table: Callable[[], Any],
    *,
    folder: Path,
    version: int,
    precision: Precision,
    count: Callable[[int], None] = lambda _: None,
) -> TileMatrix:
    """The tiles of one version of a table, from the files in `folder`, which are made if they are not there.

    The table is opened only where its files are not there; `count` is told then how many bytes were read of it.

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
    opened = table()
    try:
        _make(opened, place, precision=precision, count=count)
        return _open(place)
    except OSError:
        vectors = np.empty(_shape(opened), precision)
        return _matrix(_read(opened, into=vectors, count=count), vectors)


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


def _make(table: Any, place: Path, *, precision: Precision, count: Callable[[int], None]) -> None:
    """Write the files under another name first: whoever looks finds all of them or none."""
    place.parent.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        vectors = np.lib.format.open_memmap(part / MATRIX, mode="w+", dtype=precision, shape=_shape(table))
        rows = _read(table, into=vectors, count=count)
        vectors.flush()
        del vectors  # Windows moves no folder with a file in it that is mapped
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
    """Tiles of other versions, which whoever has opened them keeps, and what processes that were killed left."""
    for other in part.parent.iterdir():
        is_part = other.name.startswith(".")
        if other != part and other.is_dir() and (not is_part or time.time() - other.stat().st_mtime > ABANDONED_S):
            shutil.rmtree(other, ignore_errors=True)


def _shape(table: Any) -> tuple[int, int]:
    return int(table.count_rows()), int(table.schema.field("vector").type.list_size)


def _read(table: Any, *, into: NDArray[np.floating[Any]], count: Callable[[int], None]) -> Any:
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
        count(batch.nbytes)
        pieces.append(batch.select(names))
    if done != len(into):
        raise OSError(f"{done} of {len(into)} rows could be read")
    return pa.Table.from_batches(pieces, schema=schema).combine_chunks()
