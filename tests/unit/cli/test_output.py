from __future__ import annotations

import io

import pytest

from rsitr.cli.output import console


def test_text_is_printed_as_it_is_and_a_pipe_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    console(stream).print("[red]a :house: 1[/red] " + "x" * 290)
    assert stream.getvalue() == "[red]a :house: 1[/red] " + "x" * 290 + "\n"
