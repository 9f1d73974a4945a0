"""Similarities between texts and images: global, local, and their mixture."""

from rsitr.similarity.agreement import RankAgreement, measure_agreement
from rsitr.similarity.code import LocalCode
from rsitr.similarity.combined import mix, score_global, score_pairs
from rsitr.similarity.local import LocalNorm, gram_vectors, score_local

__all__ = [
    "LocalCode",
    "LocalNorm",
    "RankAgreement",
    "gram_vectors",
    "measure_agreement",
    "mix",
    "score_global",
    "score_local",
    "score_pairs",
]
