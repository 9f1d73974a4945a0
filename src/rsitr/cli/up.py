"""`rsitr up` and `rsitr down`: a process that is kept warm for an index, so that a search takes a moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import typer

from rsitr.cli.naming import IndexPlace
from rsitr.errors import ConfigError

__all__ = ["down", "up"]

MINUTES = 15.0
END_S = 5.0
STEP_S = 0.01


def up(
    index: IndexPlace,
    minutes: float = typer.Option(MINUTES, metavar="N", help="End after so many minutes without a question."),
    foreground: bool = typer.Option(False, "--foreground", help="Stay here instead of in the background."),
    stop: bool = typer.Option(False, "--stop", help="End it, as `rsitr down` does."),
) -> None:
    """Keep an index warm: `rsitr search INDEX ...` and `rsitr info INDEX` then begin at once, and say what they say.

    A process in the background has all imported, the index open and its model loaded. It ends after 15 minutes without
    a question, with the index, and by `rsitr down INDEX`. Where it does not answer, commands do their work as ever.
    """
    if stop:
        down(index)
        return
    if not minutes > 0:
        raise ConfigError(f"--minutes is a number above 0, not {minutes:g}")
    from rsitr.cli.place import HeldPlace, runtime_folder
    from rsitr.cli.warm import name_index
    from rsitr.index.address import address_of
    from rsitr.index.manifest import read_manifest

    if (address := address_of(index)) is not None:
        raise ConfigError(f"{address}: only an index in a folder is kept warm; `rsitr serve` keeps this one open")
    read_manifest(index)
    place = HeldPlace(runtime_folder(), name_index(index))
    if (number := place.keeper()) is not None:
        typer.echo(f"{index} is kept warm already, by process {number}; `rsitr down {index}` ends it")
        return
    command = [sys.executable, "-m", "rsitr.cli.keeping", os.fspath(index.resolve()), "--idle-s", str(60 * minutes)]
    if foreground:
        sys.stdout.flush()
        os.execv(sys.executable, [*command, "--stay"])
    # One pipe for all that it says until it is ready: what is handed on here would be held open by who stays.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        for line in process.stdout or ():
            if line == b"ready\n":
                break
            sys.stderr.write(line.decode(errors="backslashreplace"))
        else:
            raise typer.Exit(process.wait() or 2)
        process.returncode = 0  # it goes on
    typer.echo(
        f"{index} is kept warm by process {process.pid} until {minutes:g} minutes have gone by without a question; "
        f"`rsitr down {index}` ends it"
    )


def down(index: IndexPlace) -> None:
    """End the process that `rsitr up` has started for an index. Searches that it is at are brought to their end."""
    from rsitr.cli.place import HeldPlace, runtime_folder
    from rsitr.cli.warm import name_index

    try:
        place = HeldPlace(runtime_folder(), name_index(index))
    except OSError as error:
        raise ConfigError(
            f"{index}: {error.strerror or error}; a process whose index is gone ends by itself"
        ) from error
    number = place.keeper()
    if number is None:
        typer.echo(f"{index} is not kept warm")
        return
    os.kill(number, signal.SIGTERM)
    until = time.monotonic() + END_S
    while place.keeper() == number:
        if time.monotonic() > until:
            raise ConfigError(f"process {number} does not end; `kill -9 {number}` ends it")
        time.sleep(STEP_S)
    typer.echo(f"{index} is no longer kept warm")
