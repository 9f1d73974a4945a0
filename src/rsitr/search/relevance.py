r"""Is it really there? A score says which tile fits best; relevance says how surely it fits at all.

Our own method. For a query q and a tile t with score s, over reference queries r (captions for words, tiles of the
collection for pictures; those closer to q than NEAR are left out, since they mean the same):

- how the tile sees it: m = (s - mean of the tile's TOP best reference scores) / standard deviation of the tile's
  reference scores. Positive where the query suits the tile better than anything else does.
- how the collection sees it: a = (s - mean) / standard deviation of the references' best scores in the collection.
  Positive where the query is answered better than most references are.

relevance = 1 / (1 + exp(-(B + A a + M m))). The three numbers belong to a model: a checkpoint brings its own, fitted by
logistic regression on UCM-Captions validation, with queries whose class is in the collection or was taken out of it.
`benchmarks/nothing_here.py` repeats the fit and measures on RSICD validation, which had no part in it. Both m and a are
free of the scale of a model's scores, so that one that brings none is judged by those of `compact`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsitr.types import Encoder, FloatArray, RelevanceFit

__all__ = [
    "COMMON",
    "JUDGED",
    "THRESHOLD",
    "Background",
    "estimate_relevance",
    "fit_of",
    "mix_references",
    "relevance_features",
]

NEAR = 0.7
"""Cosine above which a reference is taken to mean what the query means."""
TOP = 5
LEAST_REFERENCES = 8
COMMON = RelevanceFit(intercept=-0.50, by_collection=0.48, by_tile=0.59)
"""Of `compact`, and of models that bring no fit of their own."""
THRESHOLD = 0.5
"""Below it an answer says that nothing matches: as likely absent as present, on the data of the fit."""
JUDGED = 10
"""Whether anything matches is judged by the highest relevance of so many of the best tiles."""
LARGEST_LOGIT = 30.0
SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """What a collection is like, for one query.

    Attributes:
        references: (n, dim) unit vectors of reference queries, made as the query was.
        best: (n,) the best score of each in the collection.
    """

    references: FloatArray
    best: FloatArray

    @classmethod
    def measure(cls, references: FloatArray, *, collection: FloatArray) -> Background:
        """References against the vectors (n_tiles, dim) of the collection, or of a sample of it."""
        best = np.full(len(references), -1.0, dtype=np.float32)
        for start in range(0, len(collection), 8192):
            np.maximum(best, (references @ collection[start : start + 8192].T).max(axis=1), out=best)
        return cls(references=references, best=best)


def fit_of(encoder: Encoder) -> RelevanceFit:
    """What a model's evidence is worth: its own fit, or the common one."""
    own: RelevanceFit | None = getattr(encoder, "relevance_fit", None)  # not every encoder is one of ours
    return own or COMMON


def estimate_relevance(
    query: FloatArray, *, tiles: FloatArray, background: Background, fit: RelevanceFit = COMMON
) -> list[float] | None:
    """How surely tiles show what was asked for.

    Args:
        query: (dim,) unit vector.
        tiles: (n, dim) unit vectors of the hits.
        background: of the collection.
        fit: of the model.

    Returns:
        n numbers from 0 to 1; None where there are too few references to say.
    """
    features = relevance_features(query, tiles=tiles, background=background)
    if features is None:
        return None
    logits = fit.intercept + features @ np.array([fit.by_collection, fit.by_tile])
    return [_sigmoid(float(logit)) for logit in np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)]


def relevance_features(query: FloatArray, *, tiles: FloatArray, background: Background) -> FloatArray | None:
    """(n, 2): a and m of each tile, as in the module's docstring; None where there are too few references."""
    other = background.references @ query < NEAR
    if other.sum() < LEAST_REFERENCES:
        return None
    scores = tiles @ query
    of_references = background.references[other] @ tiles.T
    top = np.sort(of_references, axis=0)[-TOP:].mean(axis=0)
    best = background.best[other]
    by_collection = (scores - best.mean()) / max(float(best.std()), SMALLEST_SPREAD)
    by_tile = (scores - top) / np.maximum(of_references.std(axis=0), SMALLEST_SPREAD)
    return np.stack([by_collection, by_tile], axis=1)


def mix_references(asked: Sequence[FloatArray], *, weights: Sequence[float]) -> FloatArray:
    """Reference queries for a mixture: one reference per part, by chance, mixed as the query is.

    Args:
        asked: for each part, (n, dim) references of its kind.
        weights: of the parts.

    Returns:
        (as many as the fewest of them, dim), unit rows; the same in every call.
    """
    if len(asked) == 1:
        return asked[0] if weights[0] > 0 else -asked[0]
    count = min(len(each) for each in asked)
    chance = np.random.default_rng(0)
    mixed = sum(
        weight * each[chance.permutation(len(each))[:count]] for each, weight in zip(asked, weights, strict=True)
    )
    length = np.linalg.norm(mixed, axis=1, keepdims=True)
    return np.asarray(mixed / np.maximum(length, SMALLEST_SPREAD), dtype=np.float32)


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))
