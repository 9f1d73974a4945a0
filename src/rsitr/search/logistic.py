"""Logistic regression with few features and few rows, by Newton's method: what marks and calibrations are fitted with.

It has one optimum, so another solver would find the same; scikit-learn's takes a second to import and 200 MB with what
it needs, which nobody who only searches should have to install.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Logistic", "fit_logistic"]

Floats = NDArray[np.float64]

STEPS = 100
HALVINGS = 30
TOLERANCE = 1e-8
"""Of the gradient; of what a step gains, as a part of the loss, far less."""


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """Log-odds = features @ weights + intercept.

    Attributes:
        weights: (n_feature,).
        intercept: log-odds where all features are 0.
    """

    weights: Floats
    intercept: float

    def log_odds(self, features: NDArray[np.floating]) -> Floats:
        """(n, n_feature) -> (n,)."""
        return np.asarray(features @ self.weights + self.intercept, dtype=np.float64)


def fit_logistic(
    features: NDArray[np.floating],
    labels: NDArray[np.generic],
    *,
    penalty: float = 1.0,
    counts: NDArray[np.floating] | None = None,
) -> Logistic:
    """Minimise sum_i c_i log(1 + exp(-y_i z_i)) + |w|^2 / (2 C), z = X w + b and y in {-1, 1}; b is not penalised.

    Args:
        features: (n, n_feature).
        labels: (n,) true or false; both must occur.
        penalty: C, the inverse strength of the penalty, as scikit-learn has it.
        counts: (n,) what each row counts; 1 when None.

    Raises:
        ValueError: all labels are the same, for which no border is the best.

    >>> fitted = fit_logistic(np.array([[-1.0], [1.0]]), np.array([False, True]))
    >>> fitted.weights.round(4).tolist(), round(fitted.intercept, 4)
    ([0.6748], 0.0)
    """
    right = np.asarray(labels, dtype=bool)
    if right.all() or not right.any():
        raise ValueError("a logistic regression needs rows of both labels")
    rows = np.column_stack([np.asarray(features, dtype=np.float64), np.ones(len(right))])
    share = np.ones(len(right)) if counts is None else np.asarray(counts, dtype=np.float64)
    ridge = np.full(rows.shape[1], 1.0 / penalty)
    ridge[-1] = 0.0
    signs = np.where(right, 1.0, -1.0)

    def loss(weights: Floats) -> float:
        return float(share @ np.logaddexp(0.0, -signs * (rows @ weights)) + 0.5 * (ridge * weights) @ weights)

    weights = np.zeros(rows.shape[1])
    now = loss(weights)
    for _ in range(STEPS):
        odds = 0.5 * (1.0 + np.tanh(0.5 * (rows @ weights)))
        gradient = rows.T @ (share * (odds - right)) + ridge * weights
        curvature = (rows * (share * odds * (1.0 - odds))[:, None]).T @ rows + np.diag(ridge)
        curvature[-1, -1] += np.finfo(np.float64).eps  # all rows may be so sure that the intercept's vanishes
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        for _ in range(HALVINGS):  # far from the optimum a whole step may lead up again
            then = loss(weights - size * step)
            if then <= now:
                break
            size /= 2.0
        weights, gained, now = weights - size * step, now - then, then
        if np.abs(gradient).max() < TOLERANCE or gained <= TOLERANCE**1.5 * now:
            break
    return Logistic(weights[:-1], float(weights[-1]))
