"""Where the command `rsitr` begins: with who may have the answer ready; else with the whole of the command line."""

from __future__ import annotations

import sys

from rsitr.cli.warm import INTERRUPTED, ask

__all__ = ["run"]


def run() -> None:
    """Be the process of one command."""
    try:
        status = ask(sys.argv)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        status = INTERRUPTED
    if status is not None:
        sys.exit(status)
    from rsitr.cli.app import run as run_alone  # what every command needs takes a tenth of a second to import

    run_alone()
