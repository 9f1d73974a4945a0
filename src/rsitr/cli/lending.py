"""What a process that is kept warm has in memory, lent to the command that it becomes."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsitr.search import Index

__all__ = ["LENT", "borrow"]

LENT: ContextVar[Index | None] = ContextVar("LENT", default=None)
"""The index that this process has had open since before it was asked."""


def borrow(opened: Index) -> None:
    """Give an index that a command has just opened what this process has in memory of the same one, if anything."""
    lent = LENT.get()
    if lent is not None and lent.path.samefile(opened.path):
        opened.take_over(lent)
