"""The `rsitr` command: gathers the commands, and turns errors into one clear line and an exit status.

Exit status: 0 all done; 1 done, but something was left out or found wrong, and it is listed; 2 could not be done.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import traceback
from collections.abc import Callable
from functools import cache

import typer

from rsitr.cli.ablate import ablate
from rsitr.cli.assess import assess
from rsitr.cli.calibrate import calibrate
from rsitr.cli.configs import configs
from rsitr.cli.data import data_app
from rsitr.cli.data_keywords import keywords
from rsitr.cli.data_leakage import leakage
from rsitr.cli.data_merge import merge
from rsitr.cli.demo import demo
from rsitr.cli.distill import distill
from rsitr.cli.embeddings import embeddings, evaluate_embeddings, export_embeddings
from rsitr.cli.evaluate import evaluate
from rsitr.cli.explain import explain
from rsitr.cli.export import export
from rsitr.cli.feedback import feedback
from rsitr.cli.figures import figures
from rsitr.cli.index import index
from rsitr.cli.info import info
from rsitr.cli.locate import locate
from rsitr.cli.mcp import mcp
from rsitr.cli.models import models
from rsitr.cli.saved import saved
from rsitr.cli.search import search
from rsitr.cli.serve import serve
from rsitr.cli.sharing import card, push
from rsitr.cli.train import train
from rsitr.cli.tune import tune
from rsitr.cli.up import down, up
from rsitr.cli.warm import INTERRUPTED
from rsitr.errors import RsitrError
from rsitr.extras import explain_missing
from rsitr.files import explain_disk

# New objects between two looks for circles of garbage. Python's own 700 has it look hundreds of times through what the
# imports of a command leave standing, which is a tenth of the time that a search of a small index takes.
GC_THRESHOLD = 50_000

app = typer.Typer(
    name="rsitr",
    help="Find places in satellite and aerial imagery by words or by example; train and measure the models that do it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(value: bool) -> None:
    if value:
        from rsitr.version import __version__

        typer.echo(f"rsitr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    modules: list[str] = typer.Option(
        [],
        "--import",
        metavar="MODULE",
        help="Import a module of your own first, which registers recipes, losses, models, data sets, re-rankings or "
        "stores by name. Repeatable.",
    ),
) -> None:
    context.obj = tuple(modules)
    if modules:
        from rsitr.registry import import_named

        for module in modules:
            import_named(module)


def run(*, tell: Callable[[int], None] | None = None) -> None:
    """Be the process of one command: as `main`, and then gone at once.

    Taking apart what torch alone has built in the interpreter takes up to a second, for memory that the system takes
    back anyway. Threads are waited for, and what a command registers for the end of the process still happens before.

    Args:
        tell: called at the very end, with the exit status.
    """
    status = 0

    def leave() -> None:  # registered first, so that it comes last
        left = status
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):  # who read it has gone, or it is closed
                left = left or 1
        if tell is not None:
            tell(left)
        os._exit(left)

    atexit.register(leave)
    for stream in (sys.stdout, sys.stderr):
        _write_anything(stream)
    gc.set_threshold(GC_THRESHOLD)
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)


@cache
def build() -> Callable[..., object]:
    """All commands with their options, as `main` runs them; it takes typer a tenth of the time of a small search."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line. An expected error is one line on stderr and status 2, never a traceback.

    A reader that goes away (`rsitr ... | head`) is typer's to handle: silent, status 1.
    """
    try:
        build()()
    except RsitrError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if os.environ.get("RSITR_DEBUG"):
            traceback.print_exc()
        if (said := explain_disk(error) or explain_missing(error)) is not None:
            _fail(said)
        _fail(
            f"unexpected {type(error).__name__}: {error} "
            "(this is a bug in rsitr; RSITR_DEBUG=1 shows where, please report it)"
        )


def _write_anything(stream: object) -> None:
    """Let no character that a terminal or a locale lacks end a command: it is written by its number.

    What Windows writes into a file or another program is UTF-8, as JSON has to be, and not the machine's code page.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return
    if sys.platform == "win32" and not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
        stream.reconfigure(encoding="utf-8")
    if stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")


def _fail(message: str) -> None:
    from rsitr.index.address import spell

    sys.stderr.write(f"rsitr: {spell(message)}\n")
    sys.exit(2)


# Commands register here, one import and one line each. The modules import nothing heavy at their top.
app.add_typer(data_app)
data_app.command("keywords")(keywords)
data_app.command("merge")(merge)
data_app.command("leakage")(leakage)
app.command("index")(index)
app.command("search")(search)
app.command("feedback")(feedback)
app.command("saved")(saved)
app.command("assess")(assess)
app.command("locate")(locate)
app.command("info")(info)
app.command("serve")(serve)
app.command("up")(up)
app.command("down")(down)
app.command("mcp")(mcp)
app.command("models")(models)
app.command("train")(train)
app.command("calibrate")(calibrate)
app.command("configs")(configs)
app.command("evaluate")(evaluate)
app.command("tune")(tune)
app.command("distill")(distill)
app.command("explain")(explain)
app.command("ablate")(ablate)
app.command("figures")(figures)
app.command("export")(export)
app.command("card")(card)
app.command("push")(push)
app.command("embeddings")(embeddings)
app.command("export-embeddings")(export_embeddings)
app.command("evaluate-embeddings")(evaluate_embeddings)
app.command("demo")(demo)
