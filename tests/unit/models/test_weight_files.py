"""Weights files as people have them: read where they are weights, and told what they are where not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory
from safetensors.torch import save_file
from torch import Tensor

from rsitr.errors import ModelError
from rsitr.models import load_model
from rsitr.models.openclip import OpenClipDualEncoder

SIZES = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}

Weights = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _architecture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before, folders = dict(factory._MODEL_CONFIGS), list(factory._MODEL_CONFIG_PATHS)
    folder = tmp_path_factory.mktemp("clips")
    (folder / "tiny-file.json").write_text(json.dumps(SIZES), encoding="utf-8")
    open_clip.add_model_config(folder)
    yield
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(before)
    factory._MODEL_CONFIG_PATHS[:] = folders


@pytest.fixture
def weights() -> Weights:
    torch.manual_seed(0)
    state = OpenClipDualEncoder.from_architecture("tiny-file").clip.state_dict()
    return {name: value.clone() for name, value in state.items()}


def prefixed(weights: Weights, prefix: str) -> Weights:
    return {prefix + name: value for name, value in weights.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: prefixed(weights, "module."),
        lambda weights: {"epoch": 3, "model": weights},
        lambda weights: {"epoch": 3, "model_state_dict": weights, "optimizer": {}},
        lambda weights: {"state_dict": prefixed(weights, "module._orig_mod.")},
        lambda weights: prefixed(weights, "_orig_mod."),
        lambda weights: prefixed(weights, "model."),
        lambda weights: {"epoch": 1, "state_dict": {"model": prefixed(weights, "clip.")}},
        lambda weights: weights | {"logit_scale": weights["logit_scale"].reshape(1)},
    ],
)
def test_what_wraps_weights_is_taken_off(
    tmp_path: Path, weights: Weights, wrap: Callable[[Weights], dict[str, object]]
) -> None:
    torch.save(wrap(weights), tmp_path / "model.pt")
    found = load_model(f"tiny-file:{tmp_path / 'model.pt'}", device="cpu").model.clip.state_dict()  # type: ignore[attr-defined]
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def save(tmp_path: Path, content: object, name: str = "model.pt") -> str:
    torch.save(content, tmp_path / name)
    return f"tiny-file:{tmp_path / name}"


def refuse(name: str) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(name, device="cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_that_do_not_fit_are_named(tmp_path: Path, weights: Weights) -> None:
    few = {name: value for name, value in weights.items() if name != "ln_final.bias"}
    assert "not those of tiny-file (ln_final.bias missing); name the architecture" in refuse(save(tmp_path, few))
    many = weights | {"adapter.weight": torch.ones(2)}
    assert "(adapter.weight too many)" in refuse(save(tmp_path, many))
    wide = weights | {"ln_final.bias": torch.ones(64)}
    assert "(ln_final.bias is (64,) in place of (32,))" in refuse(save(tmp_path, wide))
    assert "belong to another kind of model" in refuse(save(tmp_path, {"layer.weight": torch.ones(2)}))
    hugging = {"text_model.embeddings.weight": torch.ones(2), "vision_model.embeddings.weight": torch.ones(2)}
    assert "Hugging Face's transformers" in refuse(save(tmp_path, hugging))
    broken = weights | {"ln_final.bias": torch.full((32,), float("nan"))}
    assert "hold NaN or infinity (ln_final.bias)" in refuse(save(tmp_path, broken))


@pytest.mark.parametrize("length", [40, 100])
def test_another_context_length_is_said_and_not_interpolated(tmp_path: Path, weights: Weights, length: int) -> None:
    other = weights | {"positional_embedding": torch.randn(length, 32)}
    said = refuse(save(tmp_path, other))
    assert f"these weights read texts of {length} tokens, tiny-file reads 77" in said


def test_another_picture_size_is_said(tmp_path: Path, weights: Weights, caplog: pytest.LogCaptureFixture) -> None:
    other = weights | {"visual.positional_embedding": torch.randn(1 + 64, 32)}
    with caplog.at_level(logging.WARNING):
        load_model(save(tmp_path, other), device="cpu")
    assert "was trained with pictures of another size" in caplog.text


def test_what_is_no_weights_is_called_what_it_is(tmp_path: Path, weights: Weights) -> None:
    file = tmp_path / "file.pt"
    name = f"tiny-file:{file}"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 605\n")
    assert "git lfs pull" in refuse(name)
    file.write_text("<!DOCTYPE html><html>")
    assert "a web page in place of the weights" in refuse(name)
    torch.save(weights, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "damaged or cut off: copy or download it again" in refuse(name)
    save_file(weights, tmp_path / "file.safetensors")
    short = (tmp_path / "file.safetensors").read_bytes()[:-100]
    (tmp_path / "file.safetensors").write_bytes(short)
    assert "damaged or cut off" in refuse(f"tiny-file:{tmp_path / 'file.safetensors'}")
    assert "there are no weights in it (epoch, note)" in refuse(save(tmp_path, {"epoch": 3, "note": "x"}))
    whole_model = torch.nn.Linear(2, 2)
    assert "Python objects beside tensors" in refuse(save(tmp_path, whole_model))
    with pytest.warns(FutureWarning):
        torch.jit.script(whole_model).save(str(file))
    assert "a TorchScript archive" in refuse(name)
    file.write_bytes(np.random.default_rng(0).bytes(200))
    assert "not a file of weights" in refuse(name) or "Python objects" in refuse(name)
