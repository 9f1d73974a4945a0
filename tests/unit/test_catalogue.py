"""What is said of models by their short names is so: sizes of their architectures, figures of their cards."""

from __future__ import annotations

import re
from pathlib import Path

import open_clip
import pytest
import torch
import transformers

import rsitr
from rsitr.catalogue import CATALOGUE, OPEN_CLIP_FILE, STRONGER_MODEL, KnownModel, find_known, list_here, models_folder
from rsitr.defaults import DEFAULT_MODEL
from rsitr.models import load_model
from rsitr.models.openclip import OpenClipDualEncoder
from rsitr.models.published import find_published

OPEN_CLIP = [known for known in CATALOGUE.values() if known.form == "weights"]
SIGLIP = {"siglip2-base": ({}, 224), "siglip2-large": (
    {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}, 256
)}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RSITR_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize("architecture", sorted({str(known.architecture) for known in OPEN_CLIP}))
def test_architectures_can_be_used_and_have_so_many_parameters(architecture: str) -> None:
    with torch.device("meta"):
        clip = open_clip.create_model(architecture, load_weights=False, device="meta")
    OpenClipDualEncoder.of(clip)  # raises where its text side or its pooling cannot be used
    sizes = {known.n_parameters for known in OPEN_CLIP if known.architecture == architecture}
    assert sizes == {sum(one.numel() for one in clip.parameters())}


@pytest.mark.parametrize("name", SIGLIP)
def test_folders_of_transformers_have_so_many_parameters(name: str) -> None:
    sizes, side = SIGLIP[name]
    width = sizes.get("hidden_size", 768)
    config = transformers.SiglipConfig(
        text_config={"vocab_size": 256_000, **sizes, "projection_size": width},
        vision_config={**sizes, "image_size": side},
    )
    with torch.device("meta"):
        model = transformers.SiglipModel(config)
    assert CATALOGUE[name].n_parameters == sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize("known", OPEN_CLIP, ids=lambda known: known.name)
def test_the_activation_is_that_of_the_published_file(known: KnownModel) -> None:
    """An architecture that is named without `quickgelu` is GELU; a file that is known by its name must agree."""
    is_quick = str(known.architecture).endswith("-quickgelu")
    if known.file is None:
        configs = [open_clip.get_pretrained_cfg(known.architecture, tag) for tag in ("openai", "dfndr2b")]
        assert is_quick == any(config.get("quick_gelu", False) for config in configs)
        assert {config["hf_hub"].rstrip("/") for config in configs if config} == {known.repository}
        return
    published = find_published(Path(known.file))
    assert published is not None, "a file that the guide does not know"
    assert published.quick_gelu == is_quick


@pytest.mark.parametrize("name", ["lookout", "compact"])
def test_figures_of_packaged_models_are_those_of_their_cards(name: str) -> None:
    known = CATALOGUE[name]
    card = (Path(rsitr.__file__).parent / "models" / "weights" / "lookout" / "README.md").read_text(encoding="utf-8")
    for measured in known.measured:
        row = re.search(rf"^\| {measured.data} {measured.split}, mR \|(.*)\|$", card, re.MULTILINE)
        assert row is not None
        assert float(row.group(1).split("|")[0 if name == "lookout" else 1]) == measured.mR
    model = load_model(name, device="cpu").model
    assert known.n_parameters == sum(one.numel() for one in (*model.parameters(), *model.buffers()))


def test_every_entry_says_where_it_comes_from() -> None:
    assert next(iter(CATALOGUE)) == DEFAULT_MODEL
    for known in CATALOGUE.values():
        assert re.fullmatch(r"[a-z0-9-]+", known.name)
        assert known.licence
        assert known.stated_in
        assert known.command.endswith(f"--model {known.name}")
        assert all(measured.source for measured in known.measured)
        assert known.is_packaged or (known.address.startswith("https://") and known.needs)
    stronger = CATALOGUE[STRONGER_MODEL]
    best = {(one.data, one.split): one.mR for one in stronger.measured}
    for other in CATALOGUE.values():
        assert all(one.mR <= best.get((one.data, one.split), 100.0) for one in other.measured)


def test_weights_are_looked_for_where_a_person_puts_them_then_in_the_hub_s_cache(tmp_path: Path) -> None:
    known = CATALOGUE["remoteclip-vit-b-32"]
    assert (find_known(known), list_here()) == (None, {})
    cached = tmp_path / "hub" / "models--chendelong--RemoteCLIP"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    file = cached / "snapshots" / ("0" * 40) / "RemoteCLIP-ViT-B-32.pt"
    file.parent.mkdir(parents=True)
    file.touch()
    assert find_known(known) == file
    place = known.place
    assert place == tmp_path / "models" / "remoteclip-vit-b-32" / "RemoteCLIP-ViT-B-32.pt"
    place.parent.mkdir(parents=True)
    place.touch()
    assert list_here() == {"remoteclip-vit-b-32": place}
    mobile = CATALOGUE["mobileclip2-s0"].place
    assert mobile == tmp_path / "models" / "mobileclip2-s0" / OPEN_CLIP_FILE
    assert CATALOGUE["siglip2-base"].place == tmp_path / "models" / "siglip2-base"
    assert CATALOGUE["lookout"].place is None


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RSITR_MODELS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "rsitr" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "h"))
    assert models_folder() == tmp_path / "h" / ".cache" / "rsitr" / "models"
