from __future__ import annotations

import numpy as np
import pytest

from rsitr.data.ceiling import recall_ceiling
from rsitr.errors import ConfigError
from rsitr.evaluation import measure_staged
from rsitr.evaluation.protocol import EncodedSplit, measure
from rsitr.rerank import parse_rerank
from rsitr.types import EncodedImages, EncodedTexts, Mixture

N_IMAGES, DIM = 20, 8


@pytest.fixture
def split() -> EncodedSplit:
    rng = np.random.default_rng(3)

    def unit(*shape: int) -> np.ndarray:
        rows = rng.normal(size=shape).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)

    return EncodedSplit(
        images=EncodedImages(unit(N_IMAGES, DIM), rng.normal(size=(N_IMAGES, 4, DIM)).astype(np.float32)),
        texts=EncodedTexts(unit(30, DIM), rng.normal(size=(30, 3, DIM)).astype(np.float32), np.ones((30, 3), bool)),
        caption_text=np.arange(40) % 30,
        text_image=np.arange(40) // 2,
        mR_ceiling=recall_ceiling([("a", "b")]).mR,
        encode_s=0.0,
    )


@pytest.mark.parametrize("mixture", [Mixture(alpha=1.0, beta=0.0), Mixture(alpha=0.6, beta=0.4, norm="rms")])
def test_with_every_image_a_candidate_it_is_the_plain_measure(split: EncodedSplit, mixture: Mixture) -> None:
    staged = measure_staged(split, mixture=mixture, n_candidates=N_IMAGES)
    plain = measure(split, mixture=mixture)
    assert staged.metrics.text_to_image == pytest.approx(plain.metrics.text_to_image)
    assert staged.metrics.image_to_text == pytest.approx(plain.metrics.image_to_text)


def test_few_candidates_lose_what_the_first_stage_missed(split: EncodedSplit) -> None:
    mixture = Mixture(alpha=0.0, beta=1.0)  # the first stage still chooses by global similarity
    few = measure_staged(split, mixture=mixture, n_candidates=5).metrics.text_to_image["R@10"]
    first = measure(split, mixture=Mixture(alpha=1.0, beta=0.0)).metrics.text_to_image
    assert first["R@5"] <= few <= first["R@10"]  # beyond the fifth the order is the first stage's


def test_the_bank_takes_the_place_of_the_other_queries(split: EncodedSplit) -> None:
    mixture = Mixture(alpha=1.0, beta=0.0)
    reranker = parse_rerank("sar:k=10")
    own = measure_staged(split, mixture=mixture, n_candidates=10, rerank=reranker, bank=split.texts)
    plain = measure(split, mixture=mixture, rerank=reranker)
    # The split's own captions as the bank: only that each counts once, however often it is repeated, may differ.
    assert own.metrics.text_to_image["R@10"] == pytest.approx(plain.metrics.text_to_image["R@10"])
    nobody = measure_staged(
        split,
        mixture=mixture,
        n_candidates=10,
        rerank=reranker,
        bank=EncodedTexts(-np.ones((1, DIM), np.float32), np.zeros((1, 1, DIM), np.float32), np.ones((1, 1), bool)),
    )
    assert nobody.metrics.text_to_image != own.metrics.text_to_image


def test_a_method_without_a_bank_and_no_candidates_are_refused(split: EncodedSplit) -> None:
    with pytest.raises(ConfigError, match="needs a bank"):
        measure_staged(split, mixture=Mixture(), rerank=parse_rerank("sar"))
    with pytest.raises(ConfigError, match="at least 1"):
        measure_staged(split, mixture=Mixture(), n_candidates=0)
