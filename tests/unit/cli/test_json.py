"""`--json` of every command: there is one, its record is documented, and what is printed is that record."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fakes import ColourEncoder
from fusions import compact_fusion, scorer_of
from generators import write_karpathy_dataset
from rasters import write_utm
from records import OPEN, check
from rsitr.calibration import Calibration
from rsitr.cli.app import app, main
from rsitr.cli.demo import run_demo
from rsitr.cli.results import RESULTS, WITHOUT
from rsitr.models import CheckpointConfig, save_checkpoint
from rsitr.models.compact import TRUNKS
from rsitr.models.fusion import save_fusion
from tiny import TinyTrunk, tiny_model, tiny_yaml, write_tiny_data

Run = Callable[..., tuple[int, str, str]]


def commands() -> dict[str, Any]:
    """Every command by what is typed."""
    found: dict[str, Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found[" ".join(words)] = command
            return
        for name, one in inner.items():
            walk(one, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def test_every_command_has_a_result_or_says_why_not() -> None:
    assert set(commands()) == set(RESULTS) | set(WITHOUT)
    assert not set(RESULTS) & set(WITHOUT)


@pytest.mark.parametrize("name", RESULTS)
def test_every_command_takes_the_option(name: str) -> None:
    options = {word for option in commands()[name].params for word in option.opts}
    assert "--json" in options


@pytest.mark.parametrize("name", RESULTS)
def test_every_key_is_documented(name: str) -> None:
    record = RESULTS[name]
    text = inspect.cleandoc(record.__doc__ or "")
    texts = [inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[2] for kind in record.__mro__]
    told = {key for one in texts for key in re.findall(r"^    (\w+): ", one, re.MULTILINE)}
    assert told == {field.name for field in dataclasses.fields(record)}
    assert ("Further keys" in text) == (name in OPEN)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands about indexes, with a model that knows colours."""
    monkeypatch.setattr(
        "rsitr.models.zoo.load_encoder",
        lambda name="colour", *, device=None, bulk=False: ColourEncoder(name=name, image_size_px=64),
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_karpathy_dataset(tmp_path / "ucm", name="ucm", n_images=12, splits=("train", "val", "test"), size_px=40)
    return tmp_path / "ucm"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkpoint."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="tiny", model=dataclasses.asdict(model.config))
    save_checkpoint(tmp_path / "tiny", config=config, weights=model.state_dict())
    return tmp_path / "tiny"


@pytest.mark.usefixtures("colours")
def test_commands_about_an_index(run: Run, tmp_path: Path) -> None:
    scenes, index = tmp_path / "scenes", tmp_path / "index"
    write_utm(scenes / "a_20160816.tif")
    (scenes / "broken.tif").write_bytes(b"II*\0")
    ahead = check("index", run("index", scenes, "--into", index, "--dry-run", "--json")[1])
    assert (ahead["dry_run"], ahead["n_tiles"]) == (True, 4)
    assert ahead["size_bytes"] > 0
    status, out, err = run("index", scenes, "--into", index, "--json")
    made = check("index", out)
    assert status == 1, err
    assert [scene["scene"] for scene in made["scenes"]] == ["a_20160816.tif"]
    assert [failure["scene"] for failure in made["failures"]] == ["broken.tif"]
    assert (made["dry_run"], made["n_tiles"], made["size_bytes"]) == (False, 4, None)
    assert check("info", run("info", index, "--json")[1])["n_tiles"] == 4

    found = check("search", run("search", index, "red", "--json")[1])
    assert (found["state"], len(found["hits"])) == ("matches", 4)
    assert found == json.loads(run("search", index, "red", "--format", "json")[1]) | {"stages": found["stages"]}
    assert check("search", run("search", index, "red", "--places", "--json")[1])["places"]
    status, _, err = run("search", index, "red", "--json", "--format", "csv")
    assert (status, "leave one out" in err) == (2, True)

    best, worst = found["hits"][0]["tile"], found["hits"][-1]["tile"]
    learned = check(
        "feedback", run("feedback", index, "red", "--name", "reds", "--right", best, "--wrong", worst, "--json")[1]
    )
    assert [one["name"] for one in learned["detectors"]] == ["reds"]
    assert best not in {one["tile"] for one in learned["finds"]}
    assert len(learned["finds"]) == 2
    listed = check("feedback", run("feedback", index, "--list", "--json")[1])
    assert listed == {"detectors": learned["detectors"], "finds": []}
    write_utm(scenes / "b_20170816.tif")
    again = check("index", run("index", scenes, "--into", index, "--json")[1])
    assert {find["detector"] for find in again["finds"]} == {"reds"}

    (tmp_path / "labels.csv").write_text(f"tile,label\n{best},1\n", encoding="utf-8")
    status, out, _ = run("assess", index, "-q", "red", "--labels", tmp_path / "labels.csv", "--json")
    assert status == 1
    assert check("assess", out)["indexes"][0]["index"] == "index"
    moved = json.loads(run("index", "--into", index, "--root", scenes, "--json")[1])
    assert moved == {"index": str(index), "root": str(scenes), "n_missing": 0}


@pytest.mark.usefixtures("colours")
def test_a_scene_without_an_index(run: Run, tmp_path: Path) -> None:
    scene = write_utm(tmp_path / "a.tif")
    found = check("locate", run("locate", scene, "red", "--out", tmp_path / "heat.tif", "--json")[1])
    assert (found["scene"], found["state"]) == (str(scene), "matches")
    assert Path(found["heat_map"]).is_file()
    assert Path(found["picture"]).is_file()


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo(out=tmp_path, encoder=ColourEncoder(image_size_px=64), size_px=1024, as_json=True) == 0
    found = check("demo", capsys.readouterr().out)
    assert Path(found["report"]).is_file()
    assert found["summary"]["n_queries"] == len(found["queries"])
    assert found["queries"][0]["hits"][0]["rank"] == 1


def test_commands_about_names(run: Run) -> None:
    assert check("models", run("models", "--json")[1])["models"]
    listed = check("configs", run("configs", "--json")[1])["configs"]
    name = listed[0]["name"]
    assert json.loads(run("configs", name, "--json")[1])["phases"]


def test_commands_about_data(run: Run, data: Path, tmp_path: Path) -> None:
    spec = f"ucm:{data}"
    out = run("data", "check", spec, "--json", "-")[1]
    assert check("data check", out)["name"] == "ucm"
    run("data", "check", spec, "--json", tmp_path / "check.json")
    assert json.loads((tmp_path / "check.json").read_text(encoding="utf-8")) == json.loads(out)
    counted = check("data keywords", run("data", "keywords", spec, "--top-k", 3, "--json")[1])
    assert len(counted["words"]) == 3
    assert counted["comparison"] is None
    (tmp_path / "list.txt").write_text(f"{counted['words'][0]}\nzebra\n", encoding="utf-8")
    options = ("--top-k", 3, "--out", tmp_path / "out.txt", "--compare", tmp_path / "list.txt")
    compared = check("data keywords", run("data", "keywords", spec, *options, "--json")[1])
    assert compared["comparison"]["share"] == 0.5
    assert compared["file"] == str(tmp_path / "out.txt")
    merged = check("data merge", run("data", "merge", spec, "--out", tmp_path / "merged", "--json")[1])
    assert merged["kept"] + merged["dropped"] == 4
    assert Path(merged["table"]).is_file()
    leaks = check("data leakage", run("data", "leakage", spec, "--json", "-")[1])
    assert sum(leaks["pictures"].values()) == 12


def test_commands_that_measure(run: Run, tiny: Path, data: Path, tmp_path: Path) -> None:
    spec = f"ucm:{data}"
    measured = check("evaluate", run("evaluate", tiny, "--data", spec, "--json", "-")[1])
    assert (measured["model"], measured["split"]) == (str(tiny), "val")
    file = tmp_path / "val.parquet"
    written = check("export-embeddings", run("export-embeddings", tiny, "--data", spec, "--out", file, "--json")[1])
    assert (written["n_images"], written["dim"], written["has_tokens"]) == (4, 16, True)
    again = check("evaluate-embeddings", run("evaluate-embeddings", file, "--json", "-")[1])
    assert again["mR"] == pytest.approx(measured["mR"])
    assert check("tune", run("tune", tiny, "--data", spec, "--json", "-")[1])["trials"]
    drawn = check(
        "figures", run("figures", tiny, "--data", spec, "--into", tmp_path / "figures", "--queries", 3, "--json")[1]
    )
    assert all((tmp_path / "figures" / name).is_file() for name in drawn["files"])
    picture = next(path for path in sorted(data.rglob("*")) if path.suffix in {".jpg", ".png", ".tif"})
    seen = check("explain", run("explain", tiny, picture, "a farm", "--out", tmp_path / "why.png", "--json")[1])
    assert [model["name"] for model in seen["models"]] == [str(tiny)]


def test_a_calibration(run: Run, tiny: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration: Calibration = dataclasses.replace(
        ColourEncoder().calibration, about={"data": "ucm val", "auc_words": "0.9", "auc_pictures": "0.95"}
    )
    monkeypatch.setattr("rsitr.search.calibrating.calibrate", lambda *_, **__: calibration)
    (tmp_path / "folder").mkdir()
    status, out, err = run("calibrate", tiny, "--data", f"ucm:{data}", "--into", tmp_path / "folder", "--json")
    assert status == 0, err
    assert check("calibrate", out)["about"]["auc_words"] == "0.9"


def test_a_training(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    root = write_tiny_data(tmp_path / "data")
    config = tiny_yaml(tmp_path / "tiny.yaml")
    status, out, err = run("train", config, "--data-root", root, "--out", tmp_path / "run", "--device", "cpu", "--json")
    assert status == 0, err
    trained = check("train", out)
    assert Path(trained["best"]).is_dir()
    assert len(trained["history"]) == 2


def test_ablations_and_an_export(run: Run, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_data(tmp_path / "data")
    tiny_yaml(tmp_path / "tiny.yaml")
    grid = "title: Parts\nsource: us\ncells:\n  - {name: all}\n"
    (tmp_path / "parts.yaml").write_text(grid, encoding="utf-8")
    options = ("--base", "tiny.yaml", "--seeds", 1, "--device", "cpu", "--data-root", "data", "--json")
    status, out, err = run("ablate", "parts.yaml", *options)
    assert status == 0, err
    told = check("ablate", out)
    assert told["n_runs"] == 1
    assert [(table["name"], len(table["rows"])) for table in told["tables"]] == [("parts", 1)]
    exported = check("export", run("export", tiny, "--onnx", "onnx", "--json")[1])
    assert (tmp_path / "onnx" / "images.onnx").is_file()
    assert exported["image_cosine"] > 0.999


def test_a_filter(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = compact_fusion()
    save_fusion(tmp_path / "fusion", model, name="tiny", vocabulary=scorer_of(model).vocabulary, training={})
    root = write_tiny_data(tmp_path / "data")
    sizes = ("--epochs", 1, "--batch-size", 16, "--negatives", 2, "--hidden", 8)
    given = (tmp_path / "fusion", "--data", f"ucm:{root / 'ucm'}", "--out", tmp_path / "filter", *sizes, "--json")
    status, out, err = run("distill", *given)
    assert status == 0, err
    assert check("distill", out)["epochs"] == 1


def test_a_report_that_cannot_be_written_is_found_before_the_work(run: Run, data: Path, tmp_path: Path) -> None:
    status, out, err = run("data", "check", f"ucm:{data}", "--json", tmp_path / "nowhere" / "a.json")
    assert (status, out) == (2, "")
    assert "there is no folder" in err
