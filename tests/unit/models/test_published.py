"""Published weights files: each loads under the plain name of its architecture, with the activation that it needs."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory
from torch import Tensor

from rsitr.errors import ModelError
from rsitr.models import load_model, openclip
from rsitr.models.openclip import OpenClipDualEncoder
from rsitr.models.published import find_published

SIZES = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture(autouse=True)
def _architecture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`tiny-published`: CLIP's structure, GELU under the plain name."""
    before = dict(factory._MODEL_CONFIGS)
    folders = list(factory._MODEL_CONFIG_PATHS)
    folder = tmp_path_factory.mktemp("clips")
    (folder / "tiny-published.json").write_text(json.dumps(SIZES), encoding="utf-8")
    quick = json.dumps(SIZES | {"quick_gelu": True})
    (folder / "tiny-published-quickgelu.json").write_text(quick, encoding="utf-8")
    open_clip.add_model_config(folder)
    yield
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(before)
    factory._MODEL_CONFIG_PATHS[:] = folders


@pytest.fixture
def weights() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(OpenClipDualEncoder.from_architecture("tiny-published").clip.state_dict())


def as_released(weights: dict[str, Tensor]) -> object:
    """RemoteCLIP, GeoRSCLIP: the model's own state dict and nothing else."""
    return weights


def as_trained(weights: dict[str, Tensor]) -> object:
    """SkyCLIP: what open_clip's training leaves, with the names of data parallelism and a learning rate of numpy's."""
    optimizer = {"state": {}, "param_groups": [{"lr": np.float64(1e-9), "params": [0]}]}
    return {
        "epoch": 20,
        "name": "SkyCLIP",
        "state_dict": {f"module.{name}": value for name, value in weights.items()},
        "optimizer": optimizer,
        "scaler": {"scale": 65536.0, "growth_factor": 2.0},
    }


def save(content: object, file: Path, *, numpy_1: bool = False) -> None:
    """`torch.save`; with `numpy_1` as an older numpy would have written it."""
    file.parent.mkdir(exist_ok=True)
    torch.save(content, file)
    if not numpy_1:
        return
    with zipfile.ZipFile(file) as old:
        members = {name: old.read(name) for name in old.namelist()}
    assert any(b"numpy._core" in data for data in members.values())
    with zipfile.ZipFile(file, "w") as new:
        for name, data in members.items():
            new.writestr(name, data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


@pytest.mark.parametrize(
    ("place", "form", "quick_gelu"),
    [
        ("RemoteCLIP-ViT-B-32.pt", as_released, True),
        ("RS5M_ViT-B-32.pt", as_released, True),
        ("RS5M_ViT-B-32_RET-2.pt", as_released, True),
        ("RS5M_ViT-H-14.pt", as_released, False),
        ("SkyCLIP_ViT_B32_top50pct/epoch_20.pt", as_trained, False),
        ("SkyCLIP_ViT_L14_top30pct/epoch_20.pt", as_trained, True),
        ("mine.pt", as_released, False),
    ],
)
def test_a_published_file_gets_its_activation(
    *,
    place: str,
    form: Callable[[dict[str, Tensor]], object],
    quick_gelu: bool,
    weights: dict[str, Tensor],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    save(form(weights), tmp_path / place)
    with caplog.at_level(logging.WARNING, logger="rsitr.models.openclip"):
        encoder = load_model(f"tiny-published:{tmp_path / place}", device="cpu")
    assert encoder.model.quick_gelu is quick_gelu  # type: ignore[attr-defined]
    assert ("QuickGELU" in caplog.text) is quick_gelu
    expected = OpenClipDualEncoder.from_architecture("tiny-published", quick_gelu=quick_gelu).eval()
    expected.clip.load_state_dict(weights)
    for name, value in expected.clip.state_dict().items():
        torch.testing.assert_close(encoder.model.state_dict()[f"clip.{name}"], value, rtol=0, atol=0)
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    found = encoder.encode_images([picture]).global_emb
    with torch.inference_mode():
        features = expected.image_features(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    unit = torch.nn.functional.normalize(features.global_emb, dim=-1)
    np.testing.assert_allclose(found, unit.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["tiny-published", "tiny-published-quickgelu"])
def test_a_file_of_a_hub_repository_is_fetched_and_known_by_its_name(
    architecture: str, weights: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def download(repository: str, *, filename: str) -> str:
        asked.append((repository, filename))
        path = tmp_path / "snapshots" / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(weights, path)
        return str(path)

    monkeypatch.setattr(openclip, "download_pretrained_from_hf", download)
    encoder = load_model(f"{architecture}:hf-hub:someone/RS/ckpt/RemoteCLIP-ViT-B-32.pt", device="cpu")
    assert asked == [("someone/RS", "ckpt/RemoteCLIP-ViT-B-32.pt")]
    assert encoder.model.quick_gelu  # type: ignore[attr-defined]
    again = load_model(f"{architecture}:{tmp_path / 'snapshots' / 'ckpt' / 'RemoteCLIP-ViT-B-32.pt'}", device="cpu")
    for name, value in encoder.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["someone/RS", "someone/RS/", "someone", "/RS/file.pt", "someone/RS/../../file.pt"])
def test_a_hub_file_needs_a_repository_and_a_path_inside(name: str) -> None:
    with pytest.raises(ModelError, match="names no file in a hub repository: write hf-hub:OWNER/NAME/FILE"):
        load_model(f"tiny-published:hf-hub:{name}", device="cpu")


def test_a_hub_that_cannot_be_reached_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise FileNotFoundError("Failed to download\nand more")

    monkeypatch.setattr(openclip, "download_pretrained_from_hf", fail)
    with pytest.raises(ModelError, match=r"file\.pt cannot be had from the hub or its cache: Failed to download$"):
        load_model("tiny-published:hf-hub:someone/RS/file.pt", device="cpu")


def test_files_of_an_older_numpy_load_too(weights: dict[str, Tensor], tmp_path: Path) -> None:
    save(as_trained(weights), tmp_path / "epoch_20.pt", numpy_1=True)
    assert load_model(f"tiny-published:{tmp_path / 'epoch_20.pt'}", device="cpu").dim == 16


def test_nothing_else_than_weights_and_numbers_is_read(weights: dict[str, Tensor], tmp_path: Path) -> None:
    """A pickle can hold anything; what is no weight and no number is not made."""
    content = {"state_dict": weights, "path": tmp_path}
    save(content, tmp_path / "RemoteCLIP-ViT-B-32.pt")
    with pytest.raises(ModelError, match="it holds Python objects beside tensors"):
        load_model(f"tiny-published:{tmp_path / 'RemoteCLIP-ViT-B-32.pt'}", device="cpu")


@pytest.mark.parametrize(
    "place", ["RemoteCLIP.pt", "my-RemoteCLIP-ViT-B-32.pt", "RS5M_ViT-B-320.pt", "RS5M_ViT-L-14.pt", "epoch_20.pt"]
)
def test_other_files_are_not_taken_for_published_ones(place: str, tmp_path: Path) -> None:
    assert find_published(tmp_path / place) is None
