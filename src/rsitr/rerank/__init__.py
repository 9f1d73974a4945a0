"""Sorting again without training: SAR and the other methods that use the reverse lists of candidates."""

from rsitr.rerank.layout import Direction
from rsitr.rerank.methods import METHODS, Method, Reranker, parse_rerank, rerank_candidates
from rsitr.rerank.normalization import csls, dual_softmax, inverted_softmax
from rsitr.rerank.plan import FusionPlan, parse_method
from rsitr.rerank.sar import mean_rank, sort_after_reversed_retrieval
from rsitr.rerank.stages import Ranking, Reading, Stage, rank_candidates_in_stages

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
