r"""Is it really there? A score says which tile fits best; relevance says how surely it fits at all.

Our own method. For a part of a query (words, or an example) and a tile with cosine s:

- its place: z = (s - mean) / standard deviation of that part's cosines with the reference tiles, a fixed set of a few
  hundred vectors that travels with the model (:class:`rsitr.calibration.Calibration`);
- relevance = 1 / (1 + exp(-(B + S s + Z z))), the probability that the tile shows what is asked for.

The three numbers belong to a model and a kind of query. `rsitr calibrate` fits them by logistic regression on labelled
pictures that the model was not trained on, and on changed versions of these (coarser, finer, hazier, of other colours).
Nothing in it depends on what else is in the collection, so that one tile is judged as ten million are; and it rises
with s, so that percentages never contradict the order of hits. How a tile prefers the query to other captions was
tried as a third kind of evidence: it found no more and broke that order.

Of several parts, the log-odds of wanted ones are averaged by their weights; each unwanted one takes its own
probability away, where it is said to be there at all (0.2 and more), so that nothing else is moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsitr.calibration import DENIED, Calibration, RelevanceFit
from rsitr.types import FloatArray

__all__ = ["JUDGED", "THRESHOLD", "AskedPart", "estimate_relevance", "relevance_evidence"]

THRESHOLD = 0.5
"""From it on an answer matches: as likely there as not."""
JUDGED = 10
"""Whether anything matches is judged by the highest relevance of so many of the best tiles."""
LARGEST_LOGIT = 30.0
SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class AskedPart:
    """A part of a query: its unit vector (dim,), whether it is words, and its weight, negative for what is unwanted."""

    vector: FloatArray
    is_text: bool
    weight: float = 1.0


def estimate_relevance(parts: Sequence[AskedPart], *, tiles: FloatArray, calibration: Calibration) -> list[float]:
    """How surely tiles show what was asked for.

    Args:
        parts: of the query, at least one of them wanted.
        tiles: (n, dim) unit vectors.
        calibration: of the model.

    Returns:
        n numbers from 0 to 1.
    """
    wanted = [part for part in parts if part.weight > 0]
    total = sum(part.weight for part in wanted)
    logits = np.sum([part.weight / total * _logits(part, tiles, calibration) for part in wanted], axis=0)
    relevance = _sigmoid(logits)
    for part in parts:
        if part.weight < 0:
            shown = (_sigmoid(_logits(part, tiles, calibration)) - DENIED) / (1.0 - DENIED)
            relevance = relevance * (1.0 - np.clip(shown, 0.0, 1.0))
    return [float(value) for value in relevance]


def relevance_evidence(vector: FloatArray, *, tiles: FloatArray, references: FloatArray) -> FloatArray:
    """(n, 2): cosine and place of each tile, as in the module's docstring."""
    scores, placed = tiles @ vector, references @ vector
    return np.stack([scores, (scores - placed.mean()) / max(float(placed.std()), SMALLEST_SPREAD)], axis=1)


def _logits(part: AskedPart, tiles: FloatArray, calibration: Calibration) -> FloatArray:
    fit: RelevanceFit = calibration.words if part.is_text else calibration.pictures
    evidence = relevance_evidence(part.vector, tiles=tiles, references=calibration.references)
    return np.asarray(fit.intercept + evidence @ np.array([fit.by_score, fit.by_place]))


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT))))
