"""The process behind `rsitr up`: it has imported what a search needs, and keeps a few workers ready for an index.

It opens no index and runs no model itself, so that it has no threads but those of libraries that know of forks
(OpenBLAS, Arrow's memory), and can be forked. Each fork is a worker (`rsitr.cli.working`): it opens the index, encodes
a word, and waits. Whatever it is asked, it does in the very code of a command that runs alone, once, and ends; another
one takes its place meanwhile. Nothing of an answer is left for the next.

It ends after some minutes without a question, where the folder of the index is gone or another one has taken its place,
where another rsitr asks, and where a worker could not be made.
"""

from __future__ import annotations

import argparse
import gc
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rsitr.cli.place import HeldPlace, runtime_folder
from rsitr.cli.warm import name_index
from rsitr.cli.working import ENDS, OTHER, READY, SPENT, Task, state_of, work
from rsitr.errors import ConfigError, RsitrError

if TYPE_CHECKING:
    from rsitr.types import Encoder

__all__ = ["Keeper", "main"]

WORKERS = 3
LARGE_BYTES = 512 * 2**20
"""Of an index with larger vectors, which each worker has in memory, one is kept."""
LOOK_S = 2.0
"""Between two looks at the index's folder."""
FAILURES = 3
"""Workers in a row that did not become ready."""
QUEUE = 16
# What a search imports, but what starts threads of its own (ONNX Runtime, the tokenizers), or a second later (LanceDB).
PREPARED = (
    *("rsitr.cli.rendering", "rsitr.search.index", "rsitr.search.ranking", "rsitr.search.limits", "rsitr.rerank"),
    *("rsitr.formats.records", "rsitr.formats.document", "rsitr.models.zoo", "rsitr.index.summary"),
    *("rsitr.search.batch", "rsitr.cli.lines", "rsitr.formats.table", "rsitr.formats.geojson", "pydantic.type_adapter"),
    *("pyarrow.compute", "rich.table", "rich.progress", "PIL.Image", "safetensors", "pydantic", "pyproj"),
)


@dataclass(slots=True)
class _Worker:
    """A worker as its keeper knows it."""

    number: int
    line: socket.socket
    state: object
    is_ready: bool = False


class Keeper:
    """Keeps workers ready for an index.

    Args:
        index: its folder.
        idle_s: it ends after so long without a question.
        tell: called once, when the first worker is ready.
        workers: so many at most; None: as many as there is memory for without a thought.

    Raises:
        ConfigError: there is no private folder, or the index is kept warm already.
    """

    def __init__(self, index: Path, *, idle_s: float, tell: Callable[[], None], workers: int | None = None) -> None:
        self._index = index.resolve()
        self._idle_s = idle_s
        self._tell: Callable[[], None] | None = tell
        self._place = HeldPlace(runtime_folder(), name_index(self._index))
        self._workers: dict[int, _Worker] = {}
        self._failures = 0
        self._status = 0
        self._ends = False
        self._lock = self._place.hold()
        self._listener = self._listen()
        self._events = selectors.DefaultSelector()
        self._wanted = workers or _count_workers(self._index)
        self._encoder = _load_encoder(self._index)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(FileNotFoundError):
            self._place.socket.unlink()  # of one that was killed: who has the lock is alone
        try:
            listener.bind(os.fspath(self._place.socket))
        except OSError as error:
            raise ConfigError(f"{self._place.socket}: no socket can be there ({error}); set XDG_RUNTIME_DIR") from error
        listener.listen(QUEUE)
        listener.setblocking(False)
        return listener

    def run(self) -> Task | int:
        """Keep workers until the end: then an exit status; in each worker, which comes back from here too, its task."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        asked = looked = time.monotonic()
        state = state_of(self._index)
        while not self._ends:
            wanted = self._wanted if self._tell is None else 1  # what makes the first fail is told once
            if len(self._workers) < wanted:
                if (task := self._fork(state)) is not None:
                    return task
                continue
            for key, _ in self._events.select(min(LOOK_S, self._idle_s)):
                if self._hear(key.data):
                    asked = time.monotonic()
            now = time.monotonic()
            if now - asked >= self._idle_s and self._tell is None:
                break
            if now - looked >= LOOK_S or any(worker.state != state for worker in self._workers.values()):
                looked, state = now, state_of(self._index)
                self._dismiss_outdated(state)
        self._close()
        return self._status

    def _end(self, *_: object) -> None:
        self._ends = True

    def _fork(self, state: object) -> Task | None:
        """Another worker. Returns its task in it, None here."""
        ours, theirs = socket.socketpair()
        number = os.fork()
        if number == 0:
            for sig in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(sig, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # until it works for somebody
            ours.close()
            for other in self._workers.values():
                other.line.close()
            self._events.close()
            os.close(self._lock)
            return Task(self._index, self._listener, theirs, state, self._encoder)
        theirs.close()
        ours.setblocking(False)
        worker = _Worker(number, ours, state)
        self._workers[number] = worker
        self._events.register(ours, selectors.EVENT_READ, worker)
        return None

    def _hear(self, worker: _Worker) -> bool:
        """What a worker says. Whether time without questions begins anew: it took one, or is the first."""
        try:
            said = worker.line.recv(16)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        if READY in said:
            worker.is_ready, self._failures = True, 0
            if self._tell is not None:
                self._tell()
                self._tell = None
                return True
        if OTHER in said:
            self._ends = True
        if SPENT in said:
            self._forget(worker)
            return True
        if ENDS in said or not said:
            self._forget(worker)
            if not worker.is_ready:
                self._failures += 1
                if self._tell is not None or self._failures >= FAILURES:
                    is_gone = (
                        self._tell is None and state_of(self._index) is None
                    )  # which is a reason to end, no mistake
                    self._ends, self._status = True, 0 if is_gone else 2
        return False

    def _forget(self, worker: _Worker) -> None:
        """It goes on by itself to its end."""
        self._events.unregister(worker.line)
        worker.line.close()
        del self._workers[worker.number]
        _reap()

    def _dismiss_outdated(self, state: object) -> None:
        """End where the index is gone; workers that have opened another state of it make room for others."""
        _reap()
        if state is None or self._place.name != _name(self._index):
            self._ends = True
            return
        for worker in [worker for worker in self._workers.values() if worker.state != state]:
            self._forget(worker)  # whose line is closed: it ends

    def _close(self) -> None:
        with suppress(OSError):
            self._place.socket.unlink()
        self._listener.close()
        for worker in list(self._workers.values()):
            self._forget(worker)
        with suppress(OSError):
            self._place.lock.unlink()
        os.close(self._lock)


def _count_workers(index: Path) -> int:
    from rsitr.index.names import CACHE

    kept = sum(file.stat().st_size for file in (index / CACHE).glob("*/*.npy"))
    return 1 if kept > LARGE_BYTES else WORKERS


def _load_encoder(index: Path) -> Encoder | None:
    """The index's model with what can be done before a fork; None where nothing can, and workers load it themselves."""
    from rsitr.index.manifest import read_manifest
    from rsitr.models.portable import load_portable
    from rsitr.models.zoo import find_graphs

    model = read_manifest(index).model
    if model.is_foreign or (folder := find_graphs(model.name)) is None:
        return None
    encoder = load_portable(folder, name=model.name)
    if encoder.fingerprint != model.fingerprint:
        return None
    encoder.read_weights("texts")
    return encoder


def _name(index: Path) -> str | None:
    try:
        return name_index(index)
    except OSError:
        return None


def _reap() -> None:
    """Let go of workers that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Keep an index warm: `python -m rsitr.cli.keeping INDEX --idle-s S`. A line on stdout says that it is ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--idle-s", type=float, required=True)
    parser.add_argument("--stay", action="store_true", help="keep standard output and error")
    parser.add_argument("--workers", type=int)
    asked = parser.parse_args()

    def tell() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        if not asked.stay:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)

    from rsitr.cli.app import build

    try:
        keeper = Keeper(asked.index, idle_s=asked.idle_s, tell=tell, workers=asked.workers)
        for module in PREPARED:
            import_module(module)
        build()
        gc.freeze()
        task = keeper.run()
    except RsitrError as error:
        sys.stderr.write(f"rsitr: {error}\n")
        sys.exit(2)
    if isinstance(task, int):
        sys.exit(task)
    work(task)


if __name__ == "__main__":
    main()
