"""What a person sees when a command cannot do its work, and the exit status that a script sees."""

from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from rsitr import errors
from rsitr.cli import app as cli

Run = Callable[[BaseException], tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `main` with a command that raises what it is given; returns the exit status and what stderr says."""
    monkeypatch.delenv("RSITR_DEBUG", raising=False)

    def run(raised: BaseException) -> tuple[int, str]:
        app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)

        @app.command()
        def command() -> None:
            raise raised

        monkeypatch.setattr(cli, "build", lambda: typer.main.get_command(app))
        monkeypatch.setattr(sys, "argv", ["rsitr"])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("name", errors.__all__)
def test_an_expected_error_is_one_line_and_status_2(run: Run, name: str) -> None:
    status, shown = run(getattr(errors, name)("no folder `here`: name one that exists"))
    assert (status, shown) == (2, "rsitr: no folder `here`: name one that exists\n")


def test_a_bug_is_one_line_that_says_how_to_see_more(run: Run) -> None:
    status, shown = run(ZeroDivisionError("division by zero"))
    assert status == 2
    assert shown.count("\n") == 1
    assert "Traceback" not in shown
    assert "ZeroDivisionError: division by zero" in shown
    assert "RSITR_DEBUG=1" in shown


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/a"), "the disk is full (out/a): free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full: free some space"),
        (RuntimeError("lance error: IO: No space left on device (os error 28), src/x.rs:9"), "the disk is full: free"),
        (OSError(errno.EROFS, "Read-only file system", "ix/b"), "the disk can only be read, not written (ix/b): write"),
    ],
)
def test_a_full_disk_is_no_bug(run: Run, raised: Exception, said: str) -> None:
    status, shown = run(raised)
    assert status == 2
    assert shown.startswith(f"rsitr: {said}")
    assert "bug" not in shown
    outer = ValueError("cannot go on")
    outer.__cause__ = raised
    assert run(outer) == (2, shown), "also where a library has wrapped it"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that only Linux has")
def test_what_is_written_to_a_full_disk_ends_with_one_line() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "rsitr", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("rsitr: the disk is full")
    assert "bug" not in done.stderr


def test_a_bug_shows_its_traceback_on_request(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSITR_DEBUG", "1")
    status, shown = run(ZeroDivisionError("division by zero"))
    assert status == 2
    assert "Traceback (most recent call last)" in shown


def test_interruption_ends_as_a_shell_expects(run: Run) -> None:
    status, shown = run(KeyboardInterrupt())
    assert status == 130
    assert "Traceback" not in shown


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    """`rsitr ... | head -1` ends quietly, with status 1: not all of the output was taken."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from rsitr.cli.app import main; main()", "--version"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr.strip()) == (1, "")


def test_every_error_has_the_common_base() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert {kind.__name__ for kind in kinds} == set(errors.__all__)
    assert all(issubclass(kind, errors.RsitrError) for kind in kinds)


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    assert errors.__doc__ is not None
    drawn = [line.split("──")[1].split()[0] for line in errors.__doc__.splitlines() if "── " in line]
    assert set(drawn) == set(errors.__all__) - {"RsitrError"}
