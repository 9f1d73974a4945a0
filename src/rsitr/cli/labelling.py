"""Asking a person, hit by hit, whether it is what was looked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rsitr.cli.output import console

if TYPE_CHECKING:
    from rsitr.search import Mark
    from rsitr.types import Hit

__all__ = ["ask_for_marks", "is_interactive"]


def is_interactive() -> bool:
    """Whether there is a person at the other end."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_for_marks(hits: Iterable[Hit], *, query: str) -> list[Mark]:
    """Ask about each hit: y right, n wrong, s skip, q enough. The end of the input is enough, too."""
    from rsitr.formats import format_place
    from rsitr.search import Mark

    out = console(sys.stderr)
    out.print(f"Is it {query}? y right, n wrong, s skip, q enough")
    marks: list[Mark] = []
    for hit in hits:
        relevance = "" if hit.relevance is None else f", relevance {hit.relevance:.2f}"
        day = hit.tile.date.isoformat() if hit.tile.date else "day unknown"
        out.print(f"{hit.rank}. {hit.tile.tile}  {day}, {format_place(hit.tile.bbox)}{relevance}")
        answer = _ask()
        if answer == "q":
            break
        if answer != "s":
            marks.append(Mark(hit.tile.tile, right=answer == "y", query=query))
    return marks


def _ask() -> str:
    while True:
        sys.stderr.write("   [y/n/s/q] ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return "q"
        answer = line.strip().lower()[:1]
        if answer in {"y", "n", "s", "q"}:
            return answer
