"""Agreement of approximate scores with exact ones."""

from __future__ import annotations

import pytest
import torch

from rsitr.similarity import measure_agreement


def test_a_worked_example() -> None:
    exact = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    approximate = torch.tensor([[4.0, 3.0, 1.0, 2.0], [4.0, 3.0, 2.0, 1.0]])
    found = measure_agreement(exact=exact, approximate=approximate, k=2)
    # The first text keeps its top two; the second has none of them.
    assert found.text_to_image_overlap == pytest.approx(0.5)
    # 1 - 6 sum d^2 / n (n^2 - 1): 1 - 6 * 2 / 60 = 0.8, and the reverse order is -1.
    assert found.text_to_image_spearman == pytest.approx((0.8 - 1.0) / 2)
    # Two texts per image, k = 2: always all of them.
    assert found.image_to_text_overlap == 1.0
    # The first two images' texts are approximately equal, which is no order; the third keeps its order, not the fourth.
    assert found.image_to_text_spearman == pytest.approx((1.0 - 1.0) / 2)
    assert found.relative_error == pytest.approx((22.0 / 60.0) ** 0.5)
    assert found.overlap == pytest.approx(0.5)


def test_what_keeps_the_order_agrees_whatever_the_values() -> None:
    exact = torch.rand(20, 30, generator=torch.Generator().manual_seed(0))
    found = measure_agreement(exact=exact, approximate=exact.exp() * 5, k=10)
    assert found.overlap == 1.0
    assert found.text_to_image_spearman == pytest.approx(1.0)
    assert found.image_to_text_spearman == pytest.approx(1.0)


def test_unrelated_scores_agree_by_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    found = measure_agreement(
        exact=torch.rand(200, 100, generator=generator), approximate=torch.rand(200, 100, generator=generator), k=10
    )
    assert found.text_to_image_overlap == pytest.approx(0.1, abs=0.03)
    assert found.text_to_image_spearman == pytest.approx(0.0, abs=0.03)


def test_few_candidates_and_equal_scores_are_no_error() -> None:
    same = torch.ones(3, 2)
    found = measure_agreement(exact=same, approximate=same, k=10)
    assert found.overlap == 1.0
    assert found.text_to_image_spearman == 1.0


def test_wrong_shapes_are_refused() -> None:
    for exact, approximate, k in (
        (torch.ones(2, 3), torch.ones(3, 2), 1),
        (torch.ones(0, 3), torch.ones(0, 3), 1),
        (torch.ones(2, 3), torch.ones(2, 3), 0),
    ):
        with pytest.raises(ValueError, match="n_text, n_image"):
            measure_agreement(exact=exact, approximate=approximate, k=k)
