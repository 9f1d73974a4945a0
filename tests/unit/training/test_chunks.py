"""A batch in chunks is the batch: the same loss and gradients, with no more than a chunk's activations in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

import sharing
from rsitr.config import ModelConfig, TrainConfig
from rsitr.errors import ConfigError
from rsitr.losses import LOSSES
from rsitr.models.compact import TRUNKS
from rsitr.models.dual import Features
from rsitr.training.chunks import apply_in_chunks, encode_in_chunks
from rsitr.training.interruption import Interrupted
from rsitr.training.ranks import ALONE
from rsitr.training.runs import Run, build_run
from rsitr.training.state import Position
from tiny import SIZES, TinyTrunk, tiny_config, write_tiny_data

DROPPING = SIZES | {"dropout": 0.3, "patch_dropout": 0.5}


@pytest.mark.parametrize(("setting", "chunk_size"), [("split", 1), *((name, 4) for name in sharing.SETTINGS)])
def test_chunks_learn_what_the_batch_does(setting: str, chunk_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With elimination; in chunks that divide the batch of 6, and in such that do not."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    monkeypatch.setitem(LOSSES._things, "triplet", sharing.triplet)
    whole = sharing.take_steps(ALONE, sharing.settings(setting))
    assert any(int(step["dropped"]) for step in whole["steps"])
    sharing.assert_same_steps(sharing.take_steps(ALONE, sharing.settings(setting, chunk_size=chunk_size)), whole)


@pytest.mark.parametrize("autocast", [False, True])
def test_the_second_pass_draws_what_the_first_did(autocast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit what chunks give whose activations are all kept, though chance goes on between the passes."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = sharing.tiny_model(dropout=0.3, patch_dropout=0.5).train()
    pictures = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))

    def learn(encode: Callable[[], Features]) -> list[Tensor]:
        torch.manual_seed(7)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            features = encode()
        torch.rand(1000)
        model.zero_grad()
        (features.global_emb.float().square().mean() + features.tokens.float().pow(3).mean()).backward()
        used = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        return [features.global_emb.detach(), features.tokens.detach(), *(gradient.clone() for gradient in used)]

    def keep_all() -> Features:
        parts = [model.image_features(chunk) for chunk in pictures.split(2)]
        emb, tokens = (torch.cat([getattr(part, name) for part in parts]) for name in ("global_emb", "tokens"))
        return Features(global_emb=emb, tokens=tokens)

    kept = learn(keep_all)
    again = learn(lambda: encode_in_chunks(model.image_features, pictures, chunk_size=2))
    assert len(kept) > 10
    # Of half precision, weights are rounded once for all chunks or once for each, which sums in another order.
    tolerance = {"rtol": 2e-2, "atol": 1e-4} if autocast else {"rtol": 0.0, "atol": 0.0}
    assert all(torch.equal(one, other) for one, other in zip(kept[:2], again[:2], strict=True))
    for one, other in zip(kept, again, strict=True):
        torch.testing.assert_close(again[0], kept[0], rtol=0, atol=0)
        torch.testing.assert_close(other, one, **tolerance)


def test_what_is_kept_for_the_way_back_does_not_grow_with_the_chunk() -> None:
    layers = nn.Sequential(*(nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(10)))
    batch = torch.rand(64, 8)
    sizes: list[int] = []

    def keep(value: Tensor) -> Tensor:
        sizes.append(value.numel())
        return value

    def count(chunk_size: int | None) -> int:
        sizes.clear()
        with saved_tensors_hooks(keep, lambda value: value):
            apply_in_chunks(layers, batch, chunk_size=chunk_size)
        return sum(size for size in sizes if size >= 8 * 8 * 2)  # activations, not weights

    assert count(None) >= 20 * batch.numel()
    assert count(16) == batch.numel()  # which the way back begins with


def train(folder: Path, config: TrainConfig, *, root: Path, stop_at: int | None = None) -> Run:
    """A run, interrupted after so many steps."""

    def report(position: Position, _steps: int, _loss: float) -> None:
        if position.total_step == stop_at:
            run.trainer._stop.made = True

    run = build_run(config, root=root, folder=folder, device="cpu", provenance={}, report=report)
    if stop_at is None:
        run.trainer.run(resume=True)
    else:
        with pytest.raises(Interrupted):
            run.trainer.run(resume=True)
    return run


def test_a_run_in_chunks_is_the_run_and_may_begin_or_end_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen and unfrozen phases, several captions of a picture; who runs out of memory goes on in chunks."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    root = write_tiny_data(tmp_path / "data")
    plain = tiny_config(
        model=ModelConfig(kind="compact", settings=SIZES),
        data=tiny_config().data.replace(rows="images", captions_per_image=2),
        phases=tuple(phase.replace(batch_size=8) for phase in tiny_config().phases),
        precision="fp32",
    )
    runs = [train(tmp_path / "plain", plain, root=root)]
    runs.append(train(tmp_path / "chunks", plain.replace(chunk_size=3), root=root))
    train(tmp_path / "both", plain, root=root, stop_at=1)
    runs.append(train(tmp_path / "both", plain.replace(chunk_size=3), root=root))
    right, *others = (run.trainer for run in runs)
    for other in others:
        assert other.position.total_step == right.position.total_step == 8
        losses = [[entry["loss"] for entry in each.position.history] for each in (other, right)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert other.recipe.global_threshold == pytest.approx(right.recipe.global_threshold, rel=1e-4)


def test_dropout_in_chunks_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    root = write_tiny_data(tmp_path / "data")
    config = tiny_config(
        model=ModelConfig(kind="compact", settings=DROPPING),
        phases=tuple(phase.replace(epochs=1) for phase in tiny_config().phases),
        chunk_size=4,
    )
    whole = train(tmp_path / "whole", config, root=root)
    train(tmp_path / "cut", config, root=root, stop_at=7)
    cut = train(tmp_path / "cut", config, root=root)
    weights = cut.trainer.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in whole.trainer.model.state_dict().items())


def test_batch_norms_do_not_count_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Normed(TinyTrunk):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(self.out_channels)

    monkeypatch.setitem(TRUNKS, "mobilenetv2", Normed)
    root = write_tiny_data(tmp_path / "data")
    with pytest.raises(ConfigError, match="batch norms, which would see one chunk of a batch: leave out chunk_size"):
        build_run(tiny_config(chunk_size=4), root=root, folder=tmp_path, device="cpu", provenance={})


def test_mtgfe_has_nothing_to_chunk() -> None:
    with pytest.raises(ConfigError, match="chunk_size: recipe mtgfe does not heed that"):
        TrainConfig(
            name="a",
            recipe="mtgfe",
            data=tiny_config().data,
            model=ModelConfig(kind="fusion"),
            phases=tiny_config().phases,
            chunk_size=8,
        )
