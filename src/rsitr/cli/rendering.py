"""Search results as files and tables."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from rsitr.cli.output import console, make_table, require_folder, require_writable
from rsitr.errors import QueryError

if TYPE_CHECKING:
    from rich.table import Table

    from rsitr.search import Index, Place, SearchResult

__all__ = ["Format", "Rendered", "choose_format", "format_tables", "render", "require_out", "require_threshold"]


class Format(StrEnum):
    """How hits are written."""

    TABLE = "table"
    JSON = "json"
    GEOJSON = "geojson"
    CSV = "csv"
    PARQUET = "parquet"
    STAC = "stac"
    HTML = "html"

    @property
    def is_single(self) -> bool:
        """A file of this format holds one answer; those of a file of queries go to a folder."""
        return self in {Format.GEOJSON, Format.PARQUET, Format.STAC, Format.HTML}


SUFFIXES = {
    ".json": Format.JSON,
    ".jsonl": Format.JSON,
    ".geojson": Format.GEOJSON,
    ".csv": Format.CSV,
    ".parquet": Format.PARQUET,
    ".geoparquet": Format.PARQUET,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".txt": Format.TABLE,
}
STAC_SUFFIX = ".stac.json"
ENDINGS = {Format.GEOJSON: "geojson", Format.PARQUET: "parquet", Format.STAC: "stac.json", Format.HTML: "html"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is to be written: one content, or files of a folder; and what is missing from it."""

    content: str | bytes = ""
    missing: tuple[str, ...] = ()
    folder: Mapping[str, str | bytes] | None = None


def choose_format(named: Format | None, out: Path | None) -> Format:
    """The format that is named, else the one that the file's ending says; a table for the screen.

    Raises:
        QueryError: the ending says none.
    """
    if named is not None or out is None:
        return named or Format.TABLE
    if out.name.lower().endswith(STAC_SUFFIX):
        return Format.STAC
    try:
        return SUFFIXES[out.suffix.lower()]
    except KeyError:
        known = ", ".join((*SUFFIXES, STAC_SUFFIX))
        raise QueryError(f"{out}: its ending names no format; known are {known}; or name one with --format") from None


def require_out(out: Path | None, chosen: Format, *, is_batch: bool) -> None:
    """Find out before the work starts whether the format can go where it is to go.

    Raises:
        QueryError: to the screen, or to one file, it cannot.
        ConfigError: the file or folder cannot be written.
    """
    if out is None:
        if chosen is Format.PARQUET:
            raise QueryError("parquet is no text for the screen: name a file with --out")
        if chosen is Format.HTML and is_batch:
            raise QueryError("html is a page for each query: name a folder for those of --queries with --out")
    elif not (is_batch and chosen.is_single):
        require_writable(out)
    elif out.suffix.lower() in SUFFIXES:
        stem = re.sub(r"(\.stac)?\.[^.]+$", "", out.name) or "answers"
        raise QueryError(
            f"{out}: the answers to --queries are a folder with a {chosen} file for each; name the folder, e.g. "
            f"--format {chosen} --out {out.with_name(stem)}"
        )
    else:
        require_folder(out, option="--out")


def require_threshold(threshold: float) -> None:
    """Refuse what is no relevance.

    Raises:
        QueryError: it does not lie from 0 to 1.
    """
    if not 0.0 <= threshold <= 1.0:
        raise QueryError(f"--threshold is a relevance from 0 to 1, not {threshold:g}")


def render(
    opened: Index,
    results: Sequence[SearchResult],
    chosen: Format,
    *,
    places: bool,
    explain: bool = False,
    is_batch: bool = False,
    to_screen: bool = True,
) -> Rendered:
    """Results in a format.

    Args:
        opened: the index; its pictures are needed for html.
        results: of one search, or of several.
        chosen: the format.
        places: merge the hits.
        explain: show the stages of ranking in tables (JSON always tells them).
        is_batch: the results are of a file of queries: JSON is a line for each, CSV has a column `query`, and the
            formats that hold one answer make a file for each.
        to_screen: GeoJSON and STAC make one collection instead, since two after each other could not be read.
    """
    if chosen.is_single and is_batch and not to_screen:
        files: dict[str, str | bytes] = {}
        missing: list[str] = []
        for number, result in enumerate(results, start=1):
            content, lost = _render_single(opened, result, chosen, places=places)
            files[f"{number:04d}.{ENDINGS[chosen]}"] = content
            missing += lost
        return Rendered(folder=files, missing=tuple(missing))
    if chosen is Format.STAC:
        return Rendered(*_render_stac(opened, results, places=places))
    if chosen.is_single and not is_batch:
        return Rendered(*_render_single(opened, results[0], chosen, places=places))
    text = _render_text(results, chosen, places=places, explain=explain, is_batch=is_batch, to_screen=to_screen)
    return Rendered(text)


def _render_text(
    results: Sequence[SearchResult],
    chosen: Format,
    *,
    places: bool,
    explain: bool,
    is_batch: bool,
    to_screen: bool,
) -> str:
    from rsitr.search import places_to_csv, to_csv, to_geojson, to_json, to_json_line

    if chosen is Format.TABLE:
        tables = (format_tables(result, places=places, explain=explain, to_file=not to_screen) for result in results)
        return "".join(tables)
    if chosen is Format.JSON:
        write = to_json_line if is_batch else to_json
        return "".join(write(result, places=places) for result in results)
    if chosen is Format.GEOJSON:
        return to_geojson(results, places=places)
    if places:
        return places_to_csv([(result.query.describe(), result.places()) for result in results])
    return to_csv(results if is_batch else results[0])


def format_tables(result: SearchResult, *, places: bool = False, explain: bool = False, to_file: bool = False) -> str:
    """The hits or places as a table for people, and the stages of ranking as another."""
    tables = [_format_places(result) if places else _format_hits(result)]
    if explain:
        tables.append(_format_stages(result))
    target = console(to_file=to_file)
    with target.capture() as captured:
        for table in tables:
            target.print(table)
    return captured.get()


def _render_single(
    opened: Index, result: SearchResult, chosen: Format, *, places: bool
) -> tuple[str | bytes, tuple[str, ...]]:
    from rsitr.search import make_contact_sheet, make_place_sheet, places_to_geoparquet, to_geojson

    if chosen is Format.HTML:
        sheet = make_place_sheet(opened, result) if places else make_contact_sheet(opened, result)
        return sheet.html, sheet.missing
    if chosen is Format.GEOJSON:
        return to_geojson(result, places=places), ()
    if chosen is Format.PARQUET:
        return places_to_geoparquet(result.places(merge=places), result=result), ()
    return _render_stac(opened, [result], places=places)


def _render_stac(opened: Index, results: Sequence[SearchResult], *, places: bool) -> tuple[str, tuple[str, ...]]:
    from rsitr.geo import is_url
    from rsitr.search import places_to_stac

    answers = [(result, result.places(merge=places)) for result in results]

    def address(scene: str) -> str:
        # A scene outside the root is named with "..", which has no place in an address.
        return scene if is_url(scene) else Path(os.path.normpath(opened.root / scene)).as_uri()

    return places_to_stac(answers, address=address)


def _format_hits(result: SearchResult) -> Table:
    from rsitr.search import format_place
    from rsitr.search.output import resorted_by

    later = resorted_by(result)
    sorting = () if later is None else (later,)
    columns = ("rank", *sorting, "score", "relevance", "date", "place", "tile")
    table = make_table(*columns, title=result.query.describe(), numbers=columns[:-3])
    for hit in result:
        day = hit.tile.date.isoformat() if hit.tile.date else "unknown"
        scores = [stage.scores[hit.rank - 1] for stage in result.stages if stage.name == later]
        cells = (f"{hit.score:.3f}", _format_relevance(hit.relevance), day, format_place(hit.tile.bbox), hit.tile.tile)
        table.add_row(str(hit.rank), *("" if score is None else f"{score:.4g}" for score in scores), *cells)
    table.caption = _verdict(result)
    table.caption_justify = "left"
    return table


def _format_places(result: SearchResult) -> Table:
    columns = ("rank", "score", "relevance", "tiles", "days", "place", "best tile")
    table = make_table(*columns, title=result.query.describe(), numbers=columns[:4])
    for place in result.places():
        days = ", ".join(day.isoformat() for day in place.dates) or "unknown"
        cells = (f"{place.score:.3f}", _format_relevance(place.relevance), str(place.n_tiles), days, _where(place))
        table.add_row(str(place.rank), *cells, place.place)
    table.caption = _verdict(result)
    table.caption_justify = "left"
    return table


def _format_stages(result: SearchResult) -> Table:
    names = [stage.name for stage in result.stages]
    table = make_table("rank", *names, "tile", title="What each stage said", numbers=("rank", *names))
    for hit in result:
        scores = [stage.scores[hit.rank - 1] for stage in result.stages]
        table.add_row(str(hit.rank), *("" if score is None else f"{score:.4g}" for score in scores), hit.tile.tile)
    table.add_row("", *(f"{1000 * stage.time_s:.1f} ms" for stage in result.stages), "time")
    return table


def _where(place: Place) -> str:
    from rsitr.search import format_point

    if place.outline is None:
        return "no known place"
    point = place.outline.representative_point()
    return format_point(point.x, point.y)


def _format_relevance(relevance: float | None) -> str:
    return "" if relevance is None else f"{relevance:.2f}"


def _verdict(result: SearchResult) -> str | None:
    from rsitr.search.output import resorted_by

    said = []
    if not result.matches and result.n_tiles:
        said.append(f"Nothing here matches: no hit reaches a relevance of {result.threshold:g}.")
    if (later := resorted_by(result)) is not None:
        said.append(f"Sorted by {later}; the score is what hits had before it.")
    return "\n".join(said) or None
