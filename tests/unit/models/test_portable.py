"""A checkpoint with graphs says without torch what it says with it, and graphs of another model are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rsitr.errors import ModelError
from rsitr.models import TorchEncoder, load_encoder, load_model
from rsitr.models.checkpoint import PACKAGED
from rsitr.models.fast import trial_pictures
from rsitr.models.graphs import GRAPHS_FOLDER
from rsitr.models.onnx import export_graphs
from rsitr.models.portable import PortableEncoder
from rsitr.types import Encoder
from tiny import tiny_encoder, tiny_model, write_tiny_lookout

PICTURES = [np.random.default_rng(i).integers(0, 255, (64 + 30 * i, 96, 3), dtype=np.uint8) for i in range(5)]
TEXTS = ["a lake", "a lake a road a lake a road a lake", "roads"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint with graphs."""
    folder = write_tiny_lookout(tmp_path_factory.mktemp("lookout"))
    export_graphs(load_model(str(folder), device="cpu"), folder, pictures=PICTURES)
    return folder


def compare(ours: Encoder, theirs: Encoder, *, pictures: list[np.ndarray], texts: list[str]) -> None:
    for one, other in (
        (ours.encode_images(pictures), theirs.encode_images(pictures)),
        (ours.encode_texts(texts), theirs.encode_texts(texts)),
    ):
        assert one.global_emb.shape == other.global_emb.shape
        assert one.tokens.shape == other.tokens.shape
        assert (one.global_emb * other.global_emb).sum(axis=1).min() > 0.9999
        assert np.abs(one.tokens - other.tokens).max() < 0.02 * np.abs(other.tokens).max()


def test_both_engines_give_the_same_vectors(folder: Path) -> None:
    ours, theirs = load_encoder(str(folder)), load_model(str(folder), device="cpu")
    assert isinstance(ours, PortableEncoder)
    assert isinstance(theirs, TorchEncoder)
    compare(ours, theirs, pictures=PICTURES, texts=TEXTS)
    one, other = ours.encode_texts(TEXTS), theirs.encode_texts(TEXTS)
    assert np.array_equal(one.token_mask, other.token_mask)
    names = ("name", "fingerprint", "dim", "image_size_px", "mixture", "rerank", "calibration", "lexicon")
    assert all(getattr(ours, name) == getattr(theirs, name) for name in names)


def test_batches_of_any_size(folder: Path) -> None:
    """Pictures and texts do not depend on those beside them."""
    model = load_encoder(str(folder))
    many = [PICTURES[i % 5] for i in range(37)]
    together, alone = model.encode_images(many, batch_size=30), model.encode_images(many[:5], batch_size=1)
    np.testing.assert_allclose(together.global_emb[:5], alone.global_emb, atol=1e-5)
    np.testing.assert_allclose(together.global_emb[35], alone.global_emb[0], atol=1e-5)
    texts = model.encode_texts([*TEXTS, "a"], batch_size=2)
    np.testing.assert_allclose(texts.global_emb[0], model.encode_texts(["a lake"]).global_emb[0], atol=1e-5)
    assert model.encode_images([]).global_emb.shape == (0, model.dim)
    assert model.encode_texts([]).tokens.shape == (0, 0, 256)


def test_the_default_model_is_the_same_without_torch() -> None:
    """Its graphs were made from these weights' settings; words, calibration and all."""
    ours, theirs = load_encoder("lookout"), load_model("lookout", device="cpu")
    assert isinstance(ours, PortableEncoder)
    texts = ["a river with a bridge", "farmland", "many planes are parked beside a terminal in an airport", "aerodrome"]
    compare(ours, theirs, pictures=[*trial_pictures(300), *PICTURES], texts=texts)
    assert ours.fingerprint == theirs.fingerprint
    assert ours.calibration is not None
    assert theirs.calibration is not None
    assert np.array_equal(ours.calibration.references, theirs.calibration.references)
    for words in ("asdfghjkl in a carpark", "an elephant beside the aerodrome"):
        assert ours.lexicon is not None
        assert theirs.lexicon is not None
        assert ours.lexicon.unknown(words) == theirs.lexicon.unknown(words)


def test_graphs_hold_no_weights() -> None:
    """There is one file of them, whatever runs it."""
    for folder in PACKAGED.glob(f"*/{GRAPHS_FOLDER}"):
        assert sum(file.stat().st_size for file in folder.iterdir()) < 200_000


def test_who_asks_by_words_does_not_wait_for_the_image_side(folder: Path) -> None:
    model = load_encoder(str(folder))
    model.encode_texts(["a lake"])
    assert isinstance(model, PortableEncoder)
    assert list(model._sessions) == ["texts"]


def test_torch_runs_what_has_no_graphs_and_what_asks_for_it(folder: Path, tmp_path: Path) -> None:
    plain = write_tiny_lookout(tmp_path / "plain")
    assert isinstance(load_encoder(str(plain)), TorchEncoder)
    with pytest.raises(Exception, match=r"device 'cuda:99' cannot be used"):
        load_encoder(str(folder), device="cuda:99")


def test_a_gpu_is_worth_waiting_for_when_there_is_much_to_encode(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = tmp_path / "nvidiactl"
    monkeypatch.setattr("rsitr.models.zoo.GPU_FILES", (str(gpu),))
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert isinstance(load_encoder(str(folder), bulk=True), PortableEncoder)
    gpu.touch()
    assert isinstance(load_encoder(str(folder), bulk=True), TorchEncoder)
    assert isinstance(load_encoder(str(folder)), PortableEncoder)
    assert isinstance(load_encoder(str(folder), device="cpu", bulk=True), PortableEncoder)


def test_graphs_of_other_settings_are_refused(folder: Path, tmp_path: Path) -> None:
    other = write_tiny_lookout(tmp_path / "other", grid=4)
    shutil.copytree(folder / GRAPHS_FOLDER, other / GRAPHS_FOLDER)
    with pytest.raises(ModelError, match="the graphs of a model of other settings"):
        load_encoder(str(other))


def test_other_weights_of_the_same_settings_need_no_other_graphs(folder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    from rsitr.models import CheckpointConfig, save_checkpoint

    weights = load_file(folder / "model.safetensors")
    changed = {name: value * 0.9 if value.is_floating_point() else value for name, value in weights.items()}
    settings = json.loads((folder / "config.json").read_text())["model"]
    other = tmp_path / "trained"
    save_checkpoint(other, config=CheckpointConfig(kind="lookout", name="t", model=settings), weights=changed)
    shutil.copy(folder / "vocab.txt", other)
    shutil.copytree(folder / GRAPHS_FOLDER, other / GRAPHS_FOLDER)
    compare(load_encoder(str(other)), load_model(str(other), device="cpu"), pictures=PICTURES, texts=TEXTS)
    before, now = load_encoder(str(folder)).encode_texts(TEXTS), load_encoder(str(other)).encode_texts(TEXTS)
    assert not np.allclose(before.tokens, now.tokens)
    assert isinstance(weights, dict)
    assert torch.is_tensor(changed["text.word_scale"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("texts.onnx", b"no", "cannot be loaded"),
        ("graphs.json", b"{", "cannot be read"),
        ("graphs.json", b'{"format": 9}', "this rsitr reads 1"),
    ],
)
def test_damaged_graphs_are_named(folder: Path, tmp_path: Path, name: str, content: bytes, said: str) -> None:
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / GRAPHS_FOLDER / name).write_bytes(content)
    with pytest.raises(ModelError, match=said):
        load_encoder(str(damaged)).encode_texts(["a lake"])


def test_weights_that_are_not_the_configs_are_refused(folder: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    weights = bytearray((damaged / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match=r"is not what config\.json was saved with"):
        load_encoder(str(damaged))


def test_only_word_pieces_have_graphs(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no vocab\.txt: graphs are for models that read WordPieces"):
        export_graphs(tiny_encoder(tiny_model()), tmp_path, pictures=PICTURES)
