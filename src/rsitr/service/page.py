"""The web page's files, as they were built. A request chooses among the files that are there; it never names a path."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

__all__ = ["STATIC", "Asset", "Assets"]

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
TEXT = frozenset({".html", ".js", ".mjs", ".css", ".svg", ".json", ".txt", ".map", ".webmanifest"})
LEAST_GZIP = 512

MISSING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>rsitr</title></head><body>
<h1>The page has not been built</h1>
<p>This rsitr was installed from its sources without Node, which builds the page. Install Node 20 or newer, and install
rsitr again (<code>pip install .</code>, or <code>make setup</code> in the repository). A wheel of rsitr has the page in
it, and needs no Node.</p>
<p>The service itself works: <a href="/api/health">/api/health</a>, <a href="/api/openapi.json">/api/openapi.json</a>,
<a href="/api/search?q=a+river">/api/search?q=a river</a>.</p>
</body></html>
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page: its content, also gzipped where that helps, its media type, and its tag."""

    content: bytes
    gzipped: bytes | None
    media_type: str
    etag: str


class Assets:
    """The files under a folder, in memory; read again when the page is asked for and they have changed."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._folder = folder
        self._state: frozenset[tuple[str, int, int]] = frozenset()
        self._files: dict[str, Asset] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look whether the files have changed."""
        found = [path for path in self._folder.rglob("*") if path.is_file()] if self._folder.is_dir() else []
        names = {path.relative_to(self._folder).as_posix(): path for path in found}
        stats = {name: path.stat() for name, path in names.items()}
        state = frozenset((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats.items())
        if state != self._state:
            self._files = {name: _read(path) for name, path in names.items()}
            self._state = state

    def page(self) -> Asset:
        """The page itself, or one that says how to build it."""
        return self._files.get(INDEX) or _make(MISSING.encode(), suffix=".html")

    def get(self, name: str) -> Asset | None:
        """A file by its name under the folder."""
        return self._files.get(name)


def _read(path: Path) -> Asset:
    return _make(path.read_bytes(), suffix=path.suffix.lower())


def _make(content: bytes, *, suffix: str) -> Asset:
    is_text = suffix in TEXT
    known = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}
    media_type = known.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream")
    return Asset(
        content=content,
        gzipped=gzip.compress(content, mtime=0) if is_text and len(content) >= LEAST_GZIP else None,
        media_type=f"{media_type}; charset=utf-8" if is_text else media_type,
        etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    )
