"""One live query in stages: candidates by global similarity, then local similarity, then a method with a bank.

The same code ranks for a person who searches and for an evaluation that is to predict what that person will see
(`rsitr.evaluation.measure_staged`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsitr.rerank.methods import Reranker, rerank_candidates
from rsitr.similarity.mixing import mix
from rsitr.types import FloatArray, Mixture

__all__ = ["Ranking", "Reading", "Stage", "rank_candidates_in_stages"]

BATCH = 16
"""Candidates that a costly stage scores together; after each batch the clock is looked at."""
SHORTEST_S = 1e-6  # that a clock can be trusted with


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What one stage said.

    Attributes:
        name: `global`, `local`, or that of a re-ranking method.
        scores: (n_candidate,) its scores, NaN for a candidate that it did not see; of a re-ranking method, the rank
            that it gave, from 1.
        time_s: seconds it took.
        note: why it was left out or ended early; empty if it did its work.
    """

    name: str
    scores: FloatArray
    time_s: float
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A model that reads query and candidate together (METHODS 3.6), as a stage of its own.

    Attributes:
        name: of the stage.
        score: positions -> log-odds of a match of these candidates.
        top: candidates that are read.
        weight: of the earlier stages' score in what a candidate is sorted by, which is log-odds + weight x score.
    """

    name: str
    score: Callable[[NDArray[np.int64]], FloatArray]
    top: int
    weight: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The candidates of one query in their new order.

    Attributes:
        ranks: (n_candidate,) from 1: one plus the number of candidates strictly before it, equal candidates share one.
        scores: (n_candidate,) alpha S_g + beta S_l where S_l was computed, alpha S_g elsewhere. Re-ranking methods and
            a model that reads pairs change the order alone.
        stages: in the order in which they ran.
    """

    ranks: NDArray[np.int64]
    scores: FloatArray
    stages: tuple[Stage, ...]

    @property
    def order(self) -> NDArray[np.int64]:
        """Positions of the candidates, best first; equal candidates as they came."""
        return np.argsort(self.ranks, kind="stable")


def rank_candidates_in_stages(
    global_scores: FloatArray,
    *,
    mixture: Mixture,
    local: Callable[[NDArray[np.int64]], FloatArray] | None = None,
    reranker: Reranker | None = None,
    references: Callable[[NDArray[np.int64], bool], FloatArray] | None = None,
    reading: Reading | None = None,
    found_s: float = 0.0,
    budget_s: float | None = None,
) -> Ranking:
    """Rank the candidates of one query.

    A later stage re-sorts what it has seen and leaves the rest below, in the order it had. Local similarity is computed
    best candidates first, in batches that fit the budget at the pace measured so far; the first of them, which shows
    the pace, is a single candidate. The re-ranking runs if there is time left when its turn comes. A model that reads
    pairs comes last, in batches as local similarity.

    Args:
        global_scores: (n_candidate,) S_g of the query.
        mixture: how S_g and S_l make a score; with beta = 0 there is no local stage.
        local: positions -> S_l of these candidates; None where it cannot be had.
        reranker: a training-free method, or None.
        references: (positions, with_local) -> (n_reference, len(positions)) scores of the reference queries, computed
            as those of the query were.
        reading: a fusion model, or None.
        found_s: seconds that it took to find the candidates, for the record.
        budget_s: seconds for the stages after the first; None for no limit.

    >>> found = rank_candidates_in_stages(
    ...     np.array([0.9, 0.8], np.float32), mixture=Mixture(), local=lambda _: np.array([0.1, 0.9], np.float32)
    ... )
    >>> found.order.tolist()  # 0.6 x 0.9 + 0.4 x 0.1 is less than 0.6 x 0.8 + 0.4 x 0.9
    [1, 0]
    """
    start = time.perf_counter()
    deadline = None if budget_s is None else start + budget_s
    first = Stage("global", np.asarray(global_scores, dtype=np.float32), found_s)
    scores = np.asarray(mix(first.scores, None, mixture=mixture), dtype=np.float32)
    order = np.argsort(-scores, kind="stable")
    stages = [first]
    seen = order
    has_local = bool(mixture.beta) and local is not None and len(scores) > 0
    if has_local and local is not None:
        stage = _score_in_batches(local, name="local", order=order, size=len(scores), deadline=deadline)
        stages.append(stage)
        seen = order[np.isfinite(stage.scores[order])]
        has_local = len(seen) > 0
        scores[seen] = mix(first.scores[seen], stage.scores[seen], mixture=mixture)
    ranks = _rank_above(scores, seen=seen if has_local else order, order=order)
    if reranker is not None and references is not None and len(scores):
        stage = _rerank(
            scores, seen=seen if has_local else order, reranker=reranker,
            references=lambda positions: references(positions, has_local), deadline=deadline,
        )  # fmt: skip
        stages.append(stage)
        ranks = np.where(np.isfinite(stage.scores), np.nan_to_num(stage.scores), ranks).astype(np.int64)
    if reading is not None and len(scores):
        order = np.argsort(ranks, kind="stable")
        stage = _score_in_batches(
            reading.score, name=reading.name, order=order[: reading.top], size=len(scores), deadline=deadline
        )
        stages.append(stage)
        seen = order[np.isfinite(stage.scores[order])]
        values = -ranks.astype(np.float64)  # what was not read keeps its order
        values[seen] = stage.scores[seen].astype(np.float64) + reading.weight * scores[seen]
        ranks = _rank_above(values, seen=seen, order=order)
    return Ranking(ranks=ranks, scores=scores, stages=tuple(stages))


def _score_in_batches(
    score: Callable[[NDArray[np.int64]], FloatArray],
    *,
    name: str,
    order: NDArray[np.int64],
    size: int,
    deadline: float | None,
) -> Stage:
    """Scores (size,) of the positions in `order`, as many as the time allows; NaN for all others."""
    start = time.perf_counter()
    scores = np.full(size, np.nan, dtype=np.float32)
    done, room = 0, BATCH if deadline is None else 1
    while done < len(order):
        if deadline is not None:
            now = time.perf_counter()
            if now >= deadline:
                break
            if done:
                room = int(min(BATCH, (deadline - now) * done / max(now - start, SHORTEST_S)))
            if room < 1:
                break
        batch = order[done : done + room]
        scores[batch] = score(batch)
        done += len(batch)
    note = "" if done == len(order) else f"{done} of {len(order)} candidates fit the time allowed"
    return Stage(name, scores, time.perf_counter() - start, note)


def _rerank(
    scores: FloatArray,
    *,
    seen: NDArray[np.int64],
    reranker: Reranker,
    references: Callable[[NDArray[np.int64]], FloatArray],
    deadline: float | None,
) -> Stage:
    start = time.perf_counter()
    ranks = np.full(len(scores), np.nan, dtype=np.float32)
    if deadline is not None and start >= deadline:
        return Stage(str(reranker), ranks, 0.0, "left out: no time was left for it")
    resorted = rerank_candidates(scores[seen], reference_scores=references(seen), reranker=reranker)
    ranks[seen] = _rank(resorted)
    return Stage(str(reranker), ranks, time.perf_counter() - start)


def _rank_above(
    scores: NDArray[np.floating], *, seen: NDArray[np.int64], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Ranks with the candidates that were seen first, the others below them."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[seen] = _rank(scores[seen])
    rest = order[~np.isin(order, seen)]
    ranks[rest] = len(seen) + _rank(scores[rest])
    return ranks


def _rank(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """One plus the number of values strictly higher."""
    ascending = np.sort(values)
    return np.asarray(1 + len(values) - np.searchsorted(ascending, values, side="right"), dtype=np.int64)
