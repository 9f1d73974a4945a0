"""What commands share: consoles, tables, a progress bar."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from rsitr.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

__all__ = [
    "STDOUT",
    "AsJson",
    "console",
    "format_duration",
    "make_table",
    "print_json",
    "progress_bar",
    "require_folder",
    "require_report",
    "screen",
    "write_json",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON; the reference says what is in it.")]
"""The option of every command that has a result and writes no report of it."""
STDOUT = Path("-")
"""What `--json FILE` of commands that write a report means by `-`."""

_PIPE_COLUMNS = 10_000  # no row is broken: a program reads lines, and an id in two pieces names nothing


def console(stream: TextIO | None = None, *, to_file: bool = False) -> Console:
    """A rich console on `stream` (default stdout) that prints text as it is: captions may hold brackets.

    Where the output is not a terminal (a pipe, a log), or is kept to be written (`to_file`), nothing is wrapped.
    """
    from rich.console import Console

    stream = stream or sys.stdout
    width = None if stream.isatty() and not to_file else _PIPE_COLUMNS
    is_terminal = False if to_file else None  # None: the stream knows
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, force_terminal=is_terminal)


def screen(as_json: bool | Path | None = None) -> Console:
    """Where a result is told to people: stdout, and nowhere if JSON goes there."""
    target = console()
    target.quiet = as_json is True or as_json == STDOUT
    return target


def make_table(*columns: str, title: str, numbers: Collection[str] = (), header: bool = True) -> Table:
    """A table that folds what is too long for a terminal instead of cutting it: names are there to be copied.

    Args:
        columns: their headings.
        title: above the table.
        numbers: headings of the columns to be aligned on the right.
        header: whether the headings are shown.
    """
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=header)
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def format_duration(time_s: float) -> str:
    """A time as people say it, to two units.

    >>> format_duration(42), format_duration(200), format_duration(7_500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    seconds = round(time_s)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds // 60 % 60} min"


def progress_bar(*, time_left: bool = True) -> Progress:
    """Progress on stderr: a bar, or where stderr is no terminal a line every ten seconds.

    Args:
        time_left: also the time that remains, as the steps that are done let expect; not where steps differ in size.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    target = console(sys.stderr)
    if not target.is_terminal:
        from rsitr.cli.lines import LineProgress

        return LineProgress(say_left=format_duration if time_left else None, console=target)
    remaining = [TimeRemainingColumn()] if time_left else []
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *remaining, console=target, transient=True
    )


def require_folder(folder: Path, *, option: str) -> None:
    """Find out before the work starts whether a folder for its results can be made; it is not made here.

    Raises:
        ConfigError: it cannot; the message names the option that would give another.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise ConfigError(f"cannot write to {folder}: {there} is a file; name another {option}")
    if not os.access(there, os.W_OK):
        raise ConfigError(f"cannot write to {folder}: no permission to write in {there}; name another {option}")


def print_json(record: Any) -> None:
    """A command's result for programs: a record, or plain values, as one JSON object on stdout.

    The one way in which commands do this. Days are written as ISO has them, paths as text; names of files that are no
    UTF-8 with escapes.
    """
    from rsitr.formats import plain

    text = json.dumps(plain(record), default=str, ensure_ascii=False, indent=2)
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")


def require_report(file: Path | None) -> None:
    """Find out before the work starts whether a report can be written, where one is asked for.

    Raises:
        ConfigError: it cannot.
    """
    from rsitr.files import require_writable

    if file is not None and file != STDOUT:
        require_writable(file)


def write_json(file: Path | None, record: Any) -> None:
    """The same into the file of `--json FILE`, `-` for stdout; None writes nothing."""
    from rsitr.files import write_file
    from rsitr.formats import plain

    if file == STDOUT:
        print_json(record)
    elif file is not None:
        write_file(file, json.dumps(plain(record), default=str, ensure_ascii=False, indent=1) + "\n")
