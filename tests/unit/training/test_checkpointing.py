"""Activations that are computed again: the same training to the last bit, with less to keep."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from fusions import compact_fusion, paper_fusion
from rsitr.config import KerConfig, ModelConfig
from rsitr.errors import ConfigError
from rsitr.models.compact import TRUNKS
from rsitr.models.openclip import OpenClipDualEncoder
from rsitr.models.trunk import MobileNetV2
from rsitr.training.checkpointing import checkpoint_blocks
from rsitr.training.runs import build_run
from tiny import SIZES, TinyTrunk, tiny_config, tiny_model, write_tiny_data


def learn(model: nn.Module, look: Callable[[nn.Module], Tensor]) -> tuple[list[Tensor], int]:
    """Gradients in training mode, and how many numbers autograd kept for them."""
    model.train()
    model.zero_grad()
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        if not isinstance(value, nn.Parameter):
            kept[value.data_ptr()] = value.numel()
        return value

    torch.manual_seed(3)
    with saved_tensors_hooks(keep, lambda value: value):
        out = look(model)
    out.square().sum().backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    return gradients, sum(kept.values())


def pictures(size_px: int) -> Tensor:
    return torch.rand(4, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))


def words() -> Tensor:
    ids = torch.randint(1, 400, (4, 12), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, 9], ids[:, 10:] = 49406, 49407, 0
    return ids


def fusion_pass(model: nn.Module) -> Tensor:
    size_px, n_words = model.image_size_px, model.text.words.num_embeddings if hasattr(model.text, "words") else 49408
    texts = model.text_states(words().clamp(max=n_words - 1))  # type: ignore[operator]
    images = model.image_features(pictures(size_px))  # type: ignore[operator,arg-type]
    sequence = torch.cat([images.global_emb[:, None], images.tokens], dim=1)
    return model.fusion(texts.tokens, mask=texts.mask, image=sequence)  # type: ignore[operator,no-any-return]


def build_clip() -> nn.Module:
    torch.manual_seed(0)
    tower = {"layers": 3, "width": 64, "head_width": 32}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3}
    clip = open_clip.CLIP(embed_dim=32, vision_cfg=vision, text_cfg=text)
    return OpenClipDualEncoder(clip, preprocess={"mean": (0.5,) * 3, "std": (0.2,) * 3, "size": 32})


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[..., Tensor]]] = {
    "compact images": (
        lambda: tiny_model(dropout=0.3, patch_dropout=0.25, image_layers=3, members=2),
        lambda model: model.image_features(pictures(32)).tokens,
    ),
    "compact texts": (
        lambda: tiny_model(dropout=0.3, text_layers=3),
        lambda model: model.text_features(words()).tokens,
    ),
    "trunk": (MobileNetV2, lambda model: model(pictures(64))),
    "open_clip images": (build_clip, lambda model: model.image_features(pictures(32)).tokens),
    "open_clip texts": (build_clip, lambda model: model.text_features(words()).tokens),
    "paper's fusion": (paper_fusion, fusion_pass),
    "compact fusion": (compact_fusion, fusion_pass),
}


@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_the_same_with_less_to_keep(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    build, look = MODELS[name]
    model = build()
    right, before = learn(model, look)
    assert checkpoint_blocks(model) >= 2
    again, after = learn(model, look)
    assert right
    assert all(bool(gradient.isfinite().all()) for gradient in right)
    assert all(torch.equal(one, other) for one, other in zip(right, again, strict=True))
    assert after < 0.75 * before
    assert checkpoint_blocks(model) >= 2  # once more changes nothing
    assert learn(model, look)[1] == after
    copied = copy.deepcopy(model)  # must call its own blocks
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert all(torch.equal(one, other) for one, other in zip(right, learn(copied, look)[0], strict=True))


def test_a_training_is_the_same_to_the_last_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout, all of EBAKER's loss, and chunks besides."""
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    root = write_tiny_data(tmp_path / "data")
    plain = tiny_config(
        phases=tuple(phase.replace(epochs=1) for phase in tiny_config().phases),
        ker=KerConfig(layers=2, vocabulary="keywords"),
        precision="fp32",
        chunk_size=4,
    )
    runs = []
    for again in (False, True):
        config = plain.replace(activation_checkpointing=again)
        run = build_run(config, root=root, folder=tmp_path / str(again), device="cpu", provenance={})
        run.trainer.run(resume=False)
        runs.append({**run.trainer.model.state_dict(), **run.trainer.recipe.state_dict()})
    assert runs[0].keys() == runs[1].keys()
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())


def test_batch_norms_are_left_as_they_are() -> None:
    """They would count every batch twice."""
    blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(2))
    assert checkpoint_blocks(blocks) == 0


def test_a_model_without_blocks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    root = write_tiny_data(tmp_path / "data")
    config = tiny_config(
        model=ModelConfig(kind="compact", settings=SIZES | {"image_layers": 0, "text_layers": 0}),
        ker=KerConfig(weight=0.0),
        activation_checkpointing=True,
    )
    with pytest.raises(ConfigError, match="no blocks to compute again: leave out activation_checkpointing"):
        build_run(config, root=root, folder=tmp_path / "run", device="cpu", provenance={})
