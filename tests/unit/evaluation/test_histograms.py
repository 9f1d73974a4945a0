from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from rsitr.evaluation.histograms import PairSimilarities, split_pairs, write_histograms
from rsitr.evaluation.protocol import EncodedSplit
from rsitr.types import EncodedImages, EncodedTexts


def encoded() -> EncodedSplit:
    """Two images with two captions each, one of which they share: three distinct captions."""
    nothing = np.zeros((0, 0, 1), np.float32)
    return EncodedSplit(
        images=EncodedImages(np.zeros((2, 1), np.float32), nothing),
        texts=EncodedTexts(np.zeros((3, 1), np.float32), nothing, np.zeros((0, 0), np.bool_)),
        caption_text=np.array([0, 1, 1, 2]),
        text_image=np.array([0, 0, 1, 1]),
        mR_ceiling=100.0,
        encode_s=0.0,
    )


def test_a_pair_matches_if_the_caption_was_written_for_the_picture() -> None:
    scores = np.array([[0.9, 0.1], [0.5, 0.6], [0.2, 0.8]], dtype=np.float32)
    matching, others = split_pairs(encoded(), scores=scores)
    np.testing.assert_allclose(matching, [0.9, 0.5, 0.6, 0.8])
    np.testing.assert_allclose(sorted(others), [0.1, 0.2])  # the shared caption is nobody's other


def test_the_share_below_the_threshold_counts_what_does_not_exceed_it() -> None:
    pairs = PairSimilarities("cosine", np.ones(3, np.float32), np.array([0.1, 0.2, 0.3, 0.4], np.float32), 0.2)
    assert pairs.others_below == 0.5
    assert PairSimilarities("cosine", pairs.matching, pairs.others).others_below is None


def draw(path: Path, *, threshold: float | None) -> np.ndarray:
    rng = np.random.default_rng(0)
    matching, others = (rng.normal(mean, 0.1, 2000).astype(np.float32) for mean in (0.6, 0.1))
    panels = [PairSimilarities(name, matching, others, threshold) for name in ("global", "local")]
    write_histograms(panels, path, title="T", drop_ratio=0.01)
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def test_both_kinds_of_pairs_and_the_threshold_are_seen(tmp_path: Path) -> None:
    def seen(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
        return int((np.abs(pixels - colour).sum(axis=2) < 40).sum())

    with_line, without = draw(tmp_path / "a.png", threshold=0.37), draw(tmp_path / "b.png", threshold=None)
    assert seen(with_line, (0x1B, 0x8A, 0x5A)) > 100
    assert seen(with_line, (0x8D, 0x99, 0xA6)) > 100
    assert seen(with_line, (0xB3, 0x43, 0x0F)) > 100 > seen(without, (0xB3, 0x43, 0x0F))
    assert not list(tmp_path.glob(".*"))
