"""Sort after reversed retrieval (METHODS 2) and its sibling, mean rank: order by how a candidate ranks the query.

The idea is iEBAKER's (its abstract); the formula was not at hand, so this is the project's own definition.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rsitr.rerank.layout import Direction, QueryView, require_count, view_queries

__all__ = ["mean_rank", "sort_after_reversed_retrieval"]

_BLOCK_ENTRIES = 1 << 22
"""Candidates that are looked at in one go, over all queries of a block: bounds the working memory to about 300 MB."""


def sort_after_reversed_retrieval(
    scores: Tensor, *, k: int, direction: Direction, bank_scores: Tensor | None = None
) -> Tensor:
    """Re-sort each query's top K by the rank of the query in the reverse list of the candidate (METHODS 2).

    r(c) = 1 + the number of queries that candidate c scores strictly higher than this one, not clamped. The top K are
    ordered by r ascending, equal r by S descending. What lies beyond K keeps its place.

    Ties: candidates with equal S and equal r stay exactly equal. Candidates that are tied across the border of the top
    K all stay outside, so that at most K are moved, nothing depends on how a tie was broken, and k = 1 changes nothing.

    Args:
        scores: (n_text, n_image) float32 or float64, on any device, higher is better.
        k: how many candidates of each query are re-sorted.
        direction: `text_to_image` re-sorts the images of each text (rows), `image_to_text` the texts of each image.
        bank_scores: run the reverse lists over these queries and not over those of `scores`; see `view_queries`.

    Returns:
        (n_text, n_image), whose descending order is the new order within each query's list. Beyond K the values are
        those of S; the re-sorted candidates have higher ones, which carry the order and nothing else.

    Raises:
        ConfigError: k is less than 1, there is no such direction, or the bank is empty.
        ModelError: a score is NaN or infinite.

    >>> scores = torch.tensor([[0.9, 0.8, 0.1], [1.0, 0.7, 0.2]])
    >>> new = sort_after_reversed_retrieval(scores, k=2, direction="text_to_image")
    >>> new.argsort(dim=1, descending=True).tolist()  # image 0 prefers text 1, image 1 prefers text 0
    [[1, 0, 2], [0, 1, 2]]
    """
    return _resort(
        view_queries(scores, direction=direction, bank_scores=bank_scores),
        k=k,
        key=lambda reverse_rank, _: reverse_rank,
    )


def mean_rank(scores: Tensor, *, k: int, direction: Direction, bank_scores: Tensor | None = None) -> Tensor:
    """Re-sort each query's top K by the mean of forward and reverse rank, equal means by S.

    The forward rank is the candidate's in the query's list, 1 + the number strictly better; the reverse rank, ties,
    arguments, result and errors are as in `sort_after_reversed_retrieval`. With K = all it is a symmetric measure.
    """
    return _resort(
        view_queries(scores, direction=direction, bank_scores=bank_scores),
        k=k,
        key=lambda reverse_rank, forward_rank: reverse_rank + forward_rank,
    )


def _resort(view: QueryView, *, k: int, key: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Re-sort the top k by `key` of (reverse rank, forward rank), both (n, k) from 1; the smallest comes first."""
    require_count(k)
    n_query, n_candidate = view.scores.shape
    result = view.scores.clone()
    if n_query == 0 or n_candidate == 0:
        return view.restore(result)
    reverse = _sort_rows(view.reverse)
    width = min(k, n_candidate)
    step = max(1, _BLOCK_ENTRIES // width)
    for start in range(0, n_query, step):
        block = view.scores[start : start + step]
        values, candidates = block.topk(min(k + 1, n_candidate), dim=1)
        if n_candidate > k:
            border = values[:, k:]
            values, candidates = values[:, :k], candidates[:, :k]
            inside = values > border
        else:
            border = values.new_zeros(len(values), 1)
            inside = torch.ones_like(values, dtype=torch.bool)
        forward_rank = 1 + _count_before(values)
        reverse_rank = 1 + _count_greater(reverse, rows=candidates, values=values)
        order = key(reverse_rank, forward_rank) * (width + 1) + forward_rank
        lifted = _lift(order.masked_fill(~inside, torch.iinfo(order.dtype).max), border=border, inside=inside)
        result[start : start + step].scatter_(1, candidates, torch.where(inside, lifted.to(values.dtype), values))
    return view.restore(result)


def _lift(order: Tensor, *, border: Tensor, inside: Tensor) -> Tensor:
    """Scores above `border` (n, 1) for the candidates inside, descending where `order` (n, k) ascends, ties kept.

    With b the border, or 0 where that is more, and t candidates inside, the one with p others before it gets
    b + (1 + b)(t - p): steps of at least b, so that no rounding can make two of them equal.
    """
    ordered, places = order.sort(dim=1)
    before = torch.empty_like(order).scatter_(1, places, _count_before(ordered))
    base = border.clamp(min=0)
    return base + (1 + base) * (inside.sum(dim=1, keepdim=True) - before)


def _count_before(ordered: Tensor) -> Tensor:
    """For each entry of sorted rows (n, k), how many strictly precede it: where its run of equal values starts."""
    places = torch.arange(ordered.shape[1], device=ordered.device).expand(ordered.shape)
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.where(starts, places, 0).cummax(dim=1).values


def _count_greater(ascending: Tensor, *, rows: Tensor, values: Tensor) -> Tensor:
    """How many entries of `ascending[row]` (n_rows, n) exceed the value, for `rows` and `values` of one shape.

    A binary search over all of them at once: `torch.searchsorted` wants the same number of values for every row, which
    would be all queries instead of the few that have the candidate in their top K.
    """
    n = ascending.shape[1]
    flat, last = ascending.reshape(-1), rows * n + (n - 1)
    found = torch.zeros_like(rows)  # so many entries are known not to exceed the value
    for bit in reversed(range(n.bit_length())):
        probe = found + (1 << bit)
        not_greater = flat[torch.minimum(rows * n + (probe - 1), last)] <= values
        found = torch.where(not_greater & (probe <= n), probe, found)
    return n - found


def _sort_rows(matrix: Tensor) -> Tensor:
    """Each row ascending. On a CPU numpy's sort is many times faster than torch's, which sorts indices as well."""
    if matrix.device.type == "cpu":
        return torch.from_numpy(np.sort(matrix.detach().numpy(), axis=1))
    return matrix.sort(dim=1).values
