"""Tiles, vectors and scenes in LanceDB tables: the store of record behind the Store Protocol."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rsitr.buckets import explain_bucket
from rsitr.errors import MissingError, StoreError
from rsitr.files import explain_disk
from rsitr.index.address import address_of, cache_of
from rsitr.index.bucket import Bucket
from rsitr.index.budget import choose_precision, find_budget
from rsitr.index.cache import KeptColumns, KeptScenes, open_cached
from rsitr.index.filtering import Rows
from rsitr.index.matrix import TileMatrix, require_fitting
from rsitr.index.nearest import NearestTiles, build_nearest
from rsitr.index.rows import (
    codes_from_table,
    scene_schema,
    scenes_from_table,
    table_from_scenes,
    table_from_tiles,
    take,
    tile_schema,
    tiles_from_rows,
    vectors_from_table,
)
from rsitr.index.state import newest_stamp, newest_version, read_check
from rsitr.index.traffic import count_bytes
from rsitr.types import FloatArray, Hit, SceneEntry, Tile, TileFilter

__all__ = ["LanceStore"]

NAMES_AT_ONCE = 1000  # scenes in one condition
KEEP_BYTES = 256 * 2**20
"""Vectors up to this size are kept for searches at once; with more, writing would take noticeably longer."""
LEAST_CACHE_BYTES = 64 * 2**20
"""What LanceDB may keep of an IVF index in memory, a fourth of what vectors may take, is no less than this."""
SMALL_PIECES = 8  # in a table are joined: each costs a search some time, and joining writes all of them anew

# A reader takes an old version for seconds at most; what is older than this can be cleaned away without asking anyone.
KEEP_VERSIONS = timedelta(hours=1)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The tiles at one version: all that a search needs comes from the same one, whatever is written meanwhile.

    Attributes:
        version: of the table.
        stamp: of that version's file; another one once the index was made anew.
        table: gives LanceDB's table, held at that version; it is opened when it is asked for.
        matrix: its tiles in memory.
    """

    version: int
    stamp: int
    table: Callable[[], Any]
    matrix: TileMatrix


class LanceStore:
    """Two tables in a folder: `tiles`, one row per tile with its vector, and `scenes`, what is known of each scene.

    A scene is written in two commits, its tiles first: whoever is interrupted between them finds the scene missing from
    `scenes`, and writes it again, in place of the rows that are there.

    The folder may be the home of an index in a bucket: the tables are there then, and what was read once is kept in the
    user's cache.

    LanceDB takes a second to import. What was read once is kept in files beside the tables, and while these are as they
    were, it is not imported.
    """

    def __init__(
        self,
        folder: Path,
        *,
        dim: int,
        code_length: int = 0,
        memory_bytes: int | None = None,
        must_exist: bool = False,
    ) -> None:
        """Open the tables in a folder, or make them.

        Args:
            folder: of the index.
            dim: width of the vectors.
            code_length: numbers in the code that is kept beside each vector; 0 where none is.
            memory_bytes: what the vectors may take of memory while they are searched; None: what `RSITR_MEMORY_GB`
                says, else half of what there is.
            must_exist: a table that is not there is damage, and none is made.

        Raises:
            ConfigError: `RSITR_MEMORY_GB` is no number above 0.
            StoreError: the tables are damaged or missing, or hold vectors of another width.
        """
        self._folder = folder
        address = address_of(folder)
        self._bucket = None if address is None else Bucket(address)
        self._beside = cache_of(folder)
        self._dim = dim
        self._code_length = code_length
        self._memory_bytes = find_budget() if memory_bytes is None else memory_bytes
        self._must_exist = must_exist
        self._snapshot: _Snapshot | None = None
        self._loading = threading.Lock()
        self._kept: KeptScenes | None = None
        self._stamps = (0, 0)
        if not must_exist or self._unchanged() is None:
            _ = self._tiles, self._scenes  # damage is told at once

    @cached_property
    def _tiles(self) -> Any:
        return self._guard(lambda: self._open("tiles", tile_schema(self._dim, code_length=self._code_length)))

    @cached_property
    def _scenes(self) -> Any:
        return self._guard(lambda: self._open("scenes", scene_schema()))

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._dim

    @property
    def version(self) -> int:
        """Number of the latest state of the tiles: another one after every change, whoever made it."""
        return self._version("tiles")

    def __len__(self) -> int:
        return self._known().n_tiles

    def scenes(self) -> list[SceneEntry]:
        """The scenes whose tiles are here, sorted by name."""
        return scenes_from_table(self._known().scenes)

    def scene_names(self) -> list[str]:
        """Names of the scenes whose tiles are here, sorted; many times faster than all that is known of them."""
        return sorted(self._known().scenes["scene"].to_pylist())

    def _known(self) -> KeptScenes:
        """What is known of the scenes now: what was kept, while neither table has changed."""
        if (kept := self._unchanged()) is None:
            state = self._state()  # before the rows are read: what is written meanwhile puts them out of date
            tiles, scenes = self._latest(self._tiles), self._latest(self._scenes)
            kept = KeptScenes(state, self._count(self._guard(scenes.to_arrow)), int(self._guard(tiles.count_rows)))
            kept.keep(self._beside)
        self._kept = kept
        return kept

    def _unchanged(self) -> KeptScenes | None:
        stamps = self._stamp("tiles"), self._stamp("scenes")
        state = self._state()
        if self._kept is not None and self._kept.state == state and self._stamps == stamps:
            return self._kept
        self._forget(stamps)
        return KeptScenes.read(self._beside, state=state)

    def _state(self) -> str:
        return f"{self._dim} {self._code_length} {self._version('tiles')} {self._version('scenes')}"

    def _forget(self, stamps: tuple[int, int]) -> None:
        """Tables that are held may be of an index that was made anew since: they are opened again."""
        if self._stamps != stamps:
            for name in ("_tiles", "_scenes"):
                self.__dict__.pop(name, None)
        self._stamps = stamps

    def _stamp(self, name: str) -> int:
        if self._bucket is not None:
            return self._bucket.newest(f"{name}.lance")[1]
        return newest_stamp(self._folder / f"{name}.lance")

    def _version(self, name: str) -> int:
        """Of a table: from its files' names where these tell."""
        path = f"{name}.lance"
        found = newest_version(self._folder / path) if self._bucket is None else self._bucket.newest(path)[0]
        if found is not None:
            return found
        table = self._tiles if name == "tiles" else self._scenes
        return int(self._guard(lambda: self._latest(table).version))

    def put(
        self,
        entries: Sequence[SceneEntry],
        tiles: Sequence[Tile],
        vectors: FloatArray,
        *,
        codes: NDArray[np.float16] | None = None,
    ) -> None:
        """Write whole scenes, replacing what was there of the same scenes; other readers see all of it or nothing.

        Raises:
            StoreError: the vectors or codes are not what was promised, or the disk refuses.
        """
        require_fitting(vectors, codes, n=len(tiles), dim=self._dim, code_length=self._code_length, folder=self._folder)
        names = [entry.scene for entry in entries]
        rows = table_from_tiles(tiles, np.ascontiguousarray(vectors, dtype=np.float32), codes)
        # What is there is looked up first: in the latest state, which another process may have written.
        with self._noticed():
            self._guard(lambda: _replace(self._latest(self._tiles), "tile", rows, names))
            self._guard(lambda: _replace(self._latest(self._scenes), "scene", table_from_scenes(entries), names))

    def extend(self, batches: Iterator[Any], entries: Callable[[], Sequence[SceneEntry]]) -> None:
        """Write scenes that are not here yet, however many tiles they have: the tiles in one commit, then the scenes.

        Args:
            batches: of the table of tiles (`rsitr.index.rows.tile_schema`), with unit rows; they are written as they
                come. What they raise is raised here, and nothing is written then.
            entries: gives the scenes, once all tiles have come.

        Raises:
            StoreError: the disk refuses.
        """
        stopped: list[Exception] = []

        def watched() -> Iterator[Any]:
            try:
                yield from batches
            except Exception as error:
                stopped.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(tile_schema(self._dim, code_length=self._code_length), watched())
        with self._noticed():
            try:
                self._guard(partial(self._latest(self._tiles).add, reader))
            except StoreError:
                if stopped:
                    raise stopped[0] from None
                raise
            self._guard(partial(self._latest(self._scenes).add, table_from_scenes(entries())))

    def stream(self, *, rows: int) -> Iterator[Any]:
        """All tiles as batches of at most so many rows of their table, without codes, at the latest version.

        Raises:
            StoreError: they cannot be read.
        """
        table = self._guard(partial(self._database().open_table, "tiles"))
        self._guard(partial(table.checkout, self.version))
        names = [name for name in table.schema.names if name != "code"]
        n = int(self._guard(table.count_rows))
        # One after the other: a scan reads ahead without bounds where what becomes of the rows is slower.
        for start in range(0, n, rows):
            some = table.take_offsets(list(range(start, min(n, start + rows)))).select(names)
            yield from self._guard(some.to_arrow).combine_chunks().to_batches()

    def tile_names(self, *, but: Collection[str] = ()) -> Any:
        """The ids of all tiles, but those of some scenes, as a column."""
        batches = self._guard(lambda: list(self._latest(self._tiles).search().select(["tile", "scene"]).to_batches()))
        apart = pa.array(list(but), pa.string())
        import pyarrow.compute as pc  # slow to import

        names = [one["tile"].filter(pc.invert(pc.is_in(one["scene"], value_set=apart))) for one in batches]
        return pa.chunked_array(names, pa.string())

    def remove(self, scenes: Sequence[str]) -> None:
        """Take scenes and their tiles out; first from the list of scenes, so that none is listed without its tiles."""
        with self._noticed():
            for table in (self._scenes, self._tiles):
                for start in range(0, len(scenes), NAMES_AT_ONCE):
                    self._guard(partial(self._latest(table).delete, _of_scenes(scenes[start : start + NAMES_AT_ONCE])))

    def tidy(self) -> None:
        """Join the small pieces that many commits leave, and drop old versions that nobody can be reading.

        Vectors that are too many for the budget of memory get an IVF index, whose recall is checked. Where there is
        nothing to be done it takes no time: it may be called after every change, and whenever an interrupted run is
        taken up again.
        """
        joined = False
        with self._noticed():
            for table in (self._tiles, self._scenes):
                pieces = self._guard(self._latest(table).stats)["fragment_stats"]["num_small_fragments"]
                if pieces >= SMALL_PIECES:
                    self._guard(partial(table.optimize, cleanup_older_than=KEEP_VERSIONS))
                    joined = True
            n = int(self._guard(self._latest(self._tiles).count_rows))
            precision = choose_precision(n=n, dim=self._dim, memory_bytes=self._memory_bytes)
            if precision is None and (joined or read_check(self._folder) is None):
                self._guard(lambda: build_nearest(self._tiles, folder=self._folder, n=n))
        # Who reads next finds it kept, and need not start LanceDB. What is damaged is told to who searches.
        self._known()
        # What lies in a bucket would have to be read again for that.
        if self._bucket is None and 4 * n * self._dim <= min(KEEP_BYTES, self._memory_bytes):
            with suppress(StoreError):
                self.load()

    def search(self, vector: FloatArray, *, k: int, where: TileFilter | None = None) -> list[Hit]:
        """The k tiles with the highest cosine among those that pass the filter, best first; equal scores by tile id."""
        return self.load().search(vector, k=k, where=where)

    def count(self, where: TileFilter | None = None) -> int:
        """How many tiles pass the filter."""
        return self.load().count(where)

    def browse(self, where: TileFilter | None = None, *, start: int, n: int) -> list[Tile]:
        """Up to n of the tiles that pass the filter, after the first `start`, in an order that only writing changes."""
        return self.load().browse(where, start=start, n=n)

    def tiles(self, tiles: Sequence[str]) -> list[Tile]:
        """Tiles by their ids.

        Raises:
            MissingError: a tile is not in the index.
        """
        matrix = self.load()
        return tiles_from_rows(take(matrix.rows, self._rows(matrix, tiles)))

    def vectors(self, tiles: Sequence[str]) -> FloatArray:
        """The vectors of tiles by their ids, (len(tiles), dim).

        Raises:
            MissingError: a tile is not in the index.
        """
        matrix = self.load()
        return matrix.take(self._rows(matrix, tiles))

    def codes(self, tiles: Sequence[str]) -> NDArray[np.float16] | None:
        """The codes of tiles by their ids, (len(tiles), length); None where no codes are kept.

        Raises:
            MissingError: a tile is not in the index.
        """
        if not self._code_length:
            return None
        snapshot = self._latest_snapshot()
        return codes_from_table(self._fetch(snapshot.table, self._rows(snapshot.matrix, tiles), "code"))

    def sample(self, n: int) -> FloatArray:
        """Vectors of up to n tiles, evenly spread over the index, the same in every call."""
        matrix = self.load()
        return matrix.take(np.arange(0, len(matrix), max(1, -(-len(matrix) // n))))

    def take_over(self, other: LanceStore) -> None:
        """Begin with what another store of the same folder has in memory."""
        self._snapshot, self._kept = other._snapshot, other._kept

    def load(self) -> TileMatrix:
        """All tiles in memory: from the last call, unless something was written since.

        Raises:
            StoreError: the tiles cannot be read.
        """
        return self._latest_snapshot().matrix

    def _latest_snapshot(self) -> _Snapshot:
        with self._loading:  # who comes second waits, rather than load the same again
            version, stamp = self.version, self._stamp("tiles")
            if self._snapshot is None or (self._snapshot.version, self._snapshot.stamp) != (version, stamp):
                self._snapshot = None  # memory need not hold both
                self._snapshot = self._guard(lambda: self._read(version, stamp))
            return self._snapshot

    def _read(self, version: int, stamp: int) -> _Snapshot:
        @cache
        def table() -> Any:
            held = self._database().open_table("tiles")
            held.checkout(version)
            return held

        precision = choose_precision(n=len(self), dim=self._dim, memory_bytes=self._memory_bytes)
        with suppress(OSError):  # where nothing can be kept, it is read each time
            self._beside.mkdir(parents=True, exist_ok=True)
        if precision is None:
            return _Snapshot(version, stamp, table, self._on_disk(table(), version=version))
        matrix = open_cached(table, folder=self._beside, version=version, precision=precision, count=self._count_bytes)
        if precision == "float16":
            matrix = replace(matrix, exact=lambda rows: vectors_from_table(self._fetch(table, rows, "vector")))
        return _Snapshot(version, stamp, table, matrix)

    def _on_disk(self, table: Any, *, version: int) -> NearestTiles:
        check = read_check(self._folder)
        kept = KeptColumns.open(table, folder=self._beside, version=version, count=self._count_bytes)
        return NearestTiles.of(
            kept.rows,
            table=table,
            addresses=kept.addresses,
            probes=None if check is None else check.probes,
            exact_rows=self._memory_bytes // (8 * self._dim),
            exact=lambda rows: vectors_from_table(self._fetch(lambda: table, rows, "vector")),
        )

    def _rows(self, matrix: TileMatrix, tiles: Sequence[str]) -> Rows:
        rows = matrix.find(tiles)
        missing = [tile for tile, row in zip(tiles, rows, strict=True) if row < 0]
        if missing:
            raise MissingError(
                f"{self._folder}: there is no tile {missing[0]!r} in this index; its hits name their tiles "
                "(`rsitr search --format csv`)"
            )
        return rows

    def _fetch(self, table: Callable[[], Any], rows: Rows, name: str) -> Any:
        """One column of some rows, in the order asked for; LanceDB gives rows in theirs, each once."""
        wanted, back = np.unique(rows, return_inverse=True)
        found = self._guard(lambda: table().take_offsets(wanted.tolist()).select([name]).to_arrow())
        return self._count(found).take(back)

    def _count(self, found: Any) -> Any:
        """What was read, counted where it comes from a bucket."""
        self._count_bytes(found.nbytes)
        return found

    def _count_bytes(self, n: int) -> None:
        if self._bucket is not None:
            count_bytes(self._beside, n)

    @contextmanager
    def _noticed(self) -> Iterator[None]:
        """What is written in the block is seen here at once, whatever is known of a bucket so far."""
        try:
            yield
        finally:
            if self._bucket is not None:
                self._bucket.forget()

    def _database(self) -> Any:
        import lancedb  # here, because it takes seconds: who asks for an index that is not there need not wait

        pages = lancedb.Session(index_cache_size_bytes=max(LEAST_CACHE_BYTES, self._memory_bytes // 4))
        if self._bucket is None:
            return lancedb.connect(self._folder, session=pages)
        return lancedb.connect(str(self._bucket.address), storage_options=self._bucket.options(), session=pages)

    def _open(self, name: str, schema: Any) -> Any:
        database = self._database()
        if name not in database.list_tables().tables:
            if self._must_exist:
                raise OSError(f"its table of {name} is missing")
            with self._noticed():
                return database.create_table(name, schema=schema)
        table = database.open_table(name)
        if table.schema != schema:
            raise StoreError(f"{self._folder}: the table {name!r} has other columns than this index's {len(schema)}")
        return table

    def _latest(self, table: Any) -> Any:
        """The table as it is now, whoever wrote it."""
        self._guard(table.checkout_latest)
        return table

    def _guard(self, action: Callable[[], Result]) -> Result:
        """LanceDB reports trouble with files as one of these, in many lines; a person gets the first."""
        try:
            return action()
        except (RuntimeError, ValueError, OSError) as error:
            trouble = explain_disk(error) if self._bucket is None else explain_bucket(error)
            if trouble is not None:
                raise StoreError(f"{self._folder}: {trouble}") from error
            reason = str(error).strip().splitlines()
            raise StoreError(
                f"{self._folder}: the index cannot be read or written "
                f"({reason[0] if reason else type(error).__name__}); "
                "if its files are damaged, delete the folder and make the index again"
            ) from error


def _of_scenes(scenes: Sequence[str]) -> str:
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in scenes)
    return f"scene IN ({names})"


def _replace(table: Any, key: str, rows: Any, scenes: Sequence[str]) -> None:
    """Put rows in place of all rows of the same scenes, in one commit."""
    of_scenes = _of_scenes(scenes)
    if table.count_rows(of_scenes) == 0:
        table.add(rows)
        return
    change = table.merge_insert(key).when_matched_update_all().when_not_matched_insert_all()
    change.when_not_matched_by_source_delete(of_scenes).execute(rows)
