"""Tiles in Milvus behind the Store Protocol: their vectors stay there, and are ranked there.

What filters look at is in memory here, as it is with every store, and decides which tiles pass. Milvus ranks without an
approximate index; the few that it names are scored again with their own vectors, so that equal scores are equal.
"""

from __future__ import annotations

import base64
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rsitr.errors import ConfigError, MissingError, StoreError
from rsitr.files import replacing
from rsitr.index.address import address_of, cache_of
from rsitr.index.collection import SCENE, STATE, TILE, Collection
from rsitr.index.condition import columns_of, one_of
from rsitr.index.filtering import Rows, TileColumns
from rsitr.index.matrix import require_fitting
from rsitr.index.packing import column_schema, pack, part_names, unpack
from rsitr.index.ranking import ChangedError, MilvusTiles
from rsitr.index.rows import (
    numbers,
    scene_schema,
    scenes_from_table,
    table_from_scenes,
    table_from_tiles,
    take,
    tiles_from_rows,
)
from rsitr.index.traffic import count_bytes
from rsitr.index.versions import VERSION_BITS, State
from rsitr.types import FloatArray, Hit, SceneEntry, Tile, TileFilter

__all__ = ["MilvusStore"]

ATTEMPTS = 20
ROW_BYTES = 1000

Result = TypeVar("Result")


class MilvusStore:
    """A collection of Milvus, `milvus://host:19530/collection`."""

    def __init__(self, folder: Path, *, dim: int, code_length: int = 0, must_exist: bool = False) -> None:
        """Open the collection that a folder is the home of, or make it.

        Args:
            folder: home of the index.
            dim: width of the vectors.
            code_length: numbers in the code that is kept beside each vector; 0 where none is.
            must_exist: a collection that is not there is damage, and none is made.

        Raises:
            StoreError: Milvus is not there, or the collection is missing, or has other columns.
        """
        address = address_of(folder)
        if address is None or address.scheme != "milvus":
            raise StoreError(f"{folder}: the engine 'milvus' wants an address: --into milvus://host:19530/collection")
        self._folder, self._dim, self._code_length = folder, dim, code_length
        self._collection = Collection(address)
        self._snapshot: MilvusTiles | None = None
        self._loading = threading.Lock()
        self._is_clean = False
        if self._collection.exists():
            self._collection.require(dim=dim, code_length=code_length)
        elif must_exist:
            raise StoreError(f"{folder}: its collection in Milvus is missing; make the index again")
        else:
            self._collection.make(dim=dim, code_length=code_length)

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._dim

    @property
    def version(self) -> int:
        """Number of the latest state of the tiles: another one after every change, whoever made it."""
        return self._collection.recent().version

    def __len__(self) -> int:
        return self._collection.recent().n_tiles

    def scenes(self) -> list[SceneEntry]:
        """The scenes whose tiles are here, sorted by name."""
        rows = self._scenes(["about"])
        return scenes_from_table(unpack([row["about"] for row in rows], scene_schema()))

    def scene_names(self) -> list[str]:
        """Names of the scenes whose tiles are here, sorted."""
        return sorted(row["scene"] for row in self._scenes(["scene"]))

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
            StoreError: the vectors or codes are not what was promised, or Milvus refuses.
        """
        require_fitting(vectors, codes, n=len(tiles), dim=self._dim, code_length=self._code_length, folder=self._folder)
        of_scene = {entry.scene: entry for entry in entries}
        for names in part_names([entry.scene for entry in entries]):
            meant = set(names)
            rows = [i for i, tile in enumerate(tiles) if tile.scene in meant]
            some = [of_scene[name] for name in names]
            self._write(some, [tiles[i] for i in rows], vectors[rows], None if codes is None else codes[rows])

    def remove(self, scenes: Sequence[str]) -> None:
        """Take scenes and their tiles out."""
        for names in part_names(scenes):
            self._replace(names, lambda _: [], n_new=0)

    def search(self, vector: FloatArray, *, k: int, where: TileFilter | None = None) -> list[Hit]:
        """The k tiles with the highest cosine among those that pass the filter, best first; equal scores by tile id."""
        return self._steadily(lambda matrix: matrix.search(vector, k=k, where=where))

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
        return self._steadily(lambda matrix: matrix.take(self._rows(matrix, tiles)))

    def codes(self, tiles: Sequence[str]) -> NDArray[np.float16] | None:
        """The codes of tiles by their ids, (len(tiles), length); None where no codes are kept.

        Raises:
            MissingError: a tile is not in the index.
        """
        if not self._code_length:
            return None
        found = self._steadily(
            lambda matrix: matrix.read(self._rows(matrix, tiles), "code", row_bytes=3 * self._code_length)
        )
        numbers_of = [np.frombuffer(base64.b64decode(code), np.float16) for code in found]
        return np.stack(numbers_of) if numbers_of else np.empty((0, self._code_length), np.float16)

    def sample(self, n: int) -> FloatArray:
        """Vectors of up to n tiles, evenly spread over the index, the same in every call."""
        return self._steadily(lambda matrix: matrix.take(np.arange(0, len(matrix), max(1, -(-len(matrix) // n)))))

    def tidy(self) -> None:
        """Milvus joins its pieces by itself."""

    def load(self) -> MilvusTiles:
        """The columns of all tiles in memory: from the last call, unless something was written since.

        Raises:
            StoreError: they cannot be read.
        """
        with self._loading:
            for attempt in range(ATTEMPTS):
                state = self._collection.state() if attempt else self._collection.recent()
                there = self._snapshot
                if there is not None and there.state is not None and there.state.is_same(state):
                    return there
                self._snapshot = None
                rows, ids = self._columns(state)
                if len(ids) == state.n_tiles:
                    self._snapshot = MilvusTiles(
                        rows=rows,
                        columns=TileColumns.from_table(rows),
                        vectors=np.empty((len(ids), 0), np.float32),
                        state=state,
                        ids=ids,
                        collection=self._collection,
                        dim=self._dim,
                        cache=cache_of(self._folder),
                    )
                    return self._snapshot
        raise StoreError(f"{self._folder}: its tiles are being written too fast to be read, or some are missing")

    def _steadily(self, act: Callable[[MilvusTiles], Result]) -> Result:
        """Do something with tiles that were the latest at some time since this was called, and all of them there."""
        matrix, is_fresh = self._snapshot, False
        for _ in range(ATTEMPTS):
            if matrix is None:
                matrix, is_fresh = self.load(), True
            trouble: Exception | None = None
            try:
                found = act(matrix)
            except (ChangedError, MissingError) as error:
                trouble = error
            state, own = self._collection.state(), matrix.state
            if own is not None and state.is_kept(own) and (is_fresh or state.is_same(own)):
                if trouble is not None:
                    raise trouble
                return found
            matrix = None
        raise StoreError(f"{self._folder}: its tiles are being written too fast to be searched")

    def _columns(self, state: State) -> tuple[Any, NDArray[np.int64]]:
        place = cache_of(self._folder) / f"{state.made}-{state.version}.arrow"
        with suppress(OSError, ValueError, KeyError), pa.OSFile(str(place)) as file, pa.ipc.open_file(file) as reader:
            kept = reader.read_all()
            return kept.drop_columns("number"), numbers(kept["number"])
        about: list[str] = []
        ids: list[int] = []
        for page in self._collection.pages(f"kind == {TILE} and {state.seen()}", ["about"], row_bytes=ROW_BYTES):
            about += [row["about"] for row in page]
            ids += [row["number"] for row in page]
        rows = unpack(about, column_schema(self._dim))
        count_bytes(place.parent, sum(map(len, about)))
        if len(ids) == state.n_tiles:
            self._keep(rows.append_column("number", pa.array(ids, pa.int64())), place)
        return rows, np.array(ids, np.int64)

    def _keep(self, rows: Any, place: Path) -> None:
        """Leave them for the next process; where nothing can be written, nothing is."""
        with suppress(OSError, ConfigError):
            place.parent.mkdir(parents=True, exist_ok=True)
            with (
                replacing(place) as part,
                pa.OSFile(str(part), "wb") as file,
                pa.ipc.new_file(file, rows.schema) as writer,
            ):
                writer.write_table(rows)
            for other in place.parent.glob("*-*.arrow"):
                if other != place:
                    other.unlink(missing_ok=True)

    def _scenes(self, fields: Sequence[str]) -> list[dict[str, Any]]:
        for _ in range(ATTEMPTS):
            state = self._collection.state()
            pages = self._collection.pages(f"kind == {SCENE} and {state.seen()}", fields, row_bytes=ROW_BYTES)
            rows = [row for page in pages for row in page]
            if self._collection.state().is_kept(state):
                return rows
        raise StoreError(f"{self._folder}: its scenes are being written too fast to be read")

    def _write(
        self,
        entries: Sequence[SceneEntry],
        tiles: Sequence[Tile],
        vectors: FloatArray,
        codes: NDArray[np.float16] | None,
    ) -> None:
        named = pack(table_from_tiles(tiles, np.ascontiguousarray(vectors, np.float32), None).drop_columns("vector"))
        scenes, counts = pack(table_from_scenes(entries)), Counter(tile.scene for tile in tiles)

        def rows(first: int) -> list[dict[str, Any]]:
            made = [
                {
                    "number": first + 1 + i,
                    "kind": TILE,
                    "scene": tile.scene,
                    "about": about,
                    "vector": vectors[i].tolist(),
                    **columns_of(tile),
                    **({} if codes is None else {"code": base64.b64encode(codes[i].tobytes()).decode()}),
                }
                for i, (tile, about) in enumerate(zip(tiles, named, strict=True))
            ]
            about_scenes = enumerate(zip(entries, scenes, strict=True), start=first + 1 + len(tiles))
            return made + [
                self._collection.row(
                    number,
                    SCENE,
                    dim=self._dim,
                    code_length=self._code_length,
                    scene=entry.scene,
                    about=about,
                    day=counts[entry.scene],
                )
                for number, (entry, about) in about_scenes
            ]

        self._replace([entry.scene for entry in entries], rows, n_new=len(tiles))

    def _replace(self, scenes: Sequence[str], rows: Callable[[int], list[dict[str, Any]]], *, n_new: int) -> None:
        """One version more, in which scenes have other rows."""
        there, before = self._collection, self._collection.state()
        version = before.version + 1
        if not self._is_clean and (left := there.query(f"number >= {version << VERSION_BITS}", ["number"])):
            # What a killed writer has left is of a version that nobody sees.
            there.delete(f"number >= {version << VERSION_BITS}")
            version = (max(int(row["number"]) for row in left) >> VERSION_BITS) + 1
        self._is_clean = False
        if before.gone:
            rows_gone = " or ".join(one.rows for one in before.gone)
            there.delete(f"number >= 0 and kind < {STATE} and ({rows_gone})")
        known = there.query(f"kind == {SCENE} and {before.seen()} and {one_of('scene', scenes)}", ["scene", "day"])
        after = before.after(
            version,
            n_tiles=before.n_tiles - sum(int(row["day"]) for row in known) + n_new,
            scenes=[row["scene"] for row in known],
        )
        there.insert(rows(after.first), dim=self._dim)
        there.commit(after, dim=self._dim, code_length=self._code_length)
        there.delete(f"kind == {STATE} and number < {before.first}")
        self._is_clean = True

    def _rows(self, matrix: MilvusTiles, tiles: Sequence[str]) -> Rows:
        rows = matrix.find(tiles)
        missing = [tile for tile, row in zip(tiles, rows, strict=True) if row < 0]
        if missing:
            raise MissingError(
                f"{self._folder}: there is no tile {missing[0]!r} in this index; its hits name their tiles "
                "(`rsitr search --format csv`)"
            )
        return rows
