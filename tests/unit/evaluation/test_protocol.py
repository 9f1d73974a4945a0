from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rsitr.data import CaptionedImage
from rsitr.data.ceiling import recall_ceiling
from rsitr.errors import ConfigError, DataError
from rsitr.evaluation import protocol, retrieval_metrics
from rsitr.evaluation.protocol import encode_captions, encode_split, measure, measure_scores, score_split
from rsitr.rerank import parse_rerank
from rsitr.types import GLOBAL_ONLY, EncodedImages, EncodedTexts, ImageArray, Mixture

N_IMAGES, DIM = 6, 8


class TableEncoder:
    """Features looked up by a picture's grey level and a text's words: the answer can be computed by hand."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.images = rng.normal(size=(N_IMAGES, 1 + 3, DIM)).astype(np.float32)
        self.seen: list[str] = []
        self.name, self.fingerprint, self.dim, self.image_size_px = "table", "f" * 64, DIM, 4
        self.mixture = Mixture(alpha=1.0, beta=0.5)

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        assert all(image.dtype == np.uint8 and image.shape == (4, 4, 3) for image in images)
        features = self.images[[int(image[0, 0, 0]) // 10 for image in images]]
        return EncodedImages(self._unit(features[:, 0]), features[:, 1:])

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
        self.seen.extend(texts)
        features = np.stack([self._text(text) for text in texts])
        mask = np.ones((len(texts), 2), dtype=bool)
        mask[:, 1] = [len(text) % 2 == 0 for text in texts]
        return EncodedTexts(self._unit(features[:, 0]), features[:, 1:], mask)

    @staticmethod
    def _text(text: str) -> np.ndarray:
        seed = int.from_bytes(text.encode(), "little") % 2**32
        return np.random.default_rng(seed).normal(size=(1 + 2, DIM)).astype(np.float32)

    @staticmethod
    def _unit(features: np.ndarray) -> np.ndarray:
        return features / np.linalg.norm(features, axis=1, keepdims=True)


@pytest.fixture
def images(tmp_path: Path) -> list[CaptionedImage]:
    """Six pictures with one to five captions; `a road` repeats within one and across two."""
    captions = [
        ("a road", "a road", "one"),
        ("a road", "two", "three", "four", "five"),
        ("six",),
        ("seven", "eight"),
        ("nine", "ten", "eleven"),
        ("twelve", "thirteen"),
    ]
    found = []
    for number, own in enumerate(captions):
        Image.fromarray(np.full((4, 4, 3), number * 10, dtype=np.uint8)).save(tmp_path / f"{number}.png")
        found.append(CaptionedImage(f"set/{number}", tmp_path / f"{number}.png", own, "val"))
    return found


def by_hand(images: list[CaptionedImage], *, mixture: Mixture) -> np.ndarray:
    """Scores of every caption and picture, pair by pair."""
    encoder = TableEncoder()
    rows = []
    for image in images:
        for caption in image.captions:
            text = encoder.encode_texts([caption])
            row = []
            for number in range(len(images)):
                features = encoder.images[number]
                unit = features / np.linalg.norm(features, axis=1, keepdims=True)
                words = text.tokens[0][text.token_mask[0]]
                cosines = (words / np.linalg.norm(words, axis=1, keepdims=True)) @ unit[1:].T
                score = mixture.alpha * float(text.global_emb[0] @ unit[0])
                row.append(score + mixture.beta * float(np.linalg.norm(cosines)))
            rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("mixture", [GLOBAL_ONLY, Mixture(alpha=0.6, beta=0.4), Mixture(alpha=0.0, beta=1.0)])
def test_a_split_is_measured_by_its_definition(images: list[CaptionedImage], mixture: Mixture) -> None:
    split = encode_split(TableEncoder(), images)
    found = measure(split, mixture=mixture)
    scores = by_hand(images, mixture=mixture)
    text_image = np.repeat(np.arange(6), [len(image.captions) for image in images])
    np.testing.assert_array_equal(split.text_image, text_image)
    everything = score_split(split, mixture=mixture)[torch.from_numpy(split.caption_text)]
    np.testing.assert_allclose(everything.numpy(), scores, rtol=1e-4, atol=1e-5)
    # By hand equal captions score equal, too, so that ties are the same.
    expected = retrieval_metrics(np.round(scores, 4), text_image=text_image)
    assert found.metrics.image_to_text == pytest.approx(expected.image_to_text)
    assert found.metrics.text_to_image == pytest.approx(expected.text_to_image)
    assert found.metrics.mR == pytest.approx(expected.mR)
    assert 0 < found.metrics.mR < 100
    assert found.metrics.mR_worst < found.metrics.mR < found.metrics.mR_best
    assert found.metrics.mR <= found.mR_ceiling == recall_ceiling([image.captions for image in images]).mR < 100


def test_each_distinct_caption_is_encoded_once(images: list[CaptionedImage]) -> None:
    encoder = TableEncoder()
    split = encode_split(encoder, images)
    assert sorted(encoder.seen) == sorted({caption for image in images for caption in image.captions})
    captions = [caption for image in images for caption in image.captions]
    assert [sorted(set(captions))[index] for index in split.caption_text] == captions
    assert split.caption_text[0] == split.caption_text[1] == split.caption_text[3]


def test_reading_ahead_does_not_change_the_order(images: list[CaptionedImage], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode_split(TableEncoder(), images)
    monkeypatch.setattr(protocol, "READ_AHEAD", 4)
    done: list[int] = []
    parts = encode_split(TableEncoder(), images, progress=done.append)
    assert done == [4, 6]
    np.testing.assert_array_equal(parts.images.global_emb, whole.images.global_emb)
    np.testing.assert_array_equal(parts.images.tokens, whole.images.tokens)


def test_pictures_that_are_encoded_already_are_taken(images: list[CaptionedImage]) -> None:
    whole = encode_split(TableEncoder(), images)
    found = encode_captions(TableEncoder(), images, encoded=whole.images)
    assert found.images is whole.images
    assert measure(found, mixture=GLOBAL_ONLY).metrics.mR == measure(whole, mixture=GLOBAL_ONLY).metrics.mR


def test_the_report_holds_what_was_measured_and_how_long_it_took(images: list[CaptionedImage]) -> None:
    found = measure(encode_split(TableEncoder(), images), mixture=GLOBAL_ONLY).as_dict()
    assert (found["n_images"], found["n_texts"]) == (6, 16)
    assert found["image_to_text"].keys() == found["text_to_image"].keys() == {"R@1", "R@5", "R@10"}
    both = [*found["image_to_text"].values(), *found["text_to_image"].values()]
    assert found["mR"] == pytest.approx(np.mean(both))
    assert found["time_s"].keys() == {"encode", "score", "rerank", "per_query"}
    assert found["time_s"]["encode"] > 0
    assert found["time_s"]["score"] > 0
    assert found["time_s"]["rerank"] == 0
    assert found["time_s"]["per_query"]["encode"] == pytest.approx(found["time_s"]["encode"] / 22)


def test_missing_pictures_are_found_before_any_is_encoded(images: list[CaptionedImage]) -> None:
    images[4].path.unlink()
    encoder = TableEncoder()
    with pytest.raises(DataError, match=r"1 of 6 pictures are missing: .*4\.png"):
        encode_split(encoder, images)
    assert encoder.seen == []


@pytest.mark.parametrize("content", [b"", b"junk", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"II*\0\x08\0\0\0"])
def test_a_broken_picture_is_named(images: list[CaptionedImage], content: bytes) -> None:
    images[2].path.write_bytes(content)
    with pytest.raises(DataError, match=r"2\.png cannot be decoded .*rsitr data check"):
        encode_split(TableEncoder(), images)


def test_an_unknown_norm_is_refused(images: list[CaptionedImage]) -> None:
    split = encode_split(TableEncoder(), images)
    with pytest.raises(ConfigError, match="'max' is unknown"):
        measure(split, mixture=Mixture(norm="max"))  # type: ignore[arg-type]


def test_a_repeated_caption_is_one_candidate_of_a_re_ranking() -> None:
    """As five, the copies would tie across the border of the top two, and all would stay where they are."""
    caption_text = np.array([0, 0, 0, 0, 0, 1, 2])
    text_image = np.array([0, 0, 1, 1, 1, 0, 2])
    # Picture 0 likes text 0 best, but text 0 likes picture 1 more; text 1 likes picture 0 best of all.
    scores = torch.tensor([[0.8, 0.9, 0.1], [0.7, 0.2, 0.1], [0.1, 0.2, 0.6]])
    alone, _ = measure_scores(scores, caption_text=np.arange(3), text_image=np.array([1, 0, 2]), rerank=None)
    sar = parse_rerank("sar:k=2")
    moved, _ = measure_scores(scores, caption_text=np.arange(3), text_image=np.array([1, 0, 2]), rerank=sar)
    assert alone.image_to_text["R@1"] == pytest.approx(200 / 3)
    assert moved.image_to_text["R@1"] == 100
    repeated, _ = measure_scores(scores, caption_text=caption_text, text_image=text_image, rerank=sar)
    assert repeated.image_ranks.best[0] == 1, "text 1 has come before all five copies of text 0"
    assert repeated.image_ranks.equal[0] == 1
    frozen = sar(scores[torch.from_numpy(caption_text)], direction="image_to_text")
    assert torch.equal(frozen[:, 0], scores[torch.from_numpy(caption_text)][:, 0])
