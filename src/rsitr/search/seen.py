"""What was there when somebody last looked at what a detector or a saved search finds; kept beside the index."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rsitr.errors import StoreError
from rsitr.files import write_file

__all__ = ["Seen", "drop_seen", "load_seen", "move_seen", "save_seen"]

FOLDER = "seen"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was there.

    Attributes:
        when: in UTC, to the second, as ISO 8601 has it.
        made_by: of the model and of how scenes were cut; with another, tiles cannot be compared.
        tiles: ids of all that was found.
    """

    when: str
    made_by: str
    tiles: tuple[str, ...]


def load_seen(folder: Path, kind: str, name: str) -> Seen | None:
    """What was there when it was last looked at; None where nobody has.

    Raises:
        StoreError: the file is damaged.
    """
    from pydantic import TypeAdapter, ValidationError

    path = _path(folder, kind, name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise ValueError(f"this rsitr reads format {FORMAT}")
        return TypeAdapter(Seen).validate_python(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        raise StoreError(f"{path}: what was looked at cannot be read ({str(error).splitlines()[0]})") from error


def save_seen(folder: Path, kind: str, name: str, seen: Seen) -> None:
    """Keep what is there now, in place of what was.

    Raises:
        StoreError: the folder cannot be written.
    """
    path = _path(folder, kind, name)
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent}: cannot be written ({error.strerror or error})") from error
    write_file(path, json.dumps({"format": FORMAT, **asdict(seen)}) + "\n", error=StoreError)


def move_seen(folder: Path, kind: str, name: str, new: str) -> None:
    """Follow something that has got another name."""
    drop_seen(folder, kind, new)  # of something of that name which is gone
    with suppress(OSError):
        _path(folder, kind, name).replace(_path(folder, kind, new))


def drop_seen(folder: Path, kind: str, name: str) -> None:
    """Forget it, as when the thing is deleted."""
    with suppress(OSError):
        _path(folder, kind, name).unlink()


def _path(folder: Path, kind: str, name: str) -> Path:
    return folder / FOLDER / f"{kind.rsplit(maxsplit=1)[-1]}-{name}.json"
