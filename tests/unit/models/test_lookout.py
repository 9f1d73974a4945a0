"""The lookout dual encoder: its two sides compute what the networks that they start from compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from rsitr.errors import ConfigError, ModelError
from rsitr.models import load_model
from rsitr.models.efficientnet import EfficientNetLite, convert_efficientnet_lite
from rsitr.models.lookout import LookoutConfig, LookoutText, convert_minilm, quantise_rows
from rsitr.models.preparing import SEP_ID
from tiny import write_tiny_lookout


def googles_names(model: nn.Module) -> dict[str, Tensor]:
    """The weights of timm's EfficientNet-Lite, named as in Google's."""
    weights = model.state_dict()
    places = [(stage, unit) for stage, units in enumerate(model.blocks) for unit in range(len(units))]
    out: dict[str, Tensor] = {}
    pairs = [("conv_stem", "_conv_stem"), ("bn1", "_bn0"), ("conv_head", "_conv_head"), ("bn2", "_bn1")]
    for flat, (stage, unit) in enumerate(places):
        first = "conv_dw bn1 conv_pw bn2" if stage == 0 else "conv_pw bn1 conv_dw bn2 conv_pwl bn3"
        named = "_depthwise_conv _bn1 _project_conv _bn2"
        named = named if stage == 0 else f"_expand_conv _bn0 {named}"
        pairs += [
            (f"blocks.{stage}.{unit}.{theirs}", f"_blocks.{flat}.{ours}")
            for theirs, ours in zip(first.split(), named.split(), strict=True)
        ]
    for theirs, ours in pairs:
        out |= {
            ours + name.removeprefix(theirs): value for name, value in weights.items() if name.startswith(f"{theirs}.")
        }
    return out


@pytest.mark.parametrize("name", ["lite0", "lite2"])
def test_the_trunk_computes_what_the_network_with_batch_norm_does(name: str) -> None:
    torch.manual_seed(0)
    reference = timm.create_model(f"tf_efficientnet_{name}", pretrained=False, num_classes=0).eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
    trunk = EfficientNetLite(name).eval()  # type: ignore[arg-type]
    trunk.load_state_dict(convert_efficientnet_lite(googles_names(reference), name))  # type: ignore[arg-type]
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        maps, expected = trunk(images), reference.forward_features(images * 2 - 1)
    assert maps.fine.shape == (2, trunk.fine_channels, 6, 6)
    assert maps.coarse.shape == (2, 1280, 3, 3)
    assert expected.std() > 0.01
    torch.testing.assert_close(maps.coarse, expected, atol=1e-4, rtol=1e-4)


def test_stochastic_depth_leaves_out_branches_in_training_only() -> None:
    torch.manual_seed(0)
    trunk = EfficientNetLite("lite0", drop_path=0.9)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(trunk(images).coarse, trunk(images).coarse)
        assert torch.equal(trunk.eval()(images).coarse, trunk(images).coarse)


def test_the_text_side_computes_what_bert_does() -> None:
    torch.manual_seed(0)
    sizes = BertConfig(hidden_size=384, num_hidden_layers=2, num_attention_heads=12, intermediate_size=1536)
    reference = BertModel(sizes).eval()
    text = LookoutText(LookoutConfig(text_layers=2)).eval()
    missing = text.load_state_dict(convert_minilm(reference.state_dict(), layers=2), strict=False).missing_keys
    assert missing == ["project.weight", "project_local.weight"]
    ids = torch.tensor([[101, 2000, 3000, SEP_ID, 0, 0], [101, 7, 8, 9, 10, SEP_ID]])
    mask = ids != 0
    with torch.no_grad():
        hidden = reference(ids, attention_mask=mask.long()).last_hidden_state
        found = text(ids)
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    # The embeddings are kept in eight bits.
    assert torch.cosine_similarity(found.global_emb, mean).min() > 0.9995
    with torch.no_grad():
        torch.testing.assert_close(found.global_emb[:1], text(ids[:1, :4]).global_emb)


def test_rows_are_kept_within_half_a_step() -> None:
    rows = torch.randn(50, 384) * torch.logspace(-3, 1, 50)[:, None]
    whole, scale = quantise_rows(rows)
    assert whole.dtype == torch.int8
    assert ((whole * scale[:, None] - rows).abs() <= scale[:, None] * 0.5001).all()
    assert not quantise_rows(torch.zeros(1, 4))[0].any()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"trunk": "lite9"}, "trunk is 'lite9'; it may be lite0 or lite2"),
        ({"image_size_px": 200}, "multiple of 32"),
        ({"grid": 0}, "grid must be a whole number"),
        ({"drop_path": 1.0}, "drop_path must be at least 0 and below 1"),
        ({"context_length": 513}, "at most 512"),
    ],
)
def test_sizes_that_make_no_sense_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        LookoutConfig(**settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_lookout(tmp_path_factory.mktemp("lookout"))


def test_a_checkpoint_encodes_pictures_and_texts(folder: Path) -> None:
    model = load_model(str(folder), device="cpu")
    assert model.model.text.words.dtype == torch.int8
    pictures = model.encode_images([np.full((50, 70, 3), value, np.uint8) for value in (20, 200)])
    assert pictures.global_emb.shape == (2, model.dim)
    assert pictures.tokens.shape == (2, 4, 256)
    texts = model.encode_texts(["a lake", "a lake a road a lake a road a lake", "A Lake"])
    np.testing.assert_array_equal(texts.token_mask.sum(axis=1), [2, 6, 2])  # the words, as far as eight tokens reach
    np.testing.assert_allclose(np.linalg.norm(texts.global_emb, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(texts.global_emb[0], texts.global_emb[2], atol=1e-6)
    np.testing.assert_allclose(texts.global_emb[0], model.encode_texts(["a lake"]).global_emb[0], atol=1e-5)


def test_a_checkpoint_without_its_vocabulary_says_so(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(ModelError, match=r"vocab\.txt"):
        load_model(str(tmp_path), device="cpu")
