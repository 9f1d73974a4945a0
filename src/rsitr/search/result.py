"""What a search gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rsitr.search.places import Place, merge_hits
from rsitr.search.query import Query
from rsitr.search.ranking import HitStage
from rsitr.search.relevance import JUDGED, THRESHOLD
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
        judged: the tiles by which it is judged whether anything matches: the best ten, however many hits were wanted.
    """

    query: Query
    hits: tuple[Hit, ...]
    n_tiles: int
    index: str
    model: str
    threshold: float = THRESHOLD
    stages: tuple[HitStage, ...] = ()
    judged: tuple[Hit, ...] = ()

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def relevance(self) -> float | None:
        """How surely what was asked for is there at all: the highest of the best tiles; None where it is not known."""
        best = self.judged or self.hits[:JUDGED]
        return max((hit.relevance for hit in best if hit.relevance is not None), default=None)

    def places(self, *, merge: bool = True) -> tuple[Place, ...]:
        """The hits as places on the ground; without `merge`, each hit is one."""
        return merge_hits(self.hits, merge=merge)

    @property
    def matches(self) -> bool:
        """False where nothing here matches: no hits, or none whose relevance reaches the threshold.

        True where relevance is not known, which `is_judged` tells.
        """
        return bool(self.hits) and (self.relevance is None or self.relevance >= self.threshold)

    @property
    def is_judged(self) -> bool:
        """Whether it is known how surely anything matches; not in an index with too few tiles to compare with."""
        return self.relevance is not None
