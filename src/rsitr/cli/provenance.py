"""Where a number comes from: the command, the version, the commit."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from rsitr.version import __version__


def provenance() -> dict[str, str]:
    """Command, package version, and the commit of a source checkout (`unknown` in an installed package)."""
    command = " ".join(["rsitr", *map(shlex.quote, sys.argv[1:])])
    return {"command": command, "version": __version__, "commit": _commit()}


def _commit() -> str:
    source = Path(__file__).resolve().parent
    try:
        top = _git(source, "rev-parse", "--show-toplevel")
        if not source.is_relative_to(Path(top) / "src"):
            return "unknown"
        dirty = "+changes" if _git(source, "status", "--porcelain", "--untracked-files=no") else ""
        return _git(source, "rev-parse", "HEAD") + dirty
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
