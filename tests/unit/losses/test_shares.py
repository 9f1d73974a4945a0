"""Targets that are shares, and the loss of them, against plain formulas."""

from __future__ import annotations

import math

import pytest
import torch

from rsitr.losses import Shares, class_loss, share_loss, share_targets


@pytest.fixture
def targets() -> Shares:
    """Two pictures with two texts each; the second picture's last text fits the first one, too."""
    fits = torch.tensor([[False, True, False, True], [False, False, True, False]])
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.2], [0.9, 0.1], [0.0, 1.0], [0.5, 0.5]]), dim=1)
    return share_targets(
        fits, owner=torch.tensor([0, 0, 1, 1]), likeness=vectors @ vectors.T, temperature=0.5, alike=0.25
    )


def test_targets_are_shares_of_what_fits_and_of_what_is_alike(targets: Shares) -> None:
    vectors = [(1.0, 0.2), (0.9, 0.1), (0.0, 1.0), (0.5, 0.5)]
    unit = [(x / math.hypot(x, y), y / math.hypot(x, y)) for x, y in vectors]
    soft = []
    for x, y in unit:
        powers = [math.exp((x * u + y * v) / 0.5) for u, v in unit]
        soft.append([power / sum(powers) for power in powers])
    fits = [[True, True, False, True], [False, False, True, True]]  # its own texts, whatever was said
    for picture, own in enumerate(((0, 1), (2, 3))):
        for text in range(4):
            alike = sum(soft[mine][text] for mine in own) / 2
            expected = 0.75 * fits[picture][text] / sum(fits[picture]) + 0.25 * alike
            assert targets.texts[picture, text].item() == pytest.approx(expected, rel=1e-5)
            pictures = fits[0][text] + fits[1][text]
            expected = 0.75 * fits[picture][text] / pictures + 0.25 * sum(soft[text][mine] for mine in own)
            assert targets.images[text, picture].item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(targets.texts.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(targets.images.sum(dim=1), torch.ones(4))


def test_the_loss_is_the_mean_of_both_directions(targets: Shares) -> None:
    logits = torch.tensor([[2.0, 1.0, -1.0, 0.5], [0.0, 0.3, 1.5, -0.2]])
    rows, columns = logits.tolist(), logits.T.tolist()
    by_image = by_text = 0.0
    for row, target in zip(rows, targets.texts.tolist(), strict=True):
        total = math.log(sum(map(math.exp, row)))
        by_image -= sum(share * (value - total) for share, value in zip(target, row, strict=True)) / 2
    for column, target in zip(columns, targets.images.tolist(), strict=True):
        total = math.log(sum(map(math.exp, column)))
        by_text -= sum(share * (value - total) for share, value in zip(target, column, strict=True)) / 4
    assert share_loss(logits, targets).item() == pytest.approx((by_image + by_text) / 2, rel=1e-5)


def test_without_likeness_and_with_one_text_each_it_is_half_of_info_nce() -> None:
    from rsitr.losses import info_nce

    torch.manual_seed(0)
    scores, own = torch.randn(5, 5), torch.arange(5)
    nothing = torch.zeros(5, 5, dtype=torch.bool)
    pairs = share_targets(nothing, owner=own, likeness=torch.eye(5), temperature=1.0, alike=0.0)
    torch.testing.assert_close(share_loss(scores, pairs), info_nce(scores) / 2)


def test_pictures_without_a_class_do_not_count() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]])
    known = class_loss(logits[:2], torch.tensor([0, 2]), smoothing=0.1)
    torch.testing.assert_close(class_loss(logits, torch.tensor([0, 2, -1]), smoothing=0.1), known)
    expected = 0.0
    for row, own in zip(logits[:2].tolist(), (0, 2), strict=True):
        total = math.log(sum(map(math.exp, row)))
        expected -= sum((0.9 * (place == own) + 0.1 / 3) * (value - total) for place, value in enumerate(row)) / 2
    assert known.item() == pytest.approx(expected, rel=1e-5)
    assert class_loss(logits, torch.tensor([-1, -1, -1]), smoothing=0.1).item() == 0.0
