from __future__ import annotations

import io

import pytest

from rsitr.cli.lines import LineProgress
from rsitr.cli.output import console, progress_bar


def test_text_is_printed_as_it_is_and_a_pipe_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    console(stream).print("[red]a :house: 1[/red] " + "x" * 290)
    assert stream.getvalue() == "[red]a :house: 1[/red] " + "x" * 290 + "\n"


def test_where_no_bar_can_be_drawn_a_line_now_and_then_tells_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    with progress_bar() as bar:
        assert isinstance(bar, LineProgress)
        monkeypatch.setattr(bar, "get_time", lambda: now[0])
        bar._said_at = 0.0
        task = bar.add_task("scenes", total=None)
        for seconds in range(1, 10):
            now[0] = float(seconds)
            bar.update(task, completed=seconds, total=4000)
        assert capsys.readouterr().err == "", "what is quick says nothing"
        now[0] = 20.0
        bar.update(task, completed=1000)
        assert capsys.readouterr().err == "scenes: 1,000 of 4,000, about 1 min 0 s left\n"
        now[0] = 25.0
        bar.advance(task)
        assert capsys.readouterr().err == ""
        now[0] = 40.0
        bar.advance(task, 999)
        assert capsys.readouterr().err == "scenes: 2,000 of 4,000, about 40 s left\n"


def test_a_bar_without_a_time_says_none_as_lines_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(time_left=False) as bar:
        monkeypatch.setattr(bar, "get_time", lambda: 1e9)
        task = bar.add_task("tiles", total=10)
        bar.advance(task, 5)
        assert capsys.readouterr().err == "tiles: 5 of 10\n"
        monkeypatch.setattr(bar, "get_time", lambda: 2e9)
        bar.advance(bar.add_task("one", total=1, visible=False))
        assert capsys.readouterr().err == ""
