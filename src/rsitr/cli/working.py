"""A worker of `rsitr up`: has an index open and its model loaded, and becomes the process of one command."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsitr.cli.lending import LENT
from rsitr.cli.warm import (
    GO,
    INTERRUPT,
    INTERRUPTED,
    LENGTH_BYTES,
    LIMIT_S,
    NO,
    STATUS,
    TAKEN,
    WRITES,
    identify,
    name_index,
)
from rsitr.errors import RsitrError

if TYPE_CHECKING:
    from rsitr.search import Index
    from rsitr.types import Encoder

__all__ = ["ENDS", "OTHER", "READY", "SPENT", "Task", "state_of", "work"]

READY, SPENT, ENDS, OTHER = b"r", b"s", b"e", b"o"
"""What a worker tells its keeper: that it waits; that it has taken a question, or ends without; that another rsitr is
here."""
LONGEST_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is for.

    Attributes:
        index: the folder.
        listener: where questions come in, for whichever worker takes them.
        keeper: the line to the keeper; it is closed where the worker is no longer wanted.
        state: of the index that it is to open.
        encoder: the index's model, if the keeper has loaded it.
    """

    index: Path
    listener: socket.socket
    keeper: socket.socket
    state: object
    encoder: Encoder | None


@dataclass(frozen=True, slots=True)
class _Question:
    """A command line that was taken.

    Attributes:
        connection: to who asks.
        around: what was asked, as of `rsitr.cli.warm.look_around`.
        streams: standard input, output and error of who asks.
    """

    connection: socket.socket
    around: dict[str, Any]
    streams: list[int]


def state_of(index: Path) -> tuple[object, ...] | None:
    """Of an index: another one after every change, and where another index lies at its place. None where it is gone."""
    from rsitr.index.manifest import MANIFEST
    from rsitr.index.state import table_versions

    try:
        folder, manifest = index.stat(), (index / MANIFEST).stat()
    except OSError:
        return None
    of_manifest = (manifest.st_ino, manifest.st_mtime_ns, manifest.st_size)
    return (folder.st_dev, folder.st_ino, *of_manifest, table_versions(index))


def work(task: Task) -> None:
    """Be a worker: wait for a question, and be the process of its command."""
    try:
        LENT.set(_open(task.index, task.encoder))
        _rehearse(task.index)
    except RsitrError as error:
        sys.stderr.write(f"rsitr: {error}\n")
        os._exit(2)
    question = _await_question(task)
    task.listener.close()
    task.keeper.close()
    if question is not None:
        _become(question)


def _open(folder: Path, encoder: Encoder | None) -> Index:
    """Open an index, with all its tiles in memory.

    Raises:
        StoreError: it is damaged.
    """
    from rsitr.search import Index

    opened = Index.open(folder, encoder=encoder)
    opened.browse(n=1)
    return opened


def _rehearse(folder: Path) -> None:
    """Run both commands for nobody, from the line to what is printed: all is imported, loaded and kept then."""
    from rsitr.cli.app import build

    search = ["search", str(folder), "a place", "-k", "1"]
    for line in (["info", str(folder)], search, [*search, "--json"]):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(RsitrError, SystemExit):
            build()(line)  # an index without a model at hand says so; it is searched by its tiles


def _await_question(task: Task) -> _Question | None:
    """The first question that is for this process; None where it is no longer wanted."""
    own = identify()
    _say(task.keeper, READY)
    while True:
        heard, _, _ = select.select([task.listener, task.keeper], [], [])
        if task.keeper in heard:  # nothing is ever said: it is closed
            return None
        try:
            connection, _ = task.listener.accept()
        except OSError:  # another worker was quicker
            continue
        try:
            if (question := _take(connection, task, own=own)) is not None:
                return question
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # gone, or nobody who speaks as we do
            pass
        connection.close()
        if state_of(task.index) != task.state:
            _say(task.keeper, ENDS)
            return None


def _take(connection: socket.socket, task: Task, *, own: dict[str, Any]) -> _Question | None:
    """Hear a question, and take it if this process answers it as one would that was started for it."""
    connection.settimeout(LIMIT_S)
    if not _is_own_user(connection):
        return None
    head, streams, _, _ = socket.recv_fds(connection, LENGTH_BYTES, 3)
    try:
        asked = json.loads(_receive(connection, int.from_bytes(head, "big")))
        around, identity = asked["surroundings"], asked["identity"]
        is_same = {**identity, "environment": None} == {**own, "environment": None}
        if not is_same:
            _say(task.keeper, OTHER)
        if identity != own or len(streams) != 3 or not _is_at(task, around):
            connection.sendall(NO)
            return None
        connection.sendall(TAKEN)
        if connection.recv(1) != GO:
            return None
        _say(task.keeper, SPENT)
        connection.settimeout(None)
        question = _Question(connection, around, streams)
        streams = []
        return question
    finally:
        for stream in streams:
            os.close(stream)


def _is_at(task: Task, around: dict[str, Any]) -> bool:
    """Whether a question is about this index as it was opened; a model that is named by its place stays where it is."""
    model = Path(LENT.get().model.name)  # type: ignore[union-attr]
    is_relative = not model.is_absolute() and (model.exists() or Path(around["folder"], model).exists())
    return (
        name_index(Path(around["folder"], around["argv"][2])) == name_index(task.index)
        and state_of(task.index) == task.state
        and not (is_relative and around["folder"] != str(Path.cwd()))
    )


def _is_own_user(connection: socket.socket) -> bool:
    """Whether who asks is who we are, where the system tells; else the folder has kept others out."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", said)[1] == os.geteuid())


def _receive(connection: socket.socket, length: int) -> bytes:
    if length > LONGEST_BYTES:
        raise ValueError(f"a question of {length} bytes")
    pieces = []
    while length > 0:
        piece = connection.recv(min(length, 2**16))
        if not piece:
            raise OSError("it ends in the middle")
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _say(line: socket.socket, what: bytes) -> None:
    with suppress(OSError):
        line.sendall(what)


class _Stream(io.FileIO):
    """A standard stream that tells who asks before it first writes: from then on nobody else may do the work."""

    def __init__(self, number: int, mode: str, *, connection: socket.socket) -> None:
        super().__init__(number, mode, closefd=False)
        self._connection: socket.socket | None = connection

    def write(self, content: Any, /) -> int:
        """Write, and tell of it first."""
        if self._connection is not None:
            _say(self._connection, WRITES)
            self._connection = None
        return super().write(content)


def _become(question: _Question) -> None:
    """Be the process of a command line: with its folder, environment and streams. Ends the process."""
    around = question.around
    for number, stream in enumerate(question.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(around["environment"])
    os.umask(around["umask"])
    os.chdir(around["folder"])
    sys.argv = around["argv"]
    sys.modules["__main__"].__package__ = around["package"]
    sys.stdin, sys.stdout, sys.stderr = (
        _open_stream(number, *how, connection=question.connection) for number, how in enumerate(around["streams"])
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    from rsitr.cli.app import run

    def tell(status: int) -> None:
        _say(question.connection, STATUS + bytes([status & 0xFF]))

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_watch, args=[question.connection, threading.get_ident()], daemon=True).start()
        run(tell=tell)
    except KeyboardInterrupt:  # before the command began
        sys.stderr.write("interrupted\n")
        tell(INTERRUPTED)
        os._exit(INTERRUPTED)


def _open_stream(number: int, encoding: str, errors: str, *, connection: socket.socket) -> io.TextIOWrapper:
    """A standard stream as Python opens it."""
    if number == 0:
        return io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding, errors)
    raw = _Stream(number, "w", connection=connection)
    through = bool(os.environ.get("PYTHONUNBUFFERED"))
    by_line = number == 2 or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=by_line, write_through=through)


def _watch(connection: socket.socket, main: int) -> None:
    """End with who asks; an interrupt there is one in the main thread here."""
    while True:
        try:
            said = connection.recv(1)
        except OSError:
            said = b""
        if said == INTERRUPT:
            signal.pthread_kill(main, signal.SIGINT)  # whatever it waits for
        elif not said:
            os._exit(1)
