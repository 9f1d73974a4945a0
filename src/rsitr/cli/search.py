"""`rsitr search`: find places in an index by words, by example, within an area, between days."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.lending import borrow
from rsitr.cli.naming import IndexPlace, say
from rsitr.cli.output import AsJson, progress_bar, require_folder
from rsitr.cli.rendering import Format, Layout, Rendered, render
from rsitr.errors import QueryError, SceneError
from rsitr.files import write_file

if TYPE_CHECKING:
    from rsitr.search import Index, Mark, Part, Query, RankingSettings, SavedSearch, SearchResult
    from rsitr.types import TileFilter

__all__ = ["Format", "SearchRequest", "run_search", "search"]

MOST_HITS = 100_000
"""More can be listed by `--bbox` and the like in parts; no search holds as many answers that anyone looks at."""


def search(
    index: IndexPlace,
    words: str | None = typer.Argument(None, metavar="[WORDS]", help='What to look for, e.g. "a river with a bridge".'),
    *,
    k: int = typer.Option(10, "-k", metavar="N", help="Hits at most."),
    image: list[str] = typer.Option(
        [], metavar="FILE", help="A picture of what to look for, or its address. May be repeated."
    ),
    like: list[str] = typer.Option([], metavar="ID", help="A tile or place found before. May be repeated."),
    plus: list[str] = typer.Option([], metavar="WORDS", help="Further words, mixed in. May be repeated."),
    minus: list[str] = typer.Option([], "--not", metavar="WORDS", help="What is not wanted. May be repeated."),
    queries: Path | None = typer.Option(
        None, metavar="FILE", help="A file of queries: a line of words each, or a JSON object per line (.jsonl)."
    ),
    detector: str | None = typer.Option(
        None, metavar="NAME", help="A detector that `rsitr feedback` saved, instead of a query."
    ),
    saved: str | None = typer.Option(
        None, metavar="NAME", help="A saved search, instead of a query; -k and --threshold may differ from its own."
    ),
    save: str | None = typer.Option(None, metavar="NAME", help="Save this search with the index, by this name."),
    bbox: str | None = typer.Option(
        None, metavar="W,S,E,N", help="Only tiles that meet this box in degrees; west > east crosses the antimeridian."
    ),
    area: Path | None = typer.Option(
        None, metavar="FILE", help="Only tiles that meet these polygons: GeoJSON, GPKG, SHP, KML, WKT."
    ),
    scene: list[str] = typer.Option(
        [], metavar="GLOB", help="Only tiles of scenes whose names match, e.g. 2016/*. May be repeated."
    ),
    since: str | None = typer.Option(
        None, metavar="DAY", help="Only tiles taken on this day or later, e.g. 2016-08-16, 2016-08 or 2016."
    ),
    until: str | None = typer.Option(None, metavar="DAY", help="Only tiles taken on this day or earlier."),
    sensor: str | None = typer.Option(None, metavar="NAME", help="Only tiles of this sensor."),
    gsd: str | None = typer.Option(None, metavar="MIN,MAX", help="Only pixels of so many metres on the ground."),
    every: bool = typer.Option(
        False,
        "--all",
        help="Also tiles whose pixels can show nothing to a model, and every file of the same ground and day.",
    ),
    candidates: int = typer.Option(100, metavar="N", help="Tiles that the second stage of ranking looks at."),
    rerank: str | None = typer.Option(
        None,
        metavar="METHOD",
        help="Re-rank: sar:k=20, csls, ... against reference captions, or fusion:CHECKPOINT,top=N,weight=W.",
    ),
    local: bool = typer.Option(True, help="Local similarity as the second stage, where the model uses it."),
    exact_local: bool = typer.Option(
        False, "--exact-local", help="Local similarity from the pictures, also where the index keeps codes."
    ),
    budget_s: float = typer.Option(2.0, metavar="S", help="Seconds for the stages after the first."),
    explain_ranking: bool = typer.Option(False, help="Show what each stage of ranking said."),
    threshold: float = typer.Option(0.5, metavar="F", help="Relevance below which nothing is said to match."),
    only_matches: bool = typer.Option(
        False, "--only-matches", help="Leave out hits below the threshold, in whatever format."
    ),
    places: bool = typer.Option(False, help="Merge hits that touch, and the same ground on several days, into places."),
    timeline: bool = typer.Option(
        False, "--timeline", help="With --places: what every scene shows of the same ground, matching or not."
    ),
    chips: Path | None = typer.Option(
        None, metavar="FOLDER", help="Write each hit as a file with its scene's own pixels: GeoTIFF, or PNG."
    ),
    output_format: Format | None = typer.Option(
        None, "--format", help="[default: by the ending of --out, else table]", show_default=False
    ),
    out: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="Write to a file instead of the screen; its ending names the format. The answers to --queries are a "
        "folder with a file for each, as geojson, parquet, gpkg, kml, stac or html.",
    ),
    model: str | None = typer.Option(
        None, metavar="MODEL", help="Where the index's model is now, if its recorded name no longer leads to it."
    ),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
    root: Path | None = typer.Option(None, metavar="DIR", help="Where the scenes lie now, if they have moved."),
    as_json: AsJson = False,
) -> None:
    """Find places by words, by example, or by a mixture of them.

    The hits are the best of all tiles within the limits. Any part may begin with a weight: "0.5*a river". Relevance
    says how surely a hit is what was asked for; where none reaches the threshold, nothing here matches. html shows the
    picture of each hit. Status 1 if something is missing from the output.
    """
    from rsitr.search import RankingSettings, check_threshold
    from rsitr.types import TileFilter

    if as_json and output_format not in {None, Format.JSON}:
        raise QueryError(f"--json is --format json, and --format {output_format} is given: leave one out")
    layout = Layout(
        named=Format.JSON if as_json else output_format,
        out=out,
        places=places or timeline,
        timeline=timeline,
        explain=explain_ranking,
        is_batch=queries is not None,
    )
    if chips is not None:
        require_folder(chips, option="--chips")
    _require_most(k)
    check_threshold(threshold, name="--threshold")
    ranking = RankingSettings(
        n_candidates=candidates, local=local, rerank=rerank, codes=not exact_local, budget_s=budget_s
    )
    where = _read_limits(bbox=bbox, area=area, scene=scene, since=since, until=until, sensor=sensor, gsd=gsd)
    parts = _read_parts(words, image=image, like=like, plus=plus, minus=minus)
    if detector is not None and (rerank or explain_ranking):
        raise QueryError("--detector ranks by what it has learned: leave out --rerank and --explain-ranking")
    marks: tuple[Mark, ...] = ()
    if saved is not None:
        if parts or queries or detector or save or every or where != TileFilter():
            raise QueryError("--saved asks what was saved: leave out words, examples, --detector, --queries and limits")
        found, marks, threshold = _read_saved(index, saved, k=k, threshold=threshold)
        asked: tuple[Query, ...] = (found,)
    else:
        asked = _read_queries(parts, file=queries, detector=detector, k=k, where=where, every=every)
    kept = None if save is None else _keep(save, asked, threshold=threshold, is_batch=queries is not None)
    request = SearchRequest(
        index=index,
        queries=asked,
        marks=marks,
        ranking=ranking,
        threshold=threshold,
        only_matches=only_matches,
        layout=layout,
        chips=chips,
        model=model,
        device=device,
        root=root,
    )
    status = run_search(request)
    if kept is not None:  # what cannot be searched for is not saved
        _save(index, kept)
    raise typer.Exit(status)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What is searched for, and what becomes of the answers.

    Attributes:
        index: the folder of the index.
        queries: answered one after the other.
        marks: of a saved search, by which it is refined.
        ranking: how candidates are ranked.
        threshold: relevance below which nothing is said to match.
        only_matches: leave out hits below it.
        layout: how the answers are written.
        chips: a folder for the hits' own pixels; None writes none.
        model: where the index's model is now.
        device: where it runs.
        root: where the scenes lie now.
    """

    index: Path
    queries: tuple[Query, ...]
    marks: tuple[Mark, ...]
    ranking: RankingSettings
    threshold: float
    only_matches: bool
    layout: Layout
    chips: Path | None
    model: str | None
    device: str | None
    root: Path | None


def run_search(request: SearchRequest) -> int:
    """What the command does; returns its exit status."""
    from rsitr.search import Index

    opened = Index.open(request.index, model=request.model, device=request.device, root=request.root)
    borrow(opened)
    results = []

    def answer(query: Query) -> SearchResult:
        there = {tile.tile for tile in opened.known([mark.tile for mark in request.marks])}
        marks = [mark for mark in request.marks if mark.tile in there]
        return opened.answer(query, marks=marks, ranking=request.ranking, threshold=request.threshold)

    with progress_bar() as bar:
        task = bar.add_task("queries", total=len(request.queries), visible=len(request.queries) > 1)
        for query in request.queries:
            results.append(answer(query))
            bar.advance(task)
    shown = [result.keep_matches() for result in results] if request.only_matches else results
    notes = [_notes(result, opened, only_matches=request.only_matches) for result in results]
    rendered = render(shown, request.layout, opened=opened, notes=notes)
    _write(rendered, request.layout.out, n_hits=sum(len(result) for result in shown))
    missing = [*rendered.missing, *_write_chips(shown, request.chips, opened=opened)]
    for note in dict.fromkeys((*missing, *(line for lines in notes for line in lines))):
        sys.stderr.write(f"{note}\n")
    return 1 if missing else 0


def _read_queries(
    parts: list[Part], *, file: Path | None, detector: str | None, k: int, where: TileFilter, every: bool
) -> tuple[Query, ...]:
    """What is asked: a query of these parts, or those of a file, or a detector."""
    from rsitr.search import Part, make_query, read_queries

    if file is not None:
        if parts or detector:
            raise QueryError("--queries takes its queries from the file: leave out words, examples and --detector")
        found = read_queries(file, k=k, where=where, every=every)
        _require_most(max(query.k for query in found))
        return tuple(found)
    if detector is None:
        return (make_query(parts=parts, k=k, where=where, every=every),)
    if parts:
        raise QueryError("--detector looks for what it has learned: leave out words and examples")
    return (make_query(parts=[Part("detector", detector)], k=k, where=where, every=every),)


def _read_saved(index: Path, name: str, *, k: int, threshold: float) -> tuple[Query, tuple[Mark, ...], float]:
    """A saved search, the marks by which it is refined, and its threshold unless another than the usual is given."""
    from rsitr.index import open_index
    from rsitr.search import THRESHOLD, Mark, load_saved

    kept = load_saved(open_index(index).path, name).search
    marks = tuple(Mark(tile, right) for tile, right in kept.marks)
    return kept.to_query(k=k), marks, kept.threshold if threshold == THRESHOLD else threshold


def _keep(name: str, asked: tuple[Query, ...], *, threshold: float, is_batch: bool) -> SavedSearch:
    from rsitr.search import KeptSearch, SavedSearch

    if is_batch:
        raise QueryError("--save keeps one search: leave out --queries")
    return SavedSearch(name, KeptSearch.of(asked[0], threshold=threshold))


def _save(index: Path, kept: SavedSearch) -> None:
    from rsitr.search import save_search

    save_search(index, kept)
    sys.stderr.write(f"saved as {kept.name!r}: `rsitr search {say(index)} --saved {kept.name!r}` makes it again\n")


def _require_most(k: int) -> None:
    if k > MOST_HITS:
        raise QueryError(f"-k is at most {MOST_HITS:,}, not {k:,}: narrow the search, e.g. with --bbox or --since")


def _write(rendered: Rendered, out: Path | None, *, n_hits: int) -> None:
    if out is None:
        sys.stdout.write(str(rendered.content))
        return
    if rendered.folder is None:
        write_file(out, rendered.content)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in rendered.folder.items():
            write_file(out / name, content)
    sys.stderr.write(f"{n_hits} hits written to {out}\n")


def _write_chips(results: list[SearchResult], folder: Path | None, *, opened: Index) -> list[str]:
    """Write the hits' own pixels; what is missing, a line for each."""
    from rsitr.geo.files import name_of

    if folder is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    missing: list[str] = []
    n_written = 0
    with progress_bar() as bar:
        task = bar.add_task("chips", total=sum(len(result) for result in results))
        for number, result in enumerate(results, start=1):
            prefix = f"{number:04d}-" if len(results) > 1 else ""
            for hit in result:
                name = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(name_of(hit.tile.scene)).stem)[:80]
                try:
                    opened.write_chip(hit.tile, folder / f"{prefix}{hit.rank:04d}-{name}")
                    n_written += 1
                except SceneError as error:
                    missing.append(f"no chip of hit {hit.rank}: {error}")
                bar.advance(task)
    sys.stderr.write(f"{n_written} chips written to {folder}\n")
    return missing


def _notes(result: SearchResult, opened: Index, *, only_matches: bool) -> list[str]:
    """What a person should know beside the hits."""
    from rsitr.search import say_left_out, say_outcome, say_stronger

    notes: list[str] = []
    outcome = say_outcome(result, n_all=len(opened), are_shown=not only_matches)
    if outcome and not result.hits and len(opened) and not result.n_hopeless:
        outcome += f": {opened.say_limits(result.query.where)}"
    if result.n_hopeless and not result.hits:
        outcome += "; --all shows them"
    if outcome:
        notes.append(outcome if result.hits or len(opened) else f"{opened.path}: {outcome}")
    if stronger := say_stronger(result):
        notes.append(stronger)
    if only_matches and result.hits and result.relevance is None:
        notes.append(f"{result.query.describe()}: relevance could not be judged, so no hit was left out")
    if left_out := say_left_out(result):
        notes.append(f"{left_out}; --all shows them")
    return notes + [f"ranking, stage {stage.name}: {stage.note}" for stage in result.stages if stage.note]


def _read_parts(
    words: str | None, *, image: list[str], like: list[str], plus: list[str], minus: list[str]
) -> list[Part]:
    from rsitr.search import Part, read_example

    return [
        *(Part.parse("words", text) for text in ([] if words is None else [words])),
        *(Part.parse("words", text) for text in plus),
        *(read_example(text) for text in image),
        *(Part.parse("tile", text) for text in like),
        *(Part.unwanted(text) for text in minus),
    ]


def _read_limits(
    *,
    bbox: str | None,
    area: Path | None,
    scene: list[str],
    since: str | None,
    until: str | None,
    sensor: str | None,
    gsd: str | None,
) -> TileFilter:
    from rsitr.geo import read_area
    from rsitr.search import parse_bbox, parse_day, parse_gsd
    from rsitr.types import TileFilter

    return TileFilter(
        bbox=None if bbox is None else parse_bbox(bbox, name="--bbox"),
        area=None if area is None else read_area(area),
        scene=(scene[0] if len(scene) == 1 else tuple(scene)) if scene else None,
        since=None if since is None else parse_day(since, name="--since", is_last=False),
        until=None if until is None else parse_day(until, name="--until", is_last=True),
        sensor=sensor,
        gsd_m=None if gsd is None else parse_gsd(gsd, name="--gsd"),
    )
