"""Trainings of adapters: the base stays to the last bit, and all else is as in a whole training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adapting import adapter_config, tiny_architectures, write_base, write_compact_base
from rsitr import extras
from rsitr.config import AdapterConfig, ModelConfig, Phase, TrainConfig, parse
from rsitr.errors import ConfigError, ModelError
from rsitr.models.compact import TRUNKS
from rsitr.training.interruption import Interrupted
from rsitr.training.runs import Run, build_run
from rsitr.training.state import Position
from tiny import SIZES, TinyTrunk, write_tiny_data

Make = Callable[..., Run]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Data, and bases of two shapes."""
    folder = tmp_path_factory.mktemp("adapters")
    write_tiny_data(folder / "data")
    with tiny_architectures(folder / "architectures"):
        for name in ("lora-vit", "lora-rn"):
            write_base(folder / f"{name}.safetensors", name)
        yield folder


@pytest.fixture
def make(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)

    def make(config: TrainConfig, *, name: str = "run", stop_at: int | None = None, **more: Any) -> Run:
        def report(position: Position, _steps: int, _loss: float) -> None:
            if position.total_step == stop_at:
                run.trainer._stop.made = True

        arguments = {"root": folder / "data", "folder": tmp_path / name, "device": "cpu", "provenance": {}}
        run = build_run(config, **(arguments | more), report=report)
        return run

    return make


def on(folder: Path, architecture: str = "lora-vit") -> ModelConfig:
    file = folder / f"{architecture}.safetensors"
    return ModelConfig(kind="open_clip", settings={"architecture": architecture}, init=str(file))


def base_of(run: Run) -> dict[str, torch.Tensor]:
    """The weights that are not adapters, copied."""
    return {name: value.clone() for name, value in run.trainer.model.state_dict().items() if "lora_" not in name}


def test_an_interrupted_training_of_adapters_ends_as_one_that_was_not_and_the_base_is_as_it_was(
    make: Make, folder: Path
) -> None:
    config = adapter_config(on(folder))
    whole = make(config, name="whole")
    before = base_of(whole)
    whole.trainer.run(resume=True)
    with pytest.raises(Interrupted):  # amid the second epoch, in which pairs are dropped
        make(config, name="cut", stop_at=7).trainer.run(resume=True)
    cut = make(config, name="cut")
    cut.trainer.run(resume=True)
    assert whole.trainer.position.total_step == cut.trainer.position.total_step == 10
    assert whole.trainer.recipe.global_threshold is not None  # type: ignore[attr-defined]
    found, expected = cut.trainer.model.state_dict(), whole.trainer.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert (whole.folder / "best" / "adapter_model.safetensors").read_bytes() == (
        cut.folder / "best" / "adapter_model.safetensors"
    ).read_bytes()
    for run in (whole, cut):
        after = base_of(run)
        assert all(torch.equal(after[name], value) for name, value in before.items())
    moved = [name for name, value in expected.items() if "lora_B" in name and value.abs().max() > 0]
    assert len([name for name in moved if ".attn.lora_B" in name]) == 2  # picture and text side
    assert len([name for name in moved if ".mlp." in name]) == 4
    assert not [name for name in moved if "out_proj" in name]


def test_what_is_trained_is_counted_and_told_and_the_optimizer_sees_nothing_else(make: Make, folder: Path) -> None:
    notes: list[str] = []
    run = make(adapter_config(on(folder)), on_note=notes.append)
    named = dict(run.trainer.model.named_parameters())
    trained = {id(value): name for name, value in named.items() if value.requires_grad}
    heads = {id(value) for value in run.trainer.recipe.parameters()}
    seen = {id(value) for group in run.trainer.optimizer.param_groups for value in group["params"]}
    assert seen == trained.keys() | heads
    assert all("lora_" in name for name in trained.values())
    # On each side: attention 16 -> 48 at rank 2, and the two of an MLP, 16 -> 64 -> 16.
    assert sum(named[name].numel() for name in trained.values()) == 2 * 2 * ((16 + 48) + 2 * (16 + 64)) == 896
    assert any(
        "LoRA of rank 2 on 6 parts of lora-vit:" in note and "trained are 896 parameters" in note for note in notes
    )


def test_batch_norms_of_a_resnet_stay_and_its_convolutions_learn(make: Make, folder: Path) -> None:
    config = adapter_config(on(folder, "lora-rn"), chunk_size=3)  # refused where batch norms count
    run = make(config.replace(phases=(config.phases[0].replace(epochs=1, max_steps=2),)))
    before = base_of(run)
    run.trainer.run(resume=False)
    after = base_of(run)
    assert [name for name in before if name.endswith("running_mean")]
    assert all(torch.equal(after[name], value) for name, value in before.items())
    learned = {name for name, value in run.trainer.model.state_dict().items() if "lora_B" in name and value.any()}
    assert {
        "clip.visual.conv1.lora_B.default.weight",
        "clip.visual.layer4.0.downsample.0.lora_B.default.weight",
    } <= learned
    assert not [name for name in learned if "attnpool" in name]  # which reads its matrices past an adapter


def test_chunks_and_recomputed_activations_give_the_same_adapters(make: Make, folder: Path) -> None:
    """Apart from rounding, of which Adam makes whole steps where a gradient is nothing else."""
    gradients = []
    for changes in ({}, {"chunk_size": 3}, {"activation_checkpointing": True}):
        run = make(adapter_config(on(folder), precision="fp32", **changes), name=str(len(gradients)))
        trainer = run.trainer
        phase = trainer.phases[0]
        rows = trainer.table.epoch_rows(epoch=0, seed=0, per_image=None)
        trainer.model.train()
        trainer._step(phase, next(trainer._batches(rows, phase)), total=10)
        gradients.append({name: value.grad for name, value in trainer.model.named_parameters() if value.requires_grad})
    plain, *others = gradients
    assert sum(value is not None and bool(value.any()) for value in plain.values()) == 6  # each lora_B
    for other in others:
        for name, value in plain.items():
            torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-6)


def test_a_trunk_that_no_phase_trains_gets_no_adapter_and_else_its_own_weights_stay(make: Make, folder: Path) -> None:
    base = write_compact_base(folder / "compact")
    model = ModelConfig(kind="compact", settings=SIZES, init=str(base))
    frozen = make(adapter_config(model))
    assert not [name for name, _ in frozen.trainer.model.named_parameters() if "lora_" in name and "trunk" in name]
    phase = adapter_config(model).phases[0].replace(epochs=1, max_steps=2)
    adapter = AdapterConfig(kind="lora", rank=2, targets=("stem", "image.projection"), dropout=0.1)
    config = adapter_config(model, adapter=adapter, phases=(phase, phase.replace(trunk_lr=1e-2)))
    run = make(config, name="trunk")
    before = base_of(run)
    run.trainer.run(resume=False)
    after, names = base_of(run), run.trainer.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert names["image.trunk.stem.lora_B.default.weight"].any()
    assert names["image.projection.lora_B.default.weight"].any()
    with pytest.raises(ConfigError, match=r"stem is in image.trunk, which no phase trains: set phases.N.trunk_lr"):
        make(config.replace(phases=(phase,)))


@pytest.mark.parametrize(
    ("adapter", "said"),
    [
        (
            {"targets": ("nowhere",)},
            r"no part of the model is called 'nowhere'; .* end in visual.conv1, resblocks.attn",
        ),
        ({"targets": ("out_proj",)}, r"out_proj is a NonDynamicallyQuantizableLinear that cannot have an adapter"),
        ({"targets": ("ln_1",)}, r"ln_1 is a LayerNorm that cannot have an adapter of its own"),
        ({"dropout": 0.1}, r"dropout has no effect on .*attn, whose matrices are used as a whole: set it to 0.0"),
    ],
)
def test_targets_that_make_no_sense_are_explained(make: Make, folder: Path, adapter: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make(adapter_config(on(folder), adapter=AdapterConfig(kind="lora", **adapter)))


def test_adapters_want_a_whole_model_to_stand_on(make: Make, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = ModelConfig(kind="open_clip", settings={"architecture": "lora-vit"})
    with pytest.raises(ConfigError, match=r"trained on a whole model, and model.init is null: name a trained model"):
        make(adapter_config(random))
    base = write_compact_base(folder / "whole")
    larger = ModelConfig(kind="compact", settings=SIZES | {"text_layers": 2}, init=str(base))
    with pytest.raises(ModelError, match=r"these weights are not those of the model of kind compact .*missing"):
        make(adapter_config(larger))
    monkeypatch.setattr(extras, "has_package", lambda _package: False)
    with pytest.raises(ConfigError, match=r'adapter.kind lora needs peft, .*pip install "rsitr\[adapters\]"'):
        make(adapter_config(on(folder)))


def test_settings_of_adapters_belong_to_a_kind_of_them() -> None:
    phase = Phase()
    raw = {"name": "a", "recipe": "ebaker", "data": {"sets": ["ucm"]}, "model": {"kind": "compact"}}
    raw |= {"phases": [phase.model_dump()], "adapter": {"rank": 4}}
    with pytest.raises(ConfigError, match=r"my.yaml: adapter: rank: belongs to kind: lora, set that"):
        parse(TrainConfig, raw, where="my.yaml")
    same = parse(TrainConfig, raw | {"adapter": {"kind": "none", "rank": 16}}, where="my.yaml")
    assert same.identity() == same.replace(adapter=AdapterConfig()).identity()
    assert "adapter" not in same.identity()
    with_them = same.replace(adapter=AdapterConfig(kind="lora"))
    assert with_them.identity() != same.identity()


def test_attention_with_adapters_is_attention_with_their_product_added() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    from rsitr.models.adapters import ExactAttention

    torch.manual_seed(0)
    model = nn.ModuleDict({"attn": nn.MultiheadAttention(8, 2, batch_first=True)})
    plain = nn.MultiheadAttention(8, 2, batch_first=True)
    plain.load_state_dict(model["attn"].state_dict())
    config = LoraConfig(r=2, lora_alpha=6, target_modules=["attn"])
    config._register_custom_module({nn.MultiheadAttention: ExactAttention})
    inject_adapter_in_model(config, model)
    layer = model["attn"]
    assert isinstance(layer, ExactAttention)
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_()
        plain.in_proj_weight += 3 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    x = torch.randn(2, 3, 8)
    torch.testing.assert_close(layer(x, x, x)[0], plain(x, x, x)[0])
