"""Models by their short names: small ones with random weights, in the published form, where the name looks for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory
from safetensors.torch import save_file
from torch import Tensor

from rasters import write_utm
from rsitr.catalogue import CATALOGUE
from rsitr.errors import ModelError
from rsitr.index import Settings, ingest
from rsitr.models import load_model
from rsitr.models.openclip import OpenClipDualEncoder
from rsitr.search import Index
from rsitr.types import GLOBAL_ONLY

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
VISION = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
TIMM = {"timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "linear", "image_size": 160}
SMALL: dict[str, dict[str, Any]] = {
    "ViT-B-32": {"vision_cfg": VISION, "text_cfg": TEXT},
    "ViT-B-32-quickgelu": {"vision_cfg": VISION, "text_cfg": TEXT, "quick_gelu": True},
    "MobileCLIP2-S0": {"vision_cfg": TIMM, "text_cfg": {**TEXT, "no_causal_mask": True}, "custom_text": True},
}
"""The architectures that short names stand for, in small: a file for them is read by the same code."""


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder where weights are looked for, empty; and the hub's cache, empty, too."""
    before, folders = dict(factory._MODEL_CONFIGS), list(factory._MODEL_CONFIG_PATHS)
    (tmp_path / "small").mkdir()
    for name, config in SMALL.items():
        (tmp_path / "small" / f"{name}.json").write_text(json.dumps({"embed_dim": 16, **config}), encoding="utf-8")
    open_clip.add_model_config(tmp_path / "small")
    monkeypatch.setenv("RSITR_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    yield tmp_path / "models"
    factory._MODEL_CONFIGS.clear()
    factory._MODEL_CONFIGS.update(before)
    factory._MODEL_CONFIG_PATHS[:] = folders


def put(name: str) -> dict[str, Tensor]:
    """Random weights in the form in which those of a name are published, at the place where it looks for them."""
    known = CATALOGUE[name]
    torch.manual_seed(3)
    weights = dict(OpenClipDualEncoder.from_architecture(str(known.architecture)).clip.state_dict())
    place = known.place
    assert place is not None
    place.parent.mkdir(parents=True)
    if place.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in weights.items()}, place)
    elif name.startswith("skyclip"):
        optimizer = {"param_groups": [{"lr": np.float64(1e-9)}]}
        wrapped = {f"module.{key}": value for key, value in weights.items()}
        torch.save({"epoch": 20, "state_dict": wrapped, "optimizer": optimizer}, place)
    else:
        torch.save(weights, place)
    return weights


def picture(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "quick_gelu"),
    [
        ("remoteclip-vit-b-32", True), ("georsclip-vit-b-32-ret-2", True), ("skyclip-vit-b-32", False),
        ("clip-vit-b-32", True), ("mobileclip2-s0", False),
    ],
)  # fmt: skip
def test_weights_that_a_person_put_there_are_loaded_by_the_short_name(name: str, quick_gelu: bool) -> None:
    weights = put(name)
    encoder = load_model(name, device="cpu")
    assert (encoder.name, encoder.mixture) == (name, GLOBAL_ONLY)
    assert encoder.model.quick_gelu is quick_gelu  # type: ignore[attr-defined]
    for key, value in weights.items():
        torch.testing.assert_close(encoder.model.state_dict()[f"clip.{key}"], value, rtol=0, atol=0)
    clip = open_clip.create_model(CATALOGUE[name].architecture, load_weights=False).eval()
    clip.load_state_dict(weights)
    mean, std = ((0.0,) * 3, (1.0,) * 3) if name.startswith("mobile") else (open_clip.OPENAI_DATASET_MEAN,
                                                                            open_clip.OPENAI_DATASET_STD)  # fmt: skip
    shown = picture(encoder.image_size_px)
    pixels = torch.from_numpy(shown).permute(2, 0, 1)[None].float() / 255
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.inference_mode():
        image = clip.encode_image(pixels, normalize=True).numpy()
        text = clip.encode_text(open_clip.tokenize(["a river"]), normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_images([shown]).global_emb, image, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(["a river"]).global_emb, text, atol=1e-5)
    assert encoder.interpolation == ("bilinear" if name.startswith("mobile") else "bicubic")


def test_an_index_remembers_the_short_name(tmp_path: Path) -> None:
    put("remoteclip-vit-b-32")
    write_utm(tmp_path / "scenes" / "a.tif")
    encoder = load_model("remoteclip-vit-b-32", device="cpu")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    index = Index.open(tmp_path / "index", device="cpu")
    assert index.model.name == "remoteclip-vit-b-32"
    assert len(index.search("a river", k=2)) == 2


def test_what_the_hub_s_cache_holds_is_the_same_model_as_a_file(models: Path, tmp_path: Path) -> None:
    put("remoteclip-vit-b-32")
    known = CATALOGUE["remoteclip-vit-b-32"]
    before = load_model(known.name, device="cpu").fingerprint
    cached = tmp_path / "hub" / "models--chendelong--RemoteCLIP"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    (cached / "snapshots").mkdir()
    assert known.place is not None
    known.place.parent.rename(cached / "snapshots" / ("0" * 40))
    assert not list(models.rglob("*.pt"))
    assert load_model(known.name, device="cpu").fingerprint == before


@pytest.mark.parametrize("name", [known.name for known in CATALOGUE.values() if not known.is_packaged])
def test_without_a_network_one_line_says_what_to_fetch_whence_and_where_to_put_it(name: str, models: Path) -> None:
    known = CATALOGUE[name]
    with pytest.raises(ModelError) as raised:
        load_model(name, device="cpu")
    said = str(raised.value)
    assert "\n" not in said
    assert said.startswith(f"{name}: its weights are not here, and ")
    assert known.address in said
    assert str(models / name) in said
    assert f"{known.size_bytes / 1e6:,.0f} MB" in said


def test_a_hub_that_cannot_be_found_is_not_asked_again_and_again(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client would for half a minute, with two lines each time."""

    def unknown(*_: object, **__: object) -> list[object]:
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("rsitr.models.shortnames.getproxies", dict)
    monkeypatch.setattr("socket.getaddrinfo", unknown)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: pytest.fail("asked"))
    with pytest.raises(ModelError, match="and the hub cannot be reached; download"):
        load_model("remoteclip-vit-b-32", device="cpu")


def test_other_weights_in_its_place_are_refused() -> None:
    put("skyclip-vit-b-32")
    place, wrong = CATALOGUE["skyclip-vit-b-32"].place, CATALOGUE["mobileclip2-s0"].place
    assert place is not None
    assert wrong is not None
    wrong.parent.mkdir()
    torch.save({"weight": torch.zeros(2)}, place)
    with pytest.raises(ModelError, match="are not those of ViT-B-32"):
        load_model("skyclip-vit-b-32", device="cpu")
    wrong.write_bytes(b"<html>")
    with pytest.raises(ModelError, match="a web page in place of the weights"):
        load_model("mobileclip2-s0", device="cpu")


def test_a_name_that_is_none_says_where_they_are_listed() -> None:
    with pytest.raises(ModelError, match="`rsitr models` lists more"):
        load_model("remoteclip", device="cpu")
