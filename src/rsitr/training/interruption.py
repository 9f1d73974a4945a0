"""A run that is asked to stop: it ends after a step, with its state saved, and can go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interrupted", "StopRequest"]


class Interrupted(Exception):  # noqa: N818  # not an error: the run was asked to stop and can go on
    """The run was interrupted; its state is saved."""


class StopRequest:
    """Whether the process was asked to stop."""

    def __init__(self) -> None:
        self.made = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Note SIGINT and SIGTERM rather than die of them; the second one ends the process at once.

        Signals reach the main thread alone: in another one nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(_signal: int, _frame: object) -> None:
            if self.made:
                raise KeyboardInterrupt
            self.made = True

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
