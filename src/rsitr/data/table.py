"""Captions in a table, as open_clip reads them: one row per caption, separated by commas or tabs.

    filename,title,split
    scenes/0001.png,two planes on an apron,train
    scenes/0001.png,an airport,train

Rows with the same file name are the captions of one picture. The columns `split` (default `train`) and `label` (the
picture's class) are optional, and open_clip's own `filepath` is accepted for `filename`. Names are relative to the
table's folder.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from rsitr.data.annotations import Annotation, AnnotationFile
from rsitr.data.records import canonical_split
from rsitr.errors import DataError

__all__ = ["read_table"]

_NAME_COLUMNS = ("filename", "filepath")
_DEFAULT_SPLIT = "train"


def read_table(file: AnnotationFile) -> tuple[Annotation, ...]:
    """One annotation for each picture and split, in the order of first rows.

    Raises:
        DataError: a column is missing, or a row cannot be read; the message says which.
    """
    text = file.decode()
    header = text.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in header else ",", strict=True)
    rows: dict[tuple[str, str], list[str | None]] = {}
    lines: dict[tuple[str, str], int] = {}
    labels: dict[tuple[str, str], str] = {}
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        name_column = next((name for name in _NAME_COLUMNS if name in columns), None)
        if name_column is None or "title" not in columns:
            raise DataError(
                f"{file.path}: the first line must name the columns filename and title (and split, if any), "
                f"separated by commas or tabs; it is {header.strip()[:80]!r}"
            )
        reader.fieldnames = columns
        for row in reader:
            _require_all_fields(file, row, columns=columns, line=reader.line_num)
            key = _read_key(file, row, name_column=name_column, line=reader.line_num)
            rows.setdefault(key, []).append(row["title"])
            lines.setdefault(key, reader.line_num)
            if label := row.get("label"):
                labels.setdefault(key, label)
    except csv.Error as error:
        raise DataError(f"{file.path}, after line {reader.line_num}: {error}: correct the row") from error
    return tuple(
        Annotation(
            filename=filename,
            split=split,
            sentences=tuple(titles),
            where=f"line {lines[filename, split]}",
            label=labels.get((filename, split)),
        )
        for (filename, split), titles in rows.items()
    )


def _require_all_fields(
    file: AnnotationFile, row: Mapping[str | None, Any], *, columns: Sequence[str], line: int
) -> None:
    """A caption with a comma that is not quoted would lose what follows, or move a row to another split."""
    n_fields = sum(value is not None for name, value in row.items() if name is not None) + len(row.get(None, ()))
    if n_fields != len(columns):
        many = n_fields > len(columns)
        raise DataError(
            f"{file.path}, line {line}: {n_fields} fields, where the first line names {len(columns)} "
            f"({', '.join(columns)}): "
            + ('put a caption with commas in it into quotes ("...")' if many else "fill in what is missing")
        )


def _read_key(file: AnnotationFile, row: dict[str, str | None], *, name_column: str, line: int) -> tuple[str, str]:
    filename = (row[name_column] or "").strip().replace("\\", "/")
    if not filename:
        raise DataError(f"{file.path}, line {line}: {name_column} is empty: name a picture or remove the row")
    split = (row.get("split") or "").strip()
    return filename, canonical_split(split or _DEFAULT_SPLIT)
