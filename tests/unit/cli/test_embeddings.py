"""`rsitr export-embeddings` and `rsitr evaluate-embeddings`, as a person would run them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from rsitr.cli.app import main
from rsitr.evaluation import read_embeddings
from rsitr.models import CheckpointConfig, save_checkpoint
from rsitr.models.compact import TRUNKS
from tiny import TinyTrunk, tiny_model, write_tiny_data

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr ...` beside the model `tiny` and the data set `data/ucm`; status, stdout, stderr."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.chdir(tmp_path)
    model = tiny_model()
    inference = {"mixture": {"alpha": 1.0, "beta": 0.5, "norm": "rms"}}
    config = CheckpointConfig(kind="compact", name="tiny", model=asdict(model.config), inference=inference)
    save_checkpoint(tmp_path / "tiny", config=config, weights=dict(model.state_dict()))
    write_tiny_data(tmp_path / "data")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_the_file_gives_the_numbers_of_the_model(run: Run, tmp_path: Path) -> None:
    status, out, err = run("export-embeddings", "tiny", "--data", "ucm:data/ucm", "--out", "val.parquet")
    assert (status, err) == (0, "")
    assert "val.parquet: 4 images, " in out
    assert "with local features" in " ".join(out.split())
    status, out, err = run(
        "evaluate-embeddings",
        "val.parquet",
        "--json",
        "stored.json",
        "--per-query",
        "stored.csv",
        "--rerank",
        "sar:k=3",
    )
    assert (status, err) == (0, "")
    assert "R@10" in out
    assert "no model can exceed" in out
    status, _, err = run(
        "evaluate", "tiny", "--data", "ucm:data/ucm", "--json", "direct.json", "--per-query", "direct.csv",
        "--rerank", "sar:k=3",
    )  # fmt: skip
    assert (status, err) == (0, "")
    stored, direct = (
        json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("stored.json", "direct.json")
    )
    for key in ("model", "data", "split", "n_images", "n_texts", "image_to_text", "text_to_image", "mR", "data_sha256"):
        assert stored[key] == direct[key], key
    assert stored["settings"]["mixture"] == direct["settings"]["mixture"] == {"alpha": 1.0, "beta": 0.5, "norm": "rms"}
    assert stored["settings"]["fingerprint"] == direct["settings"]["fingerprint"]
    assert (tmp_path / "stored.csv").read_text() == (tmp_path / "direct.csv").read_text()
    assert stored["command"].startswith("rsitr evaluate-embeddings val.parquet")
    assert len(stored["embeddings_sha256"]) == 64


def test_local_features_can_be_left_out(run: Run, tmp_path: Path) -> None:
    run(
        "export-embeddings",
        "tiny",
        "--data",
        "ucm:data/ucm",
        "--split",
        "train",
        "--out",
        "small.parquet",
        "--no-tokens",
    )
    embeddings = read_embeddings(tmp_path / "small.parquet")
    assert embeddings.split.images.tokens.shape[1] == 0
    assert embeddings.source.split == "train"
    status, out, err = run("evaluate-embeddings", "small.parquet")
    assert (status, out) == (2, "")
    assert "hold no local features" in err
    assert "--beta" in err or "beta 0" in err
    status, _, _ = run("evaluate-embeddings", "small.parquet", "--beta", "0")
    assert status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export-embeddings", "tiny", "--data", "ucm:nowhere", "--out", "x.parquet"), "there is no folder"),
        (("export-embeddings", "tiny", "--data", "ucm:data/ucm", "--out", "no/x.parquet"), "there is no folder no"),
        (("export-embeddings", "tiny", "--data", "ucm:data/ucm", "--split", "tset", "--out", "x.parquet"), "no split"),
        (("export-embeddings", "none", "--data", "ucm:data/ucm", "--out", "x.parquet"), "there is no model"),
        (("evaluate-embeddings", "none.parquet"), "there is no file"),
        (("evaluate-embeddings", "data/ucm/dataset_ucm.json"), "cannot be read as Parquet"),
        (("evaluate-embeddings", "x.parquet", "--norm", "l3"), "--norm l3 is unknown"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("*.parquet"))
