"""Rows of an index's tables as texts, for what knows neither nulls nor binary columns; names in parts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from rsitr.index.rows import tile_schema
from rsitr.index.versions import MOST_BYTES

__all__ = ["column_schema", "pack", "part_names", "unpack"]


def part_names(names: Sequence[str]) -> Iterator[list[str]]:
    """Names in parts that a version can note."""
    part: list[str] = []
    n_bytes = 0
    for name in names:
        n_bytes += len(name.encode()) + 4
        if part and n_bytes > MOST_BYTES:
            yield part
            part, n_bytes = [], len(name.encode()) + 4
        part.append(name)
    if part:
        yield part


def column_schema(dim: int) -> Any:
    """Columns of the table of tiles without their vectors."""
    schema = tile_schema(dim)
    return schema.remove(schema.get_field_index("vector"))


def pack(table: Any) -> list[str]:
    """Rows of a table as texts: their values in the order of its columns, what is binary in hex."""
    rows = [list(row.values()) for row in table.to_pylist()]
    return [json.dumps([value.hex() if isinstance(value, bytes) else value for value in row]) for row in rows]


def unpack(rows: Sequence[str], schema: Any) -> Any:
    """The table of rows that were packed."""
    values = [json.loads(row) for row in rows]
    columns = [
        [None if value is None else bytes.fromhex(value) for value in column]
        if pa.types.is_binary(field.type)
        else column
        for field, column in zip(schema, zip(*values, strict=True) if values else [[]] * len(schema), strict=True)
    ]
    return pa.table(
        [pa.array(list(column), field.type) for field, column in zip(schema, columns, strict=True)], schema=schema
    )
