"""Who writes an index that several hosts can reach: a note of it that is renewed for as long as that goes on.

A note that has not been renewed for a while is of a process that has ended, and the next one takes its place.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from rsitr.errors import StoreError

__all__ = ["RENEW_S", "STALE_S", "Lease", "Owner"]

RENEW_S = 20.0
STALE_S = 90.0
"""So long after it was last renewed a note counts no more; what lost it stops before that."""


def _system() -> str:
    """What tells whether a process number means the same here and there; empty where that is not known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that writes.

    Attributes:
        host: its name.
        pid: the number of the process.
        since: when it began, UTC.
        system: where the number is valid.
    """

    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    since: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))
    system: str = field(default_factory=_system)

    def spell(self) -> str:
        """As the note has it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str | bytes) -> Owner:
        """Of a note; one that is damaged is nobody's."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls(host="somebody", pid=0, since="an unknown time", system="")

    def has_ended(self) -> bool:
        """Whether it is known to: a process of this system that is no more."""
        if not self.system or self.system != _system():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False

    def began(self) -> float:
        """When, in seconds since 1970; 0 where the note does not tell."""
        try:
            return datetime.datetime.fromisoformat(self.since).timestamp()
        except ValueError:
            return 0.0

    def refuse(self, address: object) -> StoreError:
        """The error for who comes second."""
        return StoreError(
            f"{address}: process {self.pid} on {self.host} has been writing this index since {self.since}; wait until "
            f"it is done (one that was killed is forgotten after {STALE_S:.0f} s)"
        )


class Lease:
    """Holds a note until the end of the block, in a thread that renews it."""

    def __init__(self, address: object, *, renew: Callable[[], bool], release: Callable[[], None]) -> None:
        """Renew a note that has just been written.

        Args:
            address: of the index.
            renew: writes the note anew; False where it is another's now.
            release: takes it away.
        """
        self._address, self._renew, self._release = address, renew, release
        self._renewed = time.monotonic()
        self._is_lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="rsitr-lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if not self._is_lost:
            self._release()

    def require(self) -> None:
        """Raises StoreError unless the note is ours still, beyond doubt."""
        if self._is_lost or time.monotonic() - self._renewed > STALE_S - RENEW_S:
            raise StoreError(
                f"{self._address}: this process could not say in time that it still writes, and another may be writing "
                "now; run the same command again, which goes on from here"
            )

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_S):
            try:
                self._is_lost = not self._renew()
            except Exception:  # the server is away for a moment: what the time since then means is told by `require`
                continue
            if self._is_lost:
                return
            self._renewed = time.monotonic()
