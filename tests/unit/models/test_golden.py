"""Checkpoints that older versions wrote are still read: the same names, shapes, settings, fingerprints and outputs.

`tests/data/checkpoints` has of each kind the `config.json` as it was written, and names and shapes of its weights.
The numbers of the weights follow from their names, so that the files are small; what comes out is written down there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fusions import write_vocabulary
from rsitr.errors import ModelError
from rsitr.models import load_model
from rsitr.models.compact import TRUNKS
from rsitr.models.fusion import load_fusion
from rsitr.models.fusion.filter import load_filter
from tiny import TinyTrunk

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "checkpoints"
PICTURE = np.random.default_rng(7).integers(0, 256, (40, 60, 3), dtype=np.uint8)
TEXTS = ["a red square on green ground .", "a building in a field"]
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    "quick_gelu": False,
}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)


@pytest.fixture
def _open_clip(tmp_path: Path) -> Iterator[None]:
    """The architecture `golden-clip`."""
    import open_clip
    from open_clip import factory

    before = list(factory._MODEL_CONFIG_PATHS)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "golden-clip.json").write_text(json.dumps(CLIP))
    open_clip.add_model_config(tmp_path / "clips")
    yield
    factory._MODEL_CONFIG_PATHS[:] = before
    factory._rescan_model_configs()


def fill(name: str, shape: list[int], dtype: str) -> torch.Tensor:
    """A weight's numbers, from its name: near 1 for scales, small otherwise; the same on every machine."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    values = torch.from_numpy(np.asarray(np.random.default_rng(seed).integers(-64, 65, shape) / 256.0))
    if dtype == "int64":
        return torch.ones(shape, dtype=torch.int64)
    if len(shape) == 1 and "norm" in name and name.endswith("weight"):
        values = 1 + values
    return (values.abs() + 0.5 if name.endswith("running_var") else values).to(getattr(torch, dtype))


def restore(kind: str, folder: Path) -> dict[str, Any]:
    """Write the checkpoint folder as it was; returns what was written down about it."""
    about: dict[str, Any] = json.loads((GOLDEN / f"{kind}.json").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(about["config"], encoding="utf-8")
    weights = {name: fill(name, shape, dtype) for name, (shape, dtype) in about["weights"].items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return about


@pytest.mark.usefixtures("_open_clip")
@pytest.mark.parametrize("kind", ["compact", "compact-committee", "open_clip"])
def test_an_old_dual_encoder_comes_back(kind: str, tmp_path: Path) -> None:
    about = restore(kind, tmp_path / "model")
    encoder = load_model(str(tmp_path / "model"), device="cpu")
    assert encoder.fingerprint == about["fingerprint"]
    found = {"mixture": vars_of(encoder.mixture), "rerank": encoder.rerank, "local_tokens": encoder.local_tokens}
    found |= {"resize": encoder.resize, "interpolation": encoder.interpolation}
    assert found == about["inference"]
    images, texts = encoder.encode_images([PICTURE]), encoder.encode_texts(TEXTS)
    for array, name in ((images.global_emb, "image"), (images.tokens, "patches"), (texts.global_emb, "text")):
        np.testing.assert_allclose(array.ravel()[:32], about[name], atol=1e-5)
    assert texts.token_mask.sum(axis=1).tolist() == about["counted"]


@pytest.mark.parametrize("kind", ["fusion", "fusion-compact"])
def test_an_old_fusion_model_and_its_filters_come_back(kind: str, tmp_path: Path) -> None:
    folder = write_vocabulary(tmp_path / "model") if kind == "fusion" else tmp_path / "model"
    about = restore(kind, folder)
    scorer = load_fusion(str(folder), device="cpu", half=False)
    assert scorer.fingerprint == about["fingerprint"]
    images, texts = scorer.encode_images([PICTURE]), scorer.encode_texts(TEXTS)
    np.testing.assert_allclose(scorer.score_all(texts, images).ravel(), about["scores"], atol=1e-5)
    for name in ("filter-mlp", "filter-dot"):
        known = restore(f"{kind}-{name}", tmp_path / name)
        student = load_filter(tmp_path / name, teacher=scorer.fingerprint, device=torch.device("cpu"))
        found = student.score_all(texts=texts.tokens[:, 0], images=images.global_emb)
        np.testing.assert_allclose(found.ravel(), known["scores"], atol=1e-5)
        with pytest.raises(ModelError, match="of kind 'fusion-filter', and a dual encoder"):
            load_model(str(tmp_path / name), device="cpu")
    with pytest.raises(ModelError, match="of kind 'fusion', and a dual encoder"):
        load_model(str(folder), device="cpu")


def vars_of(mixture: Any) -> dict[str, Any]:
    return {"alpha": mixture.alpha, "beta": mixture.beta, "norm": mixture.norm}
