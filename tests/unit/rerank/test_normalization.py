"""Dual softmax, inverted softmax and CSLS against their formulas, entry by entry."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rsitr.errors import ConfigError, ModelError
from rsitr.rerank import Direction, csls, dual_softmax, inverted_softmax

DIRECTIONS: tuple[Direction, ...] = ("text_to_image", "image_to_text")
T = 0.1


def scores_of(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 0.3


def softmax_at(values: Tensor, place: int) -> float:
    weights = [math.exp(float(value) / T) for value in values]
    return weights[place] / sum(weights)


def test_dual_softmax_is_the_log_of_both_softmaxes() -> None:
    scores = scores_of(4, 3)
    new = dual_softmax(scores, temperature=T, direction="text_to_image")
    for q in range(4):
        for c in range(3):
            expected = math.log(softmax_at(scores[q], c)) + math.log(softmax_at(scores[:, c], q))
            assert float(new[q, c]) == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(dual_softmax(scores, temperature=T, direction="image_to_text"), new, atol=1e-5)


def test_inverted_softmax_is_the_log_of_the_softmax_over_queries() -> None:
    scores = scores_of(4, 3)
    new = inverted_softmax(scores, temperature=T, direction="text_to_image")
    torch.testing.assert_close(new, (scores / T).log_softmax(dim=0))
    new = inverted_softmax(scores, temperature=T, direction="image_to_text")
    torch.testing.assert_close(new, (scores / T).log_softmax(dim=1))


def test_inverted_softmax_over_a_bank() -> None:
    scores, bank = scores_of(4, 3), scores_of(6, 3, seed=1)
    new = inverted_softmax(scores, temperature=T, direction="text_to_image", bank_scores=bank)
    torch.testing.assert_close(new, scores / T - (bank / T).logsumexp(dim=0))
    images = inverted_softmax(scores.T, temperature=T, direction="image_to_text", bank_scores=bank.T)
    torch.testing.assert_close(images, new.T)


def test_dynamic_form_corrects_only_lists_that_a_hub_heads() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.7]])
    bank = torch.tensor([[0.1, 0.9, 0.2], [0.0, 0.6, 0.5]])  # candidate 1 is the best of both
    new = inverted_softmax(scores, temperature=T, direction="text_to_image", bank_scores=bank, dynamic=True)
    assert torch.equal(new[0], scores[0])
    torch.testing.assert_close(new[1], scores[1] / T - (bank / T).logsumexp(dim=0))
    assert new[1].argmax() == 2


def test_csls_worked_example() -> None:
    scores = torch.tensor([[0.8, 0.6, 0.0], [0.4, 0.2, 0.0]])
    # Two nearest of the texts: 0.7, 0.3; of the images (there are two texts): 0.6, 0.4, 0.0.
    expected = torch.tensor([[1.6 - 1.3, 1.2 - 1.1, -0.7], [0.8 - 0.9, 0.4 - 0.7, -0.3]])
    for direction in DIRECTIONS:
        torch.testing.assert_close(csls(scores, k=2, direction=direction), expected)
    assert torch.equal(csls(scores, k=3, direction="text_to_image"), csls(scores, k=30, direction="text_to_image"))


def test_hub_loses_its_place() -> None:
    """Image 0 is everyone's best; each text's own image is nearly as good and nobody else's."""
    own = torch.eye(5) * 0.8
    scores = torch.cat([torch.full((5, 1), 0.85), own], dim=1)
    assert (scores.argmax(dim=1) == 0).all()
    for new in (
        dual_softmax(scores, temperature=T, direction="text_to_image"),
        inverted_softmax(scores, temperature=T, direction="text_to_image"),
        csls(scores, k=3, direction="text_to_image"),
    ):
        assert new.argmax(dim=1).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("width", [1, 7, 8, 33, 130])
def test_equal_candidates_stay_exactly_equal(direction: Direction, width: int) -> None:
    lists = scores_of(21, width)
    doubled = torch.cat([lists, lists], dim=1)
    scores = doubled.T if direction == "image_to_text" else doubled
    for new in (
        dual_softmax(scores, temperature=T, direction=direction),
        inverted_softmax(scores, temperature=T, direction=direction),
        csls(scores, k=5, direction=direction),
    ):
        result = new.T if direction == "image_to_text" else new
        assert torch.equal(result[:, :width], result[:, width:])


def test_low_temperature_does_not_overflow() -> None:
    new = inverted_softmax(100 * scores_of(5, 4), temperature=1e-3, direction="text_to_image")
    assert torch.isfinite(new).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_impossible_temperature_is_refused(temperature: float) -> None:
    for method in (dual_softmax, inverted_softmax):
        with pytest.raises(ConfigError, match="temperature must be a number above 0"):
            method(scores_of(2, 2), temperature=temperature, direction="text_to_image")


def test_broken_scores_and_neighbours_are_refused() -> None:
    with pytest.raises(ModelError, match="NaN or infinity"):
        csls(torch.tensor([[math.nan]]), k=1, direction="text_to_image")
    with pytest.raises(ConfigError, match="k must be at least 1"):
        csls(scores_of(2, 2), k=0, direction="text_to_image")
