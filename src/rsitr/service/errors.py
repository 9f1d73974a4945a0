"""From exception to HTTP status, in one table, and the one shape that every error of the service has."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rsitr.errors import ConfigError, MissingError, ModelError, QueryError, RsitrError, SceneError, StoreError

if TYPE_CHECKING:
    from rsitr.search import Index

__all__ = [
    "STATUS",
    "BusyError",
    "ChangedError",
    "ForbiddenError",
    "KeyRequiredError",
    "RateError",
    "TooLargeError",
    "UnsupportedError",
    "WarmingError",
    "hide_paths",
    "problem",
    "say_invalid",
    "status_at",
    "status_of",
    "title_of",
]


class BusyError(RsitrError):
    """More is asked for than can be queued."""


class ChangedError(RsitrError):
    """What was asked for goes by how things were, and they have changed since."""


class WarmingError(RsitrError):
    """The model is not loaded yet."""


class KeyRequiredError(RsitrError):
    """A key is wanted, and none that is known was given."""


class ForbiddenError(RsitrError):
    """The key, or the page that asks, may not do this."""


class RateError(RsitrError):
    """One client asks too often."""


class TooLargeError(RsitrError):
    """What was sent is too large."""


class UnsupportedError(RsitrError):
    """What was sent is in no format that is read here."""


STATUS: Mapping[type[BaseException], tuple[int, str]] = {
    QueryError: (422, "This cannot be searched for"),
    ConfigError: (422, "This cannot be searched for"),
    MissingError: (404, "Not in this index"),
    SceneError: (404, "The picture is not there"),
    TooLargeError: (413, "Too large"),
    UnsupportedError: (415, "Not a picture that can be read"),
    KeyRequiredError: (401, "A key is needed"),
    ForbiddenError: (403, "Not allowed"),
    ChangedError: (409, "Not as things are"),
    RateError: (429, "Too many requests"),
    BusyError: (503, "Busy"),
    WarmingError: (503, "Not ready yet"),
    StoreError: (503, "The index cannot be used"),
    ModelError: (503, "The model cannot be used"),
    ModuleNotFoundError: (501, "Not installed with this service"),
}
"""What each exception means over HTTP; an exception that is not listed takes its nearest ancestor's line."""

STANDARD = ("/ogc/", "/stac/")

TITLES = {400: "Not understood", 404: "Not found", 405: "Not possible here", 422: "Not valid", 500: "A fault of rsitr"}


def status_of(error: BaseException) -> int:
    """The HTTP status of an exception: 500 for one that nobody raises on purpose.

    >>> status_of(MissingError("")), status_of(StoreError("")), status_of(ZeroDivisionError())
    (404, 503, 500)
    """
    return next((STATUS[kind][0] for kind in type(error).__mro__ if kind in STATUS), 500)


def status_at(path: str, status: int) -> int:
    """A status as the standard of a path has it: OGC API Features and STAC call 400 what is 422 elsewhere here.

    >>> status_at("/stac/search", 422), status_at("/api/search", 422), status_at("/ogc/collections", 404)
    (400, 422, 404)
    """
    return 400 if status == 422 and path.startswith(STANDARD) else status


def title_of(error: BaseException) -> str:
    """A few words for people about an exception."""
    return next((STATUS[kind][1] for kind in type(error).__mro__ if kind in STATUS), TITLES[500])


def problem(status: int, detail: str, *, request_id: str, title: str | None = None) -> bytes:
    """The body of an error. What cannot be written as UTF-8 (half a surrogate pair) is written as an escape."""
    shown = {
        "status": status,
        "title": title or TITLES.get(status, "Error"),
        "detail": detail,
        "request_id": request_id,
    }
    return json.dumps({"error": shown}, ensure_ascii=False).encode("utf-8", "backslashreplace")


def say_invalid(errors: Sequence[Any]) -> str:
    """The first fault that validation found, in a sentence.

    >>> say_invalid([{"loc": ("body", "k"), "msg": "Input should be a valid integer"}])
    'k: input should be a valid integer'
    """
    if not errors:
        return "the request is not valid"
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"})
    text = str(first["msg"]).removeprefix("Value error, ")
    message = text[:1].lower() + text[1:]
    return f"{where}: {message}"[:500] if where else f"the request is not valid: {message}"[:500]


def hide_paths(text: str, index: Index) -> str:
    """A message without the folders of this machine: where an index lies is nobody's business elsewhere."""
    folder = index.path
    for known in {index.root, folder.resolve(), folder}:
        for path in {str(known), known.as_posix()}:  # libraries write either on Windows
            if len(path) > 1:
                text = text.replace(f"{path}{os.sep}", "").replace(f"{path}/", "").replace(path, index.name)
    return text
