"""Where an index that is kept warm is asked, and who keeps it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rsitr.cli.warm import find_runtime, require_private
from rsitr.errors import ConfigError

with suppress(ImportError):  # without it, nothing is kept warm
    import fcntl

__all__ = ["HeldPlace", "runtime_folder"]


@dataclass(frozen=True, slots=True)
class HeldPlace:
    """The files of one index in the runtime folder.

    Attributes:
        folder: the runtime folder.
        name: of the index there.
    """

    folder: Path
    name: str

    @property
    def socket(self) -> Path:
        """Where it is asked."""
        return self.folder / f"{self.name}.sock"

    @property
    def lock(self) -> Path:
        """Held for as long as there is a keeper, whose number it has in it."""
        return self.folder / f"{self.name}.lock"

    def keeper(self) -> int | None:
        """The number of the process that keeps the index warm; None where there is none."""
        try:
            with self.lock.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or 0) or None
        except (OSError, ValueError):
            return None
        return None

    def hold(self) -> int:
        """Take the place: a file descriptor that holds it while it is open.

        Raises:
            ConfigError: somebody else has it.
        """
        lock = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise ConfigError("this index is kept warm already") from error
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        return lock


def runtime_folder() -> Path:
    """The private folder of the sockets, made if need be.

    Raises:
        ConfigError: it cannot be made, or is not private.
    """
    if not hasattr(os, "fork"):
        raise ConfigError("only systems like Unix keep a process warm for an index; searches work without one")
    folder = find_runtime()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_private(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror or error}); set XDG_RUNTIME_DIR") from error
    return folder
