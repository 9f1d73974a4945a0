"""Tiles and scenes as rows of Arrow tables, and back."""

from __future__ import annotations

import datetime
import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from rsitr.types import BBox, FloatArray, Ring, SceneEntry, Tile

__all__ = [
    "BBOX",
    "EPOCH",
    "VECTORS",
    "codes_from_table",
    "numbers",
    "scene_schema",
    "scenes_from_table",
    "table_from_scenes",
    "table_from_tiles",
    "take",
    "texts",
    "tile_from_row",
    "tile_schema",
    "tiles_from_rows",
    "vectors_from_table",
]

EPOCH = datetime.date(1970, 1, 1)
WKB_POLYGON = struct.Struct("<BIII")  # byte order, kind, number of rings, number of points
BBOX = ("west", "south", "east", "north")
VECTORS = ("vector", "code")
"""The wide columns of the table of tiles."""

# Beside the vector: places as WKB polygons and as four doubles (west > east across the antimeridian), days as whole
# numbers since 1970. What is unknown is null.
COMMON: list[tuple[str, Any]] = [
    *((side, pa.float64()) for side in BBOX),
    ("footprint", pa.binary()),
    ("day", pa.int32()),
    ("gsd_m", pa.float64()),
    ("sensor", pa.string()),
]


def tile_schema(dim: int, *, code_length: int = 0) -> Any:
    """Columns of the table of tiles; with a code of so many numbers beside the vector, unless that is 0."""
    window = [(name, pa.int32()) for name in ("col", "row", "width", "height")]
    vectors = [("vector", pa.list_(pa.float32(), dim))]
    if code_length:
        vectors.append(("code", pa.list_(pa.float16(), code_length)))
    return pa.schema([("tile", pa.string()), ("scene", pa.string()), *window, *COMMON, *vectors])


def scene_schema() -> Any:
    """Columns of the table of scenes."""
    whole = [(name, pa.int64()) for name in ("size_bytes", "mtime_ns", "width", "height", "n_tiles", "n_left_out")]
    stretch = ("stretch", pa.list_(pa.float64()))  # low, high of each shown band
    return pa.schema([("scene", pa.string()), *whole, ("crs", pa.string()), stretch, *COMMON])


def table_from_tiles(tiles: Sequence[Tile], vectors: FloatArray, codes: NDArray[np.float16] | None = None) -> Any:
    """Rows of the table of tiles; `vectors` is (len(tiles), dim), `codes` (len(tiles), length)."""
    columns: dict[str, Any] = {
        "tile": [tile.tile for tile in tiles],
        "scene": [tile.scene for tile in tiles],
        **{name: [tile.window_px[i] for tile in tiles] for i, name in enumerate(("col", "row", "width", "height"))},
        **_common(tiles),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
    }
    if codes is not None:
        columns["code"] = pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), codes.shape[1])
    schema = tile_schema(vectors.shape[1], code_length=0 if codes is None else codes.shape[1])
    return pa.table(columns, schema=schema)


def vectors_from_table(table: Any) -> FloatArray:
    """The vectors of the rows of a table of tiles, (n, dim)."""
    return np.asarray(_matrix(table, "vector"), dtype=np.float32)


def codes_from_table(table: Any) -> NDArray[np.float16] | None:
    """The codes of the rows of a table of tiles, (n, length); None where it has none."""
    return _matrix(table, "code") if "code" in table.column_names else None


def numbers(column: Any, *, missing: float = math.nan) -> NDArray[Any]:
    """A column as an array, `missing` where it is null.

    This, `take` and `texts` do without Arrow's own ways between arrays and columns, which import pandas where it is
    installed: a fifth of a second, of which a search in a small index has few.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind, n = np.dtype(f"{'f' if pa.types.is_floating(array.type) else 'i'}{array.type.bit_width // 8}"), len(array)
    if not n:
        return np.empty(0, kind)
    known, values = array.buffers()
    found: NDArray[Any] = np.frombuffer(values, kind, count=n, offset=array.offset * kind.itemsize)
    if not array.null_count:
        return found
    bits = np.unpackbits(np.frombuffer(known, np.uint8), bitorder="little")[array.offset : array.offset + n]
    return np.where(bits == 1, found, kind.type(missing))


def take(rows: Any, positions: NDArray[np.integer[Any]]) -> Any:
    """Rows of a table or column by their positions."""
    wanted = np.ascontiguousarray(positions, dtype=np.int64)
    return rows.take(pa.Array.from_buffers(pa.int64(), len(wanted), [None, pa.py_buffer(wanted)]))


def texts(values: Sequence[str]) -> Any:
    """Texts as a column."""
    coded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, coded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(coded), pa.py_buffer(ends), pa.py_buffer(b"".join(coded)))


def _matrix(table: Any, name: str) -> NDArray[Any]:
    kind = table.schema.field(name).type
    empty = np.empty((0, kind.list_size), kind.value_type.to_pandas_dtype())
    chunks = [chunk.flatten().to_numpy().reshape(-1, kind.list_size) for chunk in table[name].chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate([empty, *chunks])


def table_from_scenes(scenes: Sequence[SceneEntry]) -> Any:
    """Rows of the table of scenes."""
    plain = ("scene", "size_bytes", "mtime_ns", "n_tiles", "n_left_out", "crs")
    columns: dict[str, Any] = {
        **{name: [getattr(scene, name) for scene in scenes] for name in plain},
        "width": [scene.size_px[0] for scene in scenes],
        "height": [scene.size_px[1] for scene in scenes],
        "stretch": [None if s.stretch is None else [value for pair in s.stretch for value in pair] for s in scenes],
        **_common(scenes),
    }
    return pa.table(columns, schema=scene_schema())


def tile_from_row(row: Mapping[str, Any]) -> Tile:
    """A tile from a row of plain values."""
    return _tile(row, None if row["footprint"] is None else _ring(row["footprint"]))


def tiles_from_rows(rows: Any) -> list[Tile]:
    """The tiles of the rows of a table, in their order: many times faster than one by one."""
    found = rows.to_pylist()
    placed = [row for row in found if row["footprint"] is not None]
    shapes = shapely.from_wkb([row["footprint"] for row in placed])
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    ends = np.searchsorted(owner, np.arange(len(placed) + 1))
    pairs = [(lon, lat) for lon, lat in points.tolist()]
    rings = iter([tuple(pairs[start:end]) for start, end in itertools.pairwise(ends.tolist())])
    return [_tile(row, None if row["footprint"] is None else next(rings)) for row in found]


def _tile(row: Mapping[str, Any], ring: Ring | None) -> Tile:
    return Tile(
        tile=row["tile"],
        scene=row["scene"],
        window_px=(row["col"], row["row"], row["width"], row["height"]),
        footprint=ring,
        bbox=None if row["west"] is None else _bbox(row),
        date=None if row["day"] is None else EPOCH + datetime.timedelta(days=row["day"]),
        gsd_m=row["gsd_m"],
        sensor=row["sensor"],
    )


def scenes_from_table(table: Any) -> list[SceneEntry]:
    """Scenes from the rows of their table, sorted by name."""
    found = [
        SceneEntry(
            **{name: row[name] for name in ("scene", "size_bytes", "mtime_ns", "n_tiles", "n_left_out", "crs")},
            size_px=(row["width"], row["height"]),
            stretch=None if row["stretch"] is None else tuple(zip(*[iter(row["stretch"])] * 2, strict=True)),
            **_uncommon(row),
        )
        for row in table.to_pylist()
    ]
    return sorted(found, key=lambda scene: scene.scene)


def _common(items: Sequence[Tile] | Sequence[SceneEntry]) -> dict[str, Any]:
    return {
        **{side: [item.bbox and item.bbox[i] for item in items] for i, side in enumerate(BBOX)},
        "footprint": _outlines(items),
        "day": [item.date and (item.date - EPOCH).days for item in items],
        "gsd_m": [item.gsd_m for item in items],
        "sensor": [item.sensor for item in items],
    }


def _outlines(items: Sequence[Tile] | Sequence[SceneEntry]) -> Any:
    """Footprints as WKB polygons of one ring, written out here: building shapes first takes several times as long."""
    outlines: list[bytes | None] = [None] * len(items)
    footprints = [item.footprint for item in items]
    rings = [(i, ring) for i, ring in enumerate(footprints) if ring is not None]
    points = np.array([point for _, ring in rings for point in ring], dtype="<f8").tobytes()
    start = 0
    for i, ring in rings:
        end = start + 16 * len(ring)
        outlines[i] = WKB_POLYGON.pack(1, 3, 1, len(ring)) + points[start:end]
        start = end
    return outlines


def _uncommon(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "footprint": None if row["footprint"] is None else _ring(row["footprint"]),
        "bbox": None if row["west"] is None else _bbox(row),
        "date": None if row["day"] is None else EPOCH + datetime.timedelta(days=row["day"]),
        "gsd_m": row["gsd_m"],
        "sensor": row["sensor"],
    }


def _ring(wkb: bytes) -> Ring:
    points = np.asarray(shapely.get_coordinates(shapely.from_wkb(wkb))).tolist()
    return tuple((lon, lat) for lon, lat in points)


def _bbox(row: Mapping[str, Any]) -> BBox:
    return (row["west"], row["south"], row["east"], row["north"])
