from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rsitr.errors import ConfigError
from rsitr.models import CompactConfig, CompactDualEncoder
from rsitr.models.bpe import clip_tokenizer
from rsitr.models.compact import TRUNKS
from tiny import SIZES, TinyTrunk, tiny_model

TEXTS = ["a farm", "two white planes near a long grey runway", "!~"]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> CompactDualEncoder:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    return tiny_model().eval()


@pytest.fixture
def ids(model: CompactDualEncoder) -> torch.Tensor:
    return clip_tokenizer(model.context_length)(TEXTS)


def test_shapes(model: CompactDualEncoder, ids: torch.Tensor) -> None:
    images, texts = model.image_features(torch.rand(2, 3, 32, 32)), model.text_features(ids)
    assert (images.global_emb.shape, images.tokens.shape) == ((2, 16), (2, 4, 16))
    assert (texts.global_emb.shape, texts.tokens.shape) == ((3, 16), (3, 24, 16))
    assert (model.dim, model.image_size_px, model.context_length) == (16, 32, 24)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_real_trunks_fit_in_at_any_size(trunk: str) -> None:
    model = tiny_model(trunk=trunk, grid=3).eval()
    for size in (64, 96):
        with torch.inference_mode():
            assert model.image_features(torch.rand(1, 3, size, size)).tokens.shape == (1, 9, 16)


def test_cached_patches_lead_to_the_same_features(model: CompactDualEncoder) -> None:
    pictures = torch.rand(2, 3, 32, 32)
    whole, in_steps = model.image_features(pictures), model.image(model.image.patches(pictures))
    torch.testing.assert_close(in_steps.tokens, whole.tokens)
    torch.testing.assert_close(in_steps.global_emb, whole.global_emb)


def test_padding_does_not_change_a_text(model: CompactDualEncoder, ids: torch.Tensor) -> None:
    long = model.text_features(ids)
    for row, length in enumerate((ids == 49407).int().argmax(dim=1) + 1):
        short = model.text_features(ids[row : row + 1, :length])
        torch.testing.assert_close(short.global_emb[0], long.global_emb[row], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(short.tokens[0], long.tokens[row, :length], rtol=1e-5, atol=1e-6)


def test_what_stands_in_the_padding_is_not_seen(model: CompactDualEncoder, ids: torch.Tensor) -> None:
    other = ids.clone()
    other[0, -3:] = 1000
    torch.testing.assert_close(model.text_features(other).global_emb, model.text_features(ids).global_emb)


def test_words_see_what_follows_them(model: CompactDualEncoder, ids: torch.Tensor) -> None:
    """The text side is bidirectional; a causal one would need no mask of its own."""
    other = ids.clone()
    other[1, 6] = 1000
    assert not torch.allclose(model.text_features(other).tokens[1, 1], model.text_features(ids).tokens[1, 1])


def test_word_order_matters(model: CompactDualEncoder) -> None:
    tokenize = clip_tokenizer(model.context_length)
    one, other = model.text_features(tokenize(["river beside farm", "farm beside river"])).global_emb
    assert not torch.allclose(one, other, atol=1e-4)


def test_dropout_is_for_training_only(monkeypatch: pytest.MonkeyPatch, ids: torch.Tensor) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = tiny_model(dropout=0.5)
    for side, feed in ((model.text_features, ids), (model.image_features, torch.rand(2, 3, 32, 32))):
        model.train()
        assert not torch.equal(side(feed).global_emb, side(feed).global_emb)
        model.eval()
        assert torch.equal(side(feed).global_emb, side(feed).global_emb)


def test_patches_are_dropped_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    side = CompactDualEncoder(CompactConfig(**SIZES, patch_dropout=0.5)).image
    count = side.grid**2
    patches = torch.randn(3, count, side.trunk.out_channels)
    first, second = side.train()(patches), side(patches)
    assert first.tokens.shape[1] == round(count / 2)
    assert not torch.equal(first.global_emb, second.global_emb)
    assert side.eval()(patches).tokens.shape[1] == count
    assert torch.equal(side(patches).global_emb, side(patches).global_emb)


def test_symmetries_make_the_global_feature_the_same_for_a_turned_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    torch.manual_seed(0)
    side = CompactDualEncoder(CompactConfig(**SIZES, symmetries=True)).image.eval()
    square = torch.randn(2, side.grid, side.grid, side.trunk.out_channels)
    as_it_is = side(square.flatten(1, 2))
    for other in (square.rot90(1, (1, 2)), square.flip(1), square.rot90(3, (1, 2)).flip(2)):
        torch.testing.assert_close(side(other.flatten(1, 2)).global_emb, as_it_is.global_emb)
    side.turns = (0,)
    plain = side(square.flatten(1, 2))
    assert torch.equal(plain.tokens, as_it_is.tokens)
    assert not torch.allclose(plain.global_emb, as_it_is.global_emb)
    assert not torch.allclose(plain.global_emb, side(square.flip(1).flatten(1, 2)).global_emb)


def test_a_committee_is_its_members_side_by_side(monkeypatch: pytest.MonkeyPatch, ids: torch.Tensor) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = tiny_model(members=3).eval()
    pictures = torch.rand(2, 3, 32, 32)
    images, texts = model.image_features(pictures), model.text_features(ids)
    assert (model.dim, model.token_dim) == (48, 16)
    assert (images.members, texts.members) == (3, 3)
    assert (images.global_emb.shape, images.tokens.shape) == ((2, 48), (2, 4, 16))
    assert (texts.global_emb.shape, texts.tokens.shape) == ((3, 48), (3, 24, 16))
    image_parts, text_parts = images.global_emb.view(2, 3, 16), texts.global_emb.view(3, 3, 16)
    torch.testing.assert_close(image_parts.norm(dim=-1), torch.ones(2, 3))
    mean = torch.einsum("tmd,imd->tim", text_parts, image_parts).mean(dim=-1)
    torch.testing.assert_close(
        torch.cosine_similarity(texts.global_emb[:, None], images.global_emb[None], dim=-1), mean
    )
    # Members differ, and the first one alone is what a model without the others is.
    assert not torch.allclose(image_parts[:, 0], image_parts[:, 1], atol=1e-2)
    alone = tiny_model().eval()
    alone.load_state_dict({name: value for name, value in model.state_dict().items() if ".others." not in name})
    torch.testing.assert_close(image_parts[:, 0], F.normalize(alone.image_features(pictures).global_emb, dim=-1))
    torch.testing.assert_close(texts.tokens, alone.text_features(ids).tokens)


def test_members_share_the_symmetries_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    side = CompactDualEncoder(CompactConfig(**SIZES, symmetries=True, members=3)).image
    assert [member.turns for member in (side, *side.members)] == [(0, 3, 6), (1, 4, 7), (2, 5)]


def test_patches_can_be_brought_to_one_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    side = tiny_model(patch_norm=True).image.eval()
    patches = torch.randn(2, side.grid**2, side.trunk.out_channels)
    torch.testing.assert_close(side(patches * 50 + 3).global_emb, side(patches).global_emb, rtol=1e-4, atol=1e-4)


def test_packed_words_are_read_as_padded_ones(
    model: CompactDualEncoder, ids: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The padding is left out; in a compiled or exported graph, whose sizes are fixed, it is masked."""
    inside = (ids == 49407).int().argmax(dim=1, keepdim=True) >= torch.arange(ids.shape[1])
    packed = model.text_features(ids)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    padded = model.text_features(ids)
    torch.testing.assert_close(packed.global_emb, padded.global_emb, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(packed.tokens[inside], padded.tokens[inside], rtol=1e-4, atol=1e-5)
    assert not packed.tokens[~inside].any()


def test_every_weight_takes_part(model: CompactDualEncoder, ids: torch.Tensor) -> None:
    images, texts = model.image_features(torch.rand(3, 3, 32, 32)), model.text_features(ids)
    (images.global_emb * texts.global_emb).sum().backward(retain_graph=True)
    (images.tokens.sum(dim=1) * texts.tokens.sum(dim=1)).sum().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not without


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trunk": "vgg"}, "trunk is 'vgg'; it may be resnet50v2, mobilenetv2"),
        ({"members": 0}, "members must be a whole number of at least 1, not 0"),
        ({"dim": 0}, "dim must be a whole number of at least 1, not 0"),
        ({"grid": 2.5}, "grid must be a whole number"),
        ({"image_layers": -1}, "image_layers must be a whole number of at least 0"),
        ({"text_heads": 3}, "text_width 16 cannot be split into text_heads 3"),
        ({"image_heads": 5}, "image_width 16 cannot be split into image_heads 5"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CompactConfig(**(SIZES | change))


def test_the_trunk_is_free_of_batch_norm() -> None:
    for trunk in TRUNKS.values():
        assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in trunk().modules())
