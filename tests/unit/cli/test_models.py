"""`rsitr models`, and what a search says of stronger models."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes import ColourEncoder
from rasters import write_utm
from rsitr.catalogue import CATALOGUE, STRONGER_MODEL
from rsitr.cli.app import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr ...` where no weights are, with a model that knows colours; status, stdout, stderr."""
    monkeypatch.setenv("RSITR_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(
        "rsitr.models.zoo.load_encoder",
        lambda name, *, device=None, bulk=False: ColourEncoder(name=name, image_size_px=64),
    )

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_every_model_is_listed(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("models")
    assert status == 0
    rows = {line.split("│")[1].strip(): line for line in out.splitlines() if line.startswith("│")}
    assert set(rows) == set(CATALOGUE)
    assert "24.05 RSICD val" in rows["lookout"]
    assert "packaged" in rows["lookout"]
    assert "to fetch" in rows["remoteclip-vit-b-32"]
    assert f"{tmp_path / 'models'}/NAME" in out


def test_all_of_one_is_told(run: Run, tmp_path: Path) -> None:
    _, out, _ = run("models", "remoteclip-vit-b-32")
    place = tmp_path / "models" / "remoteclip-vit-b-32" / "RemoteCLIP-ViT-B-32.pt"
    for said in ("35.26 on RSICD test", "EBAKER", str(place), "605.1 MB", "none stated", "looked for at"):
        assert said in out
    place.parent.mkdir(parents=True)
    place.touch()
    assert "looked for at" not in run("models", "remoteclip-vit-b-32")[1]
    status, _, err = run("models", "remoteclip")
    assert status == 2
    assert "no model is called 'remoteclip'; those that have a short name are lookout, compact, " in err


def test_the_list_as_json(run: Run, tmp_path: Path) -> None:
    found = json.loads(run("models", "--json")[1])
    assert found["folder"] == str(tmp_path / "models")
    assert [one["name"] for one in found["models"]] == list(CATALOGUE)
    one = json.loads(run("models", STRONGER_MODEL, "--json")[1])["models"][0]
    assert (one["is_here"], one["is_packaged"]) == (False, False)
    assert [measured["mR"] for measured in one["measured"]] == [38.87, 51.81]
    assert all(measured["source"] for measured in one["measured"])


@pytest.mark.parametrize(("model", "is_told"), [("lookout", True), ("compact", True), ("remoteclip-vit-b-32", False)])
def test_where_nothing_is_found_a_stronger_model_is_named_once(
    run: Run, tmp_path: Path, model: str, is_told: bool
) -> None:
    write_utm(tmp_path / "scenes" / "a.tif")
    status, _, err = run("index", tmp_path / "scenes", "--into", tmp_path / "index", "--model", model)
    assert status == 0, err
    line = f"a stronger model may find it: rsitr index SCENES --into NEW.index --model {STRONGER_MODEL} (605 MB"
    _, out, err = run("search", tmp_path / "index", "white", "--format", "json")
    notes = json.loads(out)["notes"]
    assert notes == err.splitlines()
    assert [note.startswith(line) for note in notes] == ([False, True] if is_told else [False])
    assert line not in run("search", tmp_path / "index", "red")[2]
    assert json.loads(run("search", tmp_path / "index", "red", "--format", "json")[1])["notes"] == []
    assert line not in run("search", tmp_path / "index", "white", "--bbox", "0,0,1,1")[2]
    (tmp_path / "queries.txt").write_text("white\nyellow white\n", encoding="utf-8")
    assert run("search", tmp_path / "index", "--queries", tmp_path / "queries.txt")[2].count(line) == int(is_told)
