"""Runs that an older version began go on: what a run is known by, and what lies in its folder, are as they were.

`tests/data/trainings` has what version 0.1 wrote: the identity of every packaged config's run, and of two small runs,
one per recipe, the state that they were interrupted with and how they ended without an interruption.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusions import BERT_SIZES, VIT_SIZES, write_bert
from rsitr.ablation.grid import config_digest
from rsitr.config import (
    DataConfig,
    EbaConfig,
    KerConfig,
    LossConfig,
    ModelConfig,
    MtgfeConfig,
    Phase,
    TrainConfig,
    load_config,
)
from rsitr.data import CaptionedImage
from rsitr.models.compact import TRUNKS
from rsitr.training.rows import RowTable
from rsitr.training.runs import Run, build_run, identify
from tiny import SIZES, TinyTrunk, tiny_config, write_tiny_data

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "trainings"
PHASE: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 2e-3, "warmup_steps": 2, "weight_decay": 0.0}
FUSION = BERT_SIZES | VIT_SIZES | {"text_layers": 1, "fusion_layers": 1, "image_layers": 1, "image_width": 12}
TABLE = RowTable.of([CaptionedImage("set/1.png", Path("1.png"), ("a red barn", "a barn"), "train")])

Start = Callable[[str], Run]


def ebaker() -> TrainConfig:
    return tiny_config(
        name="golden",
        data=DataConfig(sets=("ucm",), rows="images", captions_per_image=2, symmetries=True),
        model=ModelConfig(kind="compact", settings=SIZES | {"embedding_width": 2}),
        loss=LossConfig(repeats="positive", learn_scale=True, soft_weight=0.2),
        ker=KerConfig(layers=1, vocabulary="keywords", strategy="random"),
        eba=EbaConfig(drop_ratio=0.2, drop_epoch=1, scheme="split"),
        phases=(Phase(**PHASE, average=0.9), Phase(**PHASE, trunk_lr=1e-3)),
        seed=3,
    )


def mtgfe() -> TrainConfig:
    return tiny_config(
        name="golden-mtgfe",
        recipe="mtgfe",
        data=DataConfig(sets=("ucm",), rows="images"),
        model=ModelConfig(kind="fusion", settings=FUSION, init_text="bert"),
        loss=LossConfig(),
        ker=KerConfig(),
        eba=EbaConfig(),
        mtgfe=MtgfeConfig(projection_width=16, prediction_width=8, masking="bert", negatives="itm"),
        phases=(Phase(**PHASE | {"batch_size": 4}),),
    )


RUNS = {"ebaker": ebaker, "mtgfe": mtgfe}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """The small run of a recipe, in a folder that is as it was left."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.setattr("rsitr.training.loop.has_bf16", lambda _device: False)  # whose rounding depends on the machine
    monkeypatch.chdir(tmp_path)
    root = write_tiny_data(tmp_path / "data")
    write_bert(tmp_path / "bert")

    def start(recipe: str) -> Run:
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "state.pt").write_bytes(lzma.decompress((GOLDEN / f"{recipe}.state.xz").read_bytes()))
        return build_run(RUNS[recipe](), root=root, folder=folder, device="cpu", provenance={})

    return start


def ending(run: Run) -> dict[str, Any]:
    """How a run ended: its history, and of every weight a few numbers that tell it."""
    weights = {**run.trainer.model.state_dict(), **run.trainer.recipe.state_dict()}
    numbers = {
        name: [round(float(number), 7) for number in (value.double().mean(), value.double().abs().max())]
        for name, value in weights.items()
    }
    position = run.trainer.position
    return {"history": position.history, "best_epoch": position.best_epoch, "weights": numbers}


@pytest.mark.parametrize("recipe", RUNS)
def test_a_run_that_an_older_version_began_ends_as_it_would_have(start: Start, recipe: str) -> None:
    run = start(recipe)
    before = torch.load(run.folder / "state.pt", weights_only=True)["position"]["total_step"]
    run.trainer.run(resume=True)
    found, expected = ending(run), json.loads((GOLDEN / f"{recipe}.json").read_text(encoding="utf-8"))
    assert 0 < before == expected["interrupted_at"] < run.trainer.position.total_step == expected["steps"]
    assert found["best_epoch"] == expected["best_epoch"]
    assert [entry["epoch"] for entry in found["history"]] == [entry["epoch"] for entry in expected["history"]]
    for name in ("loss", "mR", "mR_ucm"):
        values = ([entry[name] for entry in one["history"]] for one in (found, expected))
        np.testing.assert_allclose(*values, rtol=1e-4)
    assert found["weights"].keys() == expected["weights"].keys()
    for name, numbers in expected["weights"].items():
        np.testing.assert_allclose(found["weights"][name], numbers, rtol=1e-3, atol=1e-4, err_msg=name)


IDENTITIES = json.loads((GOLDEN / "identities.json").read_text(encoding="utf-8"))
"""Of each packaged config, the digest that a run's state bears, for two rows, and the name of its run in ablations."""


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_config_is_known_by_what_it_was_known_by(name: str) -> None:
    config = load_config(name)
    assert {"run": identify(config, TABLE), "ablation": config_digest(config)} == IDENTITIES[name]


def test_only_the_way_pictures_are_read_is_no_part_of_a_run() -> None:
    config = load_config("compact-ablation")
    same = config.replace(data=config.data.replace(workers=5))
    assert identify(same, TABLE) == identify(config, TABLE)
    for other in (config.replace(seed=9), config.replace(name="other"), config.replace(tune=True)):
        assert identify(other, TABLE) != identify(config, TABLE)
