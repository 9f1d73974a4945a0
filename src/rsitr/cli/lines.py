"""Progress as lines of text, for logs and pipes, where no bar can be drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from rich.progress import Progress, TaskID

__all__ = ["LineProgress"]

EVERY_S = 10.0


class LineProgress(Progress):
    """Writes to stderr how far a task is, at most every ten seconds: what is done sooner says nothing.

    Args:
        say_left: words the seconds that remain, as the steps that are done let expect; None does not tell them.
        options: of rich's progress, which draws nothing here.
    """

    def __init__(self, *columns: Any, say_left: Callable[[float], str] | None, **options: Any) -> None:
        super().__init__(*columns, disable=True, **options)
        self._say_left = say_left
        self._said_at = self.get_time()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Take in how far a task is."""
        super().update(task_id, **changes)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Take in steps of a task."""
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        now, task = self.get_time(), self._tasks[task_id]
        if now - self._said_at < EVERY_S or not task.visible:
            return
        self._said_at = now
        said = f"{task.description}: {task.completed:,.0f}"
        if task.total is not None:
            said += f" of {task.total:,.0f}"
            if self._say_left and 0 < task.completed < task.total and task.elapsed:
                rest_s = task.elapsed / task.completed * (task.total - task.completed)
                said += f", about {self._say_left(rest_s)} left"
        sys.stderr.write(f"{said}\n")
        sys.stderr.flush()
