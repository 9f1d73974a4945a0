from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rsitr.cli.app import main
from rsitr.data import load_dataset
from rsitr.evaluation.bank import encode_bank, score_bank
from rsitr.evaluation.protocol import encode_split, measure
from rsitr.models import CheckpointConfig, load_model, save_checkpoint
from rsitr.models.compact import TRUNKS
from rsitr.rerank import parse_rerank
from tiny import TinyTrunk, tiny_model, write_tiny_data

Run = Callable[..., tuple[int, str, str]]
KEYS = {
    "model",
    "data",
    "split",
    "n_images",
    "n_texts",
    "image_to_text",
    "text_to_image",
    "mR",
    "mR_best",
    "mR_worst",
    "mR_ceiling",
    "time_s",
    "settings",
    "commit",
    "data_sha256",
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr ...` beside the model `tiny` and the data set `data/ucm`; status, stdout, stderr."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")  # tables as wide as they like, whatever the terminal
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="tiny", model=asdict(model.config))
    save_checkpoint(tmp_path / "tiny", config=config, weights=dict(model.state_dict()))
    write_tiny_data(tmp_path / "data")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def test_a_table_and_a_json_file(run: Run, tmp_path: Path) -> None:
    status, out, err = run("evaluate", "tiny", "--data", "ucm:data/ucm", "--json", "out.json")
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found.keys() == KEYS | {"command", "version"}
    assert found["command"] == "rsitr evaluate tiny --data ucm:data/ucm --json out.json"
    assert (found["model"], found["data"], found["split"]) == ("tiny", "ucm:data/ucm", "val")
    assert found["time_s"].keys() == {"encode", "score", "rerank", "per_query"}
    for direction in ("image_to_text", "text_to_image"):
        assert list(found[direction]) == ["R@1", "R@5", "R@10"]
        for value in found[direction].values():
            assert f"{value:.2f}" in out
    assert f"mR {found['mR']:.2f}" in out
    assert f"no model can exceed {found['mR_ceiling']:.2f}" in out
    assert "tiny on ucm:data/ucm, val" in out


def test_every_query_and_intervals_on_request(run: Run, tmp_path: Path) -> None:
    status, out, _ = run(
        "evaluate",
        "tiny",
        "--data",
        "ucm:data/ucm",
        "--per-query",
        "ranks.csv",
        "--bootstrap",
        200,
        "--json",
        "out.json",
    )
    assert status == 0
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    images = load_dataset("ucm:data/ucm").split("val")
    with (tmp_path / "ranks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    queries = {
        "image_to_text": [image.image_id for image in images],
        "text_to_image": [caption for image in images for caption in image.captions],
    }
    for direction, expected in queries.items():
        own = [row for row in rows if row["direction"] == direction]
        assert [row["query"] for row in own] == expected
        # A query that is within k in every order of the ties, or in none, counts as such; the report lies between.
        for k in (1, 5, 10):
            surely, at_best = (
                100 * np.mean([int(row[key]) <= k for row in own]) for key in ("rank_worst", "rank_best")
            )
            assert surely <= found[direction][f"R@{k}"] <= at_best
        for name, interval in found["intervals"][direction].items():
            assert 0 <= interval["low"] <= found[direction][name] <= interval["high"] <= 100
            assert f"{found[direction][name]:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]" in out
    assert len(rows) == 4 + 20
    for name in ("mR", "mR_best", "mR_worst"):
        assert found["intervals"][name]["low"] <= found[name] <= found["intervals"][name]["high"]


def test_the_mixture_can_be_set(run: Run, tmp_path: Path) -> None:
    run("evaluate", "tiny", "--data", "ucm:data/ucm", "--alpha", 0, "--beta", 2, "--norm", "rms", "--json", "out.json")
    found = json.loads((tmp_path / "out.json").read_text())["settings"]["mixture"]
    assert found == {"alpha": 0.0, "beta": 2.0, "norm": "rms"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compakt", "--data", "ucm:data/ucm"], "there is no model 'compakt'"),
        (["data", "--data", "ucm:data/ucm"], "data is no checkpoint"),
        (["ViT-B-32", "--data", "ucm:data/ucm"], "ViT-B-32 needs weights"),
        (["tiny", "--data", "coco:data/ucm"], "unknown data set 'coco'"),
        (["tiny", "--data", "ucm:nowhere"], "there is no folder"),
        (["tiny", "--data", "ucm:data/ucm", "--split", "test"], "ucm has no split 'test'"),
        (["tiny", "--data", "ucm:data/ucm", "--norm", "l1"], "--norm l1 is unknown; use l2 or rms"),
        (["tiny", "--data", "ucm:data/ucm", "--device", "tpu"], "device 'tpu' cannot be used"),
        (["tiny", "--data", "ucm:data/ucm", "--json", "no/out.json"], "there is no folder no"),
        (["tiny", "--data", "ucm:data/ucm", "--per-query", "data"], "it is a folder; name a file"),
        (["tiny", "--data", "ucm:data/ucm", "--rerank", "magic"], "magic"),
    ],
)
def test_what_cannot_be_measured_ends_with_status_2_and_one_line(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    status, out, err = run("evaluate", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("rsitr: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_broken_picture_leaves_no_report(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data" / "ucm" / "images" / "00003.jpg").write_bytes(b"junk")  # the third image is the first of val
    status, out, err = run("evaluate", "tiny", "--data", "ucm:data/ucm", "--json", "out.json", "--per-query", "q.csv")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "00003.jpg cannot be decoded" in err
    assert not (tmp_path / "out.json").exists()
    assert not (tmp_path / "q.csv").exists()


@pytest.mark.parametrize("missing", [["--data", "ucm:data/ucm"], ["tiny"]])
def test_what_is_needed_is_asked_for(run: Run, missing: list[str]) -> None:
    status, _, err = run("evaluate", *missing)
    assert status == 2
    assert "Missing" in err


def test_reference_queries_of_a_re_ranking_are_not_those_that_are_measured(run: Run, tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a tree\na red roof\ntwo planes\n")
    asked = ("evaluate", "tiny", "--data", "ucm:data/ucm", "--device", "cpu", "--json", "out.json", "--rerank")
    found = {}
    for method in ("qb-norm", "inverted-softmax"):
        for bank in (None, "train", "captions.txt"):
            status, out, err = run(*asked, method, *([] if bank is None else ["--bank", bank]))
            assert (status, err) == (0, "")
            report = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
            assert f"over {report['settings']['bank']}" in " ".join(out.split())
            found[method, bank] = report
    assert found["qb-norm", None]["settings"]["bank"] == "the split's own queries"
    assert found["qb-norm", "train"]["settings"]["bank"] == "captions and pictures of the training split"
    assert found["qb-norm", "captions.txt"]["settings"]["bank"].startswith("the captions in captions.txt")
    encoder = load_model("tiny", device="cpu")
    dataset = load_dataset("ucm:data/ucm")
    split, bank = encode_split(encoder, dataset.split("val")), encode_bank(encoder, dataset.split("train"))
    reference = score_bank(bank, split, mixture=encoder.mixture)
    expected = measure(split, mixture=encoder.mixture, rerank=parse_rerank("qb-norm"), bank=reference).as_dict()
    assert found["qb-norm", "train"]["image_to_text"] == expected["image_to_text"]
    assert found["qb-norm", "train"]["text_to_image"] == expected["text_to_image"]


@pytest.mark.parametrize("rerank", [None, "none"])
def test_a_bank_without_a_re_ranking_is_refused(run: Run, rerank: str | None) -> None:
    status, _, err = run("evaluate", "tiny", "--data", "ucm:data/ucm", "--bank", "train",
                         *([] if rerank is None else ["--rerank", rerank]))  # fmt: skip
    assert status == 2
    assert "a bank is for a re-ranking without training" in err
