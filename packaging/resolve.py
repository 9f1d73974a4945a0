"""Which Python on which platform has a wheel of everything that rsitr needs: `python packaging/resolve.py [EXTRA ...]`.

It asks the package index through uv, installs nothing, and writes a table in Markdown: the newest set of versions that
fits, wheels only. A set of wheels is no proof that they work together; only running is (docs/guides/packaging.md).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACOS = "14.0"  # pyproj and onnxruntime have no wheels for older ones any more
PLATFORMS = {
    "Linux, x86-64": "x86_64-manylinux_2_28",
    "Linux, ARM": "aarch64-manylinux_2_28",
    f"macOS {MACOS}, ARM": "aarch64-apple-darwin",
    f"macOS {MACOS}, Intel": "x86_64-apple-darwin",
    "Windows, x86-64": "x86_64-pc-windows-msvc",
}
# What uv says of a package that it finds no wheel of: "... lancedb==0.40.0 has no wheels with a matching platform tag".
LACKS = re.compile(r"\b([a-z0-9._-]+)(?:[<>=!][^ ]*)? has no wheels", re.IGNORECASE)


def main(extras: list[str]) -> int:
    """Print a table for the core, or for the core with extras; 1 where something is not to be had."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        print("uv is needed: pip install uv", file=sys.stderr)
        return 2
    named = f"[{','.join(extras)}]" if extras else ""
    print(f"| rsitr{named} | {' | '.join(PYTHONS)} |\n|---|{'---|' * len(PYTHONS)}")
    whole = True
    for name, platform in PLATFORMS.items():
        found = [resolve(uv, python, platform, extras) for python in PYTHONS]
        whole &= all(one.startswith("yes") for one in found)
        print(f"| {name} | {' | '.join(found)} |", flush=True)
    return 0 if whole else 1


def resolve(uv: str, python: str, platform: str, extras: list[str]) -> str:
    """What a resolution by wheels alone comes to: how many packages, or what has no wheel."""
    wanted = [word for extra in extras for word in ("--extra", extra)]
    command = [
        uv,
        "pip",
        "compile",
        "pyproject.toml",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--only-binary",
        ":all:",
    ]
    done = subprocess.run(
        [*command, "--python-version", python, "--python-platform", platform, *wanted],
        cwd=ROOT,
        env={"MACOSX_DEPLOYMENT_TARGET": MACOS, **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return f"yes, {len(done.stdout.splitlines())}"
    lacking = sorted(set(LACKS.findall(done.stderr)))
    return f"no: {', '.join(lacking)}" if lacking else f"no: {' '.join(done.stderr.split())[:200]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
