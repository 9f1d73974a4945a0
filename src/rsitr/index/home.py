"""What the home of an index that lies elsewhere has of it, and gives to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from rsitr.errors import ConfigError, StoreError
from rsitr.files import write_file
from rsitr.index.address import Address, address_of, cache_of
from rsitr.index.lease import Lease
from rsitr.index.names import HOME, MANIFEST, PUBLISHED
from rsitr.index.traffic import count_bytes

__all__ = ["Elsewhere", "clear", "elsewhere", "hold", "is_taken", "publish", "refresh", "send"]


class Elsewhere(Protocol):
    """Where an index lies: what its home needs of it."""

    def list_files(self) -> dict[str, str]:
        """The small files that are there, each with what tells its states apart."""

    def read(self, name: str) -> bytes:
        """What a file holds."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""

    def is_other(self) -> bool:
        """Whether something else lies there."""

    def measure(self) -> int | None:
        """Bytes that the index takes there; None where that is not told."""

    def hold(self) -> Lease:
        """Become the one who writes."""

    def clear(self) -> None:
        """Take away an index of which nothing has come; the lock stays."""


_held: dict[Path, Lease] = {}


def elsewhere(address: Address) -> Elsewhere:
    """What answers at an address; nothing is asked yet."""
    if address.scheme == "s3":
        from rsitr.index.bucket import Bucket

        return Bucket(address)
    from rsitr.index.collection import Collection

    return Collection(address)


def refresh(folder: Path) -> None:
    """Bring the small files of a home up to date; what is written here just now is. A folder stays as it is.

    Raises:
        StoreError: who has the index does not answer, or refuses.
    """
    address = address_of(folder)
    if address is None or folder in _held:
        return
    there = elsewhere(address)
    tags = there.list_files()
    if not tags and not folder.exists():
        return
    _make(folder)
    known = _recorded(folder)
    for name in PUBLISHED:
        if name not in tags:
            (folder / name).unlink(missing_ok=True)
        # Times of change are told to the second: what is small, and matters most, is read each time.
        elif name == MANIFEST or known.get(name) != tags[name] or not (folder / name).is_file():
            content = there.read(name)
            count_bytes(cache_of(folder), len(content))
            write_file(folder / name, content, error=StoreError)
    _record(folder, address, {name: tag for name, tag in tags.items() if name in PUBLISHED})


def is_taken(folder: Path) -> bool:
    """Whether something other than an index lies where the index of a home would."""
    address = address_of(folder)
    return address is not None and elsewhere(address).is_other()


def send(folder: Path, name: str, content: bytes) -> None:
    """Write a file where the index of a home lies, before it is written here; of a folder there is nothing to do."""
    address = address_of(folder)
    if address is not None:
        _require(folder)
        elsewhere(address).write(name, content)


def publish(folder: Path) -> None:
    """Give what has changed of a home's small files; of a folder there is nothing to give.

    Raises:
        StoreError: it cannot be given, or another process may be writing by now.
    """
    address = address_of(folder)
    if address is None:
        return
    _require(folder)
    there, known, sizes = elsewhere(address), _recorded(folder), _recorded(folder, "here")
    states = {name: _state(folder / name) for name in PUBLISHED if (folder / name).is_file()}
    changed = [name for name, state in states.items() if name != MANIFEST and sizes.get(name) != state]
    for name in changed:
        there.write(name, (folder / name).read_bytes())
    if changed:
        known = there.list_files()
        _record(folder, address, known, here=states)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Be the only one who writes the index of a home, from any host; of a folder there is nothing more to hold.

    Raises:
        StoreError: another process is writing.
    """
    address = address_of(folder)
    if address is None:
        yield
        return
    with elsewhere(address).hold() as lease:
        refresh(folder)
        _held[folder] = lease
        try:
            yield
            if (folder / MANIFEST).is_file():
                publish(folder)
        finally:
            _held.pop(folder, None)


def clear(folder: Path) -> None:
    """Take away, where the index of a home lies, an index of which nothing has come."""
    address = address_of(folder)
    if address is not None:
        _require(folder)
        elsewhere(address).clear()


def _require(folder: Path) -> None:
    lease = _held.get(folder)
    if lease is None:
        raise StoreError(f"{folder}: only who holds this index for writing may change it")
    lease.require()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be made ({error.strerror or error}); XDG_DATA_HOME says where homes of indexes lie"
        ) from error


def _state(path: Path) -> str:
    about = path.stat()
    return f"{about.st_size} {about.st_mtime_ns}"


def _recorded(folder: Path, what: str = "there") -> dict[str, str]:
    try:
        found: dict[str, Any] = json.loads((folder / HOME).read_text(encoding="utf-8"))
        return dict(found.get(what, {}))
    except (OSError, ValueError, TypeError):
        return {}


def _record(folder: Path, address: Address, there: dict[str, str], *, here: dict[str, str] | None = None) -> None:
    if here is None:
        here = {name: _state(folder / name) for name in PUBLISHED if name in there and (folder / name).is_file()}
    content = {"address": str(address), "there": there, "here": here}
    if content == {"address": str(address), "there": _recorded(folder), "here": _recorded(folder, "here")}:
        return
    with suppress(ConfigError, OSError):  # what is not recorded is read again
        write_file(folder / HOME, json.dumps(content, indent=2) + "\n")
