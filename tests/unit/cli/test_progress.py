from __future__ import annotations

import io
import logging
import sys
import warnings
from pathlib import Path

import pytest
from rich.console import Console

from rsitr.cli import progress as progress_module
from rsitr.cli.progress import TrainingProgress
from rsitr.cli.provenance import provenance
from rsitr.training.state import Position
from rsitr.version import __version__
from tiny import tiny_config


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says; tests move it."""
    now = [1000.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_now_and_then(clock: list[float]) -> None:
    out = io.StringIO()
    with TrainingProgress(Console(file=out, width=200), tiny_config()) as progress:
        position = Position(best=12.5)
        for step in range(1, 101):
            clock[0] += 1.0
            position.step = step
            progress.stepped(position, 100, 2.5)
    lines = out.getvalue().splitlines()
    assert 4 <= len(lines) <= 6  # 100 s, one each half minute, one at the end
    assert lines[-1].startswith(
        "epoch 1 of 4 (phase 1): 100 of 100, 1.00 steps/s, 0 min left, loss 2.500, best mR 12.50"
    )


def test_the_rate_counts_from_where_a_resumed_run_starts(clock: list[float]) -> None:
    out = io.StringIO()
    with TrainingProgress(Console(file=out, width=200), tiny_config()) as progress:
        progress.cached(5000, 8000)
        clock[0] += 60.0
        progress.cached(5300, 8000)
    assert "5300 of 8000, 5.00 pictures/s, 9 min left" in out.getvalue()


def test_the_rate_starts_anew_with_the_same_stage_of_another_run(clock: list[float]) -> None:
    out = io.StringIO()
    with TrainingProgress(Console(file=out, width=200), tiny_config()) as progress:
        for _run in range(2):
            for step in range(1, 41):
                clock[0] += 1.0
                progress.stepped(Position(step=step), 40, 1.0)
            clock[0] += 1000.0
    assert out.getvalue().splitlines()[-1].startswith("epoch 1 of 4 (phase 1): 40 of 40, 1.00 steps/s")


def test_an_epoch_without_a_best_shows_none(clock: list[float]) -> None:
    out = io.StringIO()
    with TrainingProgress(Console(file=out, width=200), tiny_config()) as progress:
        progress.stepped(Position(step=1), 10, 1.0)
    assert "best mR 0.00" in out.getvalue()


def test_warnings_are_as_before_afterwards() -> None:
    before = warnings.showwarning
    with TrainingProgress(Console(file=io.StringIO()), tiny_config()):
        assert warnings.showwarning is not before
    assert warnings.showwarning is before
    assert logging._warnings_showwarning is None  # type: ignore[attr-defined]


def test_provenance_names_command_version_and_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/rsitr", "evaluate", "my model", "--data", "ucm:x"])
    found = provenance()
    assert found["command"] == "rsitr evaluate 'my model' --data ucm:x"
    assert found["version"] == __version__
    commit = found["commit"].removesuffix("+changes")
    assert commit == "unknown" or (len(commit) == 40 and set(commit) <= set("0123456789abcdef"))


def test_an_installed_package_knows_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Even when it lies in an environment inside somebody's repository."""
    from rsitr.cli import provenance as module

    monkeypatch.setattr(module, "__file__", str(tmp_path / "venv" / "rsitr" / "cli" / "provenance.py"))
    (tmp_path / "venv" / "rsitr" / "cli").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["rsitr"])
    assert provenance()["commit"] == "unknown"
    monkeypatch.setattr(module, "_git", lambda _folder, *_arguments: str(tmp_path))
    assert provenance()["commit"] == "unknown"


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    from rsitr.cli import provenance as module

    def no_git(_folder: Path, *_arguments: str) -> str:
        raise FileNotFoundError("git")

    monkeypatch.setattr(module, "_git", no_git)
    assert provenance()["commit"] == "unknown"
