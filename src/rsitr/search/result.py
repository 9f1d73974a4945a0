"""What a search gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rsitr.calibration import State, judge
from rsitr.formats import Answer, AskedRecord, HitStage, PartRecord, Place, find_unsuitable
from rsitr.search.answering import Found
from rsitr.search.places import merge_hits
from rsitr.search.query import Query
from rsitr.search.relevance import JUDGED, THRESHOLD
from rsitr.types import Hit

__all__ = ["SearchResult"]

SCORING_STAGES = frozenset({"global", "local", "local codes"})
"""Stages that make the score; what comes after them sorts anew."""


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
        unknown: words of the query that the model does not know, each with the nearest that it knows.
        has_unknown: whether one of these is wanted: then no hit is sure to be what was asked for.
        is_foreign: whether it knows none of the words.
        judged: the tiles by which it is judged whether anything matches: the best ten, however many hits were wanted.
        is_wordless: whether the embeddings were made elsewhere, by a model that nothing here knows.
        n_hopeless: tiles within the limits that were left out, since their pixels can show nothing to a model.
        found: what else can be asked of the search.
    """

    query: Query
    hits: tuple[Hit, ...]
    n_tiles: int
    index: str
    model: str
    threshold: float = THRESHOLD
    stages: tuple[HitStage, ...] = ()
    judged: tuple[Hit, ...] = ()
    unknown: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    has_unknown: bool = False
    is_foreign: bool = False
    is_wordless: bool = False
    n_hopeless: int = 0
    found: Found | None = field(default=None, compare=False, repr=False)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def relevance(self) -> float | None:
        """How surely what was asked for is there at all: the highest of the best tiles; None where it is not known."""
        best = self.judged or self.hits[:JUDGED]
        return max((hit.relevance for hit in best if hit.relevance is not None), default=None)

    @property
    def matches(self) -> bool:
        """Whether anything matches for sure; True also where the model is not calibrated, which `is_judged` tells."""
        return self.state in {"matches", None}

    @property
    def state(self) -> State | None:
        """What is said of the answer: `matches`, `unsure` or `nothing`; None where the model is not calibrated."""
        if not self.hits:
            return "unsure" if self.n_hopeless else "nothing"
        if self.is_foreign or (self.relevance is None and self.unsuitable):
            return "unsure"
        state = judge(self.relevance, threshold=self.threshold)
        return "unsure" if state == "matches" and self.has_unknown else state

    @property
    def unsuitable(self) -> list[str]:
        """Of hits whose pixels can show nothing to a model: why; they have no relevance."""
        return [why for hit in self.hits if (why := find_unsuitable(hit.tile)) is not None]

    @property
    def is_judged(self) -> bool:
        """Whether it is known how surely anything matches: the model is calibrated, and knows some of the words."""
        return self.relevance is not None

    @property
    def sorted_by(self) -> str | None:
        """The stage after the scores that has sorted the hits anew; None where their scores have ordered them."""
        later = [stage for stage in self.stages if stage.name not in SCORING_STAGES]
        return next((stage.name for stage in reversed(later) if any(score is not None for score in stage.scores)), None)

    @property
    def n_copies(self) -> int:
        """Tiles that would stand among the hits, and were left out: better ones show the same ground and day."""
        return 0 if self.found is None else self.found.n_copies

    def places(self, *, merge: bool = True, timeline: bool = False) -> tuple[Place, ...]:
        """The hits as places on the ground, those that match joined around their peaks; best first.

        Args:
            merge: False makes a place of every hit.
            timeline: tell of each what every scene that covers it shows of the same ground.
        """
        further: Sequence[Hit] = ()
        if merge and self.found is not None and self._may_go_on:
            further = self.found.further()
        places = merge_hits(self.hits, merge=merge, threshold=self.threshold, further=further)
        if not timeline or self.found is None:
            return places
        return tuple(self.found.follow(place, self.threshold) for place in places)

    @property
    def _may_go_on(self) -> bool:
        """Whether tiles beyond the hits may match as well: the last of these does."""
        last = self.hits[-1].relevance if self.hits else None
        return last is not None and last >= self.threshold

    def keep_matches(self) -> SearchResult:
        """The result with those hits alone whose relevance reaches the threshold; they keep their ranks.

        Where relevance could not be estimated, all stay.
        """
        if self.relevance is None:
            return self
        return dataclasses.replace(self, hits=tuple(hit for hit in self if (hit.relevance or 0.0) >= self.threshold))

    def to_answer(self, *, places: tuple[Place, ...] | None = None) -> Answer:
        """The result as `rsitr.formats` writes it: its places, if they are given, or else its hits."""
        where = self.query.where
        parts = [PartRecord(kind=part.kind, value=part.value, weight=part.weight) for part in self.query.parts]
        query = AskedRecord(
            text=self.query.text,
            image=self.query.image,
            parts=parts,
            k=self.query.k,
            bbox=where.bbox and list(where.bbox),
            area=where.area,
            since=where.since.isoformat() if where.since else None,
            until=where.until.isoformat() if where.until else None,
            sensor=where.sensor,
            scene=list(where.scene) if isinstance(where.scene, tuple) else where.scene,
            described=self.query.describe(),
        )
        return Answer(
            query=query,
            hits=self.hits,
            places=places,
            index=self.index,
            model=self.model,
            n_tiles=self.n_tiles,
            matches=self.matches,
            state=self.state,
            relevance=self.relevance,
            threshold=self.threshold,
            stages=self.stages,
            n_unsuitable=self.n_hopeless,
            n_copies=self.n_copies,
            sorted_by=self.sorted_by,
        )
