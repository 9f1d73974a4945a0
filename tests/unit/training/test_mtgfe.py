"""MTGFE in the loop: it trains, resumes to the bit, and each task can be left out."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import sharing
from fusions import BERT_SIZES, VIT_SIZES, compact_fusion_settings, write_bert
from rsitr.config import DataConfig, ModelConfig, MtgfeConfig, Phase, TrainConfig
from rsitr.data import CaptionedImage, load_dataset
from rsitr.errors import ConfigError
from rsitr.models import CheckpointConfig, load_model, save_checkpoint
from rsitr.models.compact import TRUNKS
from rsitr.models.fusion import load_fusion, save_fusion
from rsitr.training.interruption import Interrupted
from rsitr.training.ranks import Ranks
from rsitr.training.recipes.filter import TeachingConfig, score_lessons
from rsitr.training.recipes.mtgfe import MtgfeRecipe
from rsitr.training.rows import RowTable, read_picture
from rsitr.training.runs import Run, build_run
from rsitr.training.state import Position
from rsitr.training.views import DualVectors, dual_vectors
from tiny import TinyTrunk, tiny_encoder, tiny_model, write_tiny_data

Make = Callable[..., Run]
TASKS: dict[str, Any] = {"projection_width": 16, "prediction_width": 8, "mlm_vocabulary": "captions"}
COMMON: dict[str, Any] = {"batch_size": 8, "lr": 2e-3, "warmup_steps": 2, "weight_decay": 0.02}


def fusion_config(**changes: Any) -> TrainConfig:
    """A frozen epoch and one with the trunk, all tasks on."""
    defaults: dict[str, Any] = {
        "name": "tiny-mtgfe",
        "recipe": "mtgfe",
        "data": DataConfig(sets=("ucm",), symmetries=True, crop_scale=1.0),
        "model": ModelConfig(kind="fusion", settings=compact_fusion_settings()),
        "phases": (Phase(epochs=1, **COMMON), Phase(epochs=1, trunk_lr=1e-3, **COMMON)),
        "mtgfe": MtgfeConfig(**TASKS),
    }
    return TrainConfig(**(defaults | changes))


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A run on the tiny data in the folder `name`."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    root = write_tiny_data(tmp_path / "data")

    def make(config: TrainConfig, *, name: str = "run", stop_at: int | None = None, **settings: Any) -> Run:
        def report(position: Position, _steps: int, _loss: float) -> None:
            if stop_at is not None and position.total_step >= stop_at:
                run.trainer._stop.made = True

        run = build_run(
            config, root=root, folder=tmp_path / name, device="cpu", provenance={}, report=report, **settings
        )
        return run

    return make


def journal(run: Run, kind: str) -> list[dict[str, Any]]:
    lines = (run.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


def test_an_interrupted_run_ends_as_one_that_was_not(make: Make) -> None:
    config = fusion_config()
    whole = make(config, name="whole")
    whole.trainer.run(resume=True)
    total = whole.trainer.position.total_step
    for stop in (2, total // 2, total - 1):
        with pytest.raises(Interrupted):
            make(config, name="cut", stop_at=stop).trainer.run(resume=True)
    last = make(config, name="cut")
    last.trainer.run(resume=True)
    for first, second in ((whole.trainer.model, last.trainer.model), (whole.trainer.recipe, last.trainer.recipe)):
        state = second.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in first.state_dict().items())
    positions = [asdict(run.trainer.position) | {"seconds": 0} for run in (whole, last)]
    assert positions[0] == positions[1]
    best = [(run.folder / "best" / "model.safetensors").read_bytes() for run in (whole, last)]
    assert best[0] == best[1]


def test_the_checkpoint_scores_and_says_how_it_came_about(make: Make) -> None:
    notes: list[str] = []
    run = make(fusion_config(), on_note=notes.append)
    run.trainer.run(resume=False)
    scorer = load_fusion(str(run.folder / "best"), device="cpu")
    assert not any(name.startswith(("mlm", "projector")) for name in scorer.model.state_dict())
    config = json.loads((run.folder / "best" / "config.json").read_text(encoding="utf-8"))
    assert config["kind"] == "fusion"
    assert config["training"]["config"]["mtgfe"]["mvjrc_weight"] == 1.0
    assert config["training"]["validation"]["mR"] == pytest.approx(run.trainer.position.best)
    assert notes == ["image side: random weights", "text side: random weights; fusion encoder: initialised"]


def test_outputs_do_not_collapse_and_the_log_shows_it(make: Make) -> None:
    phase = Phase(epochs=8, **(COMMON | {"lr": 1e-3}))
    run = make(fusion_config(phases=(phase,)))
    run.trainer.run(resume=False)
    entries = journal(run, "train")
    spread = 16**-0.5
    assert all(entry["deviation_spread"] == pytest.approx(spread) for entry in entries)
    # With a batch of 8, the deviation of perfectly spread outputs lies a little below 1 / sqrt(d).
    assert all(0.6 * spread < entry["deviation"] < 1.1 * spread for entry in entries)
    assert entries[-1]["mvjrc"] < entries[0]["mvjrc"]
    assert entries[-1]["itm"] < entries[0]["itm"]


@pytest.mark.parametrize(
    ("changes", "has_mlm", "has_mvjrc"),
    [
        ({"mlm_weight": 0.0, "mvjrc_weight": 0.0}, False, False),
        ({"mvjrc_weight": 0.0, "masking": "bert"}, True, False),
        ({"mlm_weight": 0.0, "cached_views": 3}, False, True),
        ({"negatives": "itm", "mlm_vocabulary": "full"}, True, True),
        ({"augment_count": 0, "mvjrc_weight": 0.0, "validation_images": 2}, True, False),
    ],
)
def test_tasks_can_be_left_out(make: Make, changes: dict[str, Any], has_mlm: bool, has_mvjrc: bool) -> None:
    run = make(fusion_config(mtgfe=MtgfeConfig(**(TASKS | changes)), phases=(Phase(epochs=1, **COMMON),)))
    run.trainer.run(resume=False)
    recipe = run.trainer.recipe
    assert isinstance(recipe, MtgfeRecipe)
    assert (recipe.mlm is not None, recipe.projector is not None) == (has_mlm, has_mvjrc)
    first = journal(run, "train")[0]
    assert (first["mlm"] != 0, first["mvjrc"] != 0, first["deviation"] is not None) == (has_mlm, has_mvjrc, has_mvjrc)
    assert first["itm"] > 0
    assert first["negatives"] > 8
    views = sorted(path.name for path in run.folder.iterdir() if path.name.startswith(("view", "plain")))
    expected = [f"view-{n}" for n in range(changes.get("cached_views", 2))]
    assert views == (["plain"] if changes.get("augment_count") == 0 else expected)


@pytest.mark.parametrize("shared", [False, True])
def test_hard_negatives_of_a_dual_encoder(make: Make, tmp_path: Path, shared: bool) -> None:
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="dual", model=asdict(model.config))
    save_checkpoint(tmp_path / "dual", config=config, weights=dict(model.state_dict()))
    tasks = MtgfeConfig(**TASKS, negatives="dual", dual=str(tmp_path / "dual"))
    name = str(tmp_path / "dual") if shared else None
    started = ModelConfig(kind="fusion", settings=compact_fusion_settings(), init=name, init_text=name)
    seen: list[tuple[int, int]] = []
    settings = {"on_cache": lambda done, total: seen.append((done, total))}
    config_ = fusion_config(mtgfe=tasks, model=started, phases=(Phase(epochs=1, **COMMON),))
    run = make(config_, **settings)
    # With the run's own trunk there is nothing to encode but the augmented pictures, which training needs anyway.
    assert seen[-1] == ((16, 16) if shared else (8, 8))
    vectors = run.trainer.recipe.dual
    assert torch.allclose(vectors.images.norm(dim=1), torch.ones(8), atol=1e-3)
    plain = load_model(str(tmp_path / "dual")).encode_images(
        [read_picture(image).permute(1, 2, 0).numpy() for image in run.table.images]
    )
    alike = torch.from_numpy(plain.global_emb) * vectors.images
    assert alike.sum(dim=1).min() > (0.5 if shared else 0.999), "an augmented copy stands for its picture"
    others = MtgfeConfig(**TASKS, negatives="dual", dual=str(tmp_path / "dual"), augment_magnitude=10)
    other = make(config_.replace(mtgfe=others), name="other").trainer.recipe.dual
    again = make(config_.replace(mtgfe=others)).trainer.recipe.dual
    assert torch.equal(again.images, other.images), "of other augmented copies"
    assert torch.equal(vectors.images, other.images) is not shared
    make(config_)
    seen.clear()
    again = make(config_, **settings)  # kept on disk
    assert seen == []
    assert torch.equal(again.trainer.recipe.dual.images, vectors.images)
    assert len(vectors.captions) == len(run.table.captions)
    (run.folder / "dual.safetensors").write_bytes(b"cut off")
    repaired = make(config_, **settings)
    assert torch.equal(repaired.trainer.recipe.dual.images, vectors.images)
    run.trainer.run(resume=False)


def test_vectors_of_other_rows_are_not_taken_for_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    encoder = tiny_encoder(tiny_model())
    images = load_dataset(f"ucm:{write_tiny_data(tmp_path / 'data') / 'ucm'}").split("train")
    edited = [replace(images[0], captions=(*images[0].captions[:-1], "a lake")), *images[1:]]

    def vectors(images: Sequence[CaptionedImage], folder: str) -> DualVectors:
        return dual_vectors(encoder, RowTable.of(images), folder=tmp_path / folder, progress=lambda _done, _total: None)

    vectors(images, "kept")
    for other in (images[::-1], edited):  # data sets in another order; a caption edited, the ids as they were
        kept, fresh = vectors(other, "kept"), vectors(other, f"fresh-{other is edited}")
        torch.testing.assert_close(kept.images, fresh.images)
        torch.testing.assert_close(kept.captions, fresh.captions)


def test_frozen_sides_stay_and_one_copy_is_turned_for_the_second_view(make: Make) -> None:
    tasks = MtgfeConfig(**TASKS).replace(sides="frozen", cached_views=1)
    run = make(fusion_config(mtgfe=tasks, phases=(Phase(epochs=1, **COMMON),)))
    before = {name: value.clone() for name, value in run.trainer.model.state_dict().items()}
    run.trainer.run(resume=False)
    after = run.trainer.model.state_dict()
    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"fusion", "itm"}
    assert [path.name for path in sorted(run.folder.glob("view-*"))] == ["view-0"]
    assert journal(run, "train")[-1]["mvjrc"] != 0


def test_a_filter_learns_from_the_features_that_training_kept(make: Make, tmp_path: Path) -> None:
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="dual", model=asdict(model.config))
    save_checkpoint(tmp_path / "dual", config=config, weights=dict(model.state_dict()))
    started = ModelConfig(kind="fusion", settings=compact_fusion_settings(), init=str(tmp_path / "dual"))
    tasks = MtgfeConfig(**TASKS, sides="frozen")
    run = make(fusion_config(mtgfe=tasks, model=started, phases=(Phase(epochs=1, **COMMON),)))
    run.trainer.run(resume=False)
    scorer = load_fusion(str(run.folder / "best"), device="cpu", half=False)
    teaching = TeachingConfig(negatives=2)
    lessons = score_lessons(scorer, run.table.images, config=teaching, folder=tmp_path / "kept", run=run.folder)
    view = np.load(run.folder / "view-0" / "patches.npy")
    torch.testing.assert_close(lessons.images, scorer.encode_patches(view).global_emb)
    plain = score_lessons(scorer, run.table.images, config=teaching, folder=tmp_path / "read")
    assert torch.equal(plain.text_index, lessons.text_index)
    assert not torch.equal(plain.images, lessons.images), "one is augmented"
    # Another run's augmentation: the scores that are kept are not of these pictures.
    stronger = fusion_config(mtgfe=tasks.replace(augment_magnitude=10), model=started, phases=run.config.phases)
    other = make(stronger, name="other")
    other.trainer.run(resume=False)
    settings = {"config": teaching, "run": other.folder}
    kept = score_lessons(scorer, run.table.images, folder=tmp_path / "kept", **settings)
    fresh = score_lessons(scorer, run.table.images, folder=tmp_path / "fresh", **settings)
    assert not torch.equal(fresh.images, lessons.images)
    torch.testing.assert_close(kept.teacher, fresh.teacher)
    with pytest.raises(ConfigError, match="does not hold features of these pictures; leave out --run"):
        score_lessons(scorer, run.table.images[:5], config=teaching, folder=tmp_path / "few", run=run.folder)
    save_fusion(tmp_path / "best", scorer.model, name="x", vocabulary=scorer.vocabulary, training={})
    with pytest.raises(ConfigError, match="is not the folder of an MTGFE run"):
        score_lessons(scorer, run.table.images, config=teaching, folder=tmp_path / "none", run=tmp_path)


def test_the_papers_model_trains_on_pictures(make: Make, tmp_path: Path) -> None:
    write_bert(tmp_path / "bert")
    sizes = BERT_SIZES | VIT_SIZES | {"context_length": 16}
    model = ModelConfig(kind="fusion", settings=sizes, init_text=str(tmp_path / "bert"))
    tasks = MtgfeConfig(**(TASKS | {"mlm_vocabulary": "full"}))
    notes: list[str] = []
    run = make(fusion_config(model=model, mtgfe=tasks, phases=(Phase(epochs=1, **COMMON),)), on_note=notes.append)
    assert "cross.key_value.weight" in notes[-1]
    run.trainer.run(resume=False)
    assert (run.folder / "best" / "vocab.txt").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "mtgfe": MtgfeConfig(**TASKS).replace(cached_views=1),
                "data": DataConfig(sets=("ucm",), symmetries=False, crop_scale=1.0),
            },
            "a step needs 2 views of a picture, and 1 are",
        ),
        ({"mtgfe": MtgfeConfig(**TASKS).replace(sides="frozen")}, "leaves nothing of a side to train"),
        ({"phases": (Phase(epochs=1, image_size_px=48, **COMMON),)}, "image_size_px must be the model's own 32"),
        ({"model": ModelConfig(kind="fusion", settings=BERT_SIZES | VIT_SIZES)}, "init_text must name a BERT"),
    ],
)
def test_settings_that_do_not_go_together(make: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(fusion_config(**changes)).trainer.run(resume=False)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_learns_from_its_share_and_the_sum_is_the_mean(make: Make, rank: int) -> None:
    run = make(fusion_config())
    model, recipe = run.trainer.model, run.trainer.recipe
    model.eval()  # no dropout: both ways are to be compared
    rows = np.array([0, 6, 12, 18, 25, 31, 33, 38])
    share = rows[4 * rank : 4 * rank + 4]
    pictures = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))  # two views of four rows

    def gradients(rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        model.zero_grad()
        recipe.zero_grad()
        images = model.image_features(pictures)
        result = recipe.step(model, images=images, rows=rows, epoch=0, device=torch.device("cpu"))
        result.loss.total.backward()
        named = [*model.named_parameters(), *recipe.named_parameters()]
        return {name: value.grad.clone() for name, value in named if value.grad is not None}

    alone = gradients(share)
    recipe.ranks = Ranks(rank=rank, size=2)
    shared = gradients(rows)
    assert alone.keys() == shared.keys()
    assert len(alone) > 20
    for name, value in alone.items():
        torch.testing.assert_close(shared[name], value / 2, rtol=1e-4, atol=1e-7, msg=name)


def test_looking_for_hard_negatives_leaves_every_weight_its_gradient(make: Make) -> None:
    """They are looked for without gradients and under autocast, whose casts older versions of torch kept and reused."""
    tasks = MtgfeConfig(**TASKS, negatives="itm")
    run = make(fusion_config(mtgfe=tasks))
    model, recipe = run.trainer.model.eval(), run.trainer.recipe  # without dropout, which makes some gradients 0
    images = model.image_features(torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = recipe.step(model, images=images, rows=np.arange(0, 40, 5), epoch=0, device=torch.device("cpu"))
    result.loss.total.backward()
    learning = {name for name, value in model.fusion.named_parameters() if value.grad is not None and value.grad.any()}
    assert learning == {name for name, _ in model.fusion.named_parameters()}


def test_a_share_without_a_masked_word_has_gradients_of_zero(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(fusion_config())
    model, recipe = run.trainer.model, run.trainer.recipe
    recipe.ranks = Ranks(rank=0, size=2)

    def mask_nothing(ids: NDArray[np.int64], **_settings: Any) -> SimpleNamespace:
        return SimpleNamespace(ids=ids, labels=np.full_like(ids, -100))

    monkeypatch.setattr("rsitr.training.recipes.mtgfe.mask_at_random", mask_nothing)
    images = model.image_features(torch.rand(8, 3, 32, 32))
    result = recipe.step(model, images=images, rows=np.arange(0, 40, 5), epoch=0, device=torch.device("cpu"))
    assert result.loss.mlm.item() == 0.0
    result.loss.total.backward()
    assert all(not value.grad.any() for value in recipe.mlm.parameters())


def test_batch_norms_over_all_processes_need_gpus(make: Make) -> None:
    with pytest.raises(ConfigError, match="count over all processes on GPUs alone"):
        make(fusion_config(), ranks=Ranks(rank=0, size=2))


def test_two_processes_train_together(tmp_path: Path) -> None:
    write_tiny_data(tmp_path / "data")
    write_bert(tmp_path / "bert")
    sizes = BERT_SIZES | VIT_SIZES | {"context_length": 16}
    content = {
        "name": "tiny",
        "recipe": "mtgfe",
        "data": {"sets": ["ucm"], "crop_scale": 1.0},
        "model": {"kind": "fusion", "settings": sizes, "init_text": "bert"},
        "mtgfe": {"mvjrc_weight": 0.0},
        "phases": [{"epochs": 2, **COMMON}],
    }
    (tmp_path / "tiny.yaml").write_text(json.dumps(content), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    train = ("train", "tiny.yaml", "--data-root", "data", "--out", "run", "--device", "cpu")
    started = [
        sharing.start(sharing.command, *train, rank=rank, size=2, port=port, folder=tmp_path) for rank in range(2)
    ]
    said = [each.end() for each in started]
    assert "best: epoch" in said[0]
    assert "epoch" not in said[1]
    assert (tmp_path / "run" / "best" / "model.safetensors").is_file()


def test_a_trunk_that_there_is_not(make: Make, tmp_path: Path) -> None:
    write_bert(tmp_path / "bert")
    model = ModelConfig(kind="fusion", settings=BERT_SIZES | VIT_SIZES, init_text=str(tmp_path / "bert"))
    with pytest.raises(ConfigError, match="trunk_lr is for a compact image side"):
        make(fusion_config(model=model))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"itm_weight": 0.0}, "itm_weight must be above 0"),
        ({"mlm_weight": -1.0}, "mlm_weight must be at least 0"),
        ({"dual_temperature": 0.0}, "dual_temperature must be above 0"),
        ({"augment_magnitude": 11}, "augment_magnitude must be at least 0 and at most 10"),
        ({"validation_images": 1}, "validation_images must be at least 2, or null"),
        ({"negatives": "dual"}, "dual names the dual encoder"),
        ({"dual": "compact"}, "dual names the dual encoder"),
    ],
)
def test_tasks_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MtgfeConfig(**changes)


def test_recipes_and_models_go_together() -> None:
    with pytest.raises(ConfigError, match="mtgfe goes with fusion"):
        fusion_config(model=ModelConfig(kind="compact"))
    with pytest.raises(ConfigError, match="mtgfe goes with fusion"):
        fusion_config(recipe="ebaker")
