"""Cards: the hub's own client reads them, every figure is from a report, and what a person wrote is theirs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from rsitr.cli.app import main
from rsitr.config import DataConfig, ModelConfig
from rsitr.errors import ConfigError
from rsitr.evaluation.report import evaluate
from rsitr.models import CheckpointConfig, load_model, save_checkpoint
from rsitr.models.checkpoint import fingerprint_folder
from rsitr.models.compact import TRUNKS
from rsitr.sharing import Licence, make_card, write_card
from tiny import SIZES, TinyTrunk, tiny_config, tiny_model, write_tiny_data

TRAINED = tiny_config(
    data=DataConfig(sets=("ucm", "rsicd")), model=ModelConfig(kind="compact", init="/data/me/trunk.pt")
)
TRAINING: dict[str, Any] = {
    "config": json.loads(json.dumps(TRAINED.model_dump())),
    "command": "rsitr train /data/me/tiny.yaml --data-root '/data/my sets'",
    "version": "9.8.7",
    "commit": "abc123",
    "n_images": 8734,
    "n_rows": 43670,
    "ids_sha256": "1d" * 32,
    "data_sha256": {"ucm": "da" * 32},
    "validation": {"mR_ucm": 41.237, "mR": 41.237},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkpoint with a record of its training."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    config = CheckpointConfig(kind="compact", name="tiny", model=SIZES, training=TRAINING)
    save_checkpoint(tmp_path / "tiny", config=config, weights=tiny_model().state_dict())
    return tmp_path / "tiny"


def test_a_card_tells_what_was_measured_and_the_hubs_client_reads_it(folder: Path, tmp_path: Path) -> None:
    root = write_tiny_data(tmp_path / "data")
    report = evaluate(load_model(str(folder), device="cpu"), data=f"ucm:{root / 'ucm'}", split="val").as_dict()
    (folder / "val.json").write_text(json.dumps({**report, "command": f"rsitr evaluate {folder} --data ucm:{root}"}))
    other = report | {"split": "train", "settings": {"fingerprint": "0" * 64}, "mR": 99.99}
    (folder / "reports").mkdir()
    (folder / "reports" / "other.json").write_text(json.dumps(other))
    made = write_card(folder, licence=Licence("Apache-2.0"))
    assert (made.reports, made.left_out) == ((folder / "val.json",), (folder / "reports" / "other.json",))
    card = ModelCard.load(made.path)
    assert card.data.license == made.licence == "apache-2.0"
    assert (card.data.library_name, card.data.pipeline_tag) == ("rsitr", "zero-shot-image-classification")
    assert card.data.datasets == ["ucm", "rsicd"]
    assert card.data.language == ["en"]
    results = {result.metric_type: result for result in card.data.eval_results or []}
    recalls = {f"recall_at_{k}" for k in (1, 5, 10)}
    assert results.keys() == {"mean_recall", *recalls}
    assert results["mean_recall"].metric_value == pytest.approx(report["mR"], abs=0.005)
    assert (results["mean_recall"].dataset_name, results["mean_recall"].dataset_split) == ("UCM-Captions", "val")
    assert len(card.data.eval_results or []) == 7  # three depths in two directions, and their mean
    assert f"| UCM-Captions | val | 4 | 20 | {report['mR']:.2f} |" in card.text
    for said in ("8,734 pictures, 43,670 captions", "1d" * 32, "da" * 32, "mR_ucm 41.24", "9.8.7", "Qu et al."):
        assert said in card.text
    assert "99.99" not in card.content
    assert "/data" not in card.content
    assert str(tmp_path) not in card.content
    assert "rsitr train tiny.yaml --data-root 'my sets'" in card.text


def test_what_is_not_recorded_is_not_said() -> None:
    text = make_card(CheckpointConfig(kind="compact", name="bare", model={}))
    front = ModelCard(text).data.to_dict()
    assert not {"license", "datasets", "base_model", "model-index", "metrics"} & front.keys()
    for said in (
        "No report of `rsitr evaluate` was at hand",
        "does not record on what",
        "does not record the config",
        "No licence of the weights is stated",
    ):
        assert said in text
    assert not any(character.isdigit() for character in ModelCard(text).text.partition("<!--")[0])


def test_an_adapter_names_its_base_as_the_hub_does() -> None:
    base = {"name": "ViT-B-32-quickgelu:openai", "weights_sha256": "ba" * 32}
    config = CheckpointConfig(kind="open_clip", name="lora", model={"architecture": "ViT-B-32-quickgelu"}, base=base)
    card = ModelCard(make_card(config, licence=Licence("a licence of ours", "https://example.org/l").front()))
    assert card.data.base_model == "timm/vit_base_patch32_clip_224.openai"
    assert {"peft", "lora"} <= set(card.data.tags or [])
    assert (card.data.license, card.data.license_name) == ("other", "a licence of ours")
    assert card.data.license_link == "https://example.org/l"
    assert "ba" * 32 in card.text
    local = CheckpointConfig(kind="compact", name="lora", model={}, base=base | {"name": "/data/me/base"})
    assert "base_model" not in ModelCard(make_card(local)).data.to_dict()
    assert "/data/me" not in make_card(local)


def test_a_card_that_a_person_edited_is_not_replaced_unasked(folder: Path) -> None:
    card = folder / "README.md"
    write_card(folder, licence=Licence("mit"))
    made = write_card(folder)  # as it was made: made again, and the licence stays
    assert made.licence == "mit"
    card.write_text(card.read_text().replace("Measured", "Measured by me"))
    with pytest.raises(ConfigError, match=r"was written or edited by a person: --force replaces it, --out FILE"):
        write_card(folder)
    assert "Measured by me" in card.read_text()
    assert write_card(folder, out=folder / "other.md").path == folder / "other.md"
    write_card(folder, force=True)
    assert "Measured by me" not in card.read_text()


def test_a_named_report_must_be_one_about_these_weights(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"other.json is no report of `rsitr evaluate --json FILE`"):
        write_card(folder, reports=[tmp_path / "other.json"])
    sides = {"image_to_text": {}, "text_to_image": {}, "settings": {"fingerprint": "1" * 64}}
    (tmp_path / "other.json").write_text(json.dumps({"model": "a", "data": "ucm:x", "split": "val", "mR": 1, **sides}))
    with pytest.raises(ConfigError, match=r"is of other weights or settings than .*tiny: measure again"):
        write_card(folder, reports=[tmp_path / "other.json"])
    assert not (folder / "README.md").exists()
    assert load_model(str(folder), device="cpu").fingerprint == fingerprint_folder(folder)


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        return int(exit_.value.code or 0)

    assert run("card", folder) == 0
    assert "It states no licence" in capsys.readouterr().out
    assert run("card", folder, "--license-link", "https://example.org") == 2
    assert "say --license, too" in capsys.readouterr().err
    assert run("card", folder, "--license", "mit", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(folder / "README.md"),
        "licence": "mit",
        "reports": [],
        "left_out": [],
    }
    assert run("card", folder.parent / "nowhere") == 2
    assert "is no checkpoint" in capsys.readouterr().err
