"""Progress of a training run: what is done, how fast, how long it will take."""

from __future__ import annotations

import logging
import math
import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from rsitr.config import TrainConfig
    from rsitr.training.state import Position


class TrainingProgress:
    """A bar per stage; on an output that is no terminal, a line now and then."""

    EVERY_S = 30.0

    def __init__(self, console: Console, config: TrainConfig) -> None:
        self.console, self.config = console, config
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.started: dict[str, tuple[float, int]] = {}
        self.latest: dict[str, int] = {}
        self.said = -math.inf  # the first line at once, however long the machine has been up

    def __enter__(self) -> TrainingProgress:
        logging.captureWarnings(True)
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        logging.captureWarnings(False)

    def cached(self, done: int, total: int) -> None:
        """Of so many of `total` pictures is kept what is computed once: features of a frozen trunk, or pixels."""
        self._show("what is computed once", done, total, note="", unit="pictures")

    def hashed(self, done: int, total: int) -> None:
        """The search for damaged or duplicate pictures has seen `done` of `total` pictures."""
        self._show("looking at every picture", done, total, note="", unit="pictures")

    def stepped(self, position: Position, steps: int, loss: float) -> None:
        """A training step is done."""
        epochs = sum(phase.epochs for phase in self.config.phases)
        name = f"epoch {position.epoch + 1} of {epochs} (phase {position.phase + 1})"
        self._show(
            name, position.step, steps, note=f"loss {loss:.3f}, best mR {max(position.best, 0):.2f}", unit="steps"
        )

    def _show(self, name: str, done: int, total: int, *, note: str, unit: str) -> None:
        now = time.monotonic()
        if done <= self.latest.get(name, done):  # the same stage of another run
            self.started[name] = (now, done)
        self.latest[name] = done
        first_time, first_done = self.started[name]
        rate = (done - first_done) / (now - first_time) if now > first_time else 0.0
        left = f"{rate:.2f} {unit}/s, {(total - done) / rate / 60:.0f} min left" if rate else ""
        text = ", ".join(part for part in (left, note) if part)
        if name not in self.tasks:
            self.tasks[name] = self.bar.add_task(name, total=total, note="")
        self.bar.update(self.tasks[name], completed=done, note=text)
        if not self.console.is_terminal and (now - self.said > self.EVERY_S or done == total):
            self.said = now
            self.console.print(f"{name}: {done} of {total}, {text}", highlight=False)
