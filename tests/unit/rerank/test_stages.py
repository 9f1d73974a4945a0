from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from rsitr.rerank import Reading, Reranker, rank_candidates_in_stages
from rsitr.types import FloatArray, Mixture

GLOBAL = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)
LOCAL = np.array([0.1, 0.9, 0.2, 0.8], dtype=np.float32)


def local(positions: NDArray[np.int64]) -> FloatArray:
    return LOCAL[positions]


def test_without_a_second_stage_the_order_is_that_of_the_global_scores() -> None:
    found = rank_candidates_in_stages(GLOBAL, mixture=Mixture(alpha=1.0, beta=0.0), local=local)
    assert found.order.tolist() == [0, 1, 2, 3]
    assert found.scores.tolist() == GLOBAL.tolist()
    assert [stage.name for stage in found.stages] == ["global"]


def test_local_scores_are_mixed_in() -> None:
    found = rank_candidates_in_stages(GLOBAL, mixture=Mixture(alpha=0.5, beta=0.5), local=local)
    assert found.scores == pytest.approx(0.5 * GLOBAL + 0.5 * LOCAL)
    assert found.order.tolist() == [1, 3, 0, 2]
    assert found.ranks.tolist() == [3, 1, 4, 2]
    assert [stage.name for stage in found.stages] == ["global", "local"]
    assert found.stages[1].scores.tolist() == LOCAL.tolist()


def test_equal_candidates_share_a_rank() -> None:
    found = rank_candidates_in_stages(np.array([0.5, 0.7, 0.5], np.float32), mixture=Mixture(alpha=1.0, beta=0.0))
    assert found.ranks.tolist() == [2, 1, 2]
    assert found.order.tolist() == [1, 0, 2]


def test_the_budget_ends_the_local_stage_and_what_was_seen_stays_above() -> None:
    scores = np.linspace(1.0, 0.0, 64, dtype=np.float32)
    sizes = []

    def slow(positions: NDArray[np.int64]) -> FloatArray:
        sizes.append(len(positions))
        time.sleep(0.005 * len(positions))
        return np.linspace(0.0, 1.0, len(positions), dtype=np.float32)  # turns each batch round

    found = rank_candidates_in_stages(scores, mixture=Mixture(alpha=0.1, beta=1.0), local=slow, budget_s=0.2)
    stage = found.stages[1]
    seen = int(np.isfinite(stage.scores).sum())
    assert sizes[:2] == [1, 16]  # the first shows the pace
    assert 17 <= seen <= 40
    assert stage.time_s < 0.3
    assert stage.note == f"{seen} of 64 candidates fit the time allowed"
    assert set(found.order[:seen].tolist()) == set(range(seen))
    assert found.order[seen:].tolist() == list(range(seen, 64))
    assert found.order[0] in range(16, seen)


def test_a_slow_stage_ends_after_the_candidate_that_shows_its_pace() -> None:
    def slow(positions: NDArray[np.int64]) -> FloatArray:
        time.sleep(0.05)
        return np.zeros(len(positions), dtype=np.float32)

    found = rank_candidates_in_stages(GLOBAL, mixture=Mixture(), local=slow, found_s=1.5, budget_s=0.01)
    assert [stage.time_s for stage in found.stages] == [1.5, pytest.approx(0.05, abs=0.04)]
    assert found.stages[1].note == f"1 of {len(GLOBAL)} candidates fit the time allowed"


def test_no_time_at_all_leaves_the_first_stage() -> None:
    found = rank_candidates_in_stages(
        GLOBAL,
        mixture=Mixture(),
        local=local,
        reranker=Reranker("sar", {"k": 4}),
        references=lambda positions, _: np.zeros((1, len(positions)), np.float32),
        budget_s=-1.0,
    )
    assert found.order.tolist() == [0, 1, 2, 3]
    assert [stage.note for stage in found.stages[1:]] == [
        "0 of 4 candidates fit the time allowed",
        "left out: no time was left for it",
    ]


def test_the_bank_is_scored_as_the_query_was_and_sorts_again() -> None:
    asked: list[bool] = []

    def references(positions: NDArray[np.int64], with_local: bool) -> FloatArray:
        asked.append(with_local)
        bank = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]], dtype=np.float32)  # hub 0, and 2 for one query
        return bank[:, positions]

    for mixture, with_local in ((Mixture(alpha=1.0, beta=0.0), False), (Mixture(alpha=1.0, beta=1e-6), True)):
        found = rank_candidates_in_stages(
            GLOBAL, mixture=mixture, local=local, reranker=Reranker("sar", {"k": 4}), references=references
        )
        assert found.order.tolist() == [1, 3, 2, 0]
        assert asked.pop() is with_local
    assert found.stages[-1].name == "sar:k=4"
    assert found.stages[-1].scores.tolist() == [4.0, 1.0, 3.0, 2.0]


def test_a_model_that_reads_pairs_sorts_its_candidates_and_the_rest_stays_below() -> None:
    seen: list[int] = []

    def read(positions: NDArray[np.int64]) -> FloatArray:
        seen.extend(positions.tolist())
        return np.array([0.0, -3.0, 0.0, 5.0], dtype=np.float32)[positions]

    mixture = Mixture(alpha=1.0, beta=0.0)
    reading = Reading("fusion", read, top=2)
    found = rank_candidates_in_stages(GLOBAL, mixture=mixture, reading=reading)
    assert seen == [0, 1], "no more than top"
    assert found.order.tolist() == [0, 1, 2, 3]
    found = rank_candidates_in_stages(GLOBAL[::-1].copy(), mixture=mixture, reading=reading)
    assert found.order.tolist() == [3, 2, 1, 0]
    assert found.stages[1].name == "fusion"
    assert found.stages[1].scores.tolist() == pytest.approx([np.nan, np.nan, 0.0, 5.0], nan_ok=True)
    assert found.scores.tolist() == GLOBAL[::-1].tolist(), "scores stay those of the first stages"


def test_the_weight_of_the_earlier_score() -> None:
    def read(positions: NDArray[np.int64]) -> FloatArray:
        return np.array([0.0, 1.0, 2.0, 3.0], dtype=np.float32)[positions]

    for weight, order in ((0.0, [3, 2, 1, 0]), (100.0, [0, 1, 2, 3])):
        found = rank_candidates_in_stages(
            GLOBAL, mixture=Mixture(alpha=1.0, beta=0.0), reading=Reading("fusion", read, top=128, weight=weight)
        )
        assert found.order.tolist() == order


def test_the_budget_ends_the_reading() -> None:
    scores = np.linspace(1.0, 0.0, 64, dtype=np.float32)

    def slow(positions: NDArray[np.int64]) -> FloatArray:
        time.sleep(0.05)
        return -scores[positions]  # turns each batch round

    found = rank_candidates_in_stages(
        scores, mixture=Mixture(alpha=1.0, beta=0.0), reading=Reading("fusion", slow, top=64), budget_s=0.12
    )
    stage = found.stages[1]
    n_read = int(np.isfinite(stage.scores).sum())
    assert 0 < n_read < 64
    assert "fit the time allowed" in stage.note
    assert found.order.tolist() == [*range(n_read)[::-1], *range(n_read, 64)]
