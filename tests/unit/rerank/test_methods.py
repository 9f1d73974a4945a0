"""Methods by name, and one live query."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsitr.errors import ConfigError
from rsitr.rerank import (
    METHODS,
    Reranker,
    inverted_softmax,
    parse_rerank,
    rerank_candidates,
    sort_after_reversed_retrieval,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("text", "name", "settings"),
    [
        ("sar:k=7", "sar", {"k": 7}),
        (" SAR : k = 7 ", "sar", {"k": 7}),
        ("sar", "sar", {"k": 20}),
        ("inverted-softmax:temperature=1e-2", "inverted-softmax", {"temperature": 0.01}),
        ("csls:k=3", "csls", {"k": 3}),
    ],
)
def test_what_is_typed_is_read(text: str, name: str, settings: dict[str, float]) -> None:
    reranker = parse_rerank(text)
    assert reranker == Reranker(name, settings)
    assert parse_rerank(str(reranker)) == reranker


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "unknown re-ranking method ''"),
        ("sarr:k=2", "unknown re-ranking method 'sarr': choose one of sar, mean-rank"),
        ("sar:n=2", "sar has no setting 'n'; it has k"),
        ("sar:20", "cannot read '20'"),
        ("sar:=20", "cannot read '=20'"),
        ("sar:k=many", "k in the re-ranking 'sar:k=many' must be a whole number, got 'many'"),
        ("sar:k=2.5", "must be a whole number"),
        ("sar:k=0", "k must be at least 1"),
        ("sar:k=2,k=3", "has k twice"),
        ("qb-norm:temperature=warm", "must be a number, got 'warm'"),
        ("qb-norm:temperature=nan", "temperature must be a number above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rerank(text)
    assert message in str(caught.value)


def test_a_named_method_is_its_function() -> None:
    scores = torch.from_numpy(RNG.random((9, 6)))
    for direction in ("text_to_image", "image_to_text"):
        assert torch.equal(
            parse_rerank("sar:k=3")(scores, direction=direction),
            sort_after_reversed_retrieval(scores, k=3, direction=direction),
        )
        assert torch.equal(
            parse_rerank("qb-norm:temperature=0.1")(scores, direction=direction),
            inverted_softmax(scores, temperature=0.1, direction=direction, dynamic=True),
        )


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_runs_in_both_directions_and_over_a_bank(name: str) -> None:
    scores = torch.from_numpy(RNG.random((9, 6)))
    reranker = parse_rerank(name)
    for direction, bank in (("text_to_image", scores[:4]), ("image_to_text", scores[:, :4])):
        assert reranker(scores, direction=direction).shape == (9, 6)
        new = reranker(scores, direction=direction, bank_scores=bank)
        assert torch.isfinite(new).all()
        assert new.dtype == torch.float64


@pytest.mark.parametrize("name", list(METHODS))
def test_a_live_query_is_a_matrix_of_one_row(name: str) -> None:
    query = RNG.random(6).astype(np.float32)
    bank = RNG.random((30, 6)).astype(np.float32)
    reranker = parse_rerank(name)
    matrix = reranker(torch.from_numpy(query)[None], direction="text_to_image", bank_scores=torch.from_numpy(bank))
    live = rerank_candidates(query, reference_scores=bank, reranker=reranker)
    np.testing.assert_array_equal(live, matrix[0].numpy())


def test_a_live_query_by_hand() -> None:
    candidates = np.array([0.9, 0.8, 0.7, 0.7])
    # Reference queries above the query: two at candidate 0, none at 1, one at 2 and 3.
    references = np.array([[0.95, 0.1, 0.75, 0.75], [0.91, 0.2, 0.1, 0.1], [0.3, 0.8, 0.7, 0.7]])
    new = rerank_candidates(candidates, reference_scores=references)
    assert new[1] > new[2] == new[3] > new[0]
    shortened = rerank_candidates(candidates, reference_scores=references, reranker=parse_rerank("sar:k=2"))
    assert np.argsort(-shortened, kind="stable").tolist() == [1, 0, 2, 3]


def test_no_candidates_are_no_error() -> None:
    assert rerank_candidates(np.zeros(0), reference_scores=np.zeros((3, 0))).shape == (0,)


def test_wrong_live_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="bank of reference queries is empty"):
        rerank_candidates(np.zeros(3), reference_scores=np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"must be \(n_candidate,\)"):
        rerank_candidates(np.zeros((1, 3)), reference_scores=np.zeros((2, 3)))
