"""What a search gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rsitr.search.places import Place, merge_hits
from rsitr.search.query import Query
from rsitr.search.ranking import HitStage
from rsitr.search.relevance import THRESHOLD
from rsitr.types import Hit

__all__ = ["SearchResult"]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to a query. Iterating over it gives the hits.

    Attributes:
        query: what was asked.
        hits: best first.
        n_tiles: tiles that passed the filter; the hits are the best of these.
        index: name of the index.
        model: name of the model.
        threshold: relevance below which nothing is said to match.
        stages: how the hits were ranked.
    """

    query: Query
    hits: tuple[Hit, ...]
    n_tiles: int
    index: str
    model: str
    threshold: float = THRESHOLD
    stages: tuple[HitStage, ...] = ()

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def relevance(self) -> float | None:
        """How surely what was asked for is there at all: the best hit's relevance; None where it is not known."""
        return max((hit.relevance for hit in self.hits if hit.relevance is not None), default=None)

    def places(self, *, merge: bool = True) -> tuple[Place, ...]:
        """The hits as places on the ground; without `merge`, each hit is one."""
        return merge_hits(self.hits, merge=merge)

    @property
    def matches(self) -> bool:
        """False where nothing here matches: no hits, or none whose relevance reaches the threshold."""
        return bool(self.hits) and (self.relevance is None or self.relevance >= self.threshold)
