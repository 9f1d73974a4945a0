"""`rsitr data keywords`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsitr.cli.app import app
from rsitr.errors import ConfigError, DataError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "own.csv"
    path.write_text(
        "filename,title,split\n"
        "a.jpg,a pond near the pond,train\n"
        "a.jpg,trees near a pond,train\n"
        "b.jpg,boats boats boats boats,val\n",
        encoding="utf-8",
    )
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", "keywords", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_words_of_training_captions_go_to_stdout(table: Path) -> None:
    status, out, err = run(f"csv:{table}", "--top-k", 2)
    assert status == 0
    assert out.split("\n") == ["pond", "near", ""]
    assert "2 keywords" in err


def test_list_is_written_and_compared(table: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.txt").write_text("pond\nthe\nboats\n", encoding="utf-8")
    status, out, _ = run(f"csv:{table}", "--out", tmp_path / "words.txt", "--compare", tmp_path / "theirs.txt")
    assert status == 0
    assert (tmp_path / "words.txt").read_text(encoding="utf-8") == "pond\nnear\ntrees\n"
    assert "1 of the 3 words" in out
    assert "(33.3 %)" in out
    assert "missing: the  (a stop word here)" in out
    assert "missing: boats  (in no training caption)" in out
    assert "not there: near, trees" in out


def test_same_name_twice_is_told_apart_but_the_same_set_is_refused(table: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "own.csv"
    other.write_text("filename,title\nc.jpg,an oasis\n", encoding="utf-8")
    status, out, _ = run(f"csv:{table}", f"csv:{other}")
    assert (status, out.split()) == (0, ["pond", "near", "trees", "oasis"])
    with pytest.raises(ConfigError, match="is given twice"):
        run(f"csv:{table}", f"csv:{table}")


def test_place_that_takes_no_file_is_refused_before_the_work(table: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        run(f"csv:{table}", "--out", tmp_path / "none" / "words.txt")


def test_set_without_training_split_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "held_out.csv"
    path.write_text("filename,title,split\nb.jpg,boats,val\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no split 'train'"):
        run(f"csv:{path}")
