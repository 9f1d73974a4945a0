from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from generators import edit_json, write_karpathy_dataset
from rsitr.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `rsitr ...`; status, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_a_clean_set_ends_with_status_0(run: Run, tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path / "rsicd", n_images=8)
    status, out, err = run("data", "check", f"rsicd:{tmp_path / 'rsicd'}")
    assert (status, err) == (0, "")
    for expected in ("No problems found.", "48 x 48 (8)", "RGB (8)", "5 / 5.00 / 5", "officially it has 8,734 images"):
        assert expected in out


def test_problems_end_with_status_1_and_are_listed(run: Run, tmp_path: Path) -> None:
    file = write_karpathy_dataset(tmp_path / "rsicd", n_images=8)
    edit_json(file, image=0, sentences=[{"raw": "a [red] farm"}, {"raw": " "}, {"raw": "[1]"}])
    for name in ("00002.jpg", "00003.jpg", "00004.jpg"):
        (tmp_path / "rsicd" / "images" / name).unlink()
    report = tmp_path / "report.json"
    status, out, _ = run("data", "check", f"rsicd:{tmp_path / 'rsicd'}", "--json", report, "--show", 2)
    assert status == 1
    assert "5 problems found" in out
    assert "00002.jpg" in out
    assert "00004.jpg" not in out
    assert "... and 1 more" in out
    assert "'[1]'" in out  # brackets are text, not markup
    content = json.loads(report.read_text(encoding="utf-8"))
    assert [problem["subject"] for problem in content["problems"]].count("00004.jpg") == 1
    assert content["splits"]["train"]["images"] == 4
    assert content["splits"]["val"]["ceiling"]["mR"] <= 100
    assert list(tmp_path.glob(".*")) == []


def test_all_problems_are_shown_on_request(run: Run, tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path / "rsitmd", n_images=15, name="rsitmd", with_pictures=False)
    status, out, _ = run("data", "check", f"rsitmd:{tmp_path / 'rsitmd'}", "--show", 0)
    assert status == 1
    assert "(there is no such folder)" in out
    assert out.count(".jpg  [") == 15


def test_a_report_that_cannot_be_written_stops_before_the_work(run: Run, tmp_path: Path) -> None:
    write_karpathy_dataset(tmp_path / "rsicd", n_images=2)
    status, out, err = run("data", "check", f"rsicd:{tmp_path / 'rsicd'}", "--json", tmp_path / "no" / "report.json")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "there is no folder" in err


@pytest.mark.parametrize("spec", ["coco:x", "rsicd:{tmp}/nowhere", "csv:{tmp}/nowhere.csv", "rsicd:{tmp}"])
def test_what_cannot_be_checked_ends_with_status_2_and_one_line(run: Run, tmp_path: Path, spec: str) -> None:
    (tmp_path / "dataset_rsicd.json").write_text("{not json")
    status, out, err = run("data", "check", spec.format(tmp=tmp_path))
    assert (status, out) == (2, "")
    assert err.startswith("rsitr: ")
    assert err.count("\n") == 1
