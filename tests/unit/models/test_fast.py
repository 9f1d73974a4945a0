"""The fast path is taken where it is faithful and faster, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsitr.models import fast
from rsitr.models.encoder import TorchEncoder
from rsitr.models.fast import FAITHFUL, accelerate
from tiny import tiny_encoder, tiny_model

PICTURES = [np.random.default_rng(i).integers(0, 255, (64 + i, 96, 3), dtype=np.uint8) for i in range(3)]


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> TorchEncoder:
    monkeypatch.setattr(fast, "TRIAL_PICTURES", 2)
    monkeypatch.setattr(fast, "TRIAL_RUNS", 1)
    monkeypatch.setattr(fast, "has_bf16", lambda device: True)
    return tiny_encoder(tiny_model())


def trial_says(monkeypatch: pytest.MonkeyPatch, *, cosine: float, speedup: float) -> None:
    """Two trials: fp32 first, then the candidate."""
    turned = np.array([[cosine, np.sqrt(1 - cosine**2)]], dtype=np.float32)
    answers = iter([(np.array([[1.0, 0.0]], dtype=np.float32), speedup), (turned, 1.0)])
    monkeypatch.setattr(fast, "_trial", lambda *_: next(answers))


def test_halved_weights_give_the_same_vectors_and_leave_words_alone(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, words = encoder.encode_images(PICTURES), encoder.encode_texts(["a river"])
    trial_says(monkeypatch, cosine=0.9999, speedup=2.0)
    path = accelerate(encoder)
    assert (path.name, path.speedup) == ("bf16 weights on cpu", 2.0)
    assert encoder.image_path == path.name
    found = encoder.encode_images(PICTURES)
    assert found.global_emb.dtype == np.float32
    cosines = (found.global_emb * expected.global_emb).sum(axis=1)
    assert cosines.min() >= FAITHFUL
    assert not np.array_equal(found.global_emb, expected.global_emb)  # it is another path indeed
    assert np.array_equal(encoder.encode_texts(["a river"]).global_emb, words.global_emb)
    assert next(encoder.model.parameters()).dtype == torch.float32


@pytest.mark.parametrize(("cosine", "speedup"), [(0.9, 3.0), (1.0, 0.8)])
def test_what_is_unfaithful_or_slower_is_not_taken(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch, cosine: float, speedup: float
) -> None:
    expected = encoder.encode_images(PICTURES[:1]).global_emb
    trial_says(monkeypatch, cosine=cosine, speedup=speedup)
    assert accelerate(encoder).name == encoder.image_path == "fp32 on cpu"
    assert np.array_equal(encoder.encode_images(PICTURES[:1]).global_emb, expected)


def test_without_the_instructions_nothing_is_tried(encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "has_bf16", lambda device: False)
    monkeypatch.setattr(fast, "_trial", lambda *_: pytest.fail("tried"))
    assert accelerate(encoder).name == "fp32 on cpu"


def test_the_trial_measures_the_encoder(encoder: TorchEncoder) -> None:
    pictures = fast._trial_pictures(encoder.image_size_px)
    vectors, time_s = fast._trial(encoder, pictures)
    assert (vectors.shape, time_s > 0) == ((2, encoder.dim), True)
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(2), abs=1e-5)
