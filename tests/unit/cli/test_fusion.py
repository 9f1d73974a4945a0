"""`rsitr train`, `distill`, `evaluate` and `explain` with a fusion model, as a person would type them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusions import compact_fusion, scorer_of
from rsitr.cli.app import main
from rsitr.errors import ConfigError, QueryError
from rsitr.evaluation.heatmaps import draw_heatmaps
from rsitr.models import CheckpointConfig, save_checkpoint
from rsitr.models.compact import TRUNKS
from rsitr.models.fusion import save_fusion
from rsitr.models.fusion.attention import attention_maps
from tiny import TinyTrunk, tiny_model, write_tiny_data

Run = Callable[..., tuple[int, str, str]]
DATA = ("--data", "ucm:data/ucm")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `rsitr ...` beside the fusion model `fusion`, the dual encoder `dual` and the data set `data/ucm`."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    model = compact_fusion()
    save_fusion(tmp_path / "fusion", model, name="tiny", vocabulary=scorer_of(model).vocabulary, training={})
    dual = tiny_model()
    config = CheckpointConfig(kind="compact", name="dual", model=asdict(dual.config))
    save_checkpoint(tmp_path / "dual", config=config, weights=dict(dual.state_dict()))
    write_tiny_data(tmp_path / "data")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return int(exit_.value.code or 0), shown.out, shown.err

    return run


def report(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("kind", ["mlp", "dot"])
def test_a_filter_that_lets_all_through_changes_nothing(run: Run, tmp_path: Path, kind: str) -> None:
    status, out, err = run("evaluate", "fusion", *DATA, "--json", "all.json")
    assert (status, err) == (0, "")
    assert "every pair scored in" in out
    options = ("--kind", kind, "--epochs", 1, "--batch-size", 16, "--negatives", 2, "--hidden", 8)
    status, _, err = run("distill", "fusion", *DATA, "--out", "filters/one", *options)
    assert status == 0, err
    assert (tmp_path / "filters" / "lessons" / "teacher.npy").is_file()
    own = ("--hard-weight", 0.5, "--weight-decay", 0.3, "--warmup-steps", 0)
    status, _, err = run("distill", "fusion", *DATA, "--out", "filters/other", *options, *own)
    assert status == 0, err
    taught = [json.loads((tmp_path / "filters" / name / "config.json").read_text()) for name in ("one", "other")]
    assert taught[1]["training"].items() >= {"hard_weight": 0.5, "weight_decay": 0.3, "warmup_steps": 0}.items()
    assert taught[0]["weights_sha256"] != taught[1]["weights_sha256"]
    status, _, err = run("distill", "fusion", *DATA, "--out", "filters/none", *options, "--warmup-steps", -1)
    assert (status, err) == (2, "rsitr: warmup_steps must be at least 0, not -1\n")
    status, out, _ = run("evaluate", "fusion", *DATA, "--filter", "filters/one", "--top", 1000, "--json", "some.json")
    assert status == 0
    assert "the best 1000 of the filter filters/one" in out
    whole, some = report(tmp_path / "all.json"), report(tmp_path / "some.json")
    assert some["mR"] == pytest.approx(whole["mR"], abs=3)  # bf16, where the machine has it, in other batches
    assert some["settings"]["top"] == 1000  # type: ignore[index]
    status, _, _ = run("evaluate", "fusion", *DATA, "--filter", "filters/one", "--top", 1, "--json", "few.json")
    assert status == 0


def test_a_dual_encoder_re_ranked(run: Run, tmp_path: Path) -> None:
    run("evaluate", "dual", *DATA, "--json", "plain.json")
    status, _, err = run("evaluate", "dual", *DATA, "--rerank", "fusion:fusion,top=2,weight=1e6", "--json", "same.json")
    assert status == 0, err
    # With all the weight on the dual encoder its own order comes back.
    assert report(tmp_path / "same.json")["mR"] == pytest.approx(report(tmp_path / "plain.json")["mR"])
    assert report(tmp_path / "same.json")["settings"]["rerank"] == "fusion:fusion,top=2,weight=1e+06"  # type: ignore[index]


def test_how_a_dual_encoder_is_re_ranked_is_chosen_on_validation(run: Run, tmp_path: Path) -> None:
    status, out, err = run("tune", "dual", *DATA, "--rerank", "fusion:fusion,top=3", "--json", "tuned.json")
    assert (status, err) == (0, "")
    found = report(tmp_path / "tuned.json")
    trials = found["trials"]
    assert isinstance(trials, list)
    assert {trial["plan"]["top"] for trial in trials} == {3}
    assert len({trial["plan"]["weight"] for trial in trials}) == len(trials) > 5
    best = max(trial["mR"] for trial in trials)
    assert f"--rerank {found['rerank']}" in out
    run("evaluate", "dual", *DATA, "--json", "alone.json")
    assert found["alone"] == pytest.approx(report(tmp_path / "alone.json")["mR"])
    status, _, err = run("evaluate", "dual", *DATA, "--rerank", found["rerank"], "--json", "best.json")
    assert status == 0, err
    assert report(tmp_path / "best.json")["mR"] == pytest.approx(best)
    crossed = found["crossed_mR"]
    assert isinstance(crossed, float)
    assert min(trial["mR"] for trial in trials) - 20 <= crossed <= 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tune", "dual", *DATA, "--rerank", "sar:k=3"), "name a fusion model"),
        (("tune", "dual", *DATA, "--rerank", "fusion:fusion", "--write"), "give what is found here with --rerank"),
        (("ablate", "table2", "mtgfe-tasks"), "compact-ablation and mtgfe-small-ucm: run them one after the other"),
        (("evaluate", "fusion", *DATA, "--alpha", 1), "--alpha is for dual encoders"),
        (("evaluate", "fusion", *DATA, "--beta", 0), "--beta is for dual encoders"),
        (("evaluate", "fusion", *DATA, "--rerank", "sar"), "--rerank is for dual encoders"),
        (("evaluate", "fusion", *DATA, "--filter", "dual"), "a retrieval filter is needed"),
        (("evaluate", "dual", *DATA, "--filter", "dual"), "--filter belongs to a fusion model"),
        (("evaluate", "dual", *DATA, "--rerank", "fusion:dual"), "a fusion model is needed"),
        (("evaluate", "dual", *DATA, "--rerank", "fusion:none"), "none is no checkpoint"),
        (("search", "data", "words", "--model", "fusion"), "no index"),
        (("distill", "dual", *DATA, "--out", "x"), "a fusion model is needed"),
        (("explain", "fusion", "no.png", "words"), "no.png"),
        (("explain", "fusion", "picture.png", "words", "--out", "x.svg"), "ends in .png"),
        (("explain", "fusion", "picture.png", "words", "--layer", 9), "there is no cross-attention layer 9"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_2(
    run: Run, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save(tmp_path / "picture.png")
    status, _, err = run(*arguments)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_heat_maps_of_several_models(run: Run, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(48, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    status, _, err = run("explain", "fusion", "picture.png", "a red square", "--beside", "dual", "--out", "maps.png")
    assert status == 0, err
    assert "fusion: score 0." in err
    assert "3 words, cross-attention, layer 1 of 2" in err
    assert "dual: score" in err
    with Image.open(tmp_path / "maps.png") as found:
        assert found.size[0] > 4 * 100


def test_maps_follow_the_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    scorer = scorer_of(compact_fusion())
    picture = np.random.default_rng(0).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
    found = attention_maps(scorer, picture, "a red unheardofword", layer=2)
    assert found.words == ("a", "red", "unheardofword")
    assert found.maps.shape == (3, 2, 2)
    assert (found.maps >= 0).all()
    assert (found.maps.sum(axis=(1, 2)) < 1).all(), "the class vector has its share"
    score = scorer.score_all(scorer.encode_texts(["a red unheardofword"]), scorer.encode_images([picture]))
    assert found.score == pytest.approx(float(score.sigmoid()), abs=1e-5)
    other = attention_maps(scorer, picture, "a red unheardofword", layer=1)
    assert not np.allclose(other.maps, found.maps)
    with pytest.raises(QueryError, match="has no word"):
        attention_maps(scorer, picture, " ")
    with pytest.raises(ConfigError, match="no cross-attention layer 3"):
        attention_maps(scorer, picture, "a", layer=3)
    assert draw_heatmaps(picture, {"x": found}, text="a $red").startswith(b"\x89PNG")
