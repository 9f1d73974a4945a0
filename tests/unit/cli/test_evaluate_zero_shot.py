"""`rsitr evaluate --zero-shot`: the same pictures, classified by the names of their classes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

import rsitr
from rsitr.cli.app import main
from rsitr.models import CheckpointConfig, save_checkpoint
from rsitr.models.compact import TRUNKS
from tiny import TinyTrunk, tiny_model, write_tiny_data

Run = Callable[..., tuple[int, str, str]]
CLASSES = ("DenseResidential", "river", "storagetanks")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr ...` beside the model `tiny` and the data set `data/ucm`, whose pictures are of three classes."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="tiny", model=asdict(model.config))
    save_checkpoint(tmp_path / "tiny", config=config, weights=dict(model.state_dict()))
    annotations = write_tiny_data(tmp_path / "data") / "ucm" / "dataset_ucm.json"
    content = json.loads(annotations.read_text())
    for number, image in enumerate(content["images"]):
        image["class"] = CLASSES[(number // 3) % len(CLASSES)]  # every third image is of val
    content["images"][2].pop("class")
    content["images"][2]["filename"] = "no-number.jpg"
    (tmp_path / "data" / "ucm" / "images" / "00003.jpg").rename(tmp_path / "data" / "ucm" / "images" / "no-number.jpg")
    annotations.write_text(json.dumps(content))

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_it_comes_beside_the_recall(run: Run, tmp_path: Path) -> None:
    status, out, err = run("evaluate", "tiny", "--data", "ucm:data/ucm", "--zero-shot", "--json", "out.json")
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    part = found["zero_shot"]
    # `river` and the others of val: 3 of its 4 pictures have a class; all the set's classes are there to choose from.
    assert part["class_names"] == ["dense residential", "river", "storage tanks"]
    assert (part["n_images"], part["n_unlabelled"]) == (3, 1)
    assert sum(entry["n_images"] for entry in part["classes"]) == 3
    assert 0 <= part["top1"] <= part["top5"] == 100  # of three classes the right one is among the best five
    assert f"mR {found['mR']:.2f}" in out
    assert f"top 1 {part['top1']:.2f} %" in out
    assert "1 pictures without a class left out" in out
    assert "zero_shot" not in rsitr.evaluate("tiny", data="ucm:data/ucm", device="cpu").as_dict()


def test_the_classes_may_be_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("dense_residential\nriver\n\nStorageTanks\nbridge\n", encoding="utf-8")
    status, out, err = run(
        "evaluate",
        "tiny",
        "--data",
        "ucm:data/ucm",
        "--zero-shot",
        "--class-names",
        "classes.txt",
        "--json",
        "out.json",
    )
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["zero_shot"]["class_names"] == ["dense residential", "river", "storage tanks", "bridge"]
    assert "4 classes" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class-names", "classes.txt"], "--class-names is for --zero-shot"),
        (["--zero-shot", "--class-names", "nowhere.txt"], "cannot read the class names in nowhere.txt"),
        (["--zero-shot", "--class-names", "empty.txt"], "empty.txt names no class"),
        (["--zero-shot", "--class-names", "classes.txt"], "not among the class names: dense residential"),
    ],
)
def test_what_cannot_be_classified_is_said_before_the_work(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    (tmp_path / "classes.txt").write_text("river\nstorage tanks\n", encoding="utf-8")
    status, out, err = run("evaluate", "tiny", "--data", "ucm:data/ucm", "--json", "out.json", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("rsitr: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "out.json").exists()
