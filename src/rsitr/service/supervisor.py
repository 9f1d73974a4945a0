"""Several processes that do the same: those that die are started again, and all can be renewed one after the other."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from rsitr.errors import ConfigError
from rsitr.service.logs import LOG

__all__ = ["FAILED", "READY", "RETIRE", "Supervisor"]

READY, FAILED, RETIRE = b"ready\n", b"failed\n", b"retire\n"
"""What a member tells its supervisor once, and what it is told when another takes its place."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
STEADY_S = 60.0
"""A member that lived so long died of something new: the pause before the next begins anew."""
READY_S = 600.0
LEAVE_S = 30.0
"""What a member may take to end beyond what it was granted."""
TICK_S = 0.5


@dataclass(eq=False)
class _Member:
    number: int
    process: subprocess.Popen[bytes]
    told: IO[bytes]
    born: float
    state: bytes = b""
    leaves_until: float | None = None
    was_killed: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid


@dataclass
class _Slot:
    """A place that a member is to fill."""

    deaths: int = 0
    not_before: float = 0.0
    member: _Member | None = None


@dataclass
class _Renewal:
    """A rolling restart: `old` are still to be replaced; `new` is being started in place of the first of them."""

    old: deque[_Member] = field(default_factory=deque)
    new: _Member | None = None


class Supervisor:
    """Runs `n` members, each a process of the same command.

    A member reads its task from standard input, whose end tells it that its supervisor is gone; it writes `READY` or
    `FAILED` to the file descriptor that its task names as `status`. SIGTERM and SIGINT end all; SIGHUP renews them:
    for each a new one is started, and only once that is ready the old one is told to `RETIRE`.
    """

    def __init__(
        self,
        command: Sequence[str],
        task: Mapping[str, Any],
        *,
        n: int,
        fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        leave_s: float = LEAVE_S,
        died: Callable[[int], None] = lambda pid: None,
    ) -> None:
        """Prepare to run; nothing is started yet.

        Args:
            command: of a member.
            task: what each is told, as JSON, on the first line of its standard input; beside its `number`, from 1, the
                `status` to write to, and whether it is to take connections `at_once`: while none is ready, the first
                says so, and from then on connections are for those that are.
            n: how many there are to be.
            fds: file descriptors that they inherit.
            environment: of a member; None: that of this process.
            leave_s: seconds after which a member that was told to end is killed.
            died: told the id of each process that has ended.
        """
        self._command = list(command)
        self._task = task
        self._fds = tuple(fds)
        self._environment = environment
        self._leave_s = leave_s
        self._died = died
        self._slots = {number: _Slot() for number in range(1, n + 1)}
        self._leaving: list[_Member] = []
        self._renewal = _Renewal()
        self._was_ready = False
        self._is_stopping = False
        self._killed = 0
        self._selector = selectors.DefaultSelector()
        self._heard, self._signalled = os.pipe()
        os.set_blocking(self._signalled, False)

    def signal(self, number: int) -> None:
        """What a signal of this number does; from any thread, while it runs."""
        os.write(self._signalled, bytes([number]))

    def run(self) -> int:
        """Run until a signal comes; returns 0, or 1 if a member had to be killed as it did not end.

        Raises:
            ConfigError: all of them died before any was ready.
        """
        with self._signals(), contextlib.closing(self._selector):
            try:
                while self._members() or not self._is_stopping:
                    self._fill()
                    self._renew()
                    self._listen()
                    self._reap()
                    self._require_one()
            finally:
                for member in self._members():
                    self._kill(member)
                for key in list(self._selector.get_map().values()):
                    self._forget(int(key.fd), keep=key.data is None)
        return 1 if self._killed else 0

    def _members(self) -> list[_Member]:
        new = [self._renewal.new] if self._renewal.new else []
        return [*(slot.member for slot in self._slots.values() if slot.member), *new, *self._leaving]

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals become bytes in a pipe, which the loop reads beside what the members say."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
            before = {one: signal.signal(one, lambda number, _: self.signal(number)) for one in numbers}
        self._selector.register(self._heard, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._heard)
            os.close(self._signalled)

    def _listen(self) -> None:
        for key, _ in self._selector.select(TICK_S):
            said = os.read(int(key.fd), 256)
            if key.data is None:
                for number in said:
                    self._heed(number)
            elif said:
                key.data.state += said
                self._settle(key.data)
            else:  # its end: the process has closed it, which it does only when it ends
                self._forget(int(key.fd))

    def _forget(self, fd: int, *, keep: bool = False) -> None:
        self._selector.unregister(fd)
        if not keep:
            os.close(fd)

    def _heed(self, number: int) -> None:
        if number == signal.SIGHUP:
            if not self._is_stopping:
                LOG.info("renewing all processes")
                self._renewal.old.extend(one.member for one in self._slots.values() if one.member)
            return
        # A second signal ends what is under way, as a second Ctrl-C does for a single server.
        handed_on = signal.SIGINT if self._is_stopping else signal.SIGTERM
        LOG.info("stopping all processes")
        self._is_stopping = True
        self._renewal.old.clear()
        for member in self._members():
            with contextlib.suppress(ProcessLookupError):
                member.process.send_signal(handed_on)
            member.leaves_until = member.leaves_until or time.monotonic() + self._leave_s

    def _settle(self, member: _Member) -> None:
        if member.state == READY:
            if not self._was_ready:
                LOG.info("the first process is ready", extra={"fields": {"pid": member.pid}})
            self._was_ready = True
        elif member.state == FAILED:
            self._was_ready = True  # it serves what needs no model, as a single process would, and its log tells why

    def _fill(self) -> None:
        """Start what is missing. Before one was ready, none is started twice."""
        for number, slot in self._slots.items():
            is_due = time.monotonic() >= slot.not_before and (self._was_ready or not slot.deaths)
            if slot.member is None and is_due and not self._is_stopping:
                slot.member = self._start(number)
                if slot.member is None:
                    self._postpone(slot)

    def _start(self, number: int) -> _Member | None:
        heard, told = os.pipe()
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                pass_fds=(told, *self._fds),
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the supervisor, which hands it on
            )
        except OSError as error:
            os.close(heard)
            LOG.error("a process cannot be started", extra={"fields": {"process": number, "detail": str(error)}})
            return None
        finally:
            os.close(told)
        assert process.stdin is not None
        member = _Member(number, process, process.stdin, time.monotonic())
        self._selector.register(heard, selectors.EVENT_READ, member)
        task = {"number": number, "status": told, "at_once": number == 1 and not self._was_ready, **self._task}
        self._tell(member, json.dumps(task).encode() + b"\n")
        LOG.info("a process is started", extra={"fields": {"process": number, "pid": member.pid}})
        return member

    def _tell(self, member: _Member, line: bytes) -> None:
        with contextlib.suppress(OSError):  # it is gone, which is found out at once
            member.told.write(line)
            member.told.flush()

    def _renew(self) -> None:
        """One step of a rolling restart."""
        renewal = self._renewal
        if renewal.new is None:
            while renewal.old and self._slots[renewal.old[0].number].member is not renewal.old[0]:
                renewal.old.popleft()  # it has died, and another has taken its place
            if renewal.old and not self._leaving and not self._is_stopping:
                renewal.new = self._start(renewal.old[0].number)
                if renewal.new is None:
                    self._abandon("a process cannot be started")
            return
        member = renewal.new
        if member.state == READY:
            if renewal.old:
                renewal.old.popleft()
            slot = self._slots[member.number]
            if slot.member is not None:  # the old one, or what took its place when it died
                self._tell(slot.member, RETIRE)
                slot.member.leaves_until = time.monotonic() + self._leave_s
                self._leaving.append(slot.member)
            slot.member, renewal.new = member, None
        elif member.state or time.monotonic() - member.born > READY_S:
            self._abandon("its model cannot be loaded" if member.state else f"it took longer than {READY_S:g} s")
            renewal.new = None
            self._leaving.append(member)
            self._kill(member)

    def _abandon(self, why: str) -> None:
        LOG.error("the restart is given up, the processes that run go on", extra={"fields": {"detail": why}})
        self._renewal.old.clear()

    def _reap(self) -> None:
        for member in self._members():
            if member.process.poll() is not None:
                self._bury(member)
            elif member.leaves_until is not None and time.monotonic() > member.leaves_until and not member.was_killed:
                LOG.error("a process does not end and is killed", extra={"fields": {"pid": member.pid}})
                member.was_killed = True
                self._killed += 1
                member.process.kill()

    def _bury(self, member: _Member) -> None:
        with contextlib.suppress(OSError):
            member.told.close()
        self._died(member.pid)
        if member in self._leaving:
            self._leaving.remove(member)
            return
        fields = {"process": member.number, "pid": member.pid, "status": member.process.returncode}
        if member is self._renewal.new:
            self._renewal.new = None
            if not self._is_stopping and self._renewal.old:
                self._abandon(f"the new process ended with status {member.process.returncode}")
            return
        slot = self._slots[member.number]
        slot.member = None
        if self._is_stopping:
            return
        if time.monotonic() - member.born > STEADY_S:
            slot.deaths = 0
        LOG.error("a process has ended by itself", extra={"fields": {**fields, "again_in_s": self._postpone(slot)}})

    def _postpone(self, slot: _Slot) -> float:
        """Seconds until the next try, twice as many each time."""
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(slot.deaths, 30))
        slot.deaths += 1
        slot.not_before = time.monotonic() + pause_s
        return pause_s

    def _require_one(self) -> None:
        if not self._was_ready and not self._is_stopping and not self._members():
            n = len(self._slots)
            which = "the process" if n == 1 else f"all {n} processes"
            raise ConfigError(f"{which} ended before any was ready; what they said stands above")

    def _kill(self, member: _Member) -> None:
        with contextlib.suppress(ProcessLookupError):
            member.process.kill()
        member.process.wait()
