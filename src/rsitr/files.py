"""The one way to write a file: it appears whole or not at all. Locks, and what is kept on disk under a fingerprint."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from rsitr.errors import ConfigError, RsitrError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "common_folder",
    "explain_disk",
    "fingerprint_files",
    "locked",
    "name_from",
    "read_kept",
    "replacing",
    "require_writable",
    "user_folder",
    "write_file",
    "write_json",
    "write_kept",
]

CHUNK = 2**20
ABOUT = "about"
FULL = re.compile(r"no space left on device|disk quota exceeded|os error (28|122)\b", re.IGNORECASE)
READ_ONLY = re.compile(r"read-only file ?system|os error 30\b", re.IGNORECASE)


def user_folder(kind: Literal["cache", "data"]) -> Path:
    """Where rsitr keeps what is this user's, as the XDG rules say: what can be made again, or what cannot. Not made."""
    variable, usual = {"cache": ("XDG_CACHE_HOME", ".cache"), "data": ("XDG_DATA_HOME", ".local/share")}[kind]
    named = os.environ.get(variable)
    return (Path(named) if named else Path.home() / usual) / "rsitr"


def require_writable(path: Path, *, error: type[RsitrError] = ConfigError) -> None:
    """Find out before the work starts whether its result can be written.

    Args:
        path: of the file.
        error: the kind to raise.

    Raises:
        RsitrError: `path` is a folder, or its folder does not exist or takes no file.
    """
    folder = path.parent
    if path.is_dir():
        raise error(f"cannot write {path}: it is a folder; name a file")
    if not folder.is_dir():
        raise error(f"cannot write {path}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK):
        raise error(f"cannot write {path}: no permission to write in {folder}")


@contextmanager
def replacing(path: Path, *, error: type[RsitrError] = ConfigError) -> Iterator[Path]:
    """Write a file in one step: whoever looks sees the old one or the new one, never half.

    Yields the path of a hidden file beside it, to be written in the block; where the block ends well, it takes the
    place of `path`, with the permissions of any new file, and where not, it goes.

    Args:
        path: of the file; its folder exists.
        error: the kind that an OSError becomes.

    Raises:
        RsitrError: it cannot be written; the message says why.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except OSError as caught:
        raise error(f"cannot write {path}: {caught.strerror or caught}") from caught
    finally:
        with suppress(OSError):
            part.unlink()


def write_file(path: Path, content: str | bytes, *, error: type[RsitrError] = ConfigError) -> None:
    """Write a file (text as UTF-8, lines as they are) in one step.

    Args:
        path: of the file.
        content: all of it.
        error: the kind to raise.

    Raises:
        RsitrError: it cannot be written; the message says why.
    """
    require_writable(path, error=error)
    with replacing(path, error=error) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def write_json(path: Path, content: object, *, error: type[RsitrError] = ConfigError) -> None:
    """Write JSON for people and programs, in one step; as :func:`write_file`."""
    write_file(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n", error=error)


@contextmanager
def locked(path: Path, *, busy: str | None = None, error: type[RsitrError] = ConfigError) -> Iterator[None]:
    """Hold a lock file: between threads and processes, one at a time. The system lets go when the process ends.

    Args:
        path: of the lock file, which stays; its folder is made.
        busy: what to say where somebody else holds it; None waits until they are done.
        error: the kind to raise.

    Raises:
        RsitrError: it is held and `busy` says so, or the file cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=-1 if busy is None else 0, thread_local=False, mode=0o666 & ~_umask())
    try:
        lock.acquire()
    except Timeout as caught:
        raise error(str(busy)) from caught
    except OSError as caught:
        raise error(f"{path}: cannot be written ({caught.strerror or caught})") from caught
    try:
        yield
    finally:
        lock.release()


def fingerprint_files(*paths: Path) -> str:
    """SHA-256 over the files' contents, in order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def write_kept(path: Path, arrays: Mapping[str, NDArray[np.generic]], *, about: Mapping[str, str]) -> bool:
    """Keep arrays that can be computed again, with all that they depend on. Says whether they could be written.

    Args:
        path: a safetensors file; its folder is made.
        arrays: by name.
        about: all that they depend on, e.g. a model's fingerprint and a digest of the texts.
    """
    from safetensors.numpy import save

    content = save(dict(arrays), metadata={ABOUT: json.dumps(dict(about), sort_keys=True)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content)
    except (OSError, ConfigError):  # they are computed again next time
        return False
    return True


def read_kept(path: Path, *, about: Mapping[str, str]) -> dict[str, NDArray[np.generic]] | None:
    """What :func:`write_kept` left there; None where nothing is, or it is damaged, or depends on something else."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            if json.loads((file.metadata() or {}).get(ABOUT, "null")) != dict(about):
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, ValueError, SafetensorError):
        return None


def name_from(path: PurePath, *, folder: PurePath) -> str:
    """A file's path as seen from a folder, with slashes on every system; in full where no way leads there.

    >>> name_from(Path("/archive/2016/scene.tif"), folder=Path("/archive/index"))
    '../2016/scene.tif'
    """
    try:
        return type(path)(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path.as_posix()


def common_folder(folders: Sequence[Path]) -> Path:
    """The folder that all of these lie in; the first one's where there is none, as on two drives.

    >>> common_folder([Path("/archive/2016/05"), Path("/archive/2017")]).as_posix()
    '/archive'
    """
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # two drives of Windows
        return folders[0]


def explain_disk(error: BaseException) -> str | None:
    """What a person can do where the disk is the trouble, wherever a library met it; None where it is not.

    Libraries that are not written in Python tell it in words alone, so the texts of an error, and of
    what led to it, count.

    >>> explain_disk(OSError(28, "No space left on device", "index/vectors.lance"))
    'the disk is full (index/vectors.lance): free some space, or write elsewhere'
    """
    found: BaseException | None = error
    while found is not None:
        number, name = getattr(found, "errno", None), getattr(found, "filename", None)
        where = f" ({name})" if name else ""
        if number in {errno.ENOSPC, errno.EDQUOT} or FULL.search(str(found)):
            return f"the disk is full{where}: free some space, or write elsewhere"
        if number == errno.EROFS or READ_ONLY.search(str(found)):
            return f"the disk can only be read, not written{where}: write elsewhere"
        found = found.__cause__ or found.__context__
    return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
