"""What the shell is told where a person presses the tabulator, and what `--install-completion` writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

START = "import sys; sys.argv[0] = 'rsitr'; from rsitr.cli.app import run; run()"


def rsitr(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *words], env={**os.environ, **environment}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("rsitr se", {"search", "serve"}),
        ("rsitr data ke", {"keywords"}),
        ("rsitr search --only", {"--only-matches"}),
        ("rsitr mo", {"models"}),
    ],
)
def test_the_shell_is_told_what_fits(typed: str, expected: set[str]) -> None:
    place = str(len(typed.split()) - 1)
    done = rsitr(_RSITR_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=place)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == expected


def test_it_is_installed_for_a_shell(tmp_path: Path) -> None:
    done = rsitr("--install-completion", "bash", HOME=str(tmp_path), _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.returncode == 0, done.stderr
    script = tmp_path / ".bash_completions" / "rsitr.sh"
    assert str(script) in (tmp_path / ".bashrc").read_text(encoding="utf-8")
    checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
