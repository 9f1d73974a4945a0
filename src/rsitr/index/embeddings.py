"""A file of embeddings: what its columns hold, and its rows as those of an index, batch by batch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from rsitr.errors import DataError
from rsitr.geo import Outlines, make_outlines, read_crs
from rsitr.index.columns import ColumnChoice, TileColumnNames, find_columns
from rsitr.index.exchange import Exchange, file_schema, rows_of_file
from rsitr.index.layout import Layout, name_scenes, require_distinct
from rsitr.index.matrix import LENGTH_TOLERANCE
from rsitr.index.rows import tile_schema
from rsitr.index.values import NO_DAY, decode, read_days, read_doubles, read_text, read_vectors, vector_column
from rsitr.types import FloatArray

__all__ = ["BadRows", "EmbeddingFile"]

SCAN_ROWS = 65_536
BATCH_NUMBERS = 2**23
"""Numbers of the vectors that are held at once: 32 MB, however wide they are."""
NAMED = 3
OWN_NAMES = TileColumnNames(
    vector=("embedding",),
    id="id",
    geometry="geometry",
    box=None,
    box_in=None,
    point=None,
    date="datetime",
    scene="scene",
    sensor="sensor",
    gsd="gsd",
)
POINTS_NEED_A_SIDE = "say how much ground a row stands for with --tile-m, the side of a square in metres"


@dataclass(slots=True)
class BadRows:
    """Rows that could not be used: how many for each reason, and the first few of them, counted from 0."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, rows: NDArray[np.int64]) -> None:
        """Count some rows, given by their places in the file."""
        if len(rows):
            self.counts[reason] += len(rows)
            named = self.first.setdefault(reason, [])
            named += rows[: NAMED - len(named)].tolist()

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()

    def describe(self) -> str:
        """What was wrong, in words; empty where nothing was.

        >>> bad = BadRows()
        >>> bad.add("no place on Earth", np.arange(3, 9))
        >>> bad.describe()
        '6 with no place on Earth (rows 3, 4, 5, ...)'
        """
        said = []
        for reason, count in self.counts.most_common():
            rows = ", ".join(str(row) for row in self.first[reason])
            more = ", ..." if count > NAMED else ""
            said.append(f"{count:,} with {reason} ({'rows' if count > 1 else 'row'} {rows}{more})")
        return "; ".join(said)


class EmbeddingFile:
    """An open file of embeddings.

    Attributes:
        name: of the file in the index.
        own: what `rsitr embeddings` wrote of its index; None for a file of others.
        n_rows: in it.
        columns: what they hold.
        bad: rows that have gone by and could not be used.
    """

    def __init__(self, path: Path, *, name: str, given: ColumnChoice, side_m: float | None = None) -> None:
        """Open a file.

        Args:
            path: of it.
            name: what it is called in the index.
            given: columns that a person named.
            side_m: side of the square that a point stands for, in metres.

        Raises:
            DataError: it is no Parquet file, or its columns fit nothing; the message says which it has.
        """
        self.name = name
        self.bad = BadRows()
        self._given = given
        self._side_m = side_m
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"it cannot be read as Parquet ({_first_line(error)})") from error
        self._schema = self._file.schema_arrow
        metadata = self._file.metadata.metadata or {}
        self._geo = _read_json(metadata.get(b"geo"))
        self._about = _read_json(metadata.get(b"emb"))
        self.n_rows = int(self._file.metadata.num_rows)
        self.own = Exchange.load(metadata)
        if self.own is None:
            primary = self._geo.get("primary_column")
            self.columns = find_columns(
                self._schema, given, primary=primary if isinstance(primary, str) else None
            )  # fmt: skip
        else:
            self.columns = OWN_NAMES
            self._require_own()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _require_own(self) -> None:
        missing = [name for name in file_schema(1).names if name not in self._schema.names]
        if missing:
            raise DataError(f"it says that `rsitr embeddings` wrote it, but has no column {missing[0]!r}")

    @cached_property
    def width(self) -> int:
        """Numbers in a vector: of most of the first rows where they differ.

        Raises:
            DataError: no row has a vector.
        """
        names = self.columns.vector
        if len(names) > 1:
            return len(names)
        kind = self._schema.field(names[0]).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        for batch in self._read(names, rows=1024):
            lengths = [length for length in pc.list_value_length(decode(batch[names[0]])).to_pylist() if length]
            if lengths:
                return int(Counter(lengths).most_common(1)[0][0])
        raise DataError(f"none of its {self.n_rows:,} rows has a vector in the column {names[0]!r}")

    @property
    def model_name(self) -> str | None:
        """What made the vectors, if the file says so under `emb`, as Earth Index's do."""
        model = self._about.get("model")
        found = (model.get("id") or model.get("name")) if isinstance(model, dict) else model
        return found if isinstance(found, str) and found.strip() else None

    @property
    def is_quantized(self) -> bool:
        """Whether the numbers of its vectors are whole ones."""
        kind = self._schema.field(self.columns.vector[0]).type
        return bool(pa.types.is_integer(getattr(kind, "value_type", kind)))

    def read_layout(self) -> Layout:
        """Pass over the small columns: which scenes there are, on which days, and whether the ids name the tiles.

        Raises:
            DataError: ids that a person named the column of, or those of a file of ours, occur twice; scenes are too
                many; or the file is damaged.
        """
        names = self.columns
        wanted = [name for name in (names.id, names.scene, names.date) if name is not None]
        ids, scenes, days = [], [], []
        for batch in self._read(wanted, rows=SCAN_ROWS) if wanted else ():
            ids += [read_text(batch[names.id])] if names.id else []
            scenes += [read_text(batch[names.scene]).dictionary_encode()] if names.scene else []
            days += [read_days(batch[names.date])] if names.date else []
        notes = []
        every = pa.chunked_array(ids, pa.string()) if names.id else None
        twice = None if every is None else require_distinct(every)
        if twice is not None:
            said = f"ids in its column {names.id!r} occur more than once, e.g. {twice!r}"
            if self.own or self._given.id:
                raise DataError(said)
            notes.append(f"{said}, so tiles are called by their rows")
            every = None
        day = np.concatenate(days) if days else np.full(self.n_rows, NO_DAY, np.int32)
        if names.date and self.n_rows and (day == NO_DAY).all():
            notes.append(f"no day could be read from its column {names.date!r}")
        of_scene = pa.chunked_array(scenes, pa.dictionary(pa.int32(), pa.string()))
        if self.own:
            found = [name for name in pc.unique(of_scene.cast(pa.string())).to_pylist() if name is not None]
            return Layout(tuple(found), np.empty(0, np.int32), day, every)
        named, codes, note = name_scenes(
            self.name, of_scene.cast(pa.string()), day, is_asked=self._given.scene is not None
        )
        return Layout(named, codes, day, every, notes=(*notes, *([note] if note else [])))

    def read(self, layout: Layout) -> Iterator[Any]:
        """The rows that can be used, as batches of an index's table of tiles; the others are counted in `bad`.

        Raises:
            DataError: a part of the file is damaged, or its geometries are of a kind that is not read here.
        """
        names = self.columns
        columns = [*names.vector, *names.placing, names.sensor, names.gsd, names.id if layout.ids is not None else None]
        wanted = file_schema(1).names if self.own else list(dict.fromkeys(name for name in columns if name is not None))
        start = 0
        for batch in self._read(wanted, rows=max(1, BATCH_NUMBERS // self.width)):
            rows = np.arange(start, start + len(batch))
            start += len(batch)
            yield self._written(batch, rows) if self.own else self._found(batch, rows, layout)

    def _read(self, columns: Sequence[str], *, rows: int) -> Iterator[Any]:
        try:
            for groups in self._groups(rows):
                yield from self._file.iter_batches(batch_size=rows, row_groups=groups, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"it is damaged ({_first_line(error)})") from error

    def _groups(self, rows: int) -> Iterator[list[int]]:
        """Row groups with so many rows together, or one that has more: whatever is read at once stays in memory."""
        held: list[int] = []
        n = 0
        for group in range(self._file.num_row_groups):
            held.append(group)
            n += int(self._file.metadata.row_group(group).num_rows)
            if n >= rows:
                yield held
                held, n = [], 0
        if held:
            yield held

    def _written(self, batch: Any, rows: NDArray[np.int64]) -> Any:
        """Rows of a file of ours, as they were; a row that was spoilt since is none."""
        schema = file_schema(self.width)
        try:
            columns = [decode(batch[field.name]).cast(field.type) for field in schema]
            batch = pa.record_batch(columns, schema=schema)
        except (pa.ArrowException, ValueError) as error:
            raise DataError(f"its columns are not as `rsitr embeddings` writes them ({_first_line(error)})") from error
        vectors, good = self._vectors(batch, rows, keep=True)
        good = self._require(batch["id"], rows, good, "no id")
        good = self._require(batch["scene"], rows, good, "no scene")
        good = self._require(batch["window_px"], rows, good, "no window")
        return rows_of_file(batch.filter(pa.array(good)), vectors=vector_column(vectors[good]))

    def _found(self, batch: Any, rows: NDArray[np.int64], layout: Layout) -> Any:
        """Rows of a file of others."""
        vectors, good = self._vectors(batch, rows, keep=False)
        outlines = self._outlines(batch)
        self.bad.add("no place on Earth", rows[good & ~outlines.known])
        good &= outlines.known
        names = self._ids(batch, rows, layout)
        good = self._require(names, rows, good, "no id")
        n, mask = int(good.sum()), pa.array(good)
        sensor, gsd = self.columns.sensor, self.columns.gsd
        gsd_m = np.full(len(batch), np.nan) if gsd is None else read_doubles(batch[gsd])
        days = layout.days[rows][good]
        scenes = pa.DictionaryArray.from_arrays(pa.array(layout.codes[rows][good]), pa.array(layout.scenes))
        return pa.record_batch(
            [
                names.filter(mask),
                scenes.cast(pa.string()),
                *[pa.array(np.zeros(n, np.int32))] * 4,
                *(pa.array(side[good]) for side in outlines.boxes),
                pa.array(outlines.wkb[good], pa.binary()),
                pa.array(days, mask=days == NO_DAY),
                pa.array(gsd_m[good], from_pandas=True),
                pa.nulls(n, pa.string()) if sensor is None else read_text(batch[sensor]).filter(mask),
                vector_column(vectors if good.all() else vectors[good]),
            ],
            schema=tile_schema(self.width),
        )

    def _require(self, column: Any, rows: NDArray[np.int64], good: NDArray[np.bool_], what: str) -> NDArray[np.bool_]:
        """Of the good rows, those that have something in a column."""
        if not column.null_count:
            return good
        there = np.asarray(column.is_valid())
        self.bad.add(what, rows[good & ~there])
        return np.asarray(good & there)

    def _vectors(self, batch: Any, rows: NDArray[np.int64], *, keep: bool) -> tuple[FloatArray, NDArray[np.bool_]]:
        """All vectors of a batch (n, width) at unit length, and which of them are any.

        Args:
            batch: of the file.
            rows: their places in it.
            keep: those that are of unit length already stay as they are, to the last bit.
        """
        found, good = read_vectors(batch, self.columns.vector, width=self.width)
        self.bad.add(f"no vector of {self.width} numbers", rows[~good])
        with np.errstate(all="ignore"):
            lengths = np.sqrt(np.einsum("nd,nd->n", found, found))
            self.bad.add("NaN or infinity in the vector", rows[good & ~np.isfinite(lengths)])
            self.bad.add("a vector of zeros", rows[good & (lengths == 0)])
            good = good & np.isfinite(lengths) & (lengths > 0)
            by = np.where(keep & (np.abs(lengths - 1.0) <= LENGTH_TOLERANCE), np.float32(1), lengths)
            unit: FloatArray = found if (by == 1).all() else np.asarray(found / by[:, None], dtype=np.float32)
        return unit, np.asarray(good)

    def _outlines(self, batch: Any) -> Outlines:
        names, side_m = self.columns, self._side_m
        if names.geometry is not None:
            shapes = self._shapes(batch[names.geometry])
            if side_m is None and (shapely.get_type_id(shapes) == 0).any():
                raise DataError(f"its geometries are points: {POINTS_NEED_A_SIDE}")
            return make_outlines(shapes, transformer=self._transformer, side_m=side_m)
        if names.point is not None:
            if side_m is None:
                raise DataError(f"its rows are points ({', '.join(names.point)}): {POINTS_NEED_A_SIDE}")
            lon, lat = (read_doubles(batch[name]) for name in names.point)
            there = np.isfinite(lon) & np.isfinite(lat)
            shapes = np.full(len(batch), None, dtype=object)
            shapes[there] = shapely.points(lon[there], lat[there])
            return make_outlines(shapes, side_m=side_m)
        inside = batch if names.box_in is None else pa.RecordBatch.from_struct_array(batch[names.box_in])
        west, south, east, north = (read_doubles(inside[name]) for name in names.box or ())
        there = np.isfinite(west) & np.isfinite(south) & np.isfinite(east) & np.isfinite(north)
        east = np.where(east < west, east + 360.0, east)
        shapes = np.full(len(batch), None, dtype=object)
        shapes[there] = shapely.box(*(side[there] for side in (west, south, east, north)))
        return make_outlines(shapes)

    def _shapes(self, column: Any) -> NDArray[np.object_]:
        plain = decode(column)
        encoding = str(self._about_geometry.get("encoding", "WKB"))
        if encoding.upper() != "WKB" or pa.types.is_nested(plain.type):
            raise DataError(f"its geometries are encoded as {encoding!r}: write them as WKB, which is read here")
        values = plain.to_numpy(zero_copy_only=False)
        is_text = isinstance(next((value for value in values if value is not None), b""), str)
        with np.errstate(all="ignore"):
            read = shapely.from_wkt if is_text else shapely.from_wkb
            return np.asarray(read(values, on_invalid="ignore"), dtype=object)

    @cached_property
    def _about_geometry(self) -> dict[str, Any]:
        """What GeoParquet's metadata say of the column of outlines."""
        columns = self._geo.get("columns")
        found = columns.get(self.columns.geometry) if isinstance(columns, dict) else None
        return found if isinstance(found, dict) else {}

    @cached_property
    def _transformer(self) -> Any:
        return read_crs(self._about_geometry.get("crs"))

    def _ids(self, batch: Any, rows: NDArray[np.int64], layout: Layout) -> Any:
        if layout.ids is not None and self.columns.id:
            return read_text(batch[self.columns.id])
        return pc.binary_join_element_wise(self.name, pa.array(rows).cast(pa.string()), ":")


def _read_json(content: bytes | None) -> dict[str, Any]:
    """An object of a file's metadata; an empty one where there is none, or none that can be read."""
    try:
        found = json.loads(content or b"null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
