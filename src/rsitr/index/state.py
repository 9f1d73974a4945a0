"""The state of an index, from small files and the names of others: nothing that is slow to import."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rsitr.index.names import NEAREST, TABLE_FOLDERS

__all__ = ["NearestCheck", "newest_stamp", "newest_version", "read_check", "table_versions", "version_of"]

LAST_VERSION = 2**64 - 1  # from which LanceDB counts down in the names of its manifests, so that the newest comes first


def newest_version(table: Path) -> int | None:
    """The number of a table's latest state, from the names of its files; None where they do not tell."""
    try:
        with os.scandir(table / "_versions") as entries:
            return version_of(entry.name for entry in entries)
    except OSError:
        return None


def version_of(files: Iterable[str]) -> int | None:
    """The number of a table's latest state, from the names of the files that tell of its states."""
    names = [name.removesuffix(".manifest") for name in files if name.endswith(".manifest")]
    if not names or not all(len(name) == len(str(LAST_VERSION)) and name.isdecimal() for name in names):
        return None
    return LAST_VERSION - int(min(names))


def newest_stamp(table: Path) -> int:
    """When the file of a table's latest state was written, in ns: a table that was made anew has another one.

    Its number may be the same as that of the table that was there before. 0 where the files do not tell.
    """
    version = newest_version(table)
    if version is None:
        return 0
    try:
        return (table / "_versions" / f"{LAST_VERSION - version:020d}.manifest").stat().st_mtime_ns
    except OSError:
        return 0


def table_versions(folder: Path) -> tuple[int, ...] | None:
    """Of the tables in an index's folder; another one after every change. None where the names do not tell."""
    versions = [newest_version(folder / name) for name in TABLE_FOLDERS]
    known = tuple(version for version in versions if version is not None)
    return known if len(known) == len(versions) else None


@dataclass(frozen=True, slots=True)
class NearestCheck:
    """What the recall check found.

    Attributes:
        probes: partitions that a search looks into.
        partitions: that there are.
        recall: share of the true nearest 100 that these probes found, for queries as far from the tiles as pictures
            are, or as words are, whichever found less.
    """

    probes: int
    partitions: int
    recall: float


def read_check(folder: Path) -> NearestCheck | None:
    """What the recall check found; None where there is no IVF index, or its record is damaged."""
    try:
        return NearestCheck(**json.loads((folder / NEAREST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
