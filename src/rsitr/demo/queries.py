"""What the demo asks: one query for each kind of thing that is drawn, worded as people caption such pictures."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUERIES", "DemoQuery"]


@dataclass(frozen=True)
class DemoQuery:
    """A query and what answers it.

    Attributes:
        text: the words; None for a query by picture.
        answers: labels of districts that are right answers. A tile is right if most of it lies in such districts.
    """

    text: str | None
    answers: frozenset[str]


def _query(text: str, *answers: str) -> DemoQuery:
    return DemoQuery(text=text, answers=frozenset(answers))


QUERIES: tuple[DemoQuery, ...] = (
    _query("airplanes on an apron", "airport apron with aeroplanes"),
    _query("a runway with white markings on it", "runways"),
    _query("many white storage tanks", "storage tanks"),
    _query("a baseball field with green grass", "baseball fields"),
    _query("a bridge with cars over a river", "river with a bridge"),
    _query("a river with trees on both sides", "river", "river mouth", "river with a bridge"),
    _query("many green trees are in a piece of forest", "dense forest"),
    _query("many pieces of farmland", "farmland"),
    _query("many cars are parked in a parking lot", "parking lot"),
    _query("white waves on a sandy beach", "beach", "river mouth"),
    _query("many boats in a port", "harbour with boats"),
    _query("a playground with a football field and a running track", "sports fields"),
    _query("several tennis courts surrounded by trees", "tennis courts"),
    _query("many houses in a dense residential area", "dense residential area"),
    _query("houses with lawns and trees in a medium residential area", "medium residential area"),
    _query("buildings in an industrial area", "industrial area"),
    _query("a piece of yellow desert", "desert dunes"),
    _query("a pond surrounded by trees in a park", "park with a pond"),
)
