"""open_clip models of every kind that can be used, made tiny through architectures of our own."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip import factory
from safetensors.torch import save_file
from torch import Tensor, nn

from rsitr.errors import ModelError
from rsitr.models import CheckpointConfig, load_model, openclip, save_checkpoint
from rsitr.models.bpe import clip_tokenizer
from rsitr.models.openclip import OpenClipDualEncoder

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
VISION = {"image_size": 32, "layers": 2, "width": 16, "head_width": 8, "patch_size": 8}
TIMM = {"timm_pool": "", "timm_proj": "linear", "image_size": 160}
MULTIMODAL = {"width": 16, "context_length": 76, "vocab_size": 49408, "layers": 1, "heads": 2, "attn_pooler_heads": 2}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "tiny-vit": {"vision_cfg": VISION, "text_cfg": TEXT},
    "tiny-vit-quickgelu": {"vision_cfg": VISION, "text_cfg": TEXT, "quick_gelu": True},
    "tiny-vit-avg": {"vision_cfg": VISION | {"pool_type": "avg"}, "text_cfg": TEXT},
    "tiny-vit-custom": {"vision_cfg": VISION, "text_cfg": TEXT | {"proj_bias": True}, "custom_text": True},
    "tiny-vit-sees-all": {"vision_cfg": VISION, "text_cfg": TEXT | {"no_causal_mask": True}, "custom_text": True},
    "tiny-rn": {"vision_cfg": VISION | {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8}, "text_cfg": TEXT},
    "tiny-timm-vit": {"vision_cfg": TIMM | {"timm_model_name": "test_vit"}, "text_cfg": TEXT},
    "tiny-timm-vit-avg": {"vision_cfg": TIMM | {"timm_model_name": "test_vit", "timm_pool": "avg"}, "text_cfg": TEXT},
    "tiny-timm-conv": {"vision_cfg": TIMM | {"timm_model_name": "test_convnext"}, "text_cfg": TEXT},
    "tiny-siglip": {"vision_cfg": VISION, "text_cfg": TEXT | {"vocab_size": 32000}, "custom_text": True},
    "tiny-last": {"vision_cfg": VISION, "text_cfg": TEXT | {"pool_type": "last"}, "custom_text": True},
    "tiny-attentional": {"vision_cfg": VISION | {"attentional_pool": True, "attn_pooler_heads": 2}, "text_cfg": TEXT},
    "tiny-coca": {
        "vision_cfg": VISION | {"output_tokens": True},
        "text_cfg": TEXT | {"embed_cls": True, "output_tokens": True, "context_length": 76},
        "multimodal_cfg": MULTIMODAL,
        "custom_text": True,
    },
    "tiny-hf": {
        "vision_cfg": VISION,
        "text_cfg": {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base"},
    },
}
USABLE = [
    "tiny-vit",
    "tiny-vit-quickgelu",
    "tiny-vit-avg",
    "tiny-vit-custom",
    "tiny-vit-sees-all",
    "tiny-rn",
    "tiny-timm-vit",
    "tiny-timm-vit-avg",
    "tiny-timm-conv",
]
TEXTS = ["a farm", "two white planes near a long grey runway"]


@pytest.fixture(autouse=True)
def _architectures(tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "architectures"
    folder.mkdir()
    for name, config in ARCHITECTURES.items():
        (folder / f"{name}.json").write_text(json.dumps({"embed_dim": 24, **config}))
    before = list(factory._MODEL_CONFIG_PATHS)
    open_clip.add_model_config(folder)
    yield
    factory._MODEL_CONFIG_PATHS[:] = before
    factory._rescan_model_configs()


def randomise(model: nn.Module) -> nn.Module:
    """Away from special values such as layer scales near 0, under which all features are nearly equal."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def make(architecture: str) -> OpenClipDualEncoder:
    model = OpenClipDualEncoder.from_architecture(architecture)
    randomise(model)
    return model


@pytest.fixture
def ids() -> Tensor:
    return clip_tokenizer(77)(TEXTS)


@pytest.mark.parametrize("architecture", USABLE)
def test_global_features_are_those_of_open_clip(architecture: str, ids: Tensor) -> None:
    model = make(architecture)
    images = torch.rand(2, 3, model.image_size_px, model.image_size_px)
    with torch.inference_mode():
        image, text = model.image_features(images), model.text_features(ids)
        normalised = (images - torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)) / torch.tensor(
            open_clip.OPENAI_DATASET_STD
        ).view(3, 1, 1)
        torch.testing.assert_close(image.global_emb, model.clip.encode_image(normalised), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(text.global_emb, model.clip.encode_text(ids), rtol=1e-4, atol=1e-5)
    assert model.dim == image.global_emb.shape[1] == image.tokens.shape[2] == text.tokens.shape[2] == 24
    assert text.tokens.shape == (2, 77, 24)
    assert model.context_length == 77
    for tokens in (image.tokens, text.tokens):
        assert bool(tokens.isfinite().all())
        assert tokens.std(dim=1).max().item() > 1e-3  # each its own


@pytest.mark.parametrize("architecture", USABLE)
def test_trailing_padding_does_not_change_a_text(architecture: str, ids: Tensor) -> None:
    model = make(architecture)
    short = int((ids != 0).sum(dim=1).max())
    assert short < 20
    with torch.inference_mode():
        whole, cut = model.text_features(ids), model.text_features(ids[:, :short])
    assert cut.tokens.shape == (2, short, 24)
    torch.testing.assert_close(cut.global_emb, whole.global_emb, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(cut.tokens, whole.tokens[:, :short], rtol=1e-4, atol=1e-5)


def test_the_global_text_feature_is_the_last_tokens(ids: Tensor) -> None:
    text = make("tiny-vit").text_features(ids)
    end = (ids == 49407).int().argmax(dim=1)
    torch.testing.assert_close(text.tokens[torch.arange(2), end], text.global_emb)


def test_patches_take_the_way_of_the_class_token() -> None:
    """Final norm and projection: seen from the class token, which goes the same way."""
    model = make("tiny-vit")
    visual = model.clip.visual
    hidden: list[Tensor] = []
    visual.transformer.resblocks[-1].register_forward_hook(lambda _module, _inputs, output: hidden.append(output))
    with torch.inference_mode():
        found = model.image_features(torch.rand(2, 3, 32, 32))
        expected = visual.ln_post(hidden[0]) @ visual.proj
    assert found.tokens.shape == (2, 16, 24)
    torch.testing.assert_close(expected[:, 0], found.global_emb, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(expected[:, 1:], found.tokens, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("architecture", "last"), [("tiny-vit", "ln_post"), ("tiny-rn", "attnpool")])
def test_two_threads_each_get_their_own_patches(architecture: str, last: str) -> None:
    """One picture goes all the way while another one has passed the transformer, but not yet what follows."""
    model = make(architecture)
    one, other = torch.rand(2, 1, 3, model.image_size_px, model.image_size_px).unbind()
    with torch.inference_mode():
        expected = model.image_features(one).tokens
    inside, other_over = threading.Event(), threading.Event()

    def wait(_module: nn.Module, _inputs: object) -> None:
        inside.set()
        assert threading.current_thread() is not thread or other_over.wait(60)

    def run() -> None:
        with torch.inference_mode():
            found.append(model.image_features(one).tokens)

    found: list[Tensor] = []
    thread = threading.Thread(target=run)
    getattr(model.clip.visual, last).register_forward_pre_hook(wait)
    thread.start()
    assert inside.wait(60)
    with torch.inference_mode():
        assert not torch.allclose(model.image_features(other).tokens, expected, atol=1e-3)
    other_over.set()
    thread.join()
    torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize("architecture", ["tiny-vit-avg"])
def test_where_patches_are_averaged_their_mean_is_the_global_feature(architecture: str) -> None:
    found = make(architecture).image_features(torch.rand(2, 3, 32, 32))
    torch.testing.assert_close(found.tokens.mean(dim=1), found.global_emb, rtol=1e-4, atol=1e-5)


def test_a_resnet_has_one_feature_per_position() -> None:
    model = make("tiny-rn")
    found = model.image_features(torch.rand(2, 3, 64, 64))
    assert found.tokens.shape == (2, 4, 24)
    # Where all positions are equal, attention has nothing to weigh, and pooling gives the feature of each.
    pool = model.clip.visual.attnpool
    nn.init.zeros_(pool.positional_embedding)
    position = torch.randn(1, pool.v_proj.in_features)
    pooled = pool(position[:, :, None, None].expand(1, -1, 2, 2))
    torch.testing.assert_close(pool.c_proj(pool.v_proj(position)), pooled, rtol=1e-4, atol=1e-5)


def test_a_swin_keeps_its_channels_last() -> None:
    """timm's Swin gives (B, H, W, C); read as (B, C, H, W), positions and channels would be mixed."""
    config = {
        "embed_dim": 8,
        "vision_cfg": TIMM | {"timm_model_name": "swin_tiny_patch4_window7_224", "image_size": 224},
    }
    clip = open_clip.model.CLIP(**config, text_cfg=TEXT)
    model = OpenClipDualEncoder(clip.eval(), preprocess={"mean": (0.5,) * 3, "std": (0.5,) * 3, "size": 224})
    with torch.inference_mode():
        found = model.image_features(torch.rand(1, 3, 224, 224))
    assert found.tokens.shape == (1, 49, 8)
    # Its pooling averages positions before a linear head, so the positions' features average to the global one.
    torch.testing.assert_close(found.tokens.mean(dim=1), found.global_emb, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        ("tiny-siglip", "text tower .* is not CLIP's own"),
        ("tiny-last", "text tower .* is not CLIP's own"),
        ("tiny-coca", "text tower of this CoCa is not CLIP's own"),
        ("tiny-hf", "text tower of tiny-hf is not CLIP's own"),
        ("tiny-attentional", "attention pooling, after which no patch has a feature"),
        ("ViT-Z-99", "open_clip has no architecture 'ViT-Z-99'"),
    ],
)
def test_architectures_without_local_features_are_refused_at_once(architecture: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as raised:
        OpenClipDualEncoder.from_architecture(architecture)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_weights_file_is_loaded(suffix: str, wrapped: bool, tmp_path: Path) -> None:
    model = make("tiny-vit")
    weights = {name: value.contiguous() for name, value in model.clip.state_dict().items()}
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pt":  # as open_clip's training leaves it: with the names of data parallelism
        torch.save({"state_dict": {f"module.{k}": v for k, v in weights.items()}} if wrapped else weights, file)
    else:
        save_file(weights, file)
    encoder = load_model(f"tiny-vit:{file}", device="cpu")
    texts = encoder.encode_texts(TEXTS)
    expected = model.text_features(clip_tokenizer(77)(TEXTS)).global_emb.detach()
    np.testing.assert_allclose(
        texts.global_emb, torch.nn.functional.normalize(expected, dim=-1).numpy(), rtol=1e-4, atol=1e-5
    )
    assert texts.token_mask.all()  # the released setting: all 77 positions
    images = encoder.encode_images([np.full((40, 50, 3), 90, dtype=np.uint8)])
    assert images.tokens.shape == (1, 16, 24)
    assert (encoder.resize, encoder.interpolation, encoder.image_size_px) == ("crop", "bicubic", 32)


def test_fingerprints_tell_weights_and_activations_apart(tmp_path: Path) -> None:
    files = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        files.append(tmp_path / f"{seed}.pt")
        torch.save(OpenClipDualEncoder.from_architecture("tiny-vit").clip.state_dict(), files[-1])
    copy = tmp_path / "copy.pt"
    copy.write_bytes(files[0].read_bytes())
    names = [f"tiny-vit:{files[0]}", f"tiny-vit:{files[1]}", f"tiny-vit-quickgelu:{files[0]}", f"tiny-vit:{copy}"]
    prints = [load_model(name, device="cpu").fingerprint for name in names]
    assert prints[0] == prints[3]
    assert len(set(prints)) == 3


def test_the_activation_follows_the_name_of_the_architecture(ids: Tensor) -> None:
    plain, quick = (
        OpenClipDualEncoder.from_architecture("tiny-vit"),
        OpenClipDualEncoder.from_architecture("tiny-vit-quickgelu"),
    )
    assert (plain.quick_gelu, quick.quick_gelu) == (False, True)
    quick.clip.load_state_dict(plain.clip.state_dict())
    assert not torch.allclose(plain.text_features(ids).global_emb, quick.text_features(ids).global_emb, atol=1e-5)
    forced = OpenClipDualEncoder.from_architecture("tiny-vit", quick_gelu=True)
    forced.clip.load_state_dict(plain.clip.state_dict())
    torch.testing.assert_close(forced.text_features(ids).global_emb, quick.text_features(ids).global_emb)


@pytest.mark.parametrize(
    ("name", "forced"),
    [
        ("ViT-B-32:openai", True),
        ("ViT-B-32:metaclip_400m", True),
        ("RN50:openai", True),
        ("ViT-B-32-quickgelu:openai", False),  # its config has it already
        ("ViT-B-32:laion2b_s34b_b79k", False),
    ],
)
def test_tags_that_were_trained_with_quick_gelu_get_it(
    name: str, forced: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """open_clip itself only warns, and builds GELU."""
    asked: list[dict[str, Any]] = []

    def create_model(architecture: str, **settings: Any) -> nn.Module:
        asked.append({"architecture": architecture, **settings})
        return nn.Identity()

    monkeypatch.setattr(openclip.open_clip, "create_model", create_model)
    with caplog.at_level(logging.WARNING):
        openclip.create_open_clip(name)
    architecture, tag = name.split(":")
    assert [(call["architecture"], call["pretrained"]) for call in asked] == [(architecture, tag)]
    assert asked[0]["force_quick_gelu"] is forced
    assert asked[0]["weights_only"]
    assert ("uses QuickGELU" in caplog.text) is forced


def test_quick_gelu_survives_a_checkpoint(tmp_path: Path, ids: Tensor) -> None:
    """Trained from a tag that needs it under the plain name, a checkpoint has to build it again."""
    model = OpenClipDualEncoder.from_architecture("tiny-vit", quick_gelu=True)
    settings = {"architecture": "tiny-vit", "quick_gelu": model.quick_gelu}
    config = CheckpointConfig(kind="open_clip", name="mine", model=settings)
    save_checkpoint(tmp_path, config=config, weights=dict(model.state_dict()), dtype=torch.float32)
    again = load_model(str(tmp_path), device="cpu").model
    torch.testing.assert_close(again.text_features(ids).global_emb, model.text_features(ids).global_emb)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ViT-B-32", r"ViT-B-32 needs weights, ViT-B-32:TAG or ViT-B-32:FILE; tags: openai, .*laion2b"),
        ("tiny-vit", "tags: none"),
        ("ViT-B-32:opanai", "'opanai' is neither a file nor a tag of ViT-B-32; tags: openai"),
        ("ViT-B-32-quickgelu:openai", "could not load ViT-B-32-quickgelu:openai: Failed to download weights"),
        ("hf-hub:nobody/nothing", "could not load hf-hub:nobody/nothing: "),
        ("hf-hub:", "could not load hf-hub:: Empty identifier"),
    ],
)
def test_what_cannot_be_had_is_one_clear_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    with pytest.raises(ModelError, match=message) as raised:
        load_model(name, device="cpu")
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""  # open_clip's own log lines are not shown beside it


def test_a_file_that_does_not_fit_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "junk.pt").write_bytes(b"junk")
    torch.save(make("tiny-rn").clip.state_dict(), tmp_path / "other.pt")
    for name, said in (("junk.pt", "not a file of weights"), ("other.pt", "these weights are not those of tiny-vit")):
        with pytest.raises(ModelError, match=said) as raised:
            load_model(f"tiny-vit:{tmp_path / name}", device="cpu")
        assert "\n" not in str(raised.value)


def test_logging_is_as_before_after_open_clip_was_quiet() -> None:
    before = logging.root.manager.disable
    OpenClipDualEncoder.from_architecture("tiny-vit")
    assert logging.root.manager.disable == before
