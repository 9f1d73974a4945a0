"""Columns of tables that others wrote, as arrays: numbers, vectors, days, names."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsitr.errors import DataError
from rsitr.index.rows import EPOCH, numbers
from rsitr.types import FloatArray

__all__ = ["NO_DAY", "day_of", "decode", "read_days", "read_doubles", "read_text", "read_vectors", "vector_column"]

NO_DAY = np.iinfo(np.int32).min
"""The number of a day that nobody knows."""
DAY_FORMATS = ((10, "%Y-%m-%d"), (8, "%Y%m%d"), (10, "%Y/%m/%d"))
YEARS = (1800, 2200)


def decode(column: Any) -> Any:
    """A column without what wraps it: dictionaries, types of extensions."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def read_text(column: Any) -> Any:
    """A column as texts.

    Raises:
        DataError: it holds what is none.
    """
    return _cast(decode(column), pa.string())


def read_doubles(column: Any) -> NDArray[np.float64]:
    """A column of numbers as doubles, NaN where there is none.

    Raises:
        DataError: it holds what is none.
    """
    return np.asarray(numbers(_cast(decode(column), pa.float64())), dtype=np.float64)


def read_vectors(batch: Any, names: Sequence[str], *, width: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Vectors (n, width), NaN where a number is missing, and which rows have as many numbers as they should.

    Args:
        batch: of the table.
        names: one column of lists, or a column for each number.
        width: of the vectors.
    """
    n = len(batch)
    if len(names) > 1:
        found = np.empty((n, width), dtype=np.float32)
        for i, name in enumerate(names):
            found[:, i] = numbers(_cast(decode(batch[name]), pa.float32(), safe=False))
        return found, np.ones(n, dtype=bool)
    column = decode(batch[names[0]])
    good: NDArray[np.bool_] = numbers(pc.list_value_length(column).cast(pa.int32()), missing=-1) == width
    whole = column if good.all() else column.filter(pa.array(good))
    values = numbers(_cast(whole.flatten(), pa.float32(), safe=False)).reshape(-1, width)
    if good.all():
        return values, good
    every: FloatArray = np.full((n, width), np.nan, dtype=np.float32)
    every[good] = values
    return every, good


def vector_column(vectors: FloatArray) -> Any:
    """Vectors (n, width) as a column of lists of fixed size."""
    values = np.ascontiguousarray(vectors, dtype=np.float32).ravel()
    array = pa.Array.from_buffers(pa.float32(), len(values), [None, pa.py_buffer(values)])
    return pa.FixedSizeListArray.from_arrays(array, vectors.shape[1])


def read_days(column: Any) -> NDArray[np.int32]:
    """Days since 1970 of a column of dates, of times, of texts that begin with one, or of years (their first day).

    Where there is none that can be read, it is `NO_DAY`.
    """
    column = decode(column)
    kind = column.type
    if pa.types.is_integer(kind):
        years = numbers(column.cast(pa.int64()), missing=0)
        is_year = (years >= YEARS[0]) & (years <= YEARS[1])
        first = np.where(is_year, years - 1970, 0).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
        return np.where(is_year, first, NO_DAY).astype(np.int32)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return np.asarray(numbers(column.cast(pa.date32(), safe=False).cast(pa.int32()), missing=NO_DAY))
    texts = column.cast(pa.string())
    days = np.full(len(texts), NO_DAY, dtype=np.int32)
    for length, form in DAY_FORMATS:
        cut = pc.utf8_slice_codeunits(texts, 0, length)
        found = pc.strptime(cut, format=form, unit="s", error_is_null=True)
        # strptime takes fewer digits than there should be: 2021-1-1 is a day, 2021 is none.
        known = numbers(found.cast(pa.date32()).cast(pa.int32()), missing=NO_DAY)
        days = np.where(days == NO_DAY, known, days).astype(np.int32)
    return days


def _cast(column: Any, kind: Any, *, safe: bool = True) -> Any:
    try:
        return column if column.type == kind else column.cast(kind, safe=safe)
    except pa.ArrowException as error:
        raise DataError(f"a column of {column.type} does not hold {kind} ({str(error).splitlines()[0]})") from error


def day_of(number: int) -> datetime.date | None:
    """A day by its number; None for one that is unknown, or beyond the calendar."""
    try:
        return None if number == NO_DAY else EPOCH + datetime.timedelta(days=number)
    except OverflowError:
        return None
