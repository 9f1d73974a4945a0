"""Asking a process that `rsitr up` keeps warm, before anything slow is imported: the standard library alone.

What is said between the two, over a Unix socket in a folder that only its user can enter:

1. who asks sends four bytes of length with its standard input, output and error, then a JSON object of that length:
   the command line and what is around it (`look_around`), and what makes a process another one (`identify`);
2. the other answers `T` and waits, or `N`, and who asks does the work itself, as after a moment without any answer;
3. who asks sends `G`: from now on the work is the other's, which writes to the same standard output and error;
4. the other sends `W` before it writes, and last `S` and the exit status in a byte. An `I` on the way there interrupts
   it, as Ctrl-C does.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rsitr
from rsitr.errors import ConfigError

__all__ = [
    "COMMANDS",
    "GO",
    "INTERRUPT",
    "INTERRUPTED",
    "LENGTH_BYTES",
    "LIMIT_S",
    "NO",
    "STATUS",
    "TAKEN",
    "WRITES",
    "ask",
    "find_runtime",
    "identify",
    "look_around",
    "name_index",
    "require_private",
]

COMMANDS = frozenset({"info", "search"})
"""What is asked; the index follows the command."""
LIMIT_S = 0.9
"""Who has no answer by then works alone."""
LENGTH_BYTES = 4
TAKEN, NO, GO, WRITES, STATUS, INTERRUPT = b"T", b"N", b"G", b"W", b"S", b"I"
INTERRUPTED = 130

# What a process has read by the time that it is warm, or its libraries have: who has others in its environment is
# answered by a process of its own.
READ_ONCE = (
    *("RSITR_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "TORCH", "CUDA_", "ORT_", "ONNX", "PYDANTIC_", "PYTHON"),
    *("OMP_", "OPENBLAS_", "MKL_", "ARROW_", "LANCE_", "GDAL_", "CPL_", "VSI_", "PROJ_", "AWS_", "AZURE_", "GS_"),
    *("LC_", "LANG", "LD_", "HOME", "XDG_", "TMPDIR", "TZ", "MALLOC_"),
)


def look_around() -> dict[str, Any]:
    """What the meaning of a command line depends on, for JSON. Raises OSError where this process's folder is gone.

    `argv`, the program first; the `package` of the module that was started, if one was, of which it depends what the
    program is called; the current `folder`; the `umask` of new files; the whole `environment`; and of the standard
    `streams` the encoding and what is done about errors.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "argv": sys.argv,
        "package": sys.modules["__main__"].__package__,
        "folder": os.getcwd(),  # noqa: PTH109 - as text
        "umask": umask,
        "environment": dict(os.environ),
        "streams": [(stream.encoding, stream.errors) for stream in (sys.stdin, sys.stdout, sys.stderr)],
    }


def identify() -> dict[str, Any]:
    """What makes a process answer otherwise than another one: versions, flags, what was read from the environment."""
    return {
        "version": rsitr.__version__,
        "package": rsitr.__file__,
        "python": sys.version,
        "prefix": sys.prefix,
        "flags": [int(flag) for flag in sys.flags],
        "warnings": list(sys.warnoptions),
        "environment": {name: value for name, value in os.environ.items() if name.startswith(READ_ONCE)},
    }


def find_runtime() -> Path:
    """The folder of the sockets: in the user's runtime folder (XDG), else in that of the user's cache."""
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "rsitr"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "rsitr" / "run"


def require_private(folder: Path) -> None:
    """Raises ConfigError unless a folder is this user's, and nobody else can enter it."""
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
        raise ConfigError(
            f"{folder}: must be a folder of yours that nobody else can enter; remove it, or set XDG_RUNTIME_DIR"
        )


def name_index(index: str | Path) -> str:
    """What the files of an index in the runtime folder are called: by its folder's own number. Raises OSError."""
    about = os.stat(index)  # noqa: PTH116 - a path of pathlib costs more than the call
    return f"{about.st_dev:x}-{about.st_ino:x}"


def ask(argv: Sequence[str]) -> int | None:
    """Have a command line answered by the process that is kept warm for its index.

    Args:
        argv: the program first.

    Returns:
        The exit status; None where this process has to do it, and nothing was written.
    """
    if len(argv) < 3 or argv[1] not in COMMANDS or argv[2].startswith("-"):
        return None
    try:
        place = find_runtime() / f"{name_index(argv[2])}.sock"
        if not place.exists():
            return None
        require_private(place.parent)
        request = json.dumps({"identity": identify(), "surroundings": look_around()}).encode()
    except (OSError, ConfigError, AttributeError, RuntimeError):  # a standard stream is closed; there is no home
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return _await_status(connection) if _hand_over(connection, place, request) else None


def _hand_over(connection: socket.socket, place: Path, request: bytes) -> bool:
    """Whether the other has taken the work. However it stands with the other, this is known after a moment."""
    until = time.monotonic() + LIMIT_S

    def wait() -> None:
        connection.settimeout(max(0.001, until - time.monotonic()))

    try:
        wait()
        connection.connect(os.fspath(place))
        socket.send_fds(connection, [len(request).to_bytes(LENGTH_BYTES, "big")], [0, 1, 2])
        wait()
        connection.sendall(request)
        wait()
        if connection.recv(1) != TAKEN:
            return False
        connection.sendall(GO)
        connection.settimeout(None)
    except OSError:  # nobody there, a full queue, no answer in time, a path too long, a stream that is closed
        return False
    return True


def _await_status(connection: socket.socket) -> int | None:
    """The exit status; None where the other ended before it wrote anything."""
    said = b""
    is_interrupted = False
    while STATUS not in said[:-1]:
        try:
            more = connection.recv(16)
        except KeyboardInterrupt:
            if is_interrupted:
                return INTERRUPTED
            is_interrupted = True
            _send_interrupt(connection)
            continue
        except OSError:
            more = b""
        if not more:
            return _without_status(said, is_interrupted=is_interrupted)
        said += more
    return said[said.index(STATUS) + 1]


def _send_interrupt(connection: socket.socket) -> None:
    try:
        connection.sendall(INTERRUPT)
    except OSError:  # it has just ended
        return


def _without_status(said: bytes, *, is_interrupted: bool) -> int | None:
    if is_interrupted:
        return INTERRUPTED
    if WRITES not in said:
        return None
    sys.stderr.write("rsitr: the process that is kept warm ended while it wrote: what is above may not be all\n")
    return 2
