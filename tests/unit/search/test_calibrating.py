from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes import COLOURS, ColourEncoder
from rsitr.data import CaptionedImage
from rsitr.errors import DataError
from rsitr.search import AskedPart, estimate_relevance
from rsitr.search.calibrating import CHANGES, calibrate, read_words

NAMES = ("red", "green", "blue", "yellow", "white")


@pytest.fixture
def pictures(tmp_path: Path) -> list[CaptionedImage]:
    """Six pictures of each of five colours, noisily."""
    chance, images = np.random.default_rng(0), []
    for name in NAMES:
        for number in range(6):
            pixels = np.clip(np.array(COLOURS[name]) + chance.normal(0, 25, (32, 32, 3)), 0, 255).astype(np.uint8)
            path = tmp_path / f"{name}{number}.png"
            Image.fromarray(pixels).save(path)
            captions = (f"A {name} field",)
            images.append(CaptionedImage(image_id=path.stem, path=path, captions=captions, split="val", label=name))
    return images


def test_it_makes_probabilities_of_scores(pictures: list[CaptionedImage], encoder: ColourEncoder) -> None:
    told: list[tuple[int, int]] = []
    found = calibrate(
        encoder,
        labelled=pictures,
        references=pictures,
        known=read_words(pictures),
        about="colours",
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (len(pictures) * (len(CHANGES) + 1),) * 2
    assert found.known == ("a", "blue", "field", "green", "red", "white", "yellow")
    assert found.about["data"] == "colours"
    assert float(found.about["auc_words"]) > 0.95
    assert float(found.about["auc_pictures"]) > 0.9
    tiles = encoder.encode_images([np.array(Image.open(image.path)) for image in pictures]).global_emb
    labels = np.array([image.label for image in pictures])
    for name in NAMES:
        asked = AskedPart(encoder.encode_texts([name]).global_emb[0], is_text=True)
        relevance = np.array(estimate_relevance([asked], tiles=tiles, calibration=found))
        assert relevance[labels == name].min() > 0.5 > relevance[labels != name].max()


def test_too_few_classes_are_refused(pictures: list[CaptionedImage], encoder: ColourEncoder) -> None:
    with pytest.raises(DataError, match="5 classes or more, and these are of 2"):
        calibrate(encoder, labelled=pictures[:12], references=pictures)


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_picture_is_a_picture(name: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    changed = CHANGES[name](picture)
    assert changed.dtype == np.uint8
    assert changed.shape[2] == 3
    assert (changed.shape == picture.shape and np.array_equal(changed, picture)) == (name == "as it is")
