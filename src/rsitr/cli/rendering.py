"""Search results as files and tables."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from rsitr.cli.output import console, make_table, require_folder
from rsitr.errors import QueryError
from rsitr.files import require_writable

if TYPE_CHECKING:
    from rich.table import Table

    from rsitr.formats import Answer, Place
    from rsitr.search import Index, SearchResult

__all__ = ["Format", "Layout", "Rendered", "format_tables", "render"]


class Format(StrEnum):
    """How hits are written."""

    TABLE = "table"
    JSON = "json"
    GEOJSON = "geojson"
    CSV = "csv"
    PARQUET = "parquet"
    GPKG = "gpkg"
    KML = "kml"
    STAC = "stac"
    HTML = "html"

    @property
    def is_single(self) -> bool:
        """A file of this format holds one answer; those of a file of queries go to a folder."""
        return self not in {Format.TABLE, Format.JSON, Format.CSV}


SUFFIXES = {
    ".json": Format.JSON,
    ".jsonl": Format.JSON,
    ".geojson": Format.GEOJSON,
    ".csv": Format.CSV,
    ".parquet": Format.PARQUET,
    ".geoparquet": Format.PARQUET,
    ".gpkg": Format.GPKG,
    ".kml": Format.KML,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".txt": Format.TABLE,
}
STAC_SUFFIX = ".stac.json"
ENDINGS = {
    **{Format.GEOJSON: "geojson", Format.PARQUET: "parquet", Format.GPKG: "gpkg", Format.KML: "kml"},
    **{Format.STAC: "stac.json", Format.HTML: "html"},
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is to be written: one content, or files of a folder; and what is missing from it."""

    content: str | bytes = ""
    missing: tuple[str, ...] = ()
    folder: Mapping[str, str | bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How results are to be written; checked, so that what cannot be is known before the work starts.

    Attributes:
        named: the format, unless the file's ending says it.
        out: the file, or of several answers perhaps a folder; None for the screen.
        places: whether hits are merged.
        timeline: whether places tell what every scene shows of their ground.
        explain: whether tables show the stages of ranking (JSON always tells them).
        is_batch: the results are of a file of queries: JSON is a line for each, CSV has a column `query`, and of the
            formats that hold one answer there is a file for each, or on the screen one collection, since two after
            each other could not be read.

    Raises:
        QueryError: the ending says no format, or to the screen, or to one file, the format cannot go.
        ConfigError: the file or folder cannot be written.
    """

    named: Format | None = None
    out: Path | None = None
    places: bool = False
    timeline: bool = False
    explain: bool = False
    is_batch: bool = False

    def __post_init__(self) -> None:
        _require_out(self.out, self.format, is_batch=self.is_batch)

    @property
    def format(self) -> Format:
        """The format that is named, else the one that the file's ending says; a table for the screen."""
        return _choose_format(self.named, self.out)

    @property
    def is_folder(self) -> bool:
        """Whether there is a file for each answer."""
        return self.format.is_single and self.is_batch and self.out is not None


def _choose_format(named: Format | None, out: Path | None) -> Format:
    if named is not None or out is None:
        return named or Format.TABLE
    if out.name.lower().endswith(STAC_SUFFIX):
        return Format.STAC
    try:
        return SUFFIXES[out.suffix.lower()]
    except KeyError:
        known = ", ".join((*SUFFIXES, STAC_SUFFIX))
        raise QueryError(f"{out}: its ending names no format; known are {known}; or name one with --format") from None


def _require_out(out: Path | None, chosen: Format, *, is_batch: bool) -> None:
    if out is None:
        if chosen in {Format.PARQUET, Format.GPKG}:
            raise QueryError(f"{chosen} is no text for the screen: name a file with --out")
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


def render(
    results: Sequence[SearchResult], layout: Layout, *, opened: Index, notes: Sequence[Sequence[str]]
) -> Rendered:
    """Results in a format.

    Args:
        results: of one search, or of several.
        layout: how they are to be written.
        opened: the index; its pictures are needed for html, and its folder of scenes for STAC.
        notes: what a person is told beside each result, for formats that have room for it.
    """
    if layout.format is Format.TABLE:
        return Rendered("".join(format_tables(result, layout) for result in results))
    answers = [
        dataclasses.replace(_to_answer(result, layout), notes=tuple(said))
        for result, said in zip(results, notes, strict=True)
    ]
    if layout.is_folder:
        written = [_write_single(answer, layout.format, opened) for answer in answers]
        ending = ENDINGS[layout.format]
        return Rendered(
            folder={f"{number:04d}.{ending}": one.content for number, one in enumerate(written, start=1)},
            missing=tuple(line for one in written for line in one.missing),
        )
    if layout.format is Format.STAC:
        return _write_stac(answers, opened)
    if layout.format.is_single and not layout.is_batch:
        return _write_single(answers[0], layout.format, opened)
    return Rendered(_write_text(answers, layout))


def _to_answer(result: SearchResult, layout: Layout) -> Answer:
    if layout.format in {Format.PARQUET, Format.STAC}:  # of places alone: unmerged, each hit is one
        return result.to_answer(places=result.places(merge=layout.places, timeline=layout.timeline))
    return result.to_answer(places=result.places(timeline=layout.timeline) if layout.places else None)


def _write_text(answers: Sequence[Answer], layout: Layout) -> str:
    from rsitr.formats import to_csv, to_geojson, to_json, to_json_line

    if layout.format is Format.JSON:
        return "".join((to_json_line if layout.is_batch else to_json)(answer) for answer in answers)
    write = to_geojson if layout.format is Format.GEOJSON else to_csv
    return write(answers if layout.is_batch else answers[0])


def _write_single(answer: Answer, chosen: Format, opened: Index) -> Rendered:
    from rsitr.formats import make_sheet, to_geojson, to_geoparquet, to_layer

    if chosen is Format.HTML:
        sheet = make_sheet(answer, pictures=opened)
        return Rendered(sheet.html, sheet.missing)
    if chosen is Format.GEOJSON:
        return Rendered(to_geojson(answer))
    if chosen is Format.GPKG:
        return Rendered(to_layer(answer, "GPKG"))
    if chosen is Format.KML:
        return Rendered(to_layer(answer, "KML").decode("utf-8"))
    return Rendered(to_geoparquet(answer)) if chosen is Format.PARQUET else _write_stac([answer], opened)


def _write_stac(answers: Sequence[Answer], opened: Index) -> Rendered:
    from rsitr.formats import to_stac

    return Rendered(*to_stac(answers, address=scene_address(opened.root)))


def scene_address(root: Path) -> Callable[[str], str]:
    """What gives the address of a scene, from its path in an index whose scenes lie in `root`."""
    from rsitr.geo import is_url

    def address(scene: str) -> str:
        # A scene outside the root is named with "..", which has no place in an address.
        return scene if is_url(scene) else Path(os.path.normpath(root / scene)).as_uri()

    return address


def format_tables(result: SearchResult, layout: Layout) -> str:
    """The hits or places as a table for people, and the stages of ranking as another."""
    places = result.places(timeline=layout.timeline) if layout.places else None
    tables = [_format_hits(result) if places is None else _format_places(result, places)]
    tables += [_format_timeline(place) for place in places or () if place.timeline]
    if layout.explain:
        tables.append(_format_stages(result))
    target = console(to_file=layout.out is not None)
    with target.capture() as captured:
        for table in tables:
            target.print(table)
    return captured.get()


def _format_hits(result: SearchResult) -> Table:
    from rsitr.formats import format_place

    later = result.sorted_by
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


def _format_places(result: SearchResult, places: Sequence[Place]) -> Table:
    columns = ("rank", "score", "relevance", "tiles", "days", "place", "best tile")
    table = make_table(*columns, title=result.query.describe(), numbers=columns[:4])
    for place in places:
        days = ", ".join(day.isoformat() for day in place.dates) or "unknown"
        cells = (f"{place.score:.3f}", _format_relevance(place.relevance), str(place.n_tiles), days, _where(place))
        table.add_row(str(place.rank), *cells, place.place)
    table.caption = _verdict(result)
    table.caption_justify = "left"
    return table


def _format_timeline(place: Place) -> Table:
    """What the scenes show of a place's spot, day by day."""
    columns = ("day", "scene", "score", "relevance", "matches")
    table = make_table(*columns, title=f"Place {place.rank} over time", numbers=columns[2:4])
    for seen in place.timeline or ():
        day = seen.tile.date.isoformat() if seen.tile.date else "unknown"
        verdict = "" if seen.matches is None else "yes" if seen.matches else "no"
        table.add_row(day, seen.tile.scene, f"{seen.score:.3f}", _format_relevance(seen.relevance), verdict)
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
    from rsitr.formats import format_point

    return "no known place" if place.position is None else format_point(*place.position)


def _format_relevance(relevance: float | None) -> str:
    return "" if relevance is None else f"{relevance:.2f}"


def _verdict(result: SearchResult) -> str | None:
    said = []
    if not result.matches and result.n_tiles:
        begun = "No confident match" if result.state == "unsure" else "Nothing here matches"
        why = f"no hit reaches a relevance of {result.threshold:g}"
        if result.is_foreign:
            why = "the model knows none of the words"
        elif result.has_unknown:
            why = "the model does not know every word"
        said.append(f"{begun}: {why}.")
    if result.sorted_by is not None:
        said.append(f"Sorted by {result.sorted_by}; the score is what hits had before it.")
    return "\n".join(said) or None
