"""How much has been read from where an index lies, which is what a host of buckets asks money for."""

from __future__ import annotations

import datetime
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from rsitr.errors import ConfigError
from rsitr.files import locked, write_file

__all__ = ["Traffic", "count_bytes", "read_traffic"]

FILE = "traffic.json"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What this user has read of an index on this host.

    Attributes:
        read_bytes: of tiles, scenes and small files; what it took to list and commit them is not among it.
        since: the day on which counting began.
    """

    read_bytes: int = 0
    since: str = ""


def read_traffic(cache: Path) -> Traffic:
    """What was counted in a cache folder so far."""
    try:
        return Traffic(**json.loads((cache / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Traffic(since=datetime.datetime.now(datetime.UTC).date().isoformat())


def count_bytes(cache: Path, n: int) -> None:
    """Add to what was counted; where nothing can be written, nothing is counted."""
    with suppress(OSError, ConfigError):
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f".{FILE}.lock"):
            before = read_traffic(cache)
            write_file(cache / FILE, json.dumps(asdict(Traffic(before.read_bytes + n, before.since))) + "\n")
