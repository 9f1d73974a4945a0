"""Folders that transformers writes, small and with random weights: the features are its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.testing import assert_allclose
from PIL import Image
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from rasters import write_utm
from rsitr.errors import ModelError
from rsitr.index import Settings, ingest
from rsitr.models import load_model
from rsitr.search import Index
from rsitr.types import Encoder

SIZE_PX, CONTEXT = 32, 12
WORDS = [
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    *["a", "the", "river", "bridge", "field", "with", "two", "white", "planes", "red"],
]
TEXTS = ["a river with a bridge", "two white planes", "the field", "red " * 30]
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


def write_tokenizer(folder: Path) -> None:
    """Whole words; ends with the id that CLIP's config calls the end."""
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def write_clip(folder: Path) -> Any:
    torch.manual_seed(1)
    text = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": CONTEXT}
    config = transformers.CLIPConfig(
        text_config={**text, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
        vision_config={**TOWER, "image_size": SIZE_PX, "patch_size": 8},
        projection_dim=20,
    )
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(folder)
    write_tokenizer(folder)
    transformers.CLIPImageProcessor(
        size={"shortest_edge": SIZE_PX}, crop_size={"height": SIZE_PX, "width": SIZE_PX}
    ).save_pretrained(folder)
    return model


def write_siglip(folder: Path) -> Any:
    torch.manual_seed(2)
    text = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": CONTEXT, "projection_size": 16}
    config = transformers.SiglipConfig(
        text_config=text, vision_config={**TOWER, "image_size": SIZE_PX, "patch_size": 8}
    )
    model = transformers.SiglipModel(config).eval()
    model.save_pretrained(folder)
    write_tokenizer(folder)
    transformers.SiglipImageProcessor(size={"height": SIZE_PX, "width": SIZE_PX}).save_pretrained(folder)
    return model


WRITERS = {"clip": write_clip, "siglip": write_siglip}


def pictures(count: int = 3) -> list[np.ndarray]:
    return list(np.random.default_rng(5).integers(0, 256, (count, SIZE_PX, SIZE_PX, 3), dtype=np.uint8))


def unit(features: Any) -> np.ndarray:
    values = features if isinstance(features, torch.Tensor) else features.pooler_output
    return torch.nn.functional.normalize(values, dim=-1).numpy()


@pytest.mark.parametrize("kind", WRITERS)
def test_features_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    expected = WRITERS[kind](tmp_path / kind)
    encoder = load_model(str(tmp_path / kind), device="cpu")
    assert isinstance(encoder, Encoder)
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / kind)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / kind)
    words = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt")
    with torch.inference_mode():
        pixels = processor(images=[Image.fromarray(one) for one in pictures()], return_tensors="pt")
        images = unit(expected.get_image_features(pixel_values=pixels["pixel_values"]))
        texts = unit(expected.get_text_features(input_ids=words["input_ids"]))
    assert_allclose(encoder.encode_images(pictures()).global_emb, images, atol=1e-4)
    assert_allclose(encoder.encode_texts(TEXTS).global_emb, texts, atol=1e-4)
    assert encoder.dim == images.shape[1] == texts.shape[1]
    assert np.abs(images[0] - images[1]).max() > 1e-3  # not constants


@pytest.mark.parametrize("kind", WRITERS)
def test_each_patch_and_word_has_a_feature_and_a_text_does_not_depend_on_its_batch(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path)
    encoder = load_model(str(tmp_path), device="cpu")
    images, texts = encoder.encode_images(pictures()), encoder.encode_texts(TEXTS)
    assert images.tokens.shape == (3, 16, encoder.dim)
    assert texts.tokens.shape == (4, CONTEXT, encoder.dim)
    assert texts.token_mask.all()
    assert_allclose(encoder.encode_texts(TEXTS[1:2]).global_emb[0], texts.global_emb[1], atol=1e-5)
    assert (encoder.mixture.alpha, encoder.mixture.beta) == (1.0, 0.0)


@pytest.mark.parametrize(("kind", "resize"), [("clip", "crop"), ("siglip", "squash")])
def test_pictures_are_made_ready_as_the_folder_says(kind: str, resize: str, tmp_path: Path) -> None:
    WRITERS[kind](tmp_path)
    assert load_model(str(tmp_path), device="cpu").resize == resize
    path = tmp_path / "preprocessor_config.json"
    shown = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(shown | {"image_mean": [0.1, 0.2, 0.3], "resample": 2}), encoding="utf-8")
    changed = load_model(str(tmp_path), device="cpu")
    assert changed.interpolation == "bilinear"
    assert_allclose(changed.model.mean.flatten(), [0.1, 0.2, 0.3])  # type: ignore[attr-defined]
    path.unlink()
    assert load_model(str(tmp_path), device="cpu").resize == resize


def test_an_index_is_made_and_searched_with_it_and_knows_another_one(tmp_path: Path) -> None:
    write_clip(tmp_path / "model")
    write_utm(tmp_path / "scenes" / "a.tif")
    encoder = load_model(str(tmp_path / "model"), device="cpu")
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=encoder, settings=Settings(tile_px=64))
    index = Index.open(tmp_path / "index", device="cpu")  # loads the model by its recorded name
    assert len(index.search("a river", k=3)) == 3
    assert index.search("a river", k=3).state is None  # not calibrated
    assert index.model.fingerprint == encoder.fingerprint
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"extra": 1}), encoding="utf-8")
    assert load_model(str(tmp_path / "model"), device="cpu").fingerprint != encoder.fingerprint


def spoil(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    if how == "no weights":
        weights.unlink()
    elif how == "cut off":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif how == "no tokenizer":
        for path in folder.glob("*token*"):
            path.unlink()
    elif how == "tokenizer":
        (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    elif how == "another kind":
        (folder / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    elif how == "pictures":
        (folder / "preprocessor_config.json").write_text("{", encoding="utf-8")
    else:
        held = load_file(weights)
        name = next(iter(sorted(held)))
        if how == "missing":
            del held[name]
        elif how == "shape":
            held[name] = torch.zeros(3, 5)
        else:
            held[name] = torch.full_like(held[name], float("nan"))
        save_file(held, weights, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no weights", "has no model.safetensors"),
        ("cut off", "transformers cannot read it"),
        ("no tokenizer", "has no vocabulary, tokenizer.json"),
        ("tokenizer", "its tokenizer cannot be read"),
        ("another kind", "a model of kind 'bert' of transformers; of these, clip and siglip can be used"),
        ("pictures", "preprocessor_config.json: cannot be read as JSON"),
        ("missing", "its weights are not those of its config.json"),
        ("shape", "its weights are not those of its config.json"),
        ("nan", "hold NaN or infinity"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(how: str, said: str, tmp_path: Path) -> None:
    write_clip(tmp_path)
    spoil(tmp_path, how)
    with pytest.raises(ModelError, match=said) as raised:
        load_model(str(tmp_path), device="cpu")
    assert "\n" not in str(raised.value)


def test_without_the_package_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path)
    monkeypatch.setattr("rsitr.extras.has_package", lambda package: package != "transformers")
    with pytest.raises(ModelError, match=r'pip install "rsitr\[transformers\]"'):
        load_model(str(tmp_path), device="cpu")
