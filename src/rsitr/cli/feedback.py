"""`rsitr feedback`: mark hits right or wrong, and keep what is learned from them as a detector."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.naming import IndexPlace
from rsitr.cli.output import AsJson, console, make_table, print_json
from rsitr.errors import QueryError
from rsitr.files import require_writable, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rsitr.search import Detector, Finds, Index, Mark, Query
    from rsitr.types import Hit

__all__ = ["FeedbackRequest", "feedback", "run_feedback"]

ASKED_ABOUT = 20
EXAMPLES = 3
"""Tiles marked right that a list names."""


def feedback(
    index: IndexPlace,
    words: str | None = typer.Argument(None, metavar="[WORDS]", help="What was looked for."),
    *,
    name: str | None = typer.Option(None, metavar="NAME", help="Of the detector; one that exists learns on."),
    right: list[str] = typer.Option([], metavar="ID", help="A tile that is right. May be repeated."),
    wrong: list[str] = typer.Option([], metavar="ID", help="A tile that is wrong. May be repeated."),
    marks: Path | None = typer.Option(None, metavar="FILE", help="A CSV with the columns tile and label."),
    image: str | None = typer.Option(None, metavar="FILE", help="A picture of what was looked for, or its address."),
    k: int = typer.Option(10, "-k", metavar="N", help="Hits shown that were not marked yet."),
    listed: bool = typer.Option(False, "--list", help="List the detectors of the index."),
    delete: str | None = typer.Option(None, metavar="NAME", help="Delete a detector."),
    rename: tuple[str, str] | None = typer.Option(None, metavar="NAME NEW", help="Give a detector another name."),
    seen: str | None = typer.Option(None, metavar="NAME", help="All that a detector finds now has been looked at."),
    save_marks: Path | None = typer.Option(None, metavar="FILE", help="Write the marks that were given, as CSV."),
    model: str | None = typer.Option(None, metavar="MODEL", help="Where the index's model is now."),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
    as_json: AsJson = False,
) -> None:
    """Learn from marks: five right and five wrong hits already say much more than words alone.

    The detector is kept with the index. `rsitr search INDEX --detector NAME` searches with it, and `rsitr index` tells
    what it finds in new scenes. Without marks, the best hits are asked about one by one. With --marks, or where labels
    name another query, only those of these words count.
    """
    if save_marks is not None:
        require_writable(save_marks)
    if listed or delete is not None or rename is not None or seen is not None:
        raise typer.Exit(_manage(index, delete=delete, rename=rename, seen=seen, as_json=as_json))
    if name is None:
        raise QueryError("name the detector that is to learn: --name NAME")
    query = _read_query(words, image=image, k=max(k, ASKED_ABOUT))
    request = FeedbackRequest(
        index=index,
        name=name,
        query=query,
        marks=_gather(query, right=right, wrong=wrong, file=marks),
        k=k,
        save_marks=save_marks,
        model=model,
        device=device,
        as_json=as_json,
    )
    raise typer.Exit(run_feedback(request))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRequest:
    """What a detector is to learn from.

    Attributes:
        index: the folder of the index.
        name: of the detector.
        query: what was looked for.
        marks: a person's; where there are none, they are asked for.
        k: hits that are shown afterwards.
        save_marks: a file for the marks that were given.
        model: where the index's model is now.
        device: where it runs.
        as_json: whether the result is printed as JSON.
    """

    index: Path
    name: str
    query: Query
    marks: tuple[Mark, ...]
    k: int
    save_marks: Path | None
    model: str | None
    device: str | None
    as_json: bool = False


def run_feedback(request: FeedbackRequest) -> int:
    """What the command does where there is something to learn; returns its exit status."""
    from rsitr.search import Index, find_new

    opened = Index.open(request.index, model=request.model, device=request.device)
    given = list(request.marks) or _ask(opened, request.query)
    if request.save_marks is not None:
        lines = ["tile,label,query", *(_mark_line(mark, request.query) for mark in given)]
        write_file(request.save_marks, "\n".join(lines) + "\n")
    learned = opened.learn(request.name, query=request.query, marks=given)
    marked = {*learned.right, *learned.wrong}
    every = opened.detect(learned, k=request.k + len(marked))
    found = [hit for hit in every if hit.tile.tile not in marked][: request.k]
    if request.as_json:
        _print_json([learned], found, {learned.name: find_new(opened, learned)})
    else:
        _show(learned, found)
    return 0


def _manage(index: Path, *, delete: str | None, rename: tuple[str, str] | None, seen: str | None, as_json: bool) -> int:
    """Delete or rename a detector or note that its finds were seen, if one is named, and list all that there are."""
    from rsitr.search import Index, delete_detector, load_detector, mark_seen, rename_detector

    opened = Index.open(index)
    if rename is not None:
        rename_detector(opened.path, *rename)
    if delete is not None:
        delete_detector(opened.path, delete)
    if seen is not None:
        mark_seen(opened, load_detector(opened.path, seen))
    return _print_list(opened, as_json=as_json)


def _read_query(words: str | None, *, image: str | None, k: int) -> Query:
    from rsitr.search import example_part, make_query

    return make_query(text=words, parts=[] if image is None else [example_part(image)], k=k)


def _gather(query: Query, *, right: list[str], wrong: list[str], file: Path | None) -> tuple[Mark, ...]:
    from rsitr.search import Mark, read_marks

    read = [] if file is None else read_marks(file)
    own = [mark for mark in read if mark.query in {"", query.text or "", query.describe()}]
    if read and not own:
        raise QueryError(f"{file}: its labels are for other queries than {query.describe()}")
    return (*own, *(Mark(tile, True) for tile in right), *(Mark(tile, False) for tile in wrong))


def _ask(opened: Index, query: Query) -> list[Mark]:
    from rsitr.cli.labelling import ask_for_marks, is_interactive

    if not is_interactive():
        raise QueryError("no marks to learn from: give --right ID, --wrong ID or --marks FILE")
    return ask_for_marks(opened.answer(query).hits[:ASKED_ABOUT], query=query.describe())


def _print_json(detectors: Sequence[Detector], found: Sequence[Hit], looked: Mapping[str, Finds] | None = None) -> None:
    from rsitr.cli.results_search import DetectorTold, FeedbackResult
    from rsitr.formats import round_box, round_score

    known = looked or {}
    told = [
        DetectorTold(
            name=one.name,
            query=one.query,
            right=list(one.right),
            wrong=list(one.wrong),
            gone=list(one.gone),
            precision=one.precision,
            n_finds=None if one.name not in known else len(known[one.name].hits),
            n_new=None if one.name not in known else len(known[one.name].new),
            seen=None if one.name not in known else known[one.name].seen,
        )
        for one in detectors
    ]
    finds = [
        {
            "tile": hit.tile.tile,
            "relevance": round_score(hit.relevance),
            "date": None if hit.tile.date is None else hit.tile.date.isoformat(),
            "bbox": round_box(hit.tile.bbox),
        }
        for hit in found
    ]
    print_json(FeedbackResult(detectors=told, finds=finds))


def _show(learned: Detector, found: Sequence[Hit]) -> None:
    from rsitr.formats import format_place

    name = learned.name
    columns = ("relevance", "date", "place", "tile")
    table = make_table(*columns, title=f"What {name} finds beside the marked tiles", numbers=columns[:1])
    for hit in found:
        day = hit.tile.date.isoformat() if hit.tile.date else "unknown"
        table.add_row(f"{hit.relevance or 0.0:.2f}", day, format_place(hit.tile.bbox), hit.tile.tile)
    out = console()
    precision = "" if learned.precision is None else f" Precision on marks left out: {learned.precision:.0%}."
    out.print(f"{name}: learned from {len(learned.right)} right and {len(learned.wrong)} wrong tiles.{precision}")
    if learned.gone:
        out.print(
            f"Let go of {len(learned.gone)} earlier marks, whose tiles have left the index: {learned.gone[0]} ..."
        )
    out.print(table)


def _print_list(opened: Index, *, as_json: bool) -> int:
    from rsitr.cli.saved import look_at_all, say_finds
    from rsitr.search import load_detectors

    damaged: list[str] = []
    detectors = load_detectors(opened.path, damaged=damaged.append)
    looked, troubles = look_at_all(opened, detectors)
    for line in (*damaged, *troubles):
        sys.stderr.write(f"{line}\n")
    status = 1 if damaged else 0
    if as_json:
        _print_json(detectors, [], looked)
        return status
    if not detectors and not damaged:
        sys.stderr.write(f"{opened.path}: no detectors yet\n")
        return 0
    columns = ("name", "from", "right", "wrong", "precision", "finds", "new", "examples")
    table = make_table(*columns, title=f"Detectors of {opened.path}", numbers=columns[2:7])
    for detector in detectors:
        precision = "" if detector.precision is None else f"{detector.precision:.0%}"
        counts = (str(len(detector.right)), str(len(detector.wrong)), precision, *say_finds(looked.get(detector.name)))
        table.add_row(detector.name, detector.query, *counts, "\n".join(detector.right[:EXAMPLES]))
    table.caption = (
        "Precision: of the marked tiles that it finds without having learned from them, so many are right.\n"
        "New: finds since it was last looked at; --seen NAME says that they have been."
    )
    table.caption_justify = "left"
    console().print(table)
    return status


def _mark_line(mark: Mark, query: Query) -> str:
    fields = (mark.tile, "right" if mark.right else "wrong", query.describe())
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields)
