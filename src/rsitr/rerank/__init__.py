"""Sorting again without training: SAR and the other methods that use the reverse lists of candidates.

The methods are imported when they are first used: ranking in stages without one needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsitr.registry import lazy_names
from rsitr.rerank.layout import Direction
from rsitr.rerank.methods import METHODS, Method, Reranker, parse_rerank, rerank_candidates
from rsitr.rerank.plan import FusionPlan, parse_method
from rsitr.rerank.stages import Ranking, Reading, Stage, rank_candidates_in_stages

if TYPE_CHECKING:
    from rsitr.rerank.normalization import csls, dual_softmax, inverted_softmax
    from rsitr.rerank.sar import mean_rank, sort_after_reversed_retrieval

__all__ = [
    "METHODS",
    "Direction",
    "FusionPlan",
    "Method",
    "Ranking",
    "Reading",
    "Reranker",
    "Stage",
    "csls",
    "dual_softmax",
    "inverted_softmax",
    "mean_rank",
    "parse_method",
    "parse_rerank",
    "rank_candidates_in_stages",
    "rerank_candidates",
    "sort_after_reversed_retrieval",
]

__getattr__ = lazy_names(
    __name__,
    {
        "csls": "rsitr.rerank.normalization",
        "dual_softmax": "rsitr.rerank.normalization",
        "inverted_softmax": "rsitr.rerank.normalization",
        "mean_rank": "rsitr.rerank.sar",
        "sort_after_reversed_retrieval": "rsitr.rerank.sar",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
