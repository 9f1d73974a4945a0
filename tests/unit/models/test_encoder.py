from __future__ import annotations

import numpy as np
import pytest
import torch

from rsitr.errors import ConfigError
from rsitr.models import TorchEncoder, choose_device, local_mask
from rsitr.models.bpe import clip_tokenizer
from rsitr.models.compact import TRUNKS
from rsitr.models.dual import Features
from rsitr.models.encoder import inference
from rsitr.models.preparing import cut_padding
from rsitr.types import Encoder
from tiny import TinyTrunk, tiny_encoder, tiny_model

TEXTS = ["a farm", "two white planes near a long grey runway", "a !~ b !~ c"]


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> TorchEncoder:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    return tiny_encoder(tiny_model())


def pictures(n: int, *, height: int = 50, width: int = 40) -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8) for seed in range(n)]


def test_it_is_an_encoder(encoder: TorchEncoder) -> None:
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.fingerprint, encoder.dim, encoder.image_size_px) == ("tiny", "0" * 64, 16, 32)
    assert encoder.mixture.beta == 0


def test_pictures_become_unit_vectors_and_patches(encoder: TorchEncoder) -> None:
    found = encoder.encode_images(pictures(5), batch_size=2)
    assert len(found) == 5
    assert (found.global_emb.dtype, found.tokens.dtype) == (np.float32, np.float32)
    assert found.tokens.shape == (5, 4, 16)
    np.testing.assert_allclose(np.linalg.norm(found.global_emb, axis=1), 1, rtol=1e-5)


def test_the_size_of_batches_does_not_matter(encoder: TorchEncoder) -> None:
    one, all_ = (encoder.encode_images(pictures(5), batch_size=size) for size in (1, 5))
    np.testing.assert_allclose(one.global_emb, all_.global_emb, atol=1e-5)
    one_text, all_text = (encoder.encode_texts(TEXTS, batch_size=size) for size in (1, 5))
    np.testing.assert_allclose(one_text.global_emb, all_text.global_emb, atol=1e-5)
    np.testing.assert_allclose(one_text.tokens, all_text.tokens, atol=1e-5)


def test_a_cpu_gets_few_pictures_at_once(encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its allocator hands large feature maps back to the system, and that is slow."""
    sizes = []
    encode = encoder.model.image_features

    def count(batch: torch.Tensor) -> Features:
        sizes.append(len(batch))
        return encode(batch)

    monkeypatch.setattr(encoder.model, "image_features", count)
    assert len(encoder.encode_images(pictures(37))) == 37
    assert sizes == [16, 16, 5]


def test_texts_are_cut_to_the_longest_and_their_words_count(encoder: TorchEncoder) -> None:
    found = encoder.encode_texts(TEXTS)
    ids = clip_tokenizer(24)(TEXTS)
    lengths = (ids == 49407).int().argmax(dim=1) + 1
    assert found.tokens.shape == (3, int(lengths.max()), 16)
    assert found.token_mask.sum(axis=1).tolist() == (lengths - 2).tolist()
    assert not found.token_mask[:, 0].any()


def test_a_text_whose_bytes_have_id_0_keeps_its_end(encoder: TorchEncoder) -> None:
    """`!` inside a word is id 0, which also pads: alone or among others, the text is encoded to its end."""
    alone, among = encoder.encode_texts([TEXTS[2]]), encoder.encode_texts(TEXTS)
    ids = clip_tokenizer(24)([TEXTS[2]])[0]
    end = int((ids == 49407).nonzero())
    assert 0 in ids[:end].tolist()
    assert alone.tokens.shape[1] == end + 1
    np.testing.assert_allclose(alone.global_emb[0], among.global_emb[2], atol=1e-5)


def test_all_positions_count_where_the_released_code_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    found = tiny_encoder(tiny_model(), local_tokens="all").encode_texts(TEXTS)
    assert found.tokens.shape == (3, 24, 16)
    assert found.token_mask.all()


def test_local_tokens_by_hand() -> None:
    ids = torch.tensor([[49406, 5, 0, 49407, 0], [49406, 49407, 0, 0, 0]])
    assert local_mask(ids, local_tokens="valid").int().tolist() == [[0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert local_mask(ids, local_tokens="valid_sos").int().tolist() == [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]
    assert local_mask(ids, local_tokens="all").int().tolist() == [[1] * 5] * 2
    assert cut_padding(ids).tolist() == ids[:, :4].tolist()


def test_nothing_gives_empty_arrays(encoder: TorchEncoder) -> None:
    images, texts = encoder.encode_images([]), encoder.encode_texts([])
    assert (images.global_emb.shape, len(images)) == ((0, 16), 0)
    assert (texts.global_emb.shape, texts.token_mask.shape) == ((0, 16), (0, 0))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_squash_shows_the_whole_picture_and_crop_its_centre(
    interpolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    picture = np.zeros((100, 300, 3), dtype=np.uint8)
    picture[:, 100:200, 0] = 255  # the middle third is red
    squash, crop = (
        tiny_encoder(tiny_model(), resize=resize, interpolation=interpolation).preprocess(picture)
        for resize in ("squash", "crop")
    )
    assert squash.shape == crop.shape == (3, 32, 32)
    assert 0.3 < squash[0].mean().item() < 0.37
    assert crop[0].min().item() > 0.85
    assert crop[1:].max().item() == 0


def test_a_picture_of_the_right_size_is_left_alone(encoder: TorchEncoder) -> None:
    picture = pictures(1, height=32, width=32)[0]
    found = encoder.preprocess(picture)
    assert np.array_equal((found * 255).round().permute(1, 2, 0).numpy().astype(np.uint8), picture)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (3, 7), (500, 20)])
def test_odd_pictures_are_encoded(encoder: TorchEncoder, shape: tuple[int, int]) -> None:
    found = encoder.encode_images([np.full((*shape, 3), 100, dtype=np.uint8)])
    assert np.isfinite(found.global_emb).all()


def test_a_view_of_a_picture_is_encoded(encoder: TorchEncoder) -> None:
    picture = pictures(1)[0]
    turned, copied = encoder.encode_images([picture[::-1, ::-1]]), encoder.encode_images([picture[::-1, ::-1].copy()])
    np.testing.assert_array_equal(turned.global_emb, copied.global_emb)


def test_inference_puts_the_mode_back() -> None:
    module = torch.nn.Dropout()
    for training in (True, False):
        module.train(training)
        with inference(module):
            assert not module.training
            assert torch.is_inference_mode_enabled()
        assert module.training is training


def test_another_form_of_the_model_leaves_the_mode_alone(encoder: TorchEncoder) -> None:
    """A wrapper is in training mode when it is made; were that put back, words would be encoded with dropout."""
    wrapper = torch.nn.Module()
    wrapper.model = encoder.model
    wrapper.image_features = encoder.model.image_features  # type: ignore[assignment]
    encoder.set_image_model(wrapper, name="wrapped")
    encoder.encode_images(pictures(1))
    assert not encoder.model.training


@pytest.mark.parametrize("name", ["cpux", "cuda:99", "", "meta"])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"device '{name}' cannot be used \(.+\); use cpu"):
        choose_device(name)


def test_the_default_device_can_be_used() -> None:
    assert choose_device(None).type in ("cpu", "cuda")
    assert choose_device("cpu") == torch.device("cpu")
