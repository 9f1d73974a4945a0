"""API keys: random, so that a plain SHA-256 of them is safe to keep; with a role each."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rsitr.errors import ConfigError

__all__ = ["Key", "KeyRing", "Role", "add_key", "load_keys"]

Role = Literal["read", "write"]
"""`read` searches; `write` also makes and deletes detectors."""

PREFIX = "rsitr_"
RANDOM_BYTES = 32
LINE = re.compile(r"(\w+)[:\s]+([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept: its role and the SHA-256 of it in hex."""

    role: Role
    sha256: str

    @property
    def short(self) -> str:
        """What names it in logs and tells nothing of it."""
        return self.sha256[:8]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys that are known; none means that nobody is asked for one."""

    keys: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys)

    def find(self, given: str) -> Key | None:
        """The key that was given, if it is known. All are compared, in constant time each."""
        digest = _digest(given)
        found = None
        for key in self.keys:
            if hmac.compare_digest(key.sha256, digest):
                found = key
        return found


def load_keys(file: Path | None, more: Sequence[str] = ()) -> KeyRing:
    """Keys of a file, a line `ROLE SHA256` each (`#` begins a comment), and some more, `ROLE:SHA256`.

    Raises:
        ConfigError: the file cannot be read, or a line is no key.
    """
    lines: list[tuple[str, str]] = [("RSITR_KEYS", text) for text in more]
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{file}: the keys cannot be read ({error}); `rsitr serve --new-key read --keys {file}` makes one"
            ) from error
        lines += [(f"{file}, line {number}", line) for number, line in enumerate(text.splitlines(), start=1)]
    stripped = [(where, line.split("#")[0].strip()) for where, line in lines]
    return KeyRing(tuple(_parse(line, where) for where, line in stripped if line))


def add_key(role: str, file: Path | None) -> str:
    """Make a key and keep its hash in a file, if one is given, that only its owner can read; returns the key.

    Raises:
        ConfigError: there is no such role, or the file cannot be written.
    """
    if role not in get_args(Role):
        raise ConfigError(f"a key is for read or write, not for {role!r}")
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    if file is not None:
        try:
            file.touch(mode=0o600)
            with file.open("a", encoding="utf-8") as lines:
                lines.write(f"{role} {_digest(key)}\n")
        except OSError as error:
            raise ConfigError(f"{file}: the key cannot be written ({error.strerror or error})") from error
    return key


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _parse(line: str, where: str) -> Key:
    found = LINE.fullmatch(line)
    if not found or found.group(1) not in get_args(Role):
        raise ConfigError(
            f"{where}: a key is `read` or `write` and its SHA-256 in hex; `rsitr serve --new-key` makes one"
        )
    return Key(role="write" if found.group(1) == "write" else "read", sha256=found.group(2))
