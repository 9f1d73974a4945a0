"""The contracts of import-linter hold, and each of them would notice a breach."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package that a test may spoil."""
    shutil.copytree(
        REPO / "src" / "rsitr", tmp_path / "rsitr", ignore=lambda _, names: {n for n in names if not is_code(n)}
    )
    shutil.copy(REPO / "pyproject.toml", tmp_path)
    return tmp_path


def is_code(name: str) -> bool:
    return "." not in name or name.endswith(".py")


def lint(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_package_keeps_its_contracts(copy: Path) -> None:
    status, shown = lint(copy)
    assert status == 0, shown
    assert "2 kept, 0 broken" in shown


BREACHES = [
    ("errors", "import rsitr.types", "rsitr.errors is not allowed to import rsitr.types"),
    ("geo/__init__", "import rsitr.index", "rsitr.geo is not allowed to import rsitr.index"),
    ("geo/__init__", "import rsitr.data", "rsitr.geo is not allowed to import rsitr.data"),  # a neighbour
    ("losses/__init__", "import rsitr.models", "rsitr.losses is not allowed to import rsitr.models"),
    ("models/__init__", "def late():\n    import rsitr.search", "rsitr.models is not allowed to import rsitr.search"),
    ("search/__init__", "import rsitr.cli.app", "rsitr.search is not allowed to import rsitr.cli"),
    ("geo/__init__", "import torch", "rsitr.geo is not allowed to import torch"),
    ("index/__init__", "def late():\n    import open_clip", "rsitr.index is not allowed to import open_clip"),
    ("types", "from torchvision import transforms", "rsitr.types is not allowed to import torchvision"),
]


def test_every_breach_is_noticed(copy: Path) -> None:
    for module, line, _ in BREACHES:
        file = copy / "rsitr" / f"{module}.py"
        file.write_text(f"{file.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    status, shown = lint(copy)
    assert status == 1
    assert "0 kept, 2 broken" in shown
    assert not [said for _, _, said in BREACHES if said not in shown], shown


def test_every_room_has_its_place() -> None:
    """A new room joins a layer, or its imports would go unchecked."""
    config = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
    layers = " ".join(config["tool"]["importlinter"]["contracts"][0]["layers"])
    placed = set(re.findall(r"rsitr\.(\w+)", layers))
    rooms = {
        path.stem
        for path in (REPO / "src" / "rsitr").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and not path.stem.startswith("_")
    }
    assert rooms - placed == {"version"}  # which imports nothing, and is imported by the command line and the build
