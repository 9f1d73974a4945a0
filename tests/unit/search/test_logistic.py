"""The fit finds what scikit-learn's finds, which has the same optimum."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rsitr.search.logistic import fit_logistic


@pytest.mark.parametrize(
    ("rows", "features", "penalty"), [(12, 40, 1.0), (60, 5, 10.0), (200, 30, 0.1), (500, 2, 1.0), (30, 3, 1e4)]
)
def test_it_is_the_optimum(rows: int, features: int, penalty: float) -> None:
    rng = np.random.default_rng(rows)
    values = rng.normal(size=(rows, features))
    labels = values[:, 0] + 0.7 * rng.normal(size=rows) > 0.4
    counts = rng.uniform(0.1, 3.0, rows)
    found = fit_logistic(values, labels, penalty=penalty, counts=counts)
    reference = LogisticRegression(C=penalty, max_iter=50_000, tol=1e-10).fit(values, labels, sample_weight=counts)
    np.testing.assert_allclose(found.weights, reference.coef_[0], rtol=1e-3, atol=1e-5)
    assert found.intercept == pytest.approx(reference.intercept_[0], rel=1e-3, abs=1e-5)
    np.testing.assert_allclose(found.log_odds(values), reference.decision_function(values), rtol=1e-3, atol=1e-4)


def test_rows_that_a_border_parts_are_fitted_as_far_as_the_penalty_lets() -> None:
    """Without one the weights would grow for ever."""
    values = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    found = fit_logistic(values, np.array([0, 0, 1, 1]), penalty=1e6)
    assert np.isfinite(found.weights).all()
    assert (found.log_odds(values) * [-1, -1, 1, 1] > 3).all()


def test_a_row_that_counts_twice_is_two_rows() -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(20, 4)), np.arange(20) % 3 == 0
    twice = fit_logistic(np.concatenate([values, values[:5]]), np.concatenate([labels, labels[:5]]))
    counted = fit_logistic(values, labels, counts=np.where(np.arange(20) < 5, 2.0, 1.0))
    np.testing.assert_allclose(twice.weights, counted.weights, atol=1e-6)


@pytest.mark.parametrize("label", [True, False])
def test_one_label_alone_has_no_border(label: bool) -> None:
    with pytest.raises(ValueError, match="rows of both labels"):
        fit_logistic(np.ones((3, 2)), np.full(3, label))
