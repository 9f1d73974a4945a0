"""`rsitr assess`: how good is a search on one's own area, measured on labelled hits."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.naming import find_place
from rsitr.cli.output import AsJson, console, make_table, print_json, progress_bar
from rsitr.errors import QueryError
from rsitr.files import require_writable, write_file

if TYPE_CHECKING:
    from rsitr.search import Assessment, Index, Labelled, Mark, Precision, Query, Recommendation, SearchResult
    from rsitr.types import Encoder

__all__ = ["assess", "run_assess"]


def assess(
    indexes: list[Path] = typer.Argument(
        ..., metavar="INDEX...", help="Indexes of the same scenes, to compare.", parser=find_place
    ),
    *,
    query: list[str] = typer.Option([], "--query", "-q", metavar="WORDS", help="What to look for. May be repeated."),
    queries: Path | None = typer.Option(None, metavar="FILE", help="A file of queries, as `rsitr search` takes it."),
    labels: Path | None = typer.Option(None, metavar="FILE", help="A CSV with tile, label and perhaps query."),
    depth: str = typer.Option("5,10,20", "-k", metavar="K,...", help="Depths of precision."),
    to_label: Path | None = typer.Option(
        None,
        metavar="FILE",
        help="Write the hits without a label: as a page on which labels are given by key (.html), or as a CSV to be "
        "filled in. --labels reads what either gives.",
    ),
    as_json: AsJson = False,
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
) -> None:
    """Measure precision on your own area from a few dozen labels, and recommend model, tile size and threshold.

    Labels come from a CSV, or are asked for in the terminal. Indexes made with other models or tile sizes are compared
    on the same labels; the best of those tried is recommended. Status 1 while hits are without a label.
    """
    raise typer.Exit(
        run_assess(
            indexes, query=query, queries=queries, labels=labels, depth=depth, to_label=to_label, as_json=as_json,
            device=device,
        )
    )  # fmt: skip


def run_assess(
    indexes: Sequence[Path],
    *,
    query: Sequence[str] = (),
    queries: Path | None = None,
    labels: Path | None = None,
    depth: str = "5,10,20",
    to_label: Path | None = None,
    as_json: bool = False,
    device: str | None = None,
    encoder: Encoder | None = None,
) -> int:
    """What the command does; returns its exit status. A given `encoder` takes the place of the indexes' models."""
    from rsitr.search import Index, label_hits, make_query, read_marks, read_queries
    from rsitr.types import TileFilter

    if to_label is not None:
        require_writable(to_label)
    ks = _parse_depth(depth)
    asked = [make_query(text=words, k=max(ks)) for words in query]
    if queries is not None:
        asked += read_queries(queries, k=max(ks), where=TileFilter())
    if not asked:
        raise QueryError("nothing to assess: give queries with --query WORDS or --queries FILE")
    marks = [] if labels is None else read_marks(labels)
    found: list[Assessment] = []
    open_hits: dict[tuple[str, str], tuple[Labelled, Index]] = {}
    for path in indexes:
        opened = Index.open(path, encoder=encoder, device=device)
        results = _answer(opened, asked)
        marks += _ask(results, label_hits(results, marks)) if labels is None and to_label is None else []
        labelled = label_hits(results, marks)
        open_hits |= {(entry.query, entry.hit.tile.tile): (entry, opened) for entry in labelled if entry.right is None}
        found.append(_assess(opened, labelled, ks=ks, path=path))
    if to_label is not None:
        _write_to_label(to_label, list(open_hits.values()))
    _print(found, as_json=as_json)
    if open_hits:
        where = f"; they are in {to_label}" if to_label else "; --to-label FILE writes them"
        sys.stderr.write(f"{len(open_hits)} hits have no label and count neither way{where}\n")
    return 1 if open_hits else 0


def _write_to_label(path: Path, open_hits: Sequence[tuple[Labelled, Index]]) -> None:
    from rsitr.formats import make_label_page
    from rsitr.search import to_label_csv

    if path.suffix.lower() not in {".html", ".htm"}:
        write_file(path, to_label_csv(entry for entry, _ in open_hits))
        return
    page, missing = make_label_page([(entry.query, entry.hit, opened) for entry, opened in open_hits])
    write_file(path, page)
    sys.stderr.write("".join(f"{line}\n" for line in missing))


def _answer(opened: Index, asked: Sequence[Query]) -> list[SearchResult]:
    results = []
    with progress_bar() as bar:
        task = bar.add_task(f"queries of {opened.name}", total=len(asked))
        for query in asked:
            results.append(opened.answer(query))
            bar.advance(task)
    return results


def _assess(opened: Index, labelled: Sequence[Labelled], *, ks: Sequence[int], path: Path) -> Assessment:
    from rsitr.cli.info import describe_tiles
    from rsitr.search import assess as measure

    summary = opened.summary()
    tiles = describe_tiles(summary)
    return measure(labelled, ks=ks, index=path.name, model=summary.model, tiles=tiles)


def _ask(results: Sequence[SearchResult], labelled: Sequence[Labelled]) -> list[Mark]:
    from rsitr.cli.labelling import ask_for_marks, is_interactive

    if not is_interactive():
        raise QueryError("no labels: give --labels FILE, or have the hits written for it with --to-label FILE")
    unknown = {(entry.query, entry.hit.tile.tile) for entry in labelled if entry.right is None}
    marks: list[Mark] = []
    for result in results:
        asked = result.query.describe()
        marks += ask_for_marks([hit for hit in result if (asked, hit.tile.tile) in unknown], query=asked)
    return marks


def _parse_depth(text: str) -> list[int]:
    try:
        ks = sorted({int(part) for part in text.split(",")})
    except ValueError as error:
        raise QueryError(f"-k takes depths with commas between, e.g. 5,10,20, not {text!r}") from error
    if ks[0] < 1:
        raise QueryError(f"a depth is at least 1, not {ks[0]}")
    return ks


def _print(found: Sequence[Assessment], *, as_json: bool) -> None:
    from rsitr.cli.results_search import AssessResult
    from rsitr.search import recommend
    from rsitr.search.assessing import explain_not_compared

    best = recommend(found)
    left_out = explain_not_compared(found)
    if as_json:
        recommended = None if best is None else asdict(best)
        told = [entry.as_dict() for entry in found]
        print_json(AssessResult(indexes=told, recommended=recommended, not_compared=list(left_out)))
        return
    names = [f"P@{precision.k}" for precision in found[0].precisions]
    columns = ("index", "model", "tiles", *names, "threshold")
    table = make_table(*columns, title="Precision on the labelled hits, with 95 % intervals", numbers=columns[3:])
    for entry in found:
        advice = entry.advice
        threshold = "" if advice is None else f"{'' if advice.is_bounded else 'at most '}{advice.threshold:.2f}"
        cells = [_format(precision) for precision in entry.precisions]
        table.add_row(entry.index, entry.model, entry.tiles, *cells, threshold)
    out = console()
    out.print(table)
    for entry in found:
        for line in _explain(entry):
            out.print(f"{entry.index}: {line}")
    for line in left_out:
        out.print(line)
    if best is not None:
        out.print(_recommendation(best))
    elif len(found) > 1:
        out.print("No index is recommended: it takes labels that go equally far down; --to-label FILE lists the hits.")


def _explain(entry: Assessment) -> list[str]:
    """How far down the labels go, and what they say of a threshold."""
    reach, advice = entry.reach, entry.advice
    if not reach.n_labelled:
        return []
    depth = f"down to rank {reach.rank} of every query" if reach.rank else "with gaps from the first hit of a query on"
    lowest = "" if reach.relevance is None else f" (relevance {reach.relevance:.2f})"
    lines = [f"{reach.n_labelled} of {reach.n_hits} hits are labelled, {depth}{lowest}; what lies below is not known"]
    if advice is not None and advice.is_bounded:
        lines.append(
            f"with --threshold {advice.threshold:.2f}, {advice.precision:.0%} of the labelled hits that are kept are "
            f"right, and {advice.recall:.0%} of those labelled right are kept ({advice.n_labelled} labels)"
        )
    elif advice is not None:
        lines.append(
            f"the best threshold is {advice.threshold:.2f}, the lowest relevance that is labelled, or lies below it: "
            "to know it, label further down (a larger -k)"
        )
    return lines


def _recommendation(best: Recommendation) -> str:
    reached = best.precision
    threshold = "" if best.threshold is None else f", --threshold {best.threshold:.2f}"
    said = (
        f"Recommended of the {best.n_compared} compared: {best.index} (model {best.model}, tiles {best.tiles}"
        f"{threshold}), P@{reached.k} {_format(reached)}."
        if best.n_tried > 1
        else f"{best.index} (model {best.model}, tiles {best.tiles}{threshold}): P@{reached.k} {_format(reached)}."
    )
    if best.threshold is None:
        said += " For a threshold it takes ten labels, right ones and, further down, wrong ones among them."
    if best.n_compared > 1 and not best.is_clear:
        said += " The intervals overlap: it takes more labels to be sure."
    return said


def _format(precision: Precision) -> str:
    if math.isnan(precision.value):
        return "no labels"
    part = "" if precision.n_labelled == precision.n_hits else f", {precision.n_labelled} of {precision.n_hits} hits"
    return f"{precision.value:.2f} [{precision.low:.2f}, {precision.high:.2f}]{part}"
