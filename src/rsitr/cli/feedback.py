"""`rsitr feedback`: mark hits right or wrong, and keep what is learned from them as a detector."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.output import console, make_table, require_writable, write_file
from rsitr.errors import QueryError

if TYPE_CHECKING:
    from rsitr.search import Index, Mark, Query
    from rsitr.types import Encoder

__all__ = ["feedback", "run_feedback"]

ASKED_ABOUT = 20


def feedback(
    index: Path = typer.Argument(..., metavar="INDEX", help="Folder of the index."),
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
    save_marks: Path | None = typer.Option(None, metavar="FILE", help="Write the marks that were given, as CSV."),
    model: str | None = typer.Option(None, metavar="MODEL", help="Where the index's model is now."),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
) -> None:
    """Learn from marks: five right and five wrong hits already say much more than words alone.

    The detector is kept with the index. `rsitr search INDEX --detector NAME` searches with it, and `rsitr index` tells
    what it finds in new scenes. Without marks, the best hits are asked about one by one. With --marks, or where labels
    name another query, only those of these words count.
    """
    status = run_feedback(
        index, words, name=name, right=right, wrong=wrong, marks=marks, image=image, k=k, listed=listed, delete=delete,
        save_marks=save_marks, model=model, device=device,
    )  # fmt: skip
    raise typer.Exit(status)


def run_feedback(
    index: Path,
    words: str | None = None,
    *,
    name: str | None = None,
    right: list[str] | None = None,
    wrong: list[str] | None = None,
    marks: Path | None = None,
    image: str | Path | None = None,
    k: int = 10,
    listed: bool = False,
    delete: str | None = None,
    save_marks: Path | None = None,
    model: str | None = None,
    device: str | None = None,
    encoder: Encoder | None = None,
) -> int:
    """What the command does; returns its exit status. A given `encoder` takes the place of `model`."""
    from rsitr.index import open_index
    from rsitr.search import Index, delete_detector, make_query
    from rsitr.search.batch import example_part

    if save_marks is not None:
        require_writable(save_marks)
    if listed or delete is not None:
        folder = open_index(index).path
        if delete is not None:
            delete_detector(folder, delete)
        return _print_list(folder)
    if name is None:
        raise QueryError("name the detector that is to learn: --name NAME")
    example = [] if image is None else [example_part(image)]
    query = make_query(text=words, parts=example, k=max(k, ASKED_ABOUT))
    given = _gather(query, right=right or [], wrong=wrong or [], marks=marks)
    opened = Index.open(index, encoder=encoder, model=model, device=device)
    if not given:
        given = _ask(opened, query)
    if save_marks is not None:
        lines = ["tile,label,query", *(_mark_line(mark, query) for mark in given)]
        write_file(save_marks, "\n".join(lines) + "\n")
    _learn_and_show(opened, name, query=query, given=given, k=k)
    return 0


def _gather(query: Query, *, right: list[str], wrong: list[str], marks: Path | None) -> list[Mark]:
    from rsitr.search import Mark, read_marks

    read = [] if marks is None else read_marks(marks)
    own = [mark for mark in read if mark.query in {"", query.text or "", query.describe()}]
    if read and not own:
        raise QueryError(f"{marks}: its labels are for other queries than {query.describe()}")
    return [*own, *(Mark(tile, True) for tile in right), *(Mark(tile, False) for tile in wrong)]


def _ask(opened: Index, query: Query) -> list[Mark]:
    from rsitr.cli.labelling import ask_for_marks, is_interactive

    if not is_interactive():
        raise QueryError("no marks to learn from: give --right ID, --wrong ID or --marks FILE")
    return ask_for_marks(opened.answer(query).hits[:ASKED_ABOUT], query=query.describe())


def _learn_and_show(opened: Index, name: str, *, query: Query, given: list[Mark], k: int) -> None:
    from rsitr.search import format_place

    learned = opened.learn(name, query=query, marks=given)
    marked = {*learned.right, *learned.wrong}
    found = [hit for hit in opened.detect(learned, k=k + len(marked)) if hit.tile.tile not in marked][:k]
    columns = ("relevance", "date", "place", "tile")
    table = make_table(*columns, title=f"What {name} finds beside the marked tiles", numbers=columns[:1])
    for hit in found:
        day = hit.tile.date.isoformat() if hit.tile.date else "unknown"
        table.add_row(f"{hit.relevance or 0.0:.2f}", day, format_place(hit.tile.bbox), hit.tile.tile)
    out = console()
    out.print(f"{name}: learned from {len(learned.right)} right and {len(learned.wrong)} wrong tiles.")
    if learned.gone:
        out.print(
            f"Let go of {len(learned.gone)} earlier marks, whose tiles have left the index: {learned.gone[0]} ..."
        )
    out.print(table)


def _print_list(folder: Path) -> int:
    from rsitr.search.detectors import load_detectors

    damaged: list[str] = []
    detectors = load_detectors(folder, damaged=damaged.append)
    for line in damaged:
        sys.stderr.write(f"{line}\n")
    if not detectors and not damaged:
        sys.stderr.write(f"{folder}: no detectors yet\n")
        return 0
    table = make_table("name", "from", "right", "wrong", title=f"Detectors of {folder}", numbers=("right", "wrong"))
    for detector in detectors:
        table.add_row(detector.name, detector.query, str(len(detector.right)), str(len(detector.wrong)))
    console().print(table)
    return 1 if damaged else 0


def _mark_line(mark: Mark, query: Query) -> str:
    fields = (mark.tile, "right" if mark.right else "wrong", query.describe())
    return ",".join('"' + field.replace('"', '""') + '"' for field in fields)
