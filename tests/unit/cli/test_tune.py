"""`rsitr tune`: settings come from validation, and from nowhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from rsitr.cli.app import main
from rsitr.config import load_config
from rsitr.data import load_dataset
from rsitr.evaluation.bank import encode_bank, score_bank
from rsitr.evaluation.protocol import encode_split
from rsitr.models import CheckpointConfig, load_model, save_checkpoint
from rsitr.models.compact import TRUNKS
from rsitr.similarity import score_pairs
from rsitr.training.runs import build_run
from rsitr.types import Mixture
from tiny import TinyTrunk, tiny_model, tiny_yaml, write_tiny_data

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr ...` beside the model `tiny` and the data set `data/ucm`, which has no test split."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="tiny", model=asdict(model.config), inference={"rerank": "sar:k=77"})
    save_checkpoint(tmp_path / "tiny", config=config, weights=dict(model.state_dict()))
    write_tiny_data(tmp_path / "data")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def settings(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "config.json").read_text(encoding="utf-8"))["inference"]
    return found


def test_the_best_on_validation_is_reported_and_recorded(run: Run, tmp_path: Path) -> None:
    status, out, err = run("tune", "tiny", "--data", "ucm:data/ucm", "--json", "out.json", "--write", "--device", "cpu")
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["split"] == "val"
    trials = found["trials"]
    assert {trial["rerank"].split(":")[0] for trial in trials if trial["rerank"]} == {
        "sar",
        "mean-rank",
        "csls",
        "dual-softmax",
        "inverted-softmax",
        "qb-norm",
    }
    plain = [trial for trial in trials if trial["rerank"] is None]
    assert len(plain) == 11 + 10  # with beta 0 the norm says nothing
    assert found["best_plain"]["mR"] == max(trial["mR"] for trial in plain)
    assert found["best"]["mR"] == max(trial["mR"] for trial in trials)
    assert f"best without re-ranking: mR {found['best_plain']['mR']:.2f}" in out
    recorded = settings(tmp_path / "tiny")
    assert recorded["mixture"] == found["best_plain"]["mixture"]
    # The checkpoint had SAR recorded: its best K is, in place of the old one.
    sar = [trial for trial in trials if (trial["rerank"] or "").startswith("sar:")]
    assert recorded["rerank"] == max(sar, key=lambda trial: trial["mR"])["rerank"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "ucm:data/ucm", "--split", "test"], "No such option"),
        (["--data", "csv:data/test.csv"], "has no split 'val'"),
        (["--data", "ucm:data/ucm", "--json", "no/out.json"], "there is no folder no"),
    ],
)
def test_it_cannot_be_pointed_at_test(run: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    lines = ["filename,title,split", "ucm/images/00001.jpg,one pond .,test"]
    (tmp_path / "data" / "test.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = (tmp_path / "tiny" / "config.json").read_bytes()
    status, _, err = run("tune", "tiny", "--write", *arguments)
    assert status == 2
    assert message in err
    assert (tmp_path / "tiny" / "config.json").read_bytes() == before


def test_where_no_bar_can_be_drawn_lines_say_how_far_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsitr.cli.lines.EVERY_S", 0.0)
    monkeypatch.setattr("rsitr.evaluation.protocol.READ_AHEAD", 2)
    status, _, err = run("tune", "tiny", "--data", "ucm:data/ucm", "--bank", "train", "--device", "cpu")
    assert status == 0
    counted = [line.partition(",")[0] for line in err.splitlines() if line.startswith("Encoding")]
    assert counted == [f"Encoding: {done} of 12" for done in (2, 4, 6, 8, 10, 12)]
    assert "Trying settings: 30 of " in err


def test_re_rankings_take_the_reference_queries_they_are_given(run: Run, tmp_path: Path) -> None:
    """With a bank QB-Norm is no more the inverted softmax of the split's own queries."""
    tuned = ["tune", "tiny", "--data", "ucm:data/ucm", "--device", "cpu", "--json", "out.json"]
    (tmp_path / "captions.txt").write_text("one pond .\ntwo ponds near a road\n", encoding="utf-8")
    found = {}
    for bank in (None, "train", "captions.txt"):
        status, out, err = run(*tuned, *([] if bank is None else ["--bank", bank]))
        assert (status, err) == (0, "")
        found[bank] = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        assert f"re-rankings over {found[bank]['bank']}" in out
    assert [found[bank]["bank"] for bank in found] == [
        "the split's own queries",
        "captions and pictures of the training split",
        "the captions in captions.txt; lists of captions over the split's own queries",
    ]
    plain = [[trial for trial in one["trials"] if trial["rerank"] is None] for one in found.values()]
    assert plain[0] == plain[1] == plain[2]
    assert len({json.dumps(one["trials"]) for one in found.values()}) == 3


def test_a_bank_equals_what_the_re_ranker_says_of_its_scores(run: Run, tmp_path: Path) -> None:
    encoder = load_model("tiny", device="cpu")
    images = load_dataset("ucm:data/ucm")
    split, bank = encode_split(encoder, images.split("val")), encode_bank(encoder, images.split("train"))
    mixture = Mixture(alpha=0.6, beta=0.4, norm="rms")
    reference = score_bank(bank, split, mixture=mixture)
    assert reference.to_image is not None
    assert reference.to_text is not None
    n_texts = len({caption for image in images.split("train") for caption in image.captions})
    assert reference.to_image.shape == (n_texts, len(images.split("val")))
    assert reference.to_text.shape == (len(split.texts), len(images.split("train")))
    captions = sorted({caption for image in images.split("train") for caption in image.captions})
    alone = score_pairs(texts=encoder.encode_texts(captions[:1]), images=split.images, mixture=mixture)
    assert any(torch.allclose(row, alone[0], atol=1e-5) for row in reference.to_image)


@pytest.mark.parametrize(
    ("bank", "message"),
    [("none.txt", "cannot read the bank of captions none.txt"), ("empty.txt", "empty.txt is empty")],
)
def test_a_bank_that_is_none(run: Run, tmp_path: Path, bank: str, message: str) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    status, _, err = run("tune", "tiny", "--data", "ucm:data/ucm", "--bank", bank)
    assert status == 2
    assert message in err
    status, _, err = run("tune", "tiny", "--data", "ucm:data/ucm", "--bank", "train", "--rerank", "fusion:x")
    assert "a fusion model needs no reference queries" in err


def test_only_a_checkpoint_can_be_written_to(run: Run) -> None:
    status, _, err = run("tune", "compact", "--data", "ucm:data/ucm", "--write")
    assert status == 2
    assert "--write records the mixture in a checkpoint folder, and compact is none" in err


def test_evaluation_uses_what_is_recorded_unless_told_otherwise(run: Run, tmp_path: Path) -> None:
    for extra, expected in (([], "sar:k=77"), (["--rerank", "none"], None), (["--rerank", "csls:k=3"], "csls:k=3")):
        status, out, err = run("evaluate", "tiny", "--data", "ucm:data/ucm", "--json", "out.json", *extra)
        assert (status, err) == (0, "")
        found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["settings"]
        assert found["rerank"] == expected
        assert f"re-ranking {expected or 'none'}" in out


def test_a_config_may_have_its_re_ranking_chosen(run: Run, tmp_path: Path) -> None:
    path = tiny_yaml(tmp_path / "tiny.yaml")
    path.write_text(path.read_text(encoding="utf-8") + "rerank: sar\n", encoding="utf-8")
    trained = build_run(
        load_config(str(path)), root=tmp_path / "data", folder=tmp_path / "run", device="cpu", provenance={}
    )
    trained.trainer.run(resume=False)
    recorded = settings(tmp_path / "run" / "best")["rerank"]
    assert str(recorded).startswith("sar:k=")
    path.write_text(path.read_text(encoding="utf-8").replace("rerank: sar", "rerank: magic"), encoding="utf-8")
    status, _, err = run("train", "tiny.yaml", "--data-root", "data")
    assert status == 2
    assert "rerank is 'magic'; it may be sar, mean-rank" in err
