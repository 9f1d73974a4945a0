"""Similarities between texts and images: global, local, and their mixture.

Names are imported when they are first used: mixing scores that are known needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsitr.registry import lazy_names
from rsitr.similarity.mixing import mix

if TYPE_CHECKING:
    from rsitr.similarity.agreement import RankAgreement, measure_agreement
    from rsitr.similarity.code import LocalCode
    from rsitr.similarity.combined import score_global, score_pairs
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

__getattr__ = lazy_names(
    __name__,
    {
        "LocalCode": "rsitr.similarity.code",
        "LocalNorm": "rsitr.similarity.local",
        "RankAgreement": "rsitr.similarity.agreement",
        "gram_vectors": "rsitr.similarity.local",
        "measure_agreement": "rsitr.similarity.agreement",
        "score_global": "rsitr.similarity.combined",
        "score_local": "rsitr.similarity.local",
        "score_pairs": "rsitr.similarity.combined",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
