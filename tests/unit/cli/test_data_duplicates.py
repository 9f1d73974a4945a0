"""`rsitr data merge` and `rsitr data leakage`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from generators import draw_pattern, write_pattern_table
from rsitr.cli.app import app
from rsitr.config import DataConfig
from rsitr.data import load_dataset, require_images
from rsitr.errors import ConfigError, DataError
from rsitr.models.compact import TRUNKS
from rsitr.training.runs import build_run
from tiny import TinyTrunk, tiny_config


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return write_pattern_table(
        tmp_path / "one" / "one.csv",
        {
            "a.png": (draw_pattern(1), "train"),
            "b.png": (draw_pattern(2), "train"),
            "c.png": (draw_pattern(3), "train"),
            "d.png": (draw_pattern(4), "val"),
            "e.png": (draw_pattern(5), "test"),
        },
    )


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return write_pattern_table(
        tmp_path / "two" / "two.csv",
        {
            "a.jpg": (draw_pattern(1), "train"),
            "d.jpg": (draw_pattern(4), "train"),
            "f.jpg": (draw_pattern(6), "train"),
            "b.jpg": (draw_pattern(2), "test"),
        },
    )


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.stdout


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_merge_writes_a_set_that_can_be_loaded(one: Path, two: Path, tmp_path: Path) -> None:
    status, out = run("merge", f"csv:{one}", f"csv:{two}", "--out", tmp_path / "merged")
    assert status == 0
    dataset = load_dataset(f"csv:{tmp_path / 'merged' / 'captions.csv'}")
    require_images(dataset.images)
    assert dataset.splits == {"train": 3, "val": 1, "test": 2}
    assert [image.path.name for image in dataset.images] == ["a.png", "c.png", "f.jpg", "d.png", "e.png", "b.jpg"]
    assert dataset.images[0].captions == ("this is a.png", "a picture, called a.png")
    dropped = read(tmp_path / "merged" / "dropped.csv")
    assert [(row["dataset"], row["filename"], row["reason"], row["twin_filename"]) for row in dropped] == [
        ("one", "b.png", "also in a validation or test split", "b.jpg"),
        ("two", "a.jpg", "already in the training set", "a.png"),
        ("two", "d.jpg", "also in a validation or test split", "d.png"),
    ]
    record = json.loads((tmp_path / "merged" / "merge.json").read_text(encoding="utf-8"))
    assert (record["kept"], record["captions"], record["dropped"], record["max_distance"]) == (3, 6, 3, 2)
    assert record["held_out"] == {"val": 1, "test": 2}
    assert record["data_sha256"]["one"] == load_dataset(f"csv:{one}").sha256
    assert "two has no val split here" in out
    assert "one has no" not in out


def test_table_and_its_pictures_can_move_together(one: Path, two: Path, tmp_path: Path) -> None:
    run("merge", f"csv:{one}", "--out", one.parent / "merged.csv")
    one.parent.rename(tmp_path / "elsewhere")
    require_images(load_dataset(f"csv:{tmp_path / 'elsewhere' / 'merged.csv'}").images)
    names = {path.name for path in (tmp_path / "elsewhere").iterdir()}
    assert {"merged.csv", "merged.dropped.csv", "merged.json"} <= names


def test_other_sets_can_be_protected_without_training_on_them(one: Path, two: Path, tmp_path: Path) -> None:
    status, out = run("merge", f"csv:{one}", "--held-out", f"csv:{two}", "--out", tmp_path / "m.csv")
    assert status == 0
    assert [Path(row["filename"]).name for row in read(tmp_path / "m.csv")[::2]] == [
        *("a.png", "c.png", "d.png", "e.png")
    ]
    assert "two  " not in out


def test_unreadable_pictures_are_left_out_and_listed(one: Path, tmp_path: Path) -> None:
    (one.parent / "a.png").write_bytes(b"no picture")
    status, out = run("merge", f"csv:{one}", "--out", tmp_path / "m.csv")
    assert status == 1
    assert "pictures that could not be read and were left out: 1" in out
    assert str(one.parent / "a.png") in out
    assert [(row["filename"], row["reason"][:14]) for row in read(tmp_path / "m.dropped.csv")] == [
        ("a.png", "cannot be read")
    ]


def test_merge_refuses_what_cannot_work(one: Path, two: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        run("merge", f"csv:{one}", "--out", tmp_path / "none" / "m.csv")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot make the folder"):
        run("merge", f"csv:{one}", "--out", tmp_path / "file")
    with pytest.raises(ConfigError, match="the distance must be"):
        run("merge", f"csv:{one}", "--out", tmp_path / "m.csv", "--max-distance", 40)
    assert not list(tmp_path.glob("m*"))
    held = write_pattern_table(tmp_path / "held.csv", {"h.png": (draw_pattern(9), "test")})
    with pytest.raises(DataError, match="no split 'train'"):
        run("merge", f"csv:{held}", "--out", tmp_path / "m.csv")


def test_leaks_are_listed_drawn_and_written(one: Path, two: Path, tmp_path: Path) -> None:
    status, out = run(
        *("leakage", f"csv:{one}", f"csv:{two}", "--html", tmp_path / "s.html", "--json", tmp_path / "s.json")
    )
    assert status == 1
    assert "pictures: one train 3, one val 1, one test 1, two train 3, two test 1" in out
    assert "leak: one/b.png (train), two/b.jpg (test)" in out
    assert "leak: one/d.png (val), two/d.jpg (train)" in out
    assert "leak: one/a.png" not in out  # in two training splits: repeated, not leaked
    html = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert html.count('class="card"') == 3
    assert load_dataset(f"csv:{one}").sha256 in html
    content = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert [(pair["left"], pair["right"], pair["leak"]) for pair in content["pairs"]] == [
        ("one train", "two train", False),
        ("one train", "two test", True),
        ("one val", "two train", True),
    ]
    assert content["pairs"][1]["left_in_right"][0]["image"] == "one/b.png"


def test_a_clean_set_is_said_to_be_clean(one: Path) -> None:
    status, out = run("leakage", f"csv:{one}")
    assert status == 0
    assert "No duplicates found." in out


def test_unreadable_pictures_are_something_found_wrong(one: Path) -> None:
    (one.parent / "e.png").unlink()
    status, out = run("leakage", f"csv:{one}")
    assert status == 1
    assert "e.png: there is no such file" in out


def test_what_merge_writes_is_trained_on(one: Path, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a data set of its own: validation and test are those of the merged sets."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    _, said = run("merge", f"csv:{one}", f"csv:{two}", "--out", tmp_path / "merged")
    assert "nothing is for validation" not in said
    table = f"csv:{tmp_path / 'merged' / 'captions.csv'}"
    config = tiny_config(data=DataConfig(sets=("csv",)))
    built = build_run(config, specs=[table], folder=tmp_path / "run", device="cpu", provenance={})
    assert [image.path.name for image in built.table.images] == ["a.png", "c.png", "f.jpg"]
    built.trainer.run(resume=False)
    assert "mR_captions" in built.trainer.position.history[-1]
    with pytest.raises(ConfigError, match=r"trains on ucm, not on csv; --set data\.sets=\[csv\] has it train"):
        build_run(tiny_config(), specs=[table], folder=tmp_path / "other", device="cpu", provenance={})


def test_a_merge_without_validation_says_so(tmp_path: Path) -> None:
    only = write_pattern_table(tmp_path / "only.csv", {"a.png": (draw_pattern(1), "train")})
    assert "nothing is for validation" in run("merge", f"csv:{only}", "--out", tmp_path / "m.csv")[1]
