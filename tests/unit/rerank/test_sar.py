"""SAR and mean rank against a worked example, a slow transparent form, and what must not matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rsitr.errors import ConfigError, ModelError
from rsitr.rerank import Direction, mean_rank, sar, sort_after_reversed_retrieval

DIRECTIONS: tuple[Direction, ...] = ("text_to_image", "image_to_text")
Groups = list[list[int]]


def group(members: list[int], *, key: Callable[[int], tuple[float, float]]) -> Groups:
    """Members in groups of equal keys, the smallest key first."""
    groups: dict[tuple[float, float], list[int]] = {}
    for member in members:
        groups.setdefault(key(member), []).append(member)
    return [groups[value] for value in sorted(groups)]


def groups_of(row: Tensor) -> Groups:
    """The order that scores give: tied candidates in groups, best first."""
    return group(list(range(len(row))), key=lambda c: (-float(row[c]), 0.0))


def slow_groups(row: list[float], *, reverse: list[list[float]], k: int, with_forward: bool = False) -> Groups:
    """METHODS 2 in its own words, for one query; `reverse` has a row per reference query."""
    candidates = list(range(len(row)))

    def key(c: int) -> tuple[float, float]:
        rank = 1 + sum(other[c] > row[c] for other in reverse)
        forward = 1 + sum(other > row[c] for other in row)
        return (rank + forward if with_forward else rank), -row[c]

    top = [c for c in candidates if sum(other >= row[c] for other in row) <= k]
    rest = [c for c in candidates if c not in top]
    return group(top, key=key) + group(rest, key=lambda c: (-row[c], 0.0))


def lists_of(scores: Tensor, direction: Direction) -> Tensor:
    """(n_query, n_candidate)."""
    return scores.T if direction == "image_to_text" else scores


def few_values(seed: int, *shape: int, levels: int = 6, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random scores that repeat a lot, in [-0.5, 0.5]."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randint(levels, shape, generator=generator).to(dtype) - levels // 2) / levels


matrices = st.builds(
    few_values,
    st.integers(0, 10_000),
    st.integers(1, 7),
    st.integers(1, 7),
    levels=st.sampled_from([2, 5, 1000]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
directions = st.sampled_from(DIRECTIONS)
ks = st.integers(1, 9)


def test_worked_example() -> None:
    #                        image  0    1    2    3
    scores = torch.tensor([[0.90, 0.80, 0.70, 0.10], [0.95, 0.20, 0.75, 0.60], [0.91, 0.30, 0.10, 0.50]])
    # Text 0, top 3: image 0 prefers texts 1 and 2 (r = 3), image 1 none (r = 1), image 2 text 1 (r = 2).
    # Text 1, top 3: images 0, 2 and 3 have it first: by S. Text 2, top 3: each of 0, 3, 1 has one text before it: by S.
    to_image = sort_after_reversed_retrieval(scores, k=3, direction="text_to_image")
    assert to_image.argsort(dim=1, descending=True).tolist() == [[1, 2, 0, 3], [0, 2, 3, 1], [0, 3, 1, 2]]
    # Image 0, top 2: texts 1 and 2 have it first. Image 1: texts 0 (r = 2), 2 (r = 3). Image 2: texts 1 (2), 0 (3).
    # Image 3: texts 1 (r = 3), 2 (r = 2).
    to_text = sort_after_reversed_retrieval(scores, k=2, direction="image_to_text")
    assert to_text.argsort(dim=0, descending=True).T.tolist() == [[1, 2, 0], [0, 2, 1], [1, 0, 2], [2, 1, 0]]


def test_beyond_k_the_scores_stay() -> None:
    scores = torch.tensor([[0.5, 0.4, 0.3, -0.2], [0.9, 0.1, 0.8, 0.0]])
    new = sort_after_reversed_retrieval(scores, k=2, direction="text_to_image")
    assert new[0].argsort(descending=True).tolist() == [1, 0, 2, 3]
    assert new[0, 2:].tolist() == scores[0, 2:].tolist()


@given(matrices, directions, ks)
def test_agrees_with_the_slow_form(scores: Tensor, direction: Direction, k: int) -> None:
    for method, with_forward in ((sort_after_reversed_retrieval, False), (mean_rank, True)):
        new = method(scores, k=k, direction=direction)
        assert new.shape == scores.shape
        assert new.dtype == scores.dtype
        rows = lists_of(scores, direction).tolist()
        for row, result in zip(rows, lists_of(new, direction), strict=True):
            assert groups_of(result) == slow_groups(row, reverse=rows, k=k, with_forward=with_forward)


@given(matrices, directions, ks, st.integers(0, 100))
def test_a_bank_takes_the_place_of_the_queries(scores: Tensor, direction: Direction, k: int, seed: int) -> None:
    candidates = lists_of(scores, direction).shape[1]
    bank = few_values(seed, 4, candidates, levels=5, dtype=scores.dtype)
    new = sort_after_reversed_retrieval(
        scores, k=k, direction=direction, bank_scores=bank.T if direction == "image_to_text" else bank
    )
    for row, result in zip(lists_of(scores, direction), lists_of(new, direction), strict=True):
        assert groups_of(result) == slow_groups(row.tolist(), reverse=bank.tolist(), k=k)


@given(matrices, directions)
def test_the_queries_as_a_bank_change_nothing(scores: Tensor, direction: Direction) -> None:
    for method in (sort_after_reversed_retrieval, mean_rank):
        own = method(scores, k=3, direction=direction)
        assert torch.equal(own, method(scores, k=3, direction=direction, bank_scores=scores))


@given(matrices, directions)
def test_k_of_one_changes_nothing(scores: Tensor, direction: Direction) -> None:
    new = sort_after_reversed_retrieval(scores, k=1, direction=direction)
    for row, result in zip(lists_of(scores, direction), lists_of(new, direction), strict=True):
        assert groups_of(result) == groups_of(row)


@given(matrices, directions, ks)
def test_only_the_order_of_scores_counts(scores: Tensor, direction: Direction, k: int) -> None:
    moved = (3 * scores.double()).exp() - 7
    for row, result in zip(
        lists_of(sort_after_reversed_retrieval(scores, k=k, direction=direction), direction),
        lists_of(sort_after_reversed_retrieval(moved, k=k, direction=direction), direction),
        strict=True,
    ):
        assert groups_of(result) == groups_of(row)


@given(matrices, directions, ks, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(scores: Tensor, direction: Direction, k: int, random) -> None:  # type: ignore[no-untyped-def]
    rows = random.sample(range(scores.shape[0]), scores.shape[0])
    columns = random.sample(range(scores.shape[1]), scores.shape[1])
    new = sort_after_reversed_retrieval(scores, k=k, direction=direction)
    shuffled = sort_after_reversed_retrieval(scores[rows][:, columns], k=k, direction=direction)
    assert torch.equal(shuffled, new[rows][:, columns])


@given(matrices, directions, ks)
def test_equal_candidates_stay_exactly_equal(scores: Tensor, direction: Direction, k: int) -> None:
    """A caption or picture that is there twice cannot be told apart from itself."""
    lists = lists_of(scores, direction)
    doubled = torch.cat([lists, lists], dim=1)
    new = sort_after_reversed_retrieval(
        doubled.T if direction == "image_to_text" else doubled, k=k, direction=direction
    )
    half = lists.shape[1]
    assert torch.equal(lists_of(new, direction)[:, :half], lists_of(new, direction)[:, half:])


def test_ties_across_the_border_stay_outside() -> None:
    scores = torch.tensor([[0.9, 0.5, 0.5, 0.1], [1.0, 0.0, 0.9, 0.9]])
    new = sort_after_reversed_retrieval(scores, k=2, direction="text_to_image")
    assert groups_of(new[0]) == [[0], [1, 2], [3]]
    new = sort_after_reversed_retrieval(scores, k=3, direction="text_to_image")
    assert groups_of(new[0]) == [[1], [0], [2], [3]]


def test_blocks_give_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = few_values(3, 40, 30, levels=50)
    whole = [sort_after_reversed_retrieval(scores, k=7, direction=direction) for direction in DIRECTIONS]
    monkeypatch.setattr(sar, "_BLOCK_ENTRIES", 21)
    for expected, direction in zip(whole, DIRECTIONS, strict=True):
        assert torch.equal(sort_after_reversed_retrieval(scores, k=7, direction=direction), expected)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e6, 1e30])
def test_new_scores_can_be_told_apart_at_any_scale(scale: float) -> None:
    scores = torch.rand(6, 2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = sort_after_reversed_retrieval(scores, k=1500, direction="text_to_image")
    new = sort_after_reversed_retrieval((scores * scale), k=1500, direction="text_to_image")
    assert torch.equal(new.argsort(dim=1, stable=True), expected.argsort(dim=1, stable=True))
    assert len(new[0].unique()) == 2000


def test_half_precision_is_widened() -> None:
    scores = few_values(1, 5, 8, levels=50)
    new = sort_after_reversed_retrieval(scores.half(), k=4, direction="text_to_image")
    assert torch.equal(new, sort_after_reversed_retrieval(scores.half().float(), k=4, direction="text_to_image"))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_to_rank_is_no_error(shape: tuple[int, int]) -> None:
    bank = torch.zeros(2, shape[1])
    assert (
        sort_after_reversed_retrieval(torch.zeros(shape), k=2, direction="text_to_image", bank_scores=bank).shape
        == shape
    )


def test_scores_given_are_left_alone() -> None:
    scores = few_values(2, 5, 5)
    before = scores.clone()
    sort_after_reversed_retrieval(scores, k=3, direction="image_to_text")
    assert torch.equal(scores, before)


def test_wrong_arguments_are_refused() -> None:
    scores = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="k must be at least 1, got 0"):
        sort_after_reversed_retrieval(scores, k=0, direction="text_to_image")
    with pytest.raises(ConfigError, match="unknown direction 'to_text'"):
        sort_after_reversed_retrieval(scores, k=1, direction="to_text")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="bank of reference queries is empty"):
        mean_rank(scores, k=1, direction="text_to_image", bank_scores=torch.zeros(0, 3))
    with pytest.raises(ValueError, match="3 candidates, the bank 2"):
        mean_rank(scores, k=1, direction="text_to_image", bank_scores=torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"must be \(n_text, n_image\)"):
        mean_rank(scores[0], k=1, direction="text_to_image")
    for broken in (np.nan, np.inf):
        with pytest.raises(ModelError, match="NaN or infinity"):
            mean_rank(torch.full((2, 3), broken), k=1, direction="text_to_image")


@pytest.mark.gpu
def test_gpu_agrees_with_cpu() -> None:
    scores = few_values(5, 60, 40, levels=30)
    for direction in DIRECTIONS:
        new = sort_after_reversed_retrieval(scores.cuda(), k=9, direction=direction)
        assert new.is_cuda
        assert torch.equal(new.cpu(), sort_after_reversed_retrieval(scores, k=9, direction=direction))
