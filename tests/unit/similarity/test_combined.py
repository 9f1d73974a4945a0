from __future__ import annotations

import numpy as np
import pytest
import torch

from rsitr.similarity import score_global, score_local, score_pairs
from rsitr.types import EncodedImages, EncodedTexts, Mixture


@pytest.fixture
def sides() -> tuple[EncodedTexts, EncodedImages]:
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return (
        EncodedTexts(draw(4, 6), draw(4, 3, 6), rng.random((4, 3)) < 0.7),
        EncodedImages(draw(5, 6), draw(5, 2, 6)),
    )


def test_global_similarity_is_the_cosine() -> None:
    found = score_global(text_emb=torch.tensor([[3.0, 0.0], [1.0, 1.0]]), image_emb=torch.tensor([[0.0, 2.0]]))
    assert found.flatten().tolist() == pytest.approx([0.0, 0.5**0.5])


@pytest.mark.parametrize("norm", ["l2", "rms"])
def test_pairs_mix_both_similarities(sides: tuple[EncodedTexts, EncodedImages], norm: str) -> None:
    texts, images = sides
    for array in (texts.tokens, images.global_emb):
        array.flags.writeable = False  # as a memory map's or a table's
    found = score_pairs(texts=texts, images=images, mixture=Mixture(alpha=0.7, beta=0.2, norm=norm))  # type: ignore[arg-type]
    for array in (texts.tokens, images.global_emb):
        array.flags.writeable = True
    expected = 0.7 * score_global(
        text_emb=torch.from_numpy(texts.global_emb), image_emb=torch.from_numpy(images.global_emb)
    ) + 0.2 * score_local(
        text_tokens=torch.from_numpy(texts.tokens),
        image_tokens=torch.from_numpy(images.tokens),
        text_mask=torch.from_numpy(texts.token_mask),
        norm=norm,  # type: ignore[arg-type]
    )
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_without_weight_the_local_similarity_is_not_computed(sides: tuple[EncodedTexts, EncodedImages]) -> None:
    texts, images = sides
    without = EncodedImages(images.global_emb, np.zeros((0, 0, 0), dtype=np.float32))  # would not fit
    found = score_pairs(texts=texts, images=without, mixture=Mixture(alpha=2.0, beta=0.0))
    expected = score_pairs(texts=texts, images=images, mixture=Mixture(alpha=1.0, beta=0.0))
    torch.testing.assert_close(found, 2 * expected)
