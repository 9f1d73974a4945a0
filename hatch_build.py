"""Builds the web page when the package is built or installed from its sources, so that a wheel needs no Node.

A wheel also gets a bill of materials, which packaging/sbom.py makes of what is in it.

What is built from `web/` goes into `src/rsitr/service/static/`, with a stamp: the hash of what it was built from. Where
the stamp fits, nothing is done and no Node is needed, which is also how a source distribution carries the page. Without
Node, or where npm fails, the package installs without the page, and the service says so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STAMP = "stamp.txt"
SBOM = "packaging/sbom.py"
ADVICE = (
    "The web page was not built: {why} Install Node.js 20 or newer with npm and install rsitr again, or take a wheel, "
    "which carries the page. Everything else works without it."
)


class PageBuildHook(BuildHookInterface[Any]):
    """`npm install` and the build in `web/`, unless the page is already built from the same sources; then the bill."""

    PLUGIN_NAME = "custom"
    _bill: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page before files are collected; `version` is "editable" for a development install."""
        self._ensure_page()
        if self.target_name == "wheel" and version == "standard" and (Path(self.root) / SBOM).is_file():
            self._bill = tempfile.TemporaryDirectory(prefix="rsitr-sbom-")
            made = write_sbom(Path(self.root), Path(self._bill.name), version=self.metadata.version)
            build_data.setdefault("sbom_files", []).append(str(made))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if self._bill is not None:
            self._bill.cleanup()

    def _ensure_page(self) -> None:
        web, static = Path(self.root) / "web", Path(self.root) / "src" / "rsitr" / "service" / "static"
        if not web.is_dir():
            return
        wanted = hash_sources(web)
        if _read(static / STAMP) == wanted and (static / "index.html").is_file():
            return
        why = build_page(web, static)
        if why:
            self.app.display_warning(ADVICE.format(why=why))
            return
        (static / STAMP).write_text(wanted + "\n", encoding="utf-8")


def hash_sources(web: Path) -> str:
    """Hex digest of every file that the page is built from: their names and contents."""
    digest = hashlib.sha256()
    tops = [*(web / "src").rglob("*"), web / "package.json", web / "package-lock.json", web / "build.mjs"]
    for file in sorted(path for path in tops if path.is_file()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(web).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def build_page(web: Path, static: Path) -> str:
    """Build the page into `static`; returns why that was impossible, or nothing."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return "there is no Node.js (node and npm) on this machine."
    # What package-lock.json names, which stays as it is.
    steps = ([npm, "install", "--no-save", "--no-audit", "--no-fund"], [node, "build.mjs", str(static)])
    for step in steps:
        done = subprocess.run(
            step, cwd=web, env=os.environ | {"CI": "true"}, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = " / ".join((done.stderr or done.stdout).strip().splitlines()[-5:])
            return f"{Path(step[0]).name} {step[1]} failed ({said})."
    return ""


def write_sbom(root: Path, folder: Path, *, version: str) -> Path:
    """Write the bill of materials of a tree into a folder, with the time of SOURCE_DATE_EPOCH; returns the file."""
    spec = importlib.util.spec_from_file_location("rsitr_sbom", root / SBOM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    made: Path = module.write_sbom(root, folder, version=version, epoch=int(epoch) if epoch else None)
    return made


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
