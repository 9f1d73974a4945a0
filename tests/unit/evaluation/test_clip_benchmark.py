"""Recall agrees with the public clip_benchmark harness wherever scores are not tied."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clip_benchmark.metrics.zeroshot_retrieval import evaluate as harness
from torch import Tensor, nn

from rsitr.evaluation import retrieval_metrics

KS = [1, 5, 10]


class Looked(nn.Module):
    """Features that are looked up: images and texts are numbers of rows."""

    def __init__(self, *, image_emb: Tensor, text_emb: Tensor) -> None:
        super().__init__()
        self.image_emb, self.text_emb = image_emb, text_emb

    def encode_image(self, images: Tensor) -> Tensor:
        return self.image_emb[images]

    def encode_text(self, texts: Tensor) -> Tensor:
        return self.text_emb[texts]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n_images", "most_captions", "noise"), [(60, 5, 1.5), (23, 1, 2.0), (120, 7, 4.0)])
def test_recall_is_the_harness_recall(n_images: int, most_captions: int, noise: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, most_captions + 1, (n_images,), generator=generator)
    text_image = torch.arange(n_images).repeat_interleave(counts)
    image_emb = torch.randn(n_images, 16, generator=generator, dtype=torch.float64)
    text_emb = image_emb[text_image] + noise * torch.randn(
        len(text_image), 16, generator=generator, dtype=torch.float64
    )
    unit = [nn.functional.normalize(side, dim=-1) for side in (text_emb, image_emb)]
    scores = (unit[0] @ unit[1].T).numpy()
    assert all(len(np.unique(lists)) == len(lists) for lists in (*scores, *scores.T)), "a tie decides nothing here"

    texts = iter(range(len(text_image)))
    batches = [
        (batch, [[next(texts) for _ in range(int(counts[image]))] for image in batch])
        for batch in torch.arange(n_images).split(17)
    ]
    expected = harness(
        Looked(image_emb=image_emb, text_emb=text_emb), batches, torch.tensor, "cpu", amp=False, recall_k_list=KS
    )
    found = retrieval_metrics(scores, text_image=text_image.numpy(), ks=KS)
    for k in KS:
        assert found.text_to_image[f"R@{k}"] == pytest.approx(100 * expected[f"image_retrieval_recall@{k}"], abs=1e-4)
        assert found.image_to_text[f"R@{k}"] == pytest.approx(100 * expected[f"text_retrieval_recall@{k}"], abs=1e-4)
    assert found.mR == pytest.approx(found.mR_best)
    assert found.mR == pytest.approx(found.mR_worst)
    assert 5 < found.mR < 95
