"""Training-free corrections of a score matrix for hubs: candidates that score high with every query.

All on the interface of `sort_after_reversed_retrieval`: (n_text, n_image) in, the same shape out, the descending order
within each query's list is the new order, equal candidates stay equal. They order the whole list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rsitr.rerank.layout import Direction, require_count, require_temperature, view_queries

__all__ = ["csls", "dual_softmax", "inverted_softmax"]


def dual_softmax(
    scores: Tensor, *, temperature: float, direction: Direction, bank_scores: Tensor | None = None
) -> Tensor:
    """Log of the product of two softmaxes, over the query's candidates and over the candidate's queries.

    log softmax_c(S / T) + log softmax_q(S / T). After the dual softmax of Cheng et al., "Improving Video-Text
    Retrieval by Multi-Stream Corpus Alignment and Dual Softmax Loss" (2021), who multiply S itself with the second
    softmax; that rewards negative scores for a small factor, the product of both does not.

    Args:
        scores: (n_text, n_image).
        temperature: T, in units of the scores.
        direction: whose lists are to be improved.
        bank_scores: queries over which candidates are normalised, if not those of `scores`; see `view_queries`.

    Raises:
        ConfigError: the temperature is not positive, there is no such direction, or the bank is empty.
        ModelError: a score is NaN or infinite.
    """
    require_temperature(temperature)
    view = view_queries(scores, direction=direction, bank_scores=bank_scores)
    forward = _logsumexp(view.scores, temperature=temperature)[:, None]
    backward = _logsumexp(view.reverse, temperature=temperature)
    return view.restore((2 * view.scores.double() / temperature - forward - backward).to(view.scores.dtype))


def inverted_softmax(
    scores: Tensor,
    *,
    temperature: float,
    direction: Direction,
    bank_scores: Tensor | None = None,
    dynamic: bool = False,
) -> Tensor:
    """Log of the softmax over queries: how much of a candidate's attention this query has.

    S / T - log sum_b exp(S_b / T), b the queries of `scores` (inverted softmax: Smith et al. 2017) or of a bank
    (QB-Norm: Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation", 2022).

    Args:
        scores: (n_text, n_image).
        temperature: T, in units of the scores.
        direction: whose lists are to be improved.
        bank_scores: queries over which candidates are normalised, if not those of `scores`; see `view_queries`.
        dynamic: QB-Norm's dynamic form: normalise only the lists whose best candidate is some bank query's best one,
            that is a possible hub; the others stay as they are.

    Raises:
        ConfigError: the temperature is not positive, there is no such direction, or the bank is empty.
        ModelError: a score is NaN or infinite.
    """
    require_temperature(temperature)
    view = view_queries(scores, direction=direction, bank_scores=bank_scores)
    total = _logsumexp(view.reverse, temperature=temperature)
    result = (view.scores.double() / temperature - total).to(view.scores.dtype)
    if dynamic:
        hubs = (view.reverse == view.reverse.amax(dim=0)).any(dim=1)
        best = view.scores == view.scores.amax(dim=1, keepdim=True)
        result = torch.where((best & hubs).any(dim=1, keepdim=True), result, view.scores)
    return view.restore(result)


def csls(scores: Tensor, *, k: int, direction: Direction, bank_scores: Tensor | None = None) -> Tensor:
    """Cross-domain similarity local scaling: 2 S minus the mean score of either side's k nearest neighbours.

    Conneau et al., "Word Translation Without Parallel Data" (2018). Fewer than k neighbours are all taken.

    Args:
        scores: (n_text, n_image).
        k: neighbours.
        direction: whose lists are to be improved. Without a bank the formula is symmetric, and so is the result.
        bank_scores: queries among which a candidate's neighbours are sought, if not those of `scores`.

    Raises:
        ConfigError: k is less than 1, there is no such direction, or the bank is empty.
        ModelError: a score is NaN or infinite.
    """
    require_count(k)
    view = view_queries(scores, direction=direction, bank_scores=bank_scores)
    return view.restore(2 * view.scores - _mean_top(view.scores, k=k)[:, None] - _mean_top(view.reverse, k=k))


def _logsumexp(rows: Tensor, *, temperature: float) -> Tensor:
    """(n, m) -> (n,) float64: at low temperatures a float32 would merge scores that differ."""
    return torch.logsumexp(rows.double() / temperature, dim=1)


def _mean_top(rows: Tensor, *, k: int) -> Tensor:
    """(n, m) -> (n,) mean of the k largest entries of each row."""
    return rows.topk(min(k, rows.shape[1]), dim=1).values.mean(dim=1)
