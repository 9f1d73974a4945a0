"""`rsitr saved`: the saved searches of an index, and what they find that is new."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from rsitr.cli.naming import IndexPlace
from rsitr.cli.output import AsJson, console, make_table, print_json
from rsitr.errors import RsitrError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rsitr.search import Finds, Index, Kept, SavedSearch

__all__ = ["look_at_all", "saved", "say_finds"]


def saved(
    index: IndexPlace,
    *,
    seen: str | None = typer.Option(None, metavar="NAME", help="All that this search finds now has been looked at."),
    rename: tuple[str, str] | None = typer.Option(None, metavar="NAME NEW", help="Give a saved search another name."),
    delete: str | None = typer.Option(None, metavar="NAME", help="Delete a saved search."),
    model: str | None = typer.Option(None, metavar="MODEL", help="Where the index's model is now."),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
    as_json: AsJson = False,
) -> None:
    """List the saved searches of an index, with how much each of them finds, and how much of that is new.

    `rsitr search INDEX WORDS --save NAME` and the page save a search, `rsitr search INDEX --saved NAME` makes it again.
    New is what was not found when it was last looked at. Status 1 if a file of one is damaged, or one finds nothing
    because it cannot be made any more.
    """
    from rsitr.search import Index, delete_saved, load_all_saved, load_saved, mark_seen, rename_saved

    opened = Index.open(index, model=model, device=device)
    if rename is not None:
        rename_saved(opened.path, *rename)
    if delete is not None:
        delete_saved(opened.path, delete)
    if seen is not None:
        mark_seen(opened, load_saved(opened.path, seen))
    damaged: list[str] = []
    searches = load_all_saved(opened.path, damaged=damaged.append)
    looked, troubles = look_at_all(opened, searches)
    for line in (*damaged, *troubles):
        sys.stderr.write(f"{line}\n")
    _print(opened, searches, looked, as_json=as_json)
    raise typer.Exit(1 if damaged or len(looked) < len(searches) else 0)


def look_at_all(opened: Index, every: Sequence[Kept]) -> tuple[dict[str, Finds], list[str]]:
    """By name, what detectors or saved searches find; and a line for each that cannot, or has more to tell."""
    from rsitr.search import find_new

    looked: dict[str, Finds] = {}
    told: list[str] = []
    for one in every:
        try:
            looked[one.name] = find_new(opened, one)
        except RsitrError as error:
            told.append(str(error) if repr(one.name) in str(error) else f"{one.name}: {error}")
            continue
        if looked[one.name].note:
            told.append(f"{one.name}: {looked[one.name].note}")
    return looked, told


def say_finds(found: Finds | None) -> tuple[str, str]:
    """How much is found and how much of it is new, as a table has it."""
    if found is None:
        return "", ""
    n_finds = f"{len(found.hits):,}"
    return f"{n_finds} or more" if found.is_cut else n_finds, f"{len(found.new):,}"


def _print(opened: Index, searches: Sequence[SavedSearch], looked: dict[str, Finds], *, as_json: bool) -> None:
    if as_json:
        from rsitr.cli.results_search import SavedResult

        told = [
            {
                "name": one.name,
                "query": one.describe(),
                "search": one.search.to_body(),
                "n_finds": len(looked[one.name].hits) if one.name in looked else None,
                "n_new": len(looked[one.name].new) if one.name in looked else None,
                "seen": looked[one.name].seen if one.name in looked else None,
            }
            for one in searches
        ]
        print_json(SavedResult(searches=told))
        return
    if not searches:
        sys.stderr.write(f"{opened.path}: no saved searches yet; `rsitr search --save NAME` makes one\n")
        return
    columns = ("name", "search", "finds", "new", "looked at")
    table = make_table(*columns, title=f"Saved searches of {opened.path}", numbers=columns[2:4])
    for one in searches:
        found = looked.get(one.name)
        table.add_row(one.name, one.describe(), *say_finds(found), (found and found.seen) or "never")
    console().print(table)
