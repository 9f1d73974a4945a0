"""Zero-shot classification, with an encoder that knows colours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fakes import COLOURS, ColourEncoder
from rsitr.data import CaptionedImage
from rsitr.errors import ConfigError, DataError, ModelError
from rsitr.evaluation import classify, zero_shot_report
from rsitr.evaluation.zeroshot import TEMPLATES
from rsitr.types import EncodedImages, Mixture

GLOBAL = Mixture(alpha=1.0, beta=0.0)


def plain(colour: str) -> np.ndarray:
    return np.full((8, 8, 3), COLOURS[colour], dtype=np.uint8)


def picture(folder: Path, name: str, *, colour: str, label: str | None) -> CaptionedImage:
    path = folder / f"{name}.png"
    Image.fromarray(plain(colour)).save(path)
    return CaptionedImage(image_id=name, path=path, captions=("a picture .",), split="val", label=label)


@pytest.fixture
def images(tmp_path: Path) -> list[CaptionedImage]:
    """Two red ones, one of them called blue; a blue one; and one without a class."""
    return [
        picture(tmp_path, "a", colour="red", label="red"),
        picture(tmp_path, "b", colour="red", label="blue"),
        picture(tmp_path, "c", colour="blue", label="blue"),
        picture(tmp_path, "d", colour="green", label=None),
    ]


@pytest.mark.parametrize("mixture", [GLOBAL, Mixture(alpha=0.0, beta=1.0), Mixture(alpha=0.6, beta=0.4, norm="rms")])
def test_pictures_go_to_the_class_of_their_name(mixture: Mixture) -> None:
    encoder = ColourEncoder()
    names = ["red", "green", "blue", "yellow"]
    scores = classify(
        encoder, encoder.encode_images([plain(name) for name in names]), class_names=names, mixture=mixture
    )
    assert scores.shape == (4, 4)
    assert scores.argmax(dim=1).tolist() == [0, 1, 2, 3]


def test_several_sentences_count_by_their_normalised_mean() -> None:
    class Sentences(ColourEncoder):
        """The unit vectors along x and y for a class's two sentences, and the one between them for the other's."""

        def encode_texts(self, texts: list[str], *, batch_size: int = 256) -> object:  # type: ignore[override]
            vectors = {"one A": [1.0, 0.0], "two A": [0.0, 1.0], "one B": [1.0, 1.0], "two B": [1.0, 1.0]}
            rows = torch.nn.functional.normalize(torch.tensor([vectors[text] for text in texts]), dim=-1).numpy()
            return type("Texts", (), {"global_emb": rows})()

    towards = EncodedImages(np.array([[1.0, 1.0]], dtype=np.float32), np.zeros((1, 0, 2), dtype=np.float32))
    scores = classify(Sentences(), towards, class_names=["A", "B"], templates=["one {}", "two {}"], mixture=GLOBAL)
    # The mean of x and y points between them, however short it is.
    torch.testing.assert_close(scores, torch.ones(1, 2))


def test_accuracy_over_pictures_and_per_class(images: list[CaptionedImage]) -> None:
    report = zero_shot_report(ColourEncoder(), images, mixture=GLOBAL, class_names=["red", "green", "blue"])
    assert (report.n_images, report.n_unlabelled) == (3, 1)
    assert report.top1 == pytest.approx(100 * 2 / 3)
    assert report.top5 == 100.0
    assert report.mean_class_top1 == pytest.approx(75.0)
    blue, red = sorted(report.classes, key=lambda entry: entry.name)
    assert (blue.name, blue.n_images, blue.top1, blue.confused_with) == ("blue", 2, 50.0, "red")
    assert (red.name, red.n_images, red.top1, red.confused_with) == ("red", 1, 100.0, None)
    assert json.loads(json.dumps(report.as_dict()))["class_names"] == ["red", "green", "blue"]
    assert report.templates == TEMPLATES


def test_features_that_are_there_are_not_computed_again(images: list[CaptionedImage]) -> None:
    encoder = ColourEncoder()
    encoded = encoder.encode_images([plain(colour) for colour in ("red", "red", "blue", "green")])
    encoder.batches.clear()
    again = zero_shot_report(encoder, images, encoded=encoded, mixture=GLOBAL)
    assert encoder.batches == []
    fresh = zero_shot_report(encoder, images, mixture=GLOBAL)
    assert (again.top1, again.classes) == (fresh.top1, fresh.classes)
    assert again.class_names == ("blue", "red")


def test_ties_count_as_chance(images: list[CaptionedImage]) -> None:
    """Names that say no colour are all grey to this encoder."""
    labelled = [picture(images[0].path.parent, name, colour="grey", label=name) for name in ("p", "q", "r", "s")]
    report = zero_shot_report(ColourEncoder(), labelled, mixture=GLOBAL)
    assert report.top1 == pytest.approx(25.0)


def test_top_five_of_more_classes(tmp_path: Path) -> None:
    names = list(COLOURS)
    chosen = [picture(tmp_path, name, colour=name, label=name) for name in names]
    wrong = picture(tmp_path, "odd", colour="white", label="dark")
    report = zero_shot_report(ColourEncoder(), [*chosen, wrong], mixture=GLOBAL)
    assert report.top1 == pytest.approx(100 * 7 / 8)
    assert report.top5 in (100.0, pytest.approx(100 * 7 / 8))


def test_what_cannot_be_classified_is_refused(images: list[CaptionedImage], tmp_path: Path) -> None:
    encoder = ColourEncoder()
    with pytest.raises(DataError, match="no picture has a class"):
        zero_shot_report(encoder, images[3:])
    with pytest.raises(ConfigError, match="not among the class names: blue"):
        zero_shot_report(encoder, images, class_names=["red"])
    with pytest.raises(ConfigError, match="different from each other"):
        zero_shot_report(encoder, images, class_names=["red", "blue", "blue"])
    with pytest.raises(ConfigError, match="where the class name goes"):
        zero_shot_report(encoder, images, templates=["a picture of {}.", "a picture."])
    with pytest.raises(ConfigError, match="where the class name goes"):
        zero_shot_report(encoder, images, templates=[])
    gone = CaptionedImage(image_id="x", path=tmp_path / "x.png", captions=("x",), split="val", label="red")
    with pytest.raises(DataError, match="missing"):
        zero_shot_report(encoder, [gone])


def test_a_broken_model_is_named(images: list[CaptionedImage]) -> None:
    encoder = ColourEncoder()
    encoded = encoder.encode_images([plain("red")] * 4)
    encoded.global_emb[:] = np.nan
    with pytest.raises(ModelError, match="NaN"):
        zero_shot_report(encoder, images, encoded=encoded, mixture=GLOBAL)
