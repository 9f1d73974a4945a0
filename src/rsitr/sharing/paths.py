"""Paths of a machine in what others will read: a folder's place tells who its owner is, and helps nobody."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

__all__ = ["find_paths", "hide_command", "hide_paths", "is_path"]

ABSOLUTE = re.compile(
    r"(?<![\w/.<~-])(?:file://)?(?:~/|/(?!/)[^\s/'\"`<>|]+/|[A-Za-z]:[\\/](?!/)|\\\\)[^\s'\"`,;)\]}<>|]*"
)
"""A path from the root or from home; not an address on the web, whose slashes follow something."""


def find_paths(text: str) -> list[str]:
    """The absolute paths that a text names.

    >>> find_paths("rsitr train a --data ucm:/data/sets/ucm, see https://example.org/a/b and docs/guides")
    ['/data/sets/ucm']
    """
    return ABSOLUTE.findall(text)


def hide_paths(value: Any) -> Any:
    """Plain values with the last part of each absolute path in its place.

    >>> hide_paths({"init": "/data/my models/RemoteCLIP.pt", "sets": ["ucm"], "seed": 0})
    {'init': 'RemoteCLIP.pt', 'sets': ['ucm'], 'seed': 0}
    """
    if isinstance(value, dict):
        return {key: hide_command(one) if key == "command" else hide_paths(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [hide_paths(one) for one in value]
    if not isinstance(value, str):
        return value
    before, sign, after = value.partition(":") if not is_path(value) else ("", "", value)  # as in NAME:FOLDER
    if is_path(after) and not after.startswith("//") and not any(character.isspace() for character in before):
        return f"{before}{sign}{_last(after)}"
    return ABSOLUTE.sub(lambda found: _last(found[0]), value)


def hide_command(command: Any) -> Any:
    """The same of a command line, word by word.

    >>> hide_command("rsitr train a.yaml --data 'ucm:/my data/ucm' --out=/tmp/runs/a")
    'rsitr train a.yaml --data ucm:ucm --out=a'
    """
    if not isinstance(command, str):
        return hide_paths(command)
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is not closed
        return ABSOLUTE.sub(lambda found: _last(found[0]), command)
    hidden = []
    for word in words:
        before, sign, after = word.partition("=")
        hidden.append(f"{before}{sign}{hide_paths(after)}" if sign else hide_paths(word))
    return shlex.join(hidden)


def is_path(text: str) -> bool:
    """Whether this is an absolute path, or one from home."""
    return text.startswith("~/") or PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _last(path: str) -> str:
    return PureWindowsPath(path).name if "\\" in path else PurePosixPath(path).name
