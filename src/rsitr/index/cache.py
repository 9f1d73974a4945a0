"""What an index's tables hold, as files beside them: read many times faster, and without starting their engine."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
from rsitr.index.rows import VECTORS, numbers

__all__ = ["KeptColumns", "KeptScenes", "open_cached"]

ROWS, MATRIX, SCENES = "rows.arrow", "vectors.npy", "scenes.arrow"
ADDRESS = "_rowid"
"""What LanceDB calls its number of a row."""
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


@dataclass(frozen=True, slots=True)
class KeptColumns:
    """Everything of the tiles but their vectors, of which there are too many for memory.

    Attributes:
        rows: Arrow table of n rows, mapped from a file.
        addresses: (n,) LanceDB's number of each row.
    """

    rows: Any
    addresses: NDArray[np.uint64]

    @classmethod
    def open(cls, table: Any, *, folder: Path, version: int, count: Callable[[int], None]) -> KeptColumns:
        """Those of one version of a table, from the file in `folder`, which is made if it is not there.

        Args:
            table: of LanceDB, at that version.
            folder: of the index, or what is kept of it here.
            version: of the table.
            count: is told how many bytes were read of the table.
        """
        place = folder / CACHE / f"{version}-columns"
        if not (place / ROWS).is_file():
            try:
                with _making(place) as part:
                    _write_columns(table, part / ROWS, count=count)
            except OSError:  # nothing can be written there: they are in memory then
                whole = _scan_columns(table).read_all().combine_chunks()
                count(whole.nbytes)
                return cls._of(whole)
        with pa.memory_map(os.fspath(place / ROWS)) as file, pa.ipc.open_file(file) as reader:
            return cls._of(reader.read_all())

    @classmethod
    def _of(cls, table: Any) -> KeptColumns:
        return cls(table.drop_columns([ADDRESS]), numbers(table[ADDRESS]).astype(np.uint64))


def _scan_columns(table: Any) -> Any:
    names = [name for name in table.schema.names if name not in VECTORS]
    return table.search().select(names).with_row_id(True).to_batches(SCAN_ROWS)


def _write_columns(table: Any, path: Path, *, count: Callable[[int], None]) -> None:
    """In one piece, as rows are taken out of many pieces by joining them first; by way of a file, not of memory."""
    pieces = path.with_suffix(".pieces")
    with (
        _scan_columns(table) as batches,
        pa.OSFile(os.fspath(pieces), "wb") as file,
        pa.ipc.new_file(file, batches.schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
            count(batch.nbytes)
    with pa.memory_map(os.fspath(pieces)) as file, pa.ipc.open_file(file) as reader:
        whole = reader.read_all().combine_chunks()
        with pa.OSFile(os.fspath(path), "wb") as out, pa.ipc.new_file(out, whole.schema) as writer:
            writer.write_table(whole)
        del whole
    pieces.unlink()


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
    with _making(place) as part:
        vectors = np.lib.format.open_memmap(part / MATRIX, mode="w+", dtype=precision, shape=_shape(table))
        rows = _read(table, into=vectors, count=count)
        vectors.flush()
        del vectors  # Windows moves no folder with a file in it that is mapped
        with pa.OSFile(os.fspath(part / ROWS), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)


@contextmanager
def _making(place: Path) -> Iterator[Path]:
    """A folder to write into, which is then put in its place: whoever looks finds all files or none."""
    place.parent.mkdir(exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        yield part
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
