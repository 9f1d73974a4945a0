from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rsitr.losses import info_nce


def definition(
    scores: Tensor,
    *,
    keep: list[int],
    scale: float = 1.0,
    positives: Tensor | None = None,
    ignore: Tensor | None = None,
) -> float:
    """Row by row in plain Python, both directions."""
    size = len(scores)
    total = 0.0
    for transposed in (False, True):
        losses = []
        for row in keep:

            def at(
                matrix: Tensor, column: int, *, row: int = row, transposed: bool = transposed
            ) -> float:  # the pair (text, image) of this row and column
                return float(matrix[column, row] if transposed else matrix[row, column])

            right = [c for c in range(size) if c == row or (positives is not None and at(positives, c))]
            left_out = [c for c in range(size) if c not in right and ignore is not None and at(ignore, c)]
            rest = sum(math.exp(scale * at(scores, c)) for c in range(size) if c not in left_out)
            losses.append(sum(math.log(rest) - scale * at(scores, c) for c in right) / len(right))
        total += sum(losses) / len(losses)
    return total


def draw(size: int, seed: int) -> Tensor:
    return torch.rand(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def test_two_pairs_by_hand() -> None:
    scores = torch.tensor([[1.0, 0.0], [0.5, 1.0]])
    text_rows = math.log(1 + math.exp(-1.0)) + math.log(1 + math.exp(-0.5))
    image_rows = math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(-1.0))
    assert info_nce(scores).item() == pytest.approx((text_rows + image_rows) / 2)


@given(seed=st.integers(0, 10_000), size=st.integers(2, 6), scale=st.floats(0.1, 20), data=st.data())
@settings(max_examples=30)
def test_it_is_its_definition(seed: int, size: int, scale: float, data: st.DataObject) -> None:
    keep = sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1)))
    generator = torch.Generator().manual_seed(seed)
    related = torch.rand(size, size, generator=generator) < 0.3
    use = data.draw(st.sampled_from(["neither", "positives", "ignore"]))
    extra = {} if use == "neither" else {use: related}
    scores = draw(size, seed)
    mask = torch.tensor([row in keep for row in range(size)])
    found = info_nce(scores, keep=mask, scale=scale, **extra)
    assert found.item() == pytest.approx(definition(scores, keep=keep, scale=scale, **extra), rel=1e-9)


def test_keeping_all_is_the_same_as_no_mask() -> None:
    scores = draw(5, 1)
    assert info_nce(scores, keep=torch.ones(5, dtype=torch.bool)).item() == pytest.approx(info_nce(scores).item())


def test_a_dropped_pair_loses_its_rows_and_stays_a_negative_for_the_others() -> None:
    scores = draw(4, 2).requires_grad_()
    keep = torch.tensor([True, False, True, True])
    info_nce(scores, keep=keep).backward()
    assert scores.grad is not None
    assert scores.grad[1, 1].item() == 0  # the pair itself teaches nothing
    others = torch.tensor([0, 2, 3])
    assert bool((scores.grad[others, 1] > 0).all())  # as a column of the other texts: pushed away
    assert bool((scores.grad[1, others] > 0).all())  # and as a row of the other images'
    without = draw(4, 2)[others][:, others]
    assert info_nce(draw(4, 2), keep=keep).item() > info_nce(without).item()


def test_the_order_of_pairs_does_not_matter() -> None:
    scores, keep = draw(6, 3), torch.tensor([True, True, False, True, False, True])
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    positives = draw(6, 4) > 0.4
    plain = info_nce(scores, keep=keep, scale=5.0, positives=positives)
    moved = info_nce(scores[order][:, order], keep=keep[order], scale=5.0, positives=positives[order][:, order])
    assert moved.item() == pytest.approx(plain.item())


def test_directions_are_symmetric() -> None:
    scores = draw(5, 5)
    assert info_nce(scores.T).item() == pytest.approx(info_nce(scores).item())


def test_a_learned_scale_gets_its_gradient() -> None:
    scale = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    scores = draw(5, 6)
    info_nce(scores, scale=scale).backward()
    step = 1e-6
    slope = (info_nce(scores, scale=3.0 + step) - info_nce(scores, scale=3.0 - step)) / (2 * step)
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx(slope.item(), rel=1e-6)


def test_gradients_are_finite_with_pairs_left_out() -> None:
    scores = draw(4, 7).requires_grad_()
    ignore = torch.ones(4, 4, dtype=torch.bool)  # everything but the diagonal, which always counts
    loss = info_nce(scores, ignore=ignore)
    loss.backward()
    assert loss.item() == pytest.approx(0)
    assert scores.grad is not None
    assert scores.grad.abs().max().item() == pytest.approx(0)


def test_a_positive_is_never_left_out() -> None:
    positives = torch.tensor([[True, True], [False, True]])
    both = info_nce(draw(2, 8), positives=positives, ignore=positives)
    assert both.item() == pytest.approx(info_nce(draw(2, 8), positives=positives).item())


def test_positives_pull_instead_of_push() -> None:
    positives = torch.zeros(4, 4, dtype=torch.bool)
    positives[0, 1] = True
    scores = torch.zeros(4, 4, requires_grad=True)
    info_nce(scores).backward()
    assert scores.grad is not None
    assert scores.grad[0, 1].item() > 0
    scores.grad = None
    info_nce(scores, positives=positives).backward()
    assert scores.grad[0, 1].item() < 0


def test_no_kept_row_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one True"):
        info_nce(torch.eye(3), keep=torch.zeros(3, dtype=torch.bool))


@pytest.mark.parametrize(
    "wrong",
    [
        {"scores": torch.ones(2, 3)},
        {"scores": torch.ones(2)},
        {"scores": torch.tensor(1.0)},
        {"scores": torch.eye(3), "keep": torch.ones(2, dtype=torch.bool)},
        {"scores": torch.eye(3), "positives": torch.ones(3, dtype=torch.bool)},
        {"scores": torch.eye(3), "ignore": torch.ones(2, 3, dtype=torch.bool)},
    ],
)
def test_shapes_that_do_not_fit_are_refused(wrong: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match="must be"):
        info_nce(wrong.pop("scores"), **wrong)


def test_soft_targets_are_a_share_of_the_target() -> None:
    torch.manual_seed(0)
    scores, likeness = torch.randn(4, 4), torch.randn(4, 4) * 3
    by_hand = torch.zeros(())
    for logits, soft in ((scores * 5, likeness), (scores.T * 5, likeness.T)):
        target = 0.7 * torch.eye(4) + 0.3 * torch.softmax(soft, dim=1)
        by_hand -= (target * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
    found = info_nce(scores, scale=5.0, soft=likeness, soft_weight=0.3)
    torch.testing.assert_close(found, by_hand)
    torch.testing.assert_close(info_nce(scores, soft=likeness, soft_weight=0.0), info_nce(scores))


def test_soft_targets_and_ignored_pairs_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="leave out one of the two"):
        info_nce(torch.eye(3), soft=torch.eye(3), soft_weight=0.1, ignore=torch.eye(3) > 0)
