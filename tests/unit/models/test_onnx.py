"""Models as ONNX files: they say what the model says, and an export of another model is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from rsitr.errors import ModelError
from rsitr.models import onnx as exporting
from rsitr.models.encoder import TorchEncoder
from rsitr.models.fast import accelerate, trial_pictures
from rsitr.models.onnx import export_onnx
from tiny import tiny_encoder, tiny_model

PICTURES = [np.random.default_rng(i).integers(0, 255, (64 + i, 96, 3), dtype=np.uint8) for i in range(5)]


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return tiny_encoder(tiny_model(symmetries=True))


@pytest.fixture(scope="module")
def exported(encoder: TorchEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "tiny"
    found = export_onnx(encoder, folder, pictures=trial_pictures(encoder.image_size_px))
    assert min(found.image_cosine, found.text_cosine) > 0.9999
    assert {path.name for path in folder.iterdir()} == {"images.onnx", "texts.onnx", "export.json"}
    return folder


def test_another_program_gets_the_same_vectors(encoder: TorchEncoder, exported: Path) -> None:
    about = json.loads((exported / "export.json").read_text())
    assert (about["fingerprint"], about["dim"], about["context_length"]) == (encoder.fingerprint, encoder.dim, 24)
    images = onnxruntime.InferenceSession(exported / "images.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 5):
        batch = np.stack([encoder.preprocess(picture).numpy() for picture in PICTURES[:count]])
        global_emb, tokens = images.run(["global_emb", "tokens"], {"pictures": batch})
        expected = encoder.encode_images(PICTURES[:count])
        assert np.allclose(global_emb, expected.global_emb, atol=1e-5)
        assert np.allclose(tokens, expected.tokens, atol=1e-4)
    texts = onnxruntime.InferenceSession(exported / "texts.onnx", providers=["CPUExecutionProvider"])
    (words,) = texts.run(["global_emb"], {"ids": encoder.tokenizer(["a small pond"]).numpy()})
    assert np.allclose(words, encoder.encode_texts(["a small pond"]).global_emb, atol=1e-5)


def test_onnx_runtime_is_one_of_the_ways_to_encode(encoder: TorchEncoder, exported: Path) -> None:
    expected = encoder.encode_images(PICTURES)
    path = accelerate(encoder, onnx=exported)
    assert "ONNX Runtime on cpu" in [tried.name for tried in path.tried]
    assert all(tried.cosine > 0.999 for tried in path.tried)
    encoder.set_image_model(
        exporting.OnnxImages(exported, fingerprint=encoder.fingerprint, device=encoder.device), name="ONNX Runtime"
    )
    found = encoder.encode_images(PICTURES, batch_size=2)
    assert np.allclose(found.global_emb, expected.global_emb, atol=1e-4)
    assert found.tokens.shape == expected.tokens.shape
    encoder.set_image_model(None, name="fp32 on cpu")


def test_what_is_no_export_of_this_model_is_refused(exported: Path, tmp_path: Path) -> None:
    other = tiny_encoder(tiny_model(), fingerprint="1" * 64)
    with pytest.raises(
        ModelError, match=r"exported from the model tiny \(fingerprint 000000000000\), not from this one"
    ):
        accelerate(other, onnx=exported)
    with pytest.raises(ModelError, match="holds no export"):
        accelerate(other, onnx=tmp_path)
    damaged = shutil.copytree(exported, tmp_path / "damaged")
    (damaged / "images.onnx").write_bytes(b"no")
    with pytest.raises(ModelError, match="cannot be loaded"):
        accelerate(tiny_encoder(tiny_model()), onnx=damaged)


def test_an_unfaithful_export_is_refused(
    encoder: TorchEncoder, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, trace = tiny_encoder(tiny_model(grid=1)).model, exporting._trace

    def swap(side: Any, example: torch.Tensor, **settings: Any) -> Any:
        return trace(type(side)(other), example, **settings)

    monkeypatch.setattr(exporting, "_trace", swap)
    with pytest.raises(ModelError, match="the exported model is not faithful"):
        export_onnx(encoder, tmp_path / "wrong", pictures=PICTURES)
    assert not (tmp_path / "wrong" / "export.json").exists()


def test_a_model_that_cannot_be_exported(
    encoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("unsupported\nlong")

    monkeypatch.setattr("torch.onnx.export", fail)
    with pytest.raises(ModelError, match=r"this model cannot be exported to ONNX \(unsupported\)"):
        export_onnx(encoder, tmp_path / "x", pictures=PICTURES)


def test_without_the_extra_it_says_what_to_install(
    encoder: TorchEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsitr.extras.has_package", lambda package: package != "onnxscript")
    with pytest.raises(ModelError, match=r'needs onnxscript, which is not installed: pip install "rsitr\[onnx\]"'):
        export_onnx(encoder, tmp_path / "x", pictures=PICTURES)
