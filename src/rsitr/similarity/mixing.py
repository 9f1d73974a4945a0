"""Alpha S_g + beta S_l (METHODS 1.5): the only place where global and local similarity meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from rsitr.types import Mixture

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["mix"]

Scores = TypeVar("Scores", "Tensor", NDArray[np.float32], NDArray[np.float64])


def mix(global_scores: Scores, local_scores: Scores | None, *, mixture: Mixture) -> Scores:
    """The mixture of two similarities.

    Args:
        global_scores: of any shape, tensors or arrays.
        local_scores: of the same; None where there are none, which counts as 0.
        mixture: the weights.

    >>> mix(np.array([0.5]), np.array([1.0]), mixture=Mixture(alpha=0.6, beta=0.4)).round(6).tolist()
    [0.7]
    """
    if local_scores is None:
        return mixture.alpha * global_scores
    return mixture.alpha * global_scores + mixture.beta * local_scores
