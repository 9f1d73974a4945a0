"""Files of queries: a line of words each, or a JSON object per line; and the example pictures that queries name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsitr import geo
from rsitr.errors import QueryError
from rsitr.geo.files import name_of
from rsitr.search.query import EXAMPLE_PX, Part, Query, make_query, parse_weight
from rsitr.types import TileFilter

__all__ = ["example_part", "read_example", "read_queries"]

LONGEST_BYTES = 16 * 2**20
CHECKED_PX = 100_000_000
"""Pixels of an example up to which all of them are decoded first; a whole mosaic is no example of anything."""
FIELDS = ("text", "image", "like", "not", "k")


def example_part(location: str | Path, weight: float = 1.0) -> Part:
    """An example picture as a part of a query. It is decoded as an index would: a damaged one is found at once.

    Args:
        location: a file, or an address (`https://`, `s3://`), which is read now.
        weight: of the part.

    Raises:
        SceneError: it cannot be read, or is damaged.
    """
    remote = isinstance(location, str) and geo.is_url(location)
    source = str(location) if remote else Path(location)
    with geo.open_reader(source) as reader:
        width, height = reader.scene.whole[2:]
        # A reduced read takes overviews, which are often whole where the pixels are not.
        for window in geo.cut_windows(width, height, tile_px=EXAMPLE_PX) if width * height <= CHECKED_PX else ():
            reader.read(window, max_px=max(window[2:]))
    picture = geo.read_picture(source, max_px=EXAMPLE_PX) if remote else Path(location)
    return Part("picture", name_of(source), weight, picture)


def read_example(text: str, *, folder: Path | None = None) -> Part:
    """An example picture with a weight perhaps in front; as `example_part`.

    Args:
        text: a file, or an address.
        folder: what the file is relative to.
    """
    weight, location = parse_weight(text)
    return example_part(location if folder is None or geo.is_url(location) else folder / location, weight)


def read_queries(path: Path, *, k: int, where: TileFilter, every: bool = False) -> list[Query]:
    """Read a file of queries.

    Blank lines and lines that begin with `#` are passed over. In a `.jsonl` file every line is an object with one or
    more of `text`, `image` (paths are relative to the file), `like` and `not`, each a string or a list of strings that
    may begin with a weight, and `k`.

    Args:
        path: the file.
        k: hits of a query that names no number.
        where: the filter of all of them.
        every: as `make_query` takes it.

    Raises:
        QueryError: the file cannot be read, holds no query, or one that makes no sense; the message names the line.
        SceneError: an example picture cannot be read.
    """
    try:
        if path.stat().st_size > LONGEST_BYTES:
            raise QueryError(f"{path}: larger than {LONGEST_BYTES >> 20} MB; divide it")
        # Not splitlines: words may hold U+2028 and its like, which JSON lets stand as they are.
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise QueryError(f"{path}: is no UTF-8 text; save it as UTF-8") from error
    is_json = path.suffix.lower() in {".jsonl", ".ndjson"}
    found: list[Query] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or (not is_json and line.lstrip().startswith("#")):
            continue
        try:
            asked: Mapping[str, Any] = _parse(line) if is_json else {"text": line}
            parts = [part for name in FIELDS[:4] for part in _parts(asked.get(name), name, folder=path.parent)]
            found.append(make_query(parts=parts, k=_count(asked.get("k", k)), where=where, every=every))
        except QueryError as error:
            raise QueryError(f"{path}, line {number}: {error}") from error
    if not found:
        raise QueryError(f"{path}: holds no query; write a line of words for each")
    return found


def _parse(line: str) -> Mapping[str, Any]:
    try:
        asked = json.loads(line)
    except ValueError as error:
        raise QueryError(f"is no JSON object ({error})") from error
    if not isinstance(asked, dict):
        raise QueryError(f"is no JSON object: {line[:60]}")
    unknown = set(asked) - set(FIELDS)
    if unknown:
        raise QueryError(f"{sorted(unknown)[0]!r} is unknown; a query has {', '.join(FIELDS)}")
    return asked


def _parts(value: Any, name: str, *, folder: Path) -> list[Part]:
    texts = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise QueryError(f"{name!r} is a string or a list of strings, not {value!r}")
    return [_part(name, text, folder=folder) for text in texts]


def _part(name: str, text: str, *, folder: Path) -> Part:
    if name == "text":
        return Part.parse("words", text)
    if name == "image":
        return read_example(text, folder=folder)
    return Part.parse("tile", text) if name == "like" else Part.unwanted(text)


def _count(k: Any) -> int:
    if isinstance(k, bool) or not isinstance(k, int):
        raise QueryError(f"'k' is a whole number, not {k!r}")
    return k
