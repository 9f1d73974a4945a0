"""EBAKER's objective against the published code's numbers (tests/data/golden), and what those don't cover."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rsitr.losses import RELEASED_SCALE, EbakerLoss, MaskedWords, Targets, ebaker_loss, info_nce, keep_above
from rsitr.similarity import score_global, score_local

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"
DROP_EPOCH = 4


def golden_loss(golden: dict[str, Tensor], *, scheme: str, epoch: int, full: bool) -> EbakerLoss:
    global_scores = score_global(text_emb=golden["text_global"], image_emb=golden["image_global"])
    local_scores = score_local(text_tokens=golden["text_tokens"], image_tokens=golden["image_tokens"])
    drops = epoch >= DROP_EPOCH
    keep_global = keep_above(global_scores.diagonal(), threshold=golden["threshold_global"].item() if drops else None)
    # The released code's local similarity carries the temperature inside the norm, and so does its threshold.
    local_threshold = golden["threshold_local_scaled"].item() / RELEASED_SCALE
    keep_local = keep_global
    if scheme == "split":
        keep_local = keep_above(local_scores.diagonal(), threshold=local_threshold if drops else None)
    labels = golden["mlm_labels"]
    return ebaker_loss(
        global_scores=global_scores,
        local_scores=local_scores,
        keep_global=keep_global,
        keep_local=keep_local,
        words=MaskedWords(golden["mlm_logits"], labels.masked_fill(labels == 0, -100)) if full else None,
    )


def load(name: str) -> dict[str, Tensor]:
    return {key: torch.from_numpy(np.asarray(value)) for key, value in np.load(GOLDEN / f"{name}.npz").items()}


@pytest.mark.parametrize("full", [False, True], ids=["align_only", "full"])
@pytest.mark.parametrize("epoch", [3, 4])
@pytest.mark.parametrize("scheme", ["joint", "split"])
@pytest.mark.parametrize("name", ["golden_a", "golden_b"])
def test_the_published_losses_are_reproduced(name: str, scheme: str, epoch: int, full: bool) -> None:
    golden = load(name)
    found = golden_loss(golden, scheme=scheme, epoch=epoch, full=full).total.item()
    expected = golden[f"loss_{scheme}_epoch{epoch}_{'full' if full else 'align_only'}"].item()
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["golden_a", "golden_b"])
def test_the_published_similarities_are_reproduced(name: str) -> None:
    golden = load(name)
    found = score_global(text_emb=golden["text_global"], image_emb=golden["image_global"]).diagonal()
    torch.testing.assert_close(found, golden["pair_global_sim"], rtol=1e-5, atol=1e-6)


def test_the_golden_files_tell_the_settings_apart() -> None:
    """If dropping or the scheme made no difference there, the tests above would not see it missing."""
    for name in ("golden_a", "golden_b"):
        golden = load(name)
        values = {key: round(float(value), 6) for key, value in golden.items() if key.startswith("loss_")}
        assert values["loss_joint_epoch3_full"] == values["loss_split_epoch3_full"]
        assert (
            len({values[f"loss_{scheme}_epoch{epoch}_full"] for scheme in ("joint", "split") for epoch in (3, 4)}) == 3
        )


def test_the_scale_is_the_released_one() -> None:
    assert pytest.approx(math.exp(2.996)) == RELEASED_SCALE


@pytest.fixture
def scores() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(4, 4, generator=generator), torch.rand(4, 4, generator=generator) * 3


def test_parts_add_up_with_their_weights(scores: tuple[Tensor, Tensor]) -> None:
    logits, labels = torch.randn(3, 7), torch.tensor([1, -100, 5])
    loss = ebaker_loss(
        global_scores=scores[0],
        local_scores=scores[1],
        keep_global=None,
        keep_local=None,
        words=MaskedWords(logits, labels),
        scale=3.0,
        local_weight=0.7,
        mlm_weight=0.25,
    )
    assert loss.global_align.item() == pytest.approx(info_nce(scores[0], scale=3.0).item())
    assert loss.local_align.item() == pytest.approx(info_nce(scores[1], scale=3.0).item())
    assert loss.mlm.item() == pytest.approx(F.cross_entropy(logits[[0, 2]], labels[[0, 2]]).item())
    expected = loss.global_align + 0.7 * loss.local_align + 0.25 * loss.mlm
    assert loss.total.item() == pytest.approx(expected.item())


def test_the_local_term_takes_the_global_scale(scores: tuple[Tensor, Tensor]) -> None:
    loss = ebaker_loss(
        global_scores=scores[0],
        local_scores=scores[1],
        keep_global=None,
        keep_local=None,
        words=None,
        scale=4.0,
    )
    assert loss.local_align.item() == pytest.approx(info_nce(scores[1], scale=4.0).item())


@pytest.mark.parametrize("labels", [None, torch.full((3,), -100)])
def test_terms_without_anything_to_learn_are_0(scores: tuple[Tensor, Tensor], labels: Tensor | None) -> None:
    """Cross-entropy over no label would be NaN."""
    loss = ebaker_loss(
        global_scores=scores[0],
        local_scores=None,
        keep_global=None,
        keep_local=None,
        words=None if labels is None else MaskedWords(torch.randn(3, 7), labels),
        scale=1.0,
    )
    assert (loss.local_align.item(), loss.mlm.item()) == (0, 0)
    assert loss.total.item() == loss.global_align.item()


def test_positives_and_pairs_to_ignore_reach_both_terms(scores: tuple[Tensor, Tensor]) -> None:
    related = torch.zeros(4, 4, dtype=torch.bool)
    related[0, 2] = True
    for setting in ("positives", "ignore"):
        loss = ebaker_loss(
            global_scores=scores[0],
            local_scores=scores[1],
            keep_global=None,
            keep_local=None,
            words=None,
            scale=2.0,
            targets=Targets(**{setting: related}),
        )
        assert loss.global_align.item() == pytest.approx(info_nce(scores[0], scale=2.0, **{setting: related}).item())
        assert loss.local_align.item() == pytest.approx(info_nce(scores[1], scale=2.0, **{setting: related}).item())


def test_nothing_is_dropped_without_a_threshold() -> None:
    assert keep_above(torch.tensor([0.1, -0.4]), threshold=None) is None


def test_a_similarity_must_exceed_the_threshold() -> None:
    keep = keep_above(torch.tensor([0.1, 0.2, 0.3]), threshold=torch.tensor(0.2).item())
    assert keep is not None
    assert keep.tolist() == [False, False, True]


def test_of_a_whole_batch_the_most_similar_pair_stays() -> None:
    keep = keep_above(torch.tensor([0.1, 0.3, 0.2]), threshold=0.9)
    assert keep is not None
    assert keep.tolist() == [False, True, False]


def test_choosing_pairs_is_not_differentiated() -> None:
    similarities = torch.tensor([0.1, 0.3], requires_grad=True)
    keep = keep_above(similarities, threshold=0.2)
    assert keep is not None
    assert not keep.requires_grad
