"""Members that die are started again, all are renewed one after the other, and all end when they are told to."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rsitr.errors import ConfigError
from rsitr.service.supervisor import Supervisor

# A member without an application: it notes what happens to it, and does what the file `manner` says.
MEMBER = """
import json, os, signal, sys, time
task = json.loads(sys.stdin.readline())
folder = task["folder"]
def note(what):
    with open(folder + "/notes", "a") as notes:
        notes.write(json.dumps([time.monotonic(), what, os.getpid(), task["number"], task["at_once"]]) + "\\n")
def end(*_):
    note("end")
    os._exit(0)
manner = open(folder + "/manner").read()
if manner == "dies":
    os._exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN if manner == "stays" else end)
note("start")
time.sleep(0.05)
note("ready")
os.write(task["status"], b"failed\\n" if manner == "fails" else b"ready\\n")
for line in sys.stdin:
    note(line.strip())
    time.sleep(0.1)
    end()
note("orphan")
"""


class Run:
    """A supervisor in a thread."""

    def __init__(self, folder: Path, *, n: int, leave_s: float = 30.0) -> None:
        self.folder = folder
        self.manner("works")
        self.dead: list[int] = []
        self.supervisor = Supervisor(
            [sys.executable, "-S", "-E", "-c", MEMBER],
            {"folder": str(folder)},
            n=n,
            leave_s=leave_s,
            died=self.dead.append,
        )
        self.result: list[Any] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.result.append(self.supervisor.run())
        except ConfigError as error:
            self.result.append(str(error))

    def manner(self, name: str) -> None:
        (self.folder / "manner").write_text(name, encoding="utf-8")

    def notes(self, what: str | None = None) -> list[list[Any]]:
        file = self.folder / "notes"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [note for note in map(json.loads, lines) if what in {None, note[1]}]

    def pids(self, what: str) -> list[int]:
        return [note[2] for note in self.notes(what)]

    def until(self, is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
        end = time.monotonic() + timeout_s
        while not is_so():
            assert time.monotonic() < end, self.notes()
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> Any:
        self.supervisor.signal(number)
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()
        return self.result[0]


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Run]:
    run = Run(folder, **options)
    run.thread.start()
    try:
        yield run
    finally:
        if run.thread.is_alive():
            run.stop()


def logged(caplog: pytest.LogCaptureFixture, message: str) -> list[dict[str, Any]]:
    return [record.fields for record in caplog.records if record.getMessage() == message]  # type: ignore[attr-defined]


def is_alive(pids: Sequence[int]) -> list[bool]:
    return [Path(f"/proc/{pid}").exists() for pid in pids]


def test_who_dies_is_started_again_and_all_end_when_told_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="rsitr.service"), running(tmp_path, n=3) as run:
        run.until(lambda: len(run.pids("ready")) == 3)
        victim = run.notes("ready")[1]
        os.kill(victim[2], signal.SIGKILL)
        run.until(lambda: len(run.pids("ready")) == 4)
        again = run.notes("ready")[3]
        assert again[3] == victim[3], "it has the number of the one that died"
        assert again[0] - victim[0] > 0.5
        assert run.stop() == 0
    assert sorted(run.pids("end")) == sorted(set(run.pids("ready")) - {victim[2]})
    assert sorted(run.dead) == sorted(run.pids("ready"))
    (told,) = logged(caplog, "a process has ended by itself")
    assert (told["pid"], told["status"], told["again_in_s"]) == (victim[2], -signal.SIGKILL, 0.5)
    at_once = {note[3]: note[4] for note in run.notes("start")[:3]}
    assert at_once == {1: True, 2: False, 3: False}, "one says that none is ready, the others leave connections to it"
    assert again[4] is False


def test_a_rolling_restart_always_has_as_many_that_are_ready(tmp_path: Path) -> None:
    with running(tmp_path, n=2) as run:
        run.until(lambda: len(run.pids("ready")) == 2)
        old = run.pids("ready")
        run.supervisor.signal(signal.SIGHUP)
        run.until(lambda: len(run.pids("end")) == 2)
        assert sorted(run.pids("end")) == sorted(old)
        new = run.pids("ready")[2:]
        ready = 0
        for _, what, *_ in run.notes():
            ready += {"ready": 1, "retire": -1}.get(what, 0)
            assert what != "retire" or ready >= 2
        assert all(is_alive(new))
        assert run.stop() == 0
    assert not any(is_alive(new))


@pytest.mark.parametrize("manner", ["dies", "fails"])
def test_a_restart_that_does_not_succeed_leaves_the_old_ones(
    tmp_path: Path, manner: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="rsitr.service"), running(tmp_path, n=2) as run:
        run.until(lambda: len(run.pids("ready")) == 2)
        old = run.pids("ready")
        run.manner(manner)
        run.supervisor.signal(signal.SIGHUP)
        given_up = "the restart is given up, the processes that run go on"
        run.until(lambda: bool(logged(caplog, given_up)))
        assert all(is_alive(old))
        assert run.pids("retire") == []
        run.manner("works")
        run.supervisor.signal(signal.SIGHUP)
        run.until(lambda: sorted(run.pids("end")) == sorted(old))
        assert run.stop() == 0
    assert len(logged(caplog, given_up)) == 1


def test_where_all_die_before_one_was_ready_it_gives_up(tmp_path: Path) -> None:
    run = Run(tmp_path, n=2)
    run.manner("dies")
    run.thread.start()
    run.thread.join(timeout=60)
    assert run.result == ["all 2 processes ended before any was ready; what they said stands above"]
    assert len(run.dead) == 2


def test_the_pauses_before_a_restart_grow(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="rsitr.service"), running(tmp_path, n=2) as run:
        run.until(lambda: len(run.pids("ready")) == 2)
        run.manner("dies")
        os.kill(run.pids("ready")[0], signal.SIGKILL)
        message = "a process has ended by itself"
        run.until(lambda: len(logged(caplog, message)) == 3)
        assert [told["again_in_s"] for told in logged(caplog, message)] == [0.5, 1.0, 2.0]
        assert run.stop() == 0


def test_who_does_not_end_is_killed_and_that_is_status_1(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(tmp_path, n=1, leave_s=0.2)
    run.manner("stays")
    run.thread.start()
    run.until(lambda: len(run.pids("ready")) == 1)
    with caplog.at_level(logging.ERROR, logger="rsitr.service"):
        assert run.stop() == 1
    assert logged(caplog, "a process does not end and is killed") == [{"pid": run.pids("ready")[0]}]


def test_members_notice_that_their_supervisor_is_gone(tmp_path: Path) -> None:
    """The end of their standard input, as the system closes it whatever the supervisor died of."""
    run = Run(tmp_path, n=1)
    member = run.supervisor._start(1)
    assert member is not None
    run.until(lambda: len(run.pids("ready")) == 1)
    member.told.close()
    run.until(lambda: len(run.notes("orphan")) == 1)
    assert member.process.wait(timeout=30) == 0
