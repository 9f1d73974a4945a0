from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from rsitr.cli.output import console, require_writable, write_file
from rsitr.errors import ConfigError


def test_a_file_is_replaced_in_one_step_with_ordinary_permissions(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    write_file(file, "old")
    write_file(file, "neu: é\n")
    assert file.read_bytes() == "neu: é\n".encode()
    (tmp_path / "touched").touch()
    assert file.stat().st_mode == (tmp_path / "touched").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "touched"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.json"
    write_file(file, "old")

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigError, match=r"cannot write .*out.json: No space left on device"):
        write_file(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_is_known_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="it is a folder; name a file"):
        require_writable(tmp_path)
    with pytest.raises(ConfigError, match="there is no folder"):
        require_writable(tmp_path / "no" / "file")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="no permission"):
        require_writable(tmp_path / "file")


def test_text_is_printed_as_it_is_and_a_pipe_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    console(stream).print("[red]a :house: 1[/red] " + "x" * 290)
    assert stream.getvalue() == "[red]a :house: 1[/red] " + "x" * 290 + "\n"
