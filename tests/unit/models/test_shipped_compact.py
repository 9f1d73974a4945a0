"""The packaged default model: what it holds, what it was trained on, and that all of it was trained."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rsitr.data import CaptionedImage, load_dataset
from rsitr.models import load_checkpoint, load_model
from rsitr.models.checkpoint import PACKAGED
from rsitr.models.convert import CONVERTERS

FOLDER = PACKAGED / "compact"
INITIAL = "resnet50v2_gluon_stages123.fp16.safetensors"


def test_it_fits_on_60_mb_and_carries_no_training_head() -> None:
    size = sum(path.stat().st_size for path in FOLDER.iterdir())
    assert size <= 60e6
    names = load_checkpoint(FOLDER).weights
    assert all(name.split(".")[0] in ("image", "text") for name in names)


def test_its_card_says_how_to_train_it_again() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "rsitr train compact-rsicd-ucm" in card
    assert load_checkpoint(FOLDER).config.training["config"]["model"]["init_sha256"] in card


def test_it_puts_a_picture_nearer_to_its_own_words() -> None:
    model = load_model("compact", device="cpu")
    rng = np.random.default_rng(0)
    sea = np.clip(rng.normal((40, 80, 110), 4, (224, 224, 3)), 0, 255).astype(np.uint8)
    texts = model.encode_texts(["a piece of dark blue water of the ocean", "many planes are parked in an airport"])
    image = model.encode_images([sea])
    assert texts.global_emb.shape == (2, model.dim)
    np.testing.assert_allclose(np.linalg.norm(texts.global_emb, axis=1), 1, rtol=1e-5)
    ocean, airport = texts.global_emb @ image.global_emb[0]
    assert ocean > airport


def test_no_tensor_of_the_initial_weights_is_shipped_unchanged(real_data: Path) -> None:
    """Neither as it came nor as the conversion leaves it, in the precision it is stored in."""
    initial = load_file(real_data / "init" / INITIAL)
    folded = CONVERTERS["resnet50v2"](initial)
    shipped = load_file(FOLDER / "model.safetensors")
    before = {_checksum(tensor, dtype) for tensor in (*initial.values(), *folded.values()) for dtype in _DTYPES}
    unchanged = [name for name, tensor in shipped.items() if _checksum(tensor, tensor.dtype) in before]
    assert unchanged == []


@pytest.mark.parametrize(("name", "split"), [("rsicd", "val"), ("ucm", "val")])
def test_no_validation_picture_was_trained_on(real_data: Path, name: str, split: str) -> None:
    training = load_checkpoint(FOLDER).config.training
    seen = [image.image_id for part in ("rsicd", "ucm") for image in _split(real_data, part, "train")]
    digest = hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()
    assert digest == training["ids_sha256"], "the checkpoint was trained on other pictures than the train splits"
    assert not {image.image_id for image in _split(real_data, name, split)} & set(seen)


_DTYPES = (torch.float16, torch.float32)


def _checksum(tensor: torch.Tensor, dtype: torch.dtype) -> str:
    return hashlib.sha256(tensor.to(dtype).contiguous().numpy().tobytes()).hexdigest()


def _split(root: Path, name: str, split: str) -> tuple[CaptionedImage, ...]:
    return load_dataset(f"{name}:{root / name}").split(split)
