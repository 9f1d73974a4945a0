"""Official checkpoints become a fusion model: what comes out is what the reference implementation computes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusions import BERT_SIZES, VIT_SIZES, compact_fusion, paper_fusion, write_bert
from rsitr.config import load_config, parse
from rsitr.errors import ModelError
from rsitr.models import CheckpointConfig, load_checkpoint, save_checkpoint
from rsitr.models.checkpoint import PACKAGED
from rsitr.models.compact import TRUNKS
from rsitr.models.fusion import FusionConfig, FusionModel
from rsitr.models.fusion.heads import MlmHead
from rsitr.models.fusion.loading import find_pretrained, start_from_bert, start_from_compact, start_from_vit
from rsitr.models.fusion.start import start_fusion
from tiny import TinyTrunk, tiny_model

IDS = torch.tensor([[2, 5, 7, 15, 3, 0, 0], [2, 6, 8, 17, 18, 19, 3]])


@pytest.mark.parametrize("safe", [True, False])
def test_first_layers_are_those_of_bert(tmp_path: Path, safe: bool) -> None:
    reference = write_bert(tmp_path / "bert", safe=safe)
    model = paper_fusion().eval()
    start_from_bert(model, find_pretrained(str(tmp_path / "bert")))
    hidden = reference(IDS, attention_mask=(IDS != 0).long(), output_hidden_states=True).hidden_states[2]
    states = model.text_states(IDS)
    torch.testing.assert_close(states.tokens[states.mask], hidden[IDS != 0], atol=1e-5, rtol=1e-5)


def test_fusion_blocks_are_berts_last_layers_where_the_image_adds_nothing(tmp_path: Path) -> None:
    reference = write_bert(tmp_path / "bert")
    model = paper_fusion().eval()
    started = start_from_bert(model, tmp_path / "bert")
    # BERT has no cross-attention, and what it has no weights for is named.
    assert len(started.initialised) == 2 * 8
    assert all(".cross." in name or ".norm_cross." in name for name in started.initialised)
    x = torch.randn(2, 7, BERT_SIZES["width"])
    mask = IDS != 0
    block, layer = model.fusion.blocks[1], reference.bert.encoder.layer[3]
    ours = block.feed_forward(block.attend_text(x, mask=mask))  # type: ignore[union-attr, operator]
    theirs = layer(x, attention_mask=torch.where(mask, 0.0, -1e9)[:, None, None, :])
    theirs = theirs[0] if isinstance(theirs, tuple) else theirs
    torch.testing.assert_close(ours[mask], theirs[mask], atol=1e-5, rtol=1e-5)


def test_berts_head_for_masked_words_comes_along(tmp_path: Path) -> None:
    reference = write_bert(tmp_path / "bert")
    started = start_from_bert(paper_fusion(), tmp_path / "bert")
    head = MlmHead(width=BERT_SIZES["width"], vocabulary_size=BERT_SIZES["vocabulary_size"])
    assert started.mlm_head is not None
    head.load_state_dict(started.mlm_head)
    u = torch.randn(2, 7, BERT_SIZES["width"])
    labels = torch.where(IDS == 0, -100, IDS)
    logits, classes = head(u, labels=labels)
    torch.testing.assert_close(logits, reference.cls(u)[labels != -100], atol=1e-5, rtol=1e-5)
    assert torch.equal(classes, IDS[IDS != 0])


def test_names_of_the_first_published_files_are_known(tmp_path: Path) -> None:
    """Layer norms had a gamma and a beta, and the output matrix was stored once, as the word embeddings."""
    write_bert(tmp_path / "new")
    modern, old = paper_fusion(), paper_fusion()
    expected = start_from_bert(modern, tmp_path / "new").mlm_head
    write_bert(tmp_path / "old")
    weights = load_file(tmp_path / "old" / "model.safetensors")
    weights.pop("cls.predictions.decoder.weight", None)
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in weights.items()
    }
    save_file(renamed, tmp_path / "old" / "model.safetensors")
    found = start_from_bert(old, tmp_path / "old").mlm_head
    assert all(torch.equal(value, old.state_dict()[name]) for name, value in modern.state_dict().items())
    assert found is not None
    assert expected is not None
    assert torch.equal(found["norm.weight"], expected["norm.weight"])
    assert torch.equal(found["decoder.weight"], weights["bert.embeddings.word_embeddings.weight"])


def test_a_bert_without_that_head_will_do(tmp_path: Path) -> None:
    write_bert(tmp_path / "bert", head=False)
    assert start_from_bert(paper_fusion(), tmp_path / "bert").mlm_head is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 32}, "hidden_size 32, the config's width is 16"),
        ({"num_hidden_layers": 3}, "has 3 layers; the config takes 2 for the text side and 2"),
        ({"max_position_embeddings": 8}, "does not hold a BERT of these sizes"),
    ],
)
def test_another_bert_is_refused(tmp_path: Path, changes: dict[str, int], message: str) -> None:
    write_bert(tmp_path / "bert", **changes)
    with pytest.raises(ModelError, match=message):
        start_from_bert(paper_fusion(), tmp_path / "bert")


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    write_bert(tmp_path)
    config = (tmp_path / "config.json").read_text(encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="cannot be read"):
        start_from_bert(paper_fusion(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="has no weights"):
        start_from_bert(paper_fusion(), tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"no pickle either")
    with pytest.raises(ModelError, match="cannot be read"):
        start_from_bert(paper_fusion(), tmp_path)
    (tmp_path / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="not a model's config"):
        start_from_bert(paper_fusion(), tmp_path)
    (tmp_path / "config.json").write_text(config[:5], encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be read"):
        start_from_bert(paper_fusion(), tmp_path)


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither a folder nor the id"):
        find_pretrained(str(tmp_path / "none"))
    with pytest.raises(ModelError, match="the hub does not give"):
        find_pretrained("nobody/has-this")  # offline


def vit_weights(model: FusionModel) -> dict[str, torch.Tensor]:
    """Of its image side, which is a ViT."""
    vit = model.image.get_submodule("vit")
    return {name: value.contiguous() for name, value in vit.state_dict().items()}


def test_a_vit_in_timms_layout(tmp_path: Path) -> None:
    source, model = paper_fusion(), paper_fusion()
    for parameter in source.image.parameters():
        parameter.data.add_(torch.randn_like(parameter))
    weights = vit_weights(source)
    save_file(
        weights | {"head.weight": torch.zeros(10, 24), "head.bias": torch.zeros(10)}, tmp_path / "model.safetensors"
    )
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "vit"}), encoding="utf-8")
    start_from_vit(model, tmp_path)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(model.eval().image_features(images).tokens, source.eval().image_features(images).tokens)


def test_a_vit_in_the_layout_of_transformers(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    torch.manual_seed(1)
    reference = ViTModel(
        ViTConfig(
            hidden_size=VIT_SIZES["image_width"],
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=4 * VIT_SIZES["image_width"],
            image_size=32,
            patch_size=16,
            layer_norm_eps=1e-6,
        ),
        add_pooling_layer=False,
    ).eval()
    for parameter in reference.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    reference.save_pretrained(tmp_path)
    model = paper_fusion().eval()
    start_from_vit(model, tmp_path)
    images = torch.rand(2, 3, 32, 32)
    normalised = (images - model.image.mean) / model.image.std  # type: ignore[operator]
    expected = reference(normalised).last_hidden_state
    features = model.image_features(images)
    torch.testing.assert_close(features.tokens, expected[:, 1:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features.global_emb, expected[:, 0], atol=1e-4, rtol=1e-4)


def test_a_vit_of_other_sizes_is_refused(tmp_path: Path) -> None:
    weights = vit_weights(paper_fusion())
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="does not hold a ViT of the config's sizes"):
        start_from_vit(paper_fusion(image_layers=1), tmp_path)


def test_compact_sides_start_from_a_compact_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    source = tiny_model().eval()
    config = CheckpointConfig(kind="compact", name="tiny", model=asdict(source.config))
    save_checkpoint(tmp_path / "tiny", config=config, weights=dict(source.state_dict()), dtype=torch.float32)
    model = compact_fusion().eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    for side in ("image", "text"):
        start_from_compact(model, load_checkpoint(tmp_path / "tiny"), side=side)
    ids = torch.tensor([[49406, 320, 736, 49407, 0], [49406, 320, 736, 1000, 49407]])
    expected, states = source.text_features(ids), model.text_states(ids)
    torch.testing.assert_close(states.tokens[:, 0], expected.global_emb)
    torch.testing.assert_close(states.tokens[:, 1:], expected.tokens[:, 1:])
    assert states.mask.tolist() == [[True, True, True, False, False], [True, True, True, True, False]]
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(model.image_features(images).tokens, source.image_features(images).tokens)
    with pytest.raises(ModelError, match="other sizes"):
        start_from_compact(
            compact_fusion(compact=dict(model.config.compact, text_layers=2)),
            load_checkpoint(tmp_path / "tiny"),
            side="text",
        )
    with pytest.raises(ModelError, match="both must be compact"):
        start_from_compact(paper_fusion(), load_checkpoint(tmp_path / "tiny"), side="image")
    with pytest.raises(ModelError, match="of kind vit only"):
        start_from_vit(model, tmp_path / "tiny")


@pytest.mark.parametrize("name", ["mtgfe-small-ucm", "mtgfe-small-rsicd"])
def test_the_small_configs_fit_the_packaged_compact(name: str) -> None:
    config = load_config(name)
    sizes = parse(FusionConfig, config.model.settings, where="model.settings")
    start = start_fusion(sizes, image_init=config.model.init, text_init=config.model.init_text, packaged=PACKAGED)
    weights = load_checkpoint(PACKAGED / "compact").weights
    found = start.model.state_dict()
    shared = [key for key in found if key in weights]
    assert len(shared) > 100
    assert all(torch.equal(found[key], weights[key].to(found[key].dtype)) for key in shared)
