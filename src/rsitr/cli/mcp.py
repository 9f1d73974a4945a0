"""`rsitr mcp`: an index for assistants, over the Model Context Protocol on standard input and output."""

from __future__ import annotations

from pathlib import Path

import typer

from rsitr.cli.naming import IndexPlace
from rsitr.extras import need

__all__ = ["mcp", "run_mcp"]


def mcp(
    index: IndexPlace,
    *,
    root: Path | None = typer.Option(None, metavar="DIR", help="Where the scenes lie now, if they have moved."),
    model: str | None = typer.Option(None, metavar="MODEL", help="Where the index's model is now."),
    device: str | None = typer.Option(None, metavar="DEVICE", help="Where the model runs, e.g. cpu or cuda."),
) -> None:
    """Serve an index to assistants (Model Context Protocol) on standard input and output.

    An assistant starts this command itself: the guide on assistants has what to write into its settings. It can search,
    look at tiles and find things in scenes of this index, and reads nothing else.
    """
    run_mcp(index, root=root, model=model, device=device)


def run_mcp(index: Path, *, root: Path | None = None, model: str | None = None, device: str | None = None) -> None:
    """What the command does; ends when its input does.

    Raises:
        ConfigError: the package `mcp` is not installed.
        StoreError: the index is missing or damaged.
    """
    need("mcp", what="an index for assistants")
    from rsitr.assistants import serve_stdio
    from rsitr.search import Index

    serve_stdio(Index.open(index, root=root, model=model, device=device))
