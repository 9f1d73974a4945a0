"""Saved searches: a name and what is asked, kept beside the index as JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from rsitr.errors import QueryError
from rsitr.search.detectors import load_detector
from rsitr.search.kept import KeptSearch
from rsitr.search.seen import drop_seen, move_seen
from rsitr.search.shelf import Shelf, require_name

__all__ = [
    "MOST_SAVED",
    "SavedSearch",
    "delete_saved",
    "list_saved",
    "load_all_saved",
    "load_saved",
    "rename_saved",
    "save_search",
]

MOST_SAVED = 1000
"""Saved searches of an index."""
MOST_BYTES = 2**20
SHELF = Shelf(
    "saved", "saved search", "`rsitr search --save NAME`", "rsitr saved {folder} --delete {name}", most_bytes=MOST_BYTES
)
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A search that has a name.

    Attributes:
        name: letters, digits, blanks, `_` and `-`.
        search: what is asked.
    """

    name: str
    search: KeptSearch

    def __post_init__(self) -> None:
        """Raises QueryError for a name that could not be a file's."""
        require_name(self.name, kind=SHELF.kind)

    def describe(self) -> str:
        """What it looks for, in words."""
        return self.search.to_query().describe()


def save_search(folder: Path, saved: SavedSearch, *, may_replace: bool = False) -> None:
    """Keep a search with the index.

    Args:
        folder: of the index.
        saved: the search.
        may_replace: in place of one of the same name, whose finds are then all new.

    Raises:
        QueryError: there is one of this name, there are too many, it is too long, or it names a detector that is not
            there.
        StoreError: the folder cannot be written.
    """
    content = asdict(saved)
    for part in saved.search.parts:
        if part.kind == "detector":
            load_detector(folder, part.value)
    longest = sum(len(ring) for rings in saved.search.area or () for ring in rings)
    if longest > MOST_BYTES // 100:
        raise QueryError(f"the area has more than {MOST_BYTES // 100:,} positions; simplify its outline")
    with SHELF.changing(folder):
        names = SHELF.names(folder)
        if saved.name in names:
            if not may_replace:
                SHELF.require_free(folder, saved.name)
        elif len(names) >= MOST_SAVED:
            raise QueryError(f"{folder}: there are {MOST_SAVED:,} saved searches already; delete some")
        SHELF.write(folder, saved.name, content)


def load_saved(folder: Path, name: str) -> SavedSearch:
    """Read a saved search.

    Raises:
        QueryError: there is none of this name.
        StoreError: its file is damaged.
    """
    return cast("SavedSearch", SHELF.read(folder, name, SavedSearch))


def load_all_saved(folder: Path, *, damaged: Callable[[str], None] = LOG.warning) -> list[SavedSearch]:
    """All saved searches of an index that can be read, by name; `damaged` is told of each of the others."""
    return cast("list[SavedSearch]", SHELF.read_all(folder, SavedSearch, damaged=damaged))


def list_saved(folder: Path) -> list[str]:
    """Names of an index's saved searches, sorted."""
    return SHELF.names(folder)


def rename_saved(folder: Path, name: str, new: str) -> SavedSearch:
    """Give a saved search another name.

    Raises:
        QueryError: there is none of this name, or one of the new name, or that cannot be one.
        StoreError: its file is damaged, or cannot be written.
    """
    SHELF.require(folder, name)
    with SHELF.changing(folder):
        renamed = replace(load_saved(folder, name), name=new)
        SHELF.rename(folder, name, new, asdict(renamed))
        move_seen(folder, SHELF.kind, name, new)
    return renamed


def delete_saved(folder: Path, name: str) -> None:
    """Remove a saved search.

    Raises:
        QueryError: there is none of this name.
        StoreError: its file cannot be removed.
    """
    SHELF.delete(folder, name)
    drop_seen(folder, SHELF.kind, name)
