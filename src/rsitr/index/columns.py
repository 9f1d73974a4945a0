"""Which columns of a table of embeddings hold what: found by their names and types, or named by a person.

Whoever publishes embeddings names columns anew. Here are the names that Clay, Earth Index, Planet, Major TOM and
AlphaEarth's tables use, and their kin.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from rsitr.errors import DataError

__all__ = ["ColumnChoice", "TileColumnNames", "find_columns"]

LEAST_WIDTH = 8
"""Fewer numbers than this are no embedding: boxes and bands are lists, too."""
VECTORS = ("embedding", "embeddings", "vector", "vectors", "emb", "vec", "features", "feature")
IDS = ("id", "tile_id", "tile", "chip_id", "chips_id", "unique_id", "uid", "uuid")
DATES = ("datetime", "date", "acquired", "acquisition_date", "timestamp", "start_datetime", "time", "year")
SCENES = ("scene", "scene_id", "product_id", "item_id", "source_id", "image_id", "source_url")
SENSORS = ("sensor", "platform", "constellation")
BOXES = (
    ("west", "south", "east", "north"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("min_lon", "min_lat", "max_lon", "max_lat"),
)
POINTS = (
    ("lon", "lat"),
    ("longitude", "latitude"),
    ("lng", "lat"),
    ("centre_lon", "centre_lat"),
    ("center_lon", "center_lat"),
    ("centroid_lon", "centroid_lat"),
)
GEOMETRIES = ("geometry", "geom", "wkb", "wkb_geometry", "wkt")
NUMBERED = re.compile(r"(.*?)(\d+)")
SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnChoice:
    """Columns that a person named; None leaves one to be found.

    Attributes:
        vector: the column of the vectors, or a pattern (`A*`) for one column for each number.
        id: of the tiles' ids.
        geometry: of their outlines, as WKB or well-known text.
        date: of the day they were taken on.
        scene: of what they were cut from.
        sensor: of what took it.
        gsd: of metres per pixel.
    """

    vector: str | None = None
    id: str | None = None
    geometry: str | None = None
    date: str | None = None
    scene: str | None = None
    sensor: str | None = None
    gsd: str | None = None

    @property
    def named(self) -> list[str]:
        """The columns that were named, but for the vector, whose name may be a pattern."""
        given = [getattr(self, field.name) for field in fields(self) if field.name != "vector"]
        return [name for name in given if name is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileColumnNames:
    """Where a table holds what is wanted; None for what it lacks.

    Attributes:
        vector: one column of lists, or one column for each number.
        id: ids.
        geometry: outlines.
        box: west, south, east and north, where there are no outlines: four columns, or one that holds them by these
            names.
        box_in: that one.
        point: longitude and latitude, where there are neither.
        date: days.
        scene: scenes.
        sensor: sensors.
        gsd: metres per pixel.
    """

    vector: tuple[str, ...]
    id: str | None
    geometry: str | None
    box: tuple[str, str, str, str] | None
    box_in: str | None
    point: tuple[str, str] | None
    date: str | None
    scene: str | None
    sensor: str | None
    gsd: str | None

    @property
    def placing(self) -> list[str]:
        """The columns that say where a tile lies."""
        if self.geometry is not None:
            return [self.geometry]
        if self.box_in is not None:
            return [self.box_in]
        return [*(self.box or self.point or ())]


def find_columns(schema: Any, given: ColumnChoice, *, primary: str | None = None) -> TileColumnNames:
    """Find out what a table's columns hold.

    Args:
        schema: of the table, as Arrow has it.
        given: what a person named.
        primary: the column of outlines that the file itself names (GeoParquet).

    Raises:
        DataError: a column that was named is not there, there are no vectors or no places, or several columns could
            hold the vectors.
    """
    names = list(schema.names)
    missing = [name for name in given.named if name not in names]
    if missing:
        raise DataError(f"it has no column {missing[0]!r}; its columns are {_listed(names)}")
    vector = _find_vector(schema, given.vector)
    kinds = {name: schema.field(name).type for name in names if name not in vector}
    geometry = given.geometry or _find_geometry(kinds, primary)
    box_in, box = (None, None) if geometry is not None else _find_box(kinds)
    point = None if geometry is not None or box is not None else _first_pair(kinds)
    if geometry is None and box is None and point is None:
        raise DataError(
            f"no column says where its rows lie: a geometry (--geometry-column), a box ({', '.join(BOXES[1])}) or a "
            f"point (lon, lat) is needed; its columns are {_listed(names)}"
        )
    return TileColumnNames(
        vector=vector,
        id=given.id or _first(kinds, IDS, _is_name),
        geometry=geometry,
        box=box,
        box_in=box_in,
        point=point,
        date=given.date or _first(kinds, DATES, _is_date),
        scene=given.scene or _first(kinds, SCENES, _is_text),
        sensor=given.sensor or _first(kinds, SENSORS, _is_text),
        gsd=given.gsd,
    )


def _find_vector(schema: Any, given: str | None) -> tuple[str, ...]:
    names = list(schema.names)
    if given is not None:
        if given in names:
            if not _is_vector(schema.field(given).type):
                raise DataError(f"its column {given!r} holds {schema.field(given).type}, no lists of numbers")
            return (given,)
        chosen = [name for name in names if fnmatch.fnmatchcase(name, given) and _is_number(schema.field(name).type)]
        if len(chosen) < 2:
            raise DataError(f"it has no column {given!r} of vectors; its columns are {_listed(names)}")
        return tuple(sorted(chosen, key=_natural))
    lists = [name for name in names if _is_vector(schema.field(name).type)]
    preferred = [name for wanted in VECTORS for name in lists if name.lower() == wanted]
    if preferred or len(lists) == 1:
        return ((preferred or lists)[0],)
    if lists:
        raise DataError(f"several columns could hold its vectors ({_listed(lists)}): name one with --vector-column")
    groups: dict[str, list[str]] = {}
    for name in names:
        numbered = NUMBERED.fullmatch(name)
        if numbered and _is_number(schema.field(name).type):
            groups.setdefault(numbered.group(1), []).append(name)
    longest = max(groups.values(), key=len, default=[])
    if len(longest) < LEAST_WIDTH:
        raise DataError(f"no column holds vectors (--vector-column names one); its columns are {_listed(names)}")
    return tuple(sorted(longest, key=_natural))


def _natural(name: str) -> tuple[str, int]:
    found = NUMBERED.fullmatch(name)
    return (found.group(1), int(found.group(2))) if found else (name, 0)


def _find_geometry(kinds: dict[str, Any], primary: str | None) -> str | None:
    if primary in kinds:
        return primary
    return _first(kinds, GEOMETRIES, lambda kind: _is_binary(kind) or _is_text(kind))


def _find_box(kinds: dict[str, Any]) -> tuple[str | None, tuple[str, str, str, str] | None]:
    """The column that holds boxes and the names of their sides in it; without one, the names of four columns."""
    for name, kind in kinds.items():
        if pa.types.is_struct(kind):
            sides = {kind.field(i).name for i in range(kind.num_fields)}
            if (box := next((box for box in BOXES if sides.issuperset(box)), None)) is not None:
                return name, box
    numbers = {name for name, kind in kinds.items() if _is_number(kind)}
    return None, next((box for box in BOXES if numbers.issuperset(box)), None)


def _first_pair(kinds: dict[str, Any]) -> tuple[str, str] | None:
    numbers = {name for name, kind in kinds.items() if _is_number(kind)}
    return next((pair for pair in POINTS if numbers.issuperset(pair)), None)


def _first(kinds: dict[str, Any], wanted: Sequence[str], fits: Any) -> str | None:
    lower = {name.lower(): name for name in reversed(kinds)}
    return next((lower[name] for name in wanted if name in lower and fits(kinds[lower[name]])), None)


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _is_vector(kind: Any) -> bool:
    if pa.types.is_fixed_size_list(kind):
        return _is_number(kind.value_type) and kind.list_size >= LEAST_WIDTH
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    # A box is a list of doubles, too: only lists of a name that is known, or of the one kind that is left, are vectors.
    return bool(is_list and _is_number(kind.value_type) and not pa.types.is_int64(kind.value_type))


def _is_text(kind: Any) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain))


def _is_binary(kind: Any) -> bool:
    plain = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return bool(pa.types.is_binary(plain) or pa.types.is_large_binary(plain) or pa.types.is_binary_view(plain))


def _is_name(kind: Any) -> bool:
    return _is_text(kind) or bool(pa.types.is_integer(kind))


def _is_date(kind: Any) -> bool:
    return _is_text(kind) or bool(
        pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_integer(kind)
    )  # fmt: skip


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - SHOWN:,} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more
