"""What a run trains on and is measured by, where its config says so: no duplicates, and a mixture of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from generators import write_karpathy_dataset
from rsitr.config import DataConfig
from rsitr.errors import DataError
from rsitr.models.compact import TRUNKS
from rsitr.training.runs import Run, build_run
from rsitr.types import Mixture
from tiny import TinyTrunk, tiny_config

SETS = ("ucm", "sydney")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sets of eight training, two validation and two test pictures each, which have nothing in common yet."""
    for seed, name in enumerate(SETS):
        write_karpathy_dataset(
            tmp_path / "data" / name,
            name=name,
            n_images=12,
            splits=("train", "train", "train", "train", "val", "test"),
            suffix=".png",
            size_px=64,
            seed=seed,
        )
    return tmp_path / "data"


def build(root: Path, *, duplicates: Any = "drop", **changes: Any) -> Run:
    config = tiny_config(data=DataConfig(sets=SETS, duplicates=duplicates), **changes)
    return build_run(config, root=root, folder=root.parent / "run", device="cpu", provenance={})


def trained(run: Run) -> set[str]:
    return {image.image_id for image in run.table.images}


def copy(root: Path, source: str, target: str) -> None:
    one, other = (root / place.replace("/", "/images/") for place in (source, target))
    shutil.copy(one.with_suffix(".png"), other.with_suffix(".png"))


def test_a_training_picture_that_is_there_twice_is_trained_on_once(root: Path) -> None:
    everything = trained(build(root))
    assert len(everything) == 16
    copy(root, "ucm/00001", "sydney/00002")  # train, train
    copy(root, "ucm/00005", "sydney/00003")  # val, train: within the other set
    copy(root, "sydney/00006", "ucm/00004")  # test, train
    assert everything - trained(build(root)) == {"sydney/00002.png", "sydney/00003.png", "ucm/00004.png"}
    assert trained(build(root, duplicates="keep")) == everything


def test_the_search_for_duplicates_tells_how_far_it_is(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    build_run(
        tiny_config(data=DataConfig(sets=SETS, duplicates="drop")),
        root=root,
        folder=root.parent / "run",
        device="cpu",
        provenance={},
        on_hash=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 24) for done in range(1, 25)]


def test_a_picture_that_cannot_be_read_is_named_before_training(root: Path) -> None:
    (root / "ucm" / "images" / "00002.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 pictures cannot be read, the first is .*00002\.png"):
        build(root)


def test_without_tuning_the_model_is_given_the_configs_mixture(root: Path) -> None:
    mixture = Mixture(alpha=0.6, beta=0.4, norm="l2")
    run = build(root, mixture=mixture, tune=False, phases=(tiny_config().phases[0].replace(epochs=1),))
    run.trainer.run(resume=False)
    found = json.loads((run.folder / "best" / "config.json").read_text(encoding="utf-8"))
    assert Mixture(**found["inference"]["mixture"]) == mixture
    assert run.trainer.validate.encoder.mixture == mixture  # type: ignore[attr-defined]
