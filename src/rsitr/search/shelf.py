"""What an index keeps by name beside its tiles: a JSON file for each, whole or not at all, and one writer at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsitr.errors import QueryError, StoreError
from rsitr.files import locked, write_file

__all__ = ["DETECTORS", "NAME", "Shelf", "require_name"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,63}")
# What Windows has devices of, whatever comes behind a dot: an index is to be readable there, too.
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
LOCK = ".lock"
FORMAT = 1


def require_name(name: str, *, kind: str) -> None:
    """Raises QueryError for a name that could not be a file's."""
    if not NAME.fullmatch(name):
        raise QueryError(
            f"{name!r} cannot name a {kind}: use up to 64 letters, digits, blanks, _ and -, and begin with a letter or "
            "digit"
        )


@dataclass(frozen=True, slots=True)
class Shelf:
    """Named things of one kind.

    Attributes:
        folder: their folder in that of the index.
        kind: what one of them is called.
        made_by: the command that makes them.
        removed_by: the command that removes one, with `{folder}` and `{name}` in it.
        most_bytes: a longer file is damaged.
    """

    folder: str
    kind: str
    made_by: str
    removed_by: str
    most_bytes: int = 64 * 2**20

    def path(self, index: Path, name: str) -> Path:
        """Of the file of a thing."""
        return index / self.folder / f"{name}.json"

    def names(self, index: Path) -> list[str]:
        """Of all that are there, sorted."""
        return sorted(path.stem for path in (index / self.folder).glob("*.json") if NAME.fullmatch(path.stem))

    def require(self, index: Path, name: str) -> None:
        """Raises QueryError unless there is one of this name."""
        if not NAME.fullmatch(name) or not self.path(index, name).is_file():
            there = ", ".join(self.names(index)) or f"none yet; {self.made_by} makes one"
            raise QueryError(f"{index}: there is no {self.kind} {name!r}; there are: {there}")

    @contextmanager
    def changing(self, index: Path) -> Iterator[None]:
        """Hold all of them from reading one to writing it again; whoever comes second, anywhere, waits.

        Raises:
            StoreError: the folder cannot be written.
        """
        with locked(self._make(index) / LOCK, error=StoreError):
            yield

    def write(self, index: Path, name: str, content: dict[str, Any]) -> Path:
        """Write one, in place of one of the same name.

        Raises:
            QueryError: it is new, and would be the file of another one where the case of letters is nothing, or no file
                at all on Windows.
            StoreError: the folder cannot be written.
        """
        self._check_new(index, name)
        return self._write(index, name, content)

    def rename(self, index: Path, name: str, new: str, content: dict[str, Any]) -> None:
        """Write one under another name, in place of where it was.

        Raises:
            QueryError: there is one of the new name, or that cannot be one.
            StoreError: the folder cannot be written.
        """
        self.require_free(index, new)
        if new.casefold() == name.casefold():  # one and the same file where the case of letters is nothing
            self.path(index, name).replace(self.path(index, new))
            self._write(index, new, content)
        else:
            self.write(index, new, content)
            self.path(index, name).unlink()

    def _write(self, index: Path, name: str, content: dict[str, Any]) -> Path:
        path = self.path(index, name)
        self._make(index)
        write_file(path, json.dumps({"format": FORMAT, **content}) + "\n", error=StoreError)
        return path

    def read(self, index: Path, name: str, kind: type[Any]) -> Any:
        """Read one as a record of a kind.

        Raises:
            QueryError: there is none of this name.
            StoreError: its file is damaged.
        """
        from pydantic import TypeAdapter, ValidationError

        self.require(index, name)
        path = self.path(index, name)
        try:
            if path.stat().st_size > self.most_bytes:
                raise ValueError(f"it is larger than {self.most_bytes >> 10:,} kB")
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
                raise ValueError(f"this rsitr reads format {FORMAT}")
            return TypeAdapter(kind).validate_python({**content, "name": name})
        except (OSError, ValueError, RecursionError, QueryError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            how = self.removed_by.format(folder=index, name=repr(name))
            raise StoreError(f"{path}: cannot be read as a {self.kind} ({reason}); delete it: `{how}`") from error

    def read_all(self, index: Path, kind: type[Any], *, damaged: Callable[[str], None]) -> list[Any]:
        """All that can be read, by name; `damaged` is told of each of the others."""
        found = []
        for name in self.names(index):
            try:
                found.append(self.read(index, name, kind))
            except StoreError as error:
                damaged(str(error))
            except QueryError:
                continue  # it was deleted since
        return found

    def delete(self, index: Path, name: str) -> None:
        """Remove one.

        Raises:
            QueryError: there is none of this name.
            StoreError: its file cannot be removed.
        """
        self.require(index, name)  # before the lock, which would make a folder for it
        with self.changing(index):
            self.require(index, name)
            path = self.path(index, name)
            try:
                path.unlink()
            except OSError as error:
                raise StoreError(f"{path}: cannot be removed ({error.strerror or error})") from error

    def require_free(self, index: Path, name: str) -> None:
        """Raises QueryError where there is one of this name."""
        if name in self.names(index):
            raise QueryError(f"{index}: there is a {self.kind} {name!r} already; delete it, or choose another name")

    def _check_new(self, index: Path, name: str) -> None:
        there = self.names(index)
        if name in there:
            return
        if name.strip().casefold() in RESERVED:
            raise QueryError(
                f"{name!r} cannot name a {self.kind}: no file has that name on Windows; choose another one"
            )
        like = [other for other in there if other.casefold() == name.casefold()]
        if like:
            raise QueryError(
                f"{index}: there is a {self.kind} {like[0]!r}, and on some systems {name!r} is the same file; "
                "write it as there, or choose another name"
            )

    def _make(self, index: Path) -> Path:
        path = index / self.folder
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from error
        return path


DETECTORS = Shelf("detectors", "detector", "`rsitr feedback`", "rsitr feedback {folder} --delete {name}")
"""Here, where nothing is computed: who lists their names need not wait for what they are made of."""
