"""The fast path is taken where it is faithful and faster, and only there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsitr.errors import ModelError
from rsitr.models import fast
from rsitr.models.encoder import TorchEncoder
from rsitr.models.fast import FAITHFUL, accelerate, trial_pictures
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
    trials_say(monkeypatch, (1.0, speedup), (cosine, 1.0))


def trials_say(monkeypatch: pytest.MonkeyPatch, *trials: tuple[float, float]) -> None:
    """Each trial's cosine with the first, and its seconds."""
    vectors = [np.array([[cosine, np.sqrt(1 - cosine**2)]], dtype=np.float32) for cosine, _ in trials]
    answers = iter([(vector, time_s) for vector, (_, time_s) in zip(vectors, trials, strict=True)])
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
    pictures = trial_pictures(encoder.image_size_px)
    vectors, time_s = fast._trial(encoder, pictures)
    assert (vectors.shape, time_s > 0) == ((2, encoder.dim), True)
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(2), abs=1e-5)


def test_the_fastest_faithful_path_of_several_is_taken_and_all_are_told(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "_candidates", lambda *_, **__: iter([(name, encoder.model) for name in "abc"]))
    trials_say(monkeypatch, (1.0, 6.0), (0.9995, 3.0), (0.99, 1.0), (1.0, 2.0))
    path = accelerate(encoder)
    assert (path.name, path.speedup) == (encoder.image_path, 3.0) == ("c", 3.0)
    assert [tried.name for tried in path.tried] == ["a", "b", "c"]
    assert path.describe() == "c (3.0 times fp32, cosine 1.00000)"


def test_amp_is_tried_on_a_gpu(encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "device", torch.device("cuda"))
    assert [name for name, _ in fast._candidates(encoder, onnx=None)] == [
        "bf16 weights on cuda",
        "AMP bfloat16 on cuda",
    ]
    monkeypatch.setattr(fast, "has_bf16", lambda device: False)
    ((name, model),) = fast._candidates(encoder, onnx=None)
    assert name == "AMP float16 on cuda"
    monkeypatch.setattr(encoder, "device", torch.device("cpu"))
    expected = encoder.encode_images(PICTURES).global_emb
    encoder.set_image_model(fast._Autocast(encoder.model, torch.bfloat16), name=name)
    found = encoder.encode_images(PICTURES).global_emb
    assert not np.array_equal(found, expected)
    assert (found * expected).sum(axis=1).min() >= FAITHFUL
    assert model.dtype == torch.float16


def test_compilation_is_tried_on_request(encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torch, "compile", lambda function: asked.append(function) or function)
    trials_say(monkeypatch, (1.0, 6.0), (1.0, 3.0), (1.0, 2.0))
    assert accelerate(encoder, compiled=True).name == "bf16 weights, compiled, on cpu"
    assert len(asked) == 1
    assert encoder.encode_images(PICTURES).global_emb.shape == (3, encoder.dim)

    def fail(function: object) -> None:
        raise RuntimeError("no compiler\nin many lines")

    monkeypatch.setattr(torch, "compile", fail)
    trials_say(monkeypatch, (1.0, 6.0), (1.0, 3.0))
    with pytest.raises(ModelError, match=r"torch.compile cannot be used here \(no compiler\); leave out --compile"):
        accelerate(encoder, compiled=True)
    assert encoder.image_path == "bf16 weights on cpu"


@pytest.mark.slow
def test_a_compiled_model_is_faithful_for_batches_of_any_size() -> None:
    encoder = tiny_encoder(tiny_model())
    expected = encoder.encode_images(PICTURES).global_emb
    encoder.set_image_model(fast._Compiled(encoder.model), name="compiled")
    for count in (2, 3, 1):
        found = encoder.encode_images(PICTURES[:count]).global_emb
        assert (found * expected[:count]).sum(axis=1).min() >= FAITHFUL
