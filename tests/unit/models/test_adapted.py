"""Folders of adapters as models: those that a training wrote, and those that others made with peft."""

from __future__ import annotations

import functools
import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import transformers
from numpy.testing import assert_allclose
from peft.tuners.lora.layer import Conv2d
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from adapting import adapter_config, tiny_architectures, write_base, write_compact_base
from rsitr.cli.app import main
from rsitr.config import AdapterConfig, ModelConfig
from rsitr.errors import ModelError
from rsitr.models import CheckpointConfig, load_encoder, load_model
from rsitr.models.adapted import export_merged
from rsitr.models.adapters import adapt_model, save_adapter
from rsitr.models.checkpoint import load_checkpoint, read_config, record_mixture
from rsitr.models.compact import TRUNKS
from rsitr.models.openclip import OpenClipDualEncoder
from rsitr.models.start import take_weights
from rsitr.training.runs import build_run
from rsitr.types import FloatArray, Mixture
from tiny import SIZES, TinyTrunk, tiny_model, write_tiny_data, write_tiny_lookout

TEXTS = ["a red barn", "two white planes near a road", "many trees"]
PICTURES = list(np.random.default_rng(3).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8))
Features = tuple[FloatArray, FloatArray]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two trainings of adapters, `vit` and `compact`, with their bases beside them, and what they gave unmerged."""
    folder = tmp_path_factory.mktemp("made")
    root = write_tiny_data(folder / "data")
    models = {
        "vit": ModelConfig(
            kind="open_clip", settings={"architecture": "lora-vit"}, init=str(folder / "base.safetensors")
        ),
        "compact": ModelConfig(kind="compact", settings=SIZES | {"symmetries": True}, init=str(folder / "base")),
    }
    with pytest.MonkeyPatch.context() as patch, tiny_architectures(folder / "architectures"):
        patch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
        write_base(folder / "base.safetensors")
        write_compact_base(folder / "base")
        for name, model in models.items():
            adapter = AdapterConfig(kind="lora", rank=2, alpha=8.0)
            config = adapter_config(model, adapter=adapter, phases=(adapter_config(model).phases[0].replace(epochs=1),))
            run = build_run(config, root=root, folder=folder / name, device="cpu", provenance={})
            run.trainer.run(resume=False)
            unmerged = features(run.trainer.validate.encoder)  # type: ignore[attr-defined]
            np.savez(folder / f"{name}.npz", *unmerged)
        yield folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """The folder of the compact training's adapter, to be changed."""
    shutil.copytree(made / "compact" / "best", tmp_path / "adapter")
    return tmp_path / "adapter"


def features(encoder: Any) -> Features:
    return encoder.encode_images(PICTURES).global_emb, encoder.encode_texts(TEXTS).global_emb


def least_cosine(one: Features, other: Features) -> float:
    return min(float((a * b).sum(axis=1).min()) for a, b in zip(one, other, strict=True))


def unmerged(made: Path, name: str) -> Features:
    with np.load(made / f"{name}.npz") as kept:
        return kept["arr_0"], kept["arr_1"]


@pytest.mark.parametrize("name", ["vit", "compact"])
def test_a_trained_adapter_is_a_model_that_gives_what_it_gave_in_training(made: Path, name: str) -> None:
    best = made / name / "best"
    encoder = load_encoder(str(best), device="cpu")
    assert least_cosine(features(encoder), unmerged(made, name)) >= 0.99999
    base = f"lora-vit:{made / 'base.safetensors'}" if name == "vit" else str(made / "base")
    assert least_cosine(features(encoder), features(load_model(base, device="cpu"))) < 0.999
    assert not [key for key in encoder.model.state_dict() if "lora" in key]  # type: ignore[attr-defined]
    sizes = {file.name: file.stat().st_size for file in best.iterdir()}
    assert sizes.keys() == {"config.json", "adapter_config.json", "adapter_model.safetensors"}
    assert sizes["adapter_model.safetensors"] < 60_000
    recorded, about = read_config(best), json.loads((best / "adapter_config.json").read_text())
    assert about["base_model_name_or_path"] == recorded.base["name"] == base
    assert len(recorded.base["weights_sha256"]) == 64


def test_peft_reads_what_a_training_wrote_and_gives_the_same(made: Path) -> None:
    from peft import PeftModel

    model = write_base(made / "again.safetensors")  # the same weights
    wrapped = PeftModel.from_pretrained(model.clip, made / "vit" / "best").eval()
    model.clip = wrapped.base_model.model
    encoder = load_model(str(made / "vit" / "best"), device="cpu")
    encoder.model = encoder._image_model = model  # type: ignore[assignment]
    assert any("lora_B" in name for name, _ in model.named_parameters())  # unmerged
    assert least_cosine(features(encoder), unmerged(made, "vit")) >= 0.99999


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["rsitr", *map(str, arguments)])
    with pytest.raises(SystemExit) as exit_:
        main()
    return int(exit_.value.code or 0)


@pytest.mark.parametrize("name", ["vit", "compact"])
def test_an_adapter_and_its_base_become_one_ordinary_model(
    made: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    best, whole = made / name / "best", tmp_path / "whole"
    assert run(monkeypatch, "export", best, "--merged", whole) == 0
    assert "as one model" in capsys.readouterr().out
    assert {file.name for file in whole.iterdir()} == {"config.json", "model.safetensors"}
    assert "base" not in json.loads((whole / "config.json").read_text())
    encoder, merged = load_model(str(best), device="cpu"), load_model(str(whole), device="cpu")
    assert least_cosine(features(merged), features(encoder)) >= 0.99999
    assert (merged.mixture, merged.local_tokens, merged.resize) == (
        encoder.mixture,
        encoder.local_tokens,
        encoder.resize,
    )
    assert merged.fingerprint != encoder.fingerprint
    assert run(monkeypatch, "export", best, "--merged", whole) == 2
    assert "is not empty: name a new folder" in capsys.readouterr().err
    assert run(monkeypatch, "export", whole, "--merged", tmp_path / "more") == 2
    assert "is no folder of an adapter" in capsys.readouterr().err


def test_adapters_that_a_loop_of_ones_own_trained_on_a_lookout_are_a_model(tmp_path: Path) -> None:
    """Its words are read by the vocabulary of its base."""
    base, texts = write_tiny_lookout(tmp_path / "base"), ["a lake", "lakes, a road", "road"]
    encoder = load_model(str(base), device="cpu")
    adapted = adapt_model(encoder.model, settings=AdapterConfig(kind="lora", rank=2), base=str(base))
    convolutions = [part for part in adapted.part.modules() if isinstance(part, Conv2d)]
    assert convolutions
    assert all(part.get_base_layer().groups == 1 for part in convolutions)
    torch.manual_seed(5)
    with torch.no_grad():
        for name, value in encoder.model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.05)
    config = CheckpointConfig(kind="lookout", name="mine", model=read_config(base).model)
    save_adapter(tmp_path / "mine", config=config, adapted=adapted)
    expected = encoder.encode_images(PICTURES).global_emb, encoder.encode_texts(texts).global_emb
    load: Any = functools.partial(load_model, device="cpu")
    merged = export_merged(tmp_path / "mine", tmp_path / "whole", find=str, load=load)
    assert min(merged.image_cosine, merged.text_cosine) >= 0.9999  # of numbers in half precision
    for name in ("mine", "whole"):
        model = load(str(tmp_path / name))
        found = model.encode_images(PICTURES).global_emb, model.encode_texts(texts).global_emb
        assert least_cosine(found, expected) >= (0.99999 if name == "mine" else 0.9999)
    plain = load(str(base))
    assert (
        least_cosine((plain.encode_images(PICTURES).global_emb, plain.encode_texts(texts).global_emb), expected) < 0.999
    )


def test_a_mixture_is_recorded_in_an_adapter_as_in_any_checkpoint(copied: Path) -> None:
    before = load_model(str(copied), device="cpu")
    record_mixture(copied, load_checkpoint(copied), mixture=Mixture(alpha=0.3, beta=0.7, norm="rms"))
    after = load_model(str(copied), device="cpu")
    assert after.mixture.alpha == 0.3
    assert after.fingerprint != before.fingerprint
    assert least_cosine(features(after), features(before)) >= 0.99999


def test_the_strength_of_an_adapter_is_part_of_its_fingerprint_and_the_place_of_its_base_is_not(copied: Path) -> None:
    prints = [load_model(str(copied), device="cpu").fingerprint]
    moved = shutil.copytree(
        json.loads((copied / "adapter_config.json").read_text())["base_model_name_or_path"], copied / "here"
    )
    edit_about(copied, base_model_name_or_path=Path(moved).name)  # beside the adapter
    prints.append(load_model(str(copied), device="cpu").fingerprint)
    edit_about(copied, lora_alpha=2.0)
    prints.append(load_model(str(copied), device="cpu").fingerprint)
    assert prints[0] == prints[1] != prints[2]


def edit_about(folder: Path, **changes: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def no_base(folder: Path) -> None:
    edit_about(folder, base_model_name_or_path=None)


def gone_base(folder: Path) -> None:
    edit_about(folder, base_model_name_or_path="elsewhere/model")


def other_base(folder: Path) -> None:
    write_compact_base(folder / "other")
    weights = load_file(folder / "other" / "model.safetensors")
    weights["text.projection.weight"][0, 0] += 1
    save_file(weights, folder / "other" / "model.safetensors")
    edit_json_file(folder / "other" / "config.json", weights_sha256="")
    edit_about(folder, base_model_name_or_path="other")


def itself(folder: Path) -> None:
    edit_about(folder, base_model_name_or_path=str(folder))


def no_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def cut_weights(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:100])


def broken_config(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


def edit_json_file(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_base, r"does not say of which model: write at base_model_name_or_path of .*ViT-B-32-quickgelu:openai"),
        (
            gone_base,
            r"an adapter of elsewhere/model: elsewhere/model is not here, .*or write at base_model_name_or_path",
        ),
        (
            other_base,
            r"trained on .* with weights of digest [0-9a-f]{12}, and those of .*other have [0-9a-f]{12}: they are",
        ),
        (itself, r"which is an adapter itself: write the whole model of that one, `rsitr export"),
        (no_weights, r"has no adapter_model.safetensors; adapters are read as safetensors alone"),
        (cut_weights, r"adapter_model.safetensors cannot be read as safetensors"),
        (broken_config, r"adapter_config.json cannot be read as JSON"),
    ],
)
def test_what_is_wrong_with_an_adapter_is_said_in_a_line(
    copied: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(copied)
    with pytest.raises(ModelError, match=said) as raised:
        load_model(str(copied), device="cpu")
    assert "\n" not in str(raised.value)


def test_no_training_starts_from_an_adapter(copied: Path) -> None:
    with pytest.raises(ModelError, match=r"is an adapter, no whole model: write one, `rsitr export .* --merged NEW`"):
        take_weights(tiny_model(), copied, kind="compact")


WORDS = ["<pad>", "<s>", "</s>", "<unk>", "a", "red", "barn", "two", "white", "planes", "near", "road", "many", "trees"]
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}


def write_towers(folder: Path, kind: str) -> Any:
    """A CLIP or SigLIP as transformers writes it, small and random."""
    torch.manual_seed(1)
    text = {**TOWER, "vocab_size": len(WORDS), "max_position_embeddings": 12}
    vision = {**TOWER, "image_size": 32, "patch_size": 8}
    if kind == "clip":
        ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
        config: Any = transformers.CLIPConfig(text_config={**text, **ids}, vision_config=vision, projection_dim=20)
        model: Any = transformers.CLIPModel(config)
    else:
        config = transformers.SiglipConfig(text_config={**text, "projection_size": 16}, vision_config=vision)
        model = transformers.SiglipModel(config)
    model.eval().save_pretrained(folder)
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return model


def made_by_peft(model: Any, folder: Path, *, base: str, targets: list[str]) -> Any:
    """An adapter as others make one, with weights other than zero; the model with it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False)
        wrapped = get_peft_model(model, config)
        wrapped.peft_config["default"].base_model_name_or_path = base
        wrapped.save_pretrained(folder, save_embedding_layers=False)
    return wrapped


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_an_adapter_of_others_for_a_folder_of_transformers_is_a_model(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    towers = write_towers(tmp_path / "base", kind)
    base = features(load_model(str(tmp_path / "base"), device="cpu"))
    made_by_peft(towers, tmp_path / "lora", base=str(tmp_path / "base"), targets=["q_proj", "v_proj", "fc1"])
    encoder = load_model(str(tmp_path / "lora"), device="cpu")
    found = features(encoder)
    reference = load_model(str(tmp_path / "base"), device="cpu")
    reference.model.towers = towers.eval()  # peft's layers, which are not merged
    assert least_cosine(found, features(reference)) >= 0.99999
    assert least_cosine(found, base) < 0.999
    assert run(monkeypatch, "export", tmp_path / "lora", "--merged", tmp_path / "whole", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert min(told["image_cosine"], told["text_cosine"]) >= 0.99999
    assert_allclose(features(load_model(str(tmp_path / "whole"), device="cpu"))[0], found[0], atol=1e-5)


def test_an_adapter_of_others_for_a_model_of_open_clip_is_a_model(made: Path, tmp_path: Path) -> None:
    name = f"lora-vit:{made / 'base.safetensors'}"
    model = OpenClipDualEncoder.from_architecture("lora-vit")
    model.clip.load_state_dict(load_file(made / "base.safetensors"))
    wrapped = made_by_peft(model.clip, tmp_path, base=name, targets=["attn", "c_fc", "c_proj"])
    encoder = load_model(str(tmp_path), device="cpu")
    found = features(encoder)
    normalised = torch.stack([encoder.preprocess(picture) for picture in PICTURES])
    with torch.inference_mode():
        pixels = (normalised - model.mean) / model.std
        texts = wrapped.eval().encode_text(open_clip.get_tokenizer("ViT-B-32")(TEXTS), normalize=True)
        expected = wrapped.encode_image(pixels, normalize=True).numpy(), texts.numpy()
    assert least_cosine(found, expected) >= 0.99999
    assert encoder.mixture == load_model(name, device="cpu").mixture
    edit_about(
        tmp_path, target_modules=["attn", "c_fc", "c_proj", "nowhere"], base_model_name_or_path=str(made / "base")
    )
    with pytest.raises(ModelError, match=r"does not fit its base .*base \(Target modules"):
        load_model(str(tmp_path), device="cpu")
    edit_about(tmp_path, target_modules=["c_fc"], base_model_name_or_path=name)
    with pytest.raises(ModelError, match=r"of its tensors have no place there, or are missing .* for another model"):
        load_model(str(tmp_path), device="cpu")
    weights = load_file(tmp_path / "adapter_model.safetensors")
    save_file({key: value * torch.nan for key, value in weights.items()}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"holds NaN or infinity"):
        load_model(str(tmp_path), device="cpu")
