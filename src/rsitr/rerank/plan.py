"""Reading what a person writes for a re-ranking: a training-free method, or a fusion model; imports no model."""

from __future__ import annotations

from dataclasses import dataclass

from rsitr.errors import ConfigError
from rsitr.rerank.layout import require_count
from rsitr.rerank.methods import Reranker, parse_rerank

__all__ = ["FUSION_PREFIX", "FusionPlan", "parse_fusion", "parse_method"]

FUSION_PREFIX = "fusion:"


@dataclass(frozen=True, slots=True)
class FusionPlan:
    """Which fusion model re-ranks how much.

    Attributes:
        checkpoint: its folder.
        top: candidates per query.
        weight: of the first stage's score in that of a candidate, which is log-odds + weight x score; to be tuned on
            validation. 0 leaves the order among candidates to the fusion model alone, as the paper does.

    Raises:
        ConfigError: fewer than one candidate, or a negative weight.
    """

    checkpoint: str
    top: int = 128
    weight: float = 0.0

    def __post_init__(self) -> None:
        require_count(self.top, name="top")
        if not 0 <= self.weight < float("inf"):
            raise ConfigError(f"weight must be at least 0, not {self.weight:g}")

    def __str__(self) -> str:
        """As `parse_fusion` reads it."""
        return f"{FUSION_PREFIX}{self.checkpoint},top={self.top},weight={self.weight:g}"


def parse_fusion(text: str) -> FusionPlan:
    """Read `fusion:CHECKPOINT[,top=N][,weight=W]`.

    >>> parse_fusion("fusion:runs/mtgfe/best,top=64")
    FusionPlan(checkpoint='runs/mtgfe/best', top=64, weight=0.0)

    Raises:
        ConfigError: no checkpoint, an unknown setting, or a value that is no number or an impossible one.
    """
    checkpoint, *rest = text.strip().removeprefix(FUSION_PREFIX).split(",")
    if not checkpoint:
        raise ConfigError(f"the re-ranking {text!r} names no checkpoint: write fusion:CHECKPOINT,top=128")
    settings: dict[str, float] = {}
    for part in rest:
        name, _, value = part.partition("=")
        if name not in ("top", "weight") or name in settings:
            raise ConfigError(f"cannot read {part!r} in the re-ranking {text!r}: it may have top=N and weight=W, once")
        try:
            settings[name] = int(value) if name == "top" else float(value)
        except ValueError:
            raise ConfigError(f"{name} in the re-ranking {text!r} must be a number, got {value!r}") from None
    return FusionPlan(checkpoint, top=int(settings.get("top", 128)), weight=settings.get("weight", 0.0))


def parse_method(text: str) -> Reranker | FusionPlan:
    """Read a re-ranking of either kind: without training (:func:`rsitr.rerank.parse_rerank`), or a fusion model.

    Raises:
        ConfigError: it is neither.
    """
    return parse_fusion(text) if text.strip().startswith(FUSION_PREFIX) else parse_rerank(text)
