"""The methods by name, with their settings: what `--rerank sar:k=20` means, and the same for one live query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import ConfigError
from rsitr.extras import need
from rsitr.registry import Registry
from rsitr.rerank.layout import Direction, require_count, require_temperature

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["METHODS", "Method", "Reranker", "parse_rerank", "rerank_candidates"]

Settings = Mapping[str, int | float]


@dataclass(frozen=True, slots=True)
class Method:
    """A training-free method.

    Attributes:
        name: as it is typed.
        function: called with (scores, direction=, bank_scores=) and the settings.
        defaults: the settings there are, with their values where they aren't given. Better ones are to be found on
            validation.
        summary: one line for people.
    """

    name: str
    function: Callable[..., Tensor]
    defaults: Settings
    summary: str


METHODS: Registry[Method] = Registry("re-ranking method", group="rerankers")
"""By the name that a person types after `--rerank`."""


def _later(reference: str, **settings: Any) -> Callable[..., Tensor]:
    """A function of this room by `module:name`, imported when it is first called: names need no torch."""
    module, name = reference.split(":")

    def call(scores: Tensor, **given: Any) -> Tensor:
        found: Tensor = getattr(import_module(f"{__package__}.{module}"), name)(scores, **settings, **given)
        return found

    return call


for _method in (
    Method(
        name="sar",
        function=_later("sar:sort_after_reversed_retrieval"),
        defaults={"k": 20},
        summary="the top k by the rank of the query in each candidate's reverse list",
    ),
    Method(
        name="mean-rank",
        function=_later("sar:mean_rank"),
        defaults={"k": 20},
        summary="the top k by the mean of forward and reverse rank",
    ),
    Method(
        name="dual-softmax",
        function=_later("normalization:dual_softmax"),
        defaults={"temperature": 0.05},
        summary="product of the softmaxes over candidates and over queries",
    ),
    Method(
        name="inverted-softmax",
        function=_later("normalization:inverted_softmax"),
        defaults={"temperature": 0.05},
        summary="softmax over queries",
    ),
    Method(
        name="qb-norm",
        function=_later("normalization:inverted_softmax", dynamic=True),
        defaults={"temperature": 0.05},
        summary="softmax over queries, for lists that a possible hub heads",
    ),
    Method(
        name="csls",
        function=_later("normalization:csls"),
        defaults={"k": 10},
        summary="twice the score less the mean of either side's k nearest neighbours",
    ),
):
    METHODS.register(_method.name, _method)


@dataclass(frozen=True, slots=True)
class Reranker:
    """A method with all its settings, ready to be called.

    >>> Reranker("sar", {"k": 5})
    Reranker(name='sar', settings={'k': 5})
    >>> str(Reranker("sar", {"k": 5}))
    'sar:k=5'
    """

    name: str
    settings: Settings = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Fill in the defaults.

        Raises:
            ConfigError: an unknown name or setting, or an impossible value.
        """
        defaults = METHODS[self.name].defaults
        for key in self.settings:
            if key not in defaults:
                raise ConfigError(f"{self.name} has no setting {key!r}; it has {', '.join(defaults)}")
        settings = {**defaults, **self.settings}
        if "k" in settings:
            require_count(int(settings["k"]))
        if "temperature" in settings:
            require_temperature(settings["temperature"])
        object.__setattr__(self, "settings", settings)

    def __call__(self, scores: Tensor, *, direction: Direction, bank_scores: Tensor | None = None) -> Tensor:
        """Re-rank (n_text, n_image) scores for one direction; the order within each query's list is what counts.

        Args:
            scores: (n_text, n_image), higher is better.
            direction: whose lists are improved. A full evaluation calls it once for each.
            bank_scores: reference queries instead of those of `scores`: (n_bank_text, n_image) for `text_to_image`,
                (n_text, n_bank_image) for `image_to_text`.

        Raises:
            ConfigError: there is no such direction, or the bank is empty.
            ModelError: a score is NaN or infinite.
        """
        function = METHODS[self.name].function
        return function(scores, direction=direction, bank_scores=bank_scores, **self.settings)

    def __str__(self) -> str:
        """As `parse_rerank` reads it."""
        return f"{self.name}:{','.join(f'{key}={value}' for key, value in self.settings.items())}"


def parse_rerank(text: str) -> Reranker:
    """Read `NAME` or `NAME:KEY=VALUE,...`.

    >>> parse_rerank("sar:k=20")
    Reranker(name='sar', settings={'k': 20})
    >>> parse_rerank("csls")
    Reranker(name='csls', settings={'k': 10})

    Raises:
        ConfigError: unknown name or key, or a value that is no number or an impossible one.
    """
    name, _, rest = text.strip().partition(":")
    name = name.strip().lower()
    defaults = METHODS[name].defaults if name in METHODS else {}
    settings: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in rest.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key:
            raise ConfigError(f"cannot read {part!r} in the re-ranking {text!r}: write NAME:KEY=VALUE, as in sar:k=20")
        if key in settings:
            raise ConfigError(f"the re-ranking {text!r} has {key} twice")
        settings[key] = _parse_number(value, like=defaults.get(key, 0.0), where=f"{key} in the re-ranking {text!r}")
    return Reranker(name, settings)


def _parse_number(value: str, *, like: float, where: str) -> int | float:
    try:
        return int(value) if isinstance(like, int) else float(value)
    except ValueError:
        kind = "a whole number" if isinstance(like, int) else "a number"
        raise ConfigError(f"{where} must be {kind}, got {value!r}") from None


def rerank_candidates(
    candidate_scores: NDArray[np.floating], *, reference_scores: NDArray[np.floating], reranker: Reranker | None = None
) -> NDArray[np.floating]:
    """Re-rank the candidates of one live query; reverse lists run over a stored bank of reference queries.

    The same ranks as on a full matrix: r(c) = 1 + the number of reference queries that c scores strictly higher than
    this query.

    Args:
        candidate_scores: (n_candidate,) the query's scores, higher is better.
        reference_scores: (n_reference, n_candidate) the reference queries' scores of the same candidates, computed as
            those of the query were.
        reranker: the method; by default SAR over all the candidates.

    Returns:
        (n_candidate,) whose descending order is the new one; equal candidates are exactly equal.

    Raises:
        ConfigError: there is no reference query.
        ModelError: a score is NaN or infinite.
        ValueError: the shapes don't fit.

    >>> new = rerank_candidates(np.array([0.9, 0.8]), reference_scores=np.array([[1.0, 0.1], [0.2, 0.3]]))
    >>> int(new.argmax())  # a reference query suits the first candidate better, none the second
    1
    """
    if candidate_scores.ndim != 1:
        raise ValueError(f"candidate_scores must be (n_candidate,), got the shape {candidate_scores.shape}")
    method = reranker or Reranker("sar", {"k": max(1, len(candidate_scores))})
    need("torch", what=f"the re-ranking {method}")
    import torch

    result = method(
        torch.from_numpy(np.ascontiguousarray(candidate_scores))[None],
        direction="text_to_image",
        bank_scores=torch.from_numpy(np.ascontiguousarray(reference_scores)),
    )
    scores: NDArray[np.floating] = result[0].numpy()
    return scores
