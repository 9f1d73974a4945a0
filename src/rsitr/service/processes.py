"""A service of several processes on the same sockets: what each is told, and what they have in common."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rsitr.errors import ConfigError
from rsitr.index.budget import MEMORY_VARIABLE, find_budget
from rsitr.index.manifest import read_manifest
from rsitr.service.metrics import VARIABLE, forget_process
from rsitr.service.server import LINGER_S
from rsitr.service.settings import ServiceSettings
from rsitr.service.supervisor import LEAVE_S, Supervisor

__all__ = ["make_environment", "run_processes"]

COMMAND = (sys.executable, "-P", "-m", "rsitr.service.member")
"""Of one process; nothing is imported from the folder that the service was started in."""
GIB = 2**30


def run_processes(settings: ServiceSettings, listening: Sequence[socket.socket], *, imports: Sequence[str] = ()) -> int:
    """Serve an index with `settings.processes` processes until a signal comes; returns the exit status.

    Each has an application, an index and a model of its own. They take connections from the same sockets, and have
    uploaded pictures and counters in common, in a folder that only their user can read, and that goes with them.

    Args:
        settings: of the service.
        listening: sockets that listen.
        imports: modules that each imports first, which register models and the like.

    Raises:
        ConfigError: this system cannot hand on sockets, the folder cannot be made, or all of them ended before any was
            ready.
        StoreError: the index is missing or damaged.
    """
    if os.name != "posix":
        raise ConfigError("several processes on one address need a POSIX system; leave --processes out, or run several")
    read_manifest(settings.index)  # what can be told without loading anything is told at once
    try:
        common = Path(tempfile.mkdtemp(prefix="rsitr-"))
        counters = common / "counters"
        counters.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or tempfile.gettempdir()}: what the processes have in common cannot be kept there "
            f"({error.strerror or error}); name another folder in TMPDIR"
        ) from error
    fds = [one.fileno() for one in listening]
    told = settings.share().model_dump(mode="json")

    task = {"settings": told, "sockets": fds, "common": os.fspath(common), "imports": list(imports)}
    supervisor = Supervisor(
        COMMAND,
        task,
        n=settings.processes,
        fds=fds,
        environment=make_environment(os.environ, processes=settings.processes, counters=counters),
        leave_s=settings.drain_s + LINGER_S + 2 * settings.shutdown_s + LEAVE_S,
        died=lambda pid: forget_process(counters, pid),
    )
    try:
        return supervisor.run()
    finally:
        shutil.rmtree(common, ignore_errors=True)


def make_environment(given: Mapping[str, str], *, processes: int, counters: Path) -> dict[str, str]:
    """The environment of each process: where it counts, and its share of the memory that vectors may take."""
    memory_gb = find_budget() / processes / GIB
    return {**given, VARIABLE: os.fspath(counters), MEMORY_VARIABLE: f"{memory_gb:.6f}"}
