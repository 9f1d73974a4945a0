"""What a search gave, as it is written and sent. `rsitr.search` makes it: `SearchResult.to_answer`."""

from __future__ import annotations

from dataclasses import dataclass

from rsitr.formats.places import Place
from rsitr.formats.records import AskedRecord, HitRecord, Verdict
from rsitr.types import Hit

__all__ = ["Answer", "HitStage"]


@dataclass(frozen=True, slots=True)
class HitStage:
    """What a stage of ranking said of the hits, in their final order; None for a hit that it did not see."""

    name: str
    scores: tuple[float | None, ...]
    time_s: float
    note: str


@dataclass(frozen=True, kw_only=True)
class Answer(Verdict):
    """The answer to a query.

    Attributes:
        query: what was asked.
        hits: best first.
        places: the hits as places on the ground, if these are what is to be shown.
        index: name of the index.
        model: name of the model.
        stages: how the hits were ranked.
        n_unsuitable: tiles within the limits that were left out, since their pixels can show nothing to a model.
        n_copies: tiles that were left out, since better hits show the same ground of the same day.
        sorted_by: the stage that has sorted the hits anew after their scores; None where they are in their order.
        notes: what a person is told beside the hits, a line each.
    """

    query: AskedRecord
    hits: tuple[Hit, ...]
    places: tuple[Place, ...] | None = None
    index: str
    model: str
    stages: tuple[HitStage, ...] = ()
    n_unsuitable: int = 0
    n_copies: int = 0
    sorted_by: str | None = None
    notes: tuple[str, ...] = ()

    def value_of(self, hit: Hit) -> float | None:
        """What the hit was sorted by, where that is not its score; None also where that stage did not see it."""
        scores = next((stage.scores for stage in self.stages if stage.name == self.sorted_by), None)
        return None if scores is None else scores[hit.rank - 1]

    def record(self, hit: Hit) -> HitRecord:
        """A hit as files tell it."""
        value = hit.score if self.sorted_by is None else self.value_of(hit)
        return HitRecord.of_hit(hit, sorted_by=self.sorted_by or "score", value=value)
