"""From a request to a query: the limits of the service, and the checks of `rsitr.search`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rsitr.errors import MissingError, QueryError
from rsitr.geo import area_from_geojson
from rsitr.search import Mark, Part, Query, RankingSettings, check_filter, make_query, parse_bbox, parse_day, parse_gsd
from rsitr.service.schemas import MarkBody, PartBody, RankingBody, SearchBody, SearchParams
from rsitr.service.settings import ServiceSettings
from rsitr.types import Area, BBox, ImageArray, TileFilter

__all__ = ["Asked", "body_of", "check_area", "no_picture", "read_filter", "read_marks", "read_query", "read_search"]

MOST_POSITIONS = 10_000
"""Corners of an area: an outline of so many is drawn finer than tiles are large."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A search that can be made.

    Attributes:
        query: what is looked for.
        marks: what it is refined by.
        ranking: how they are ranked.
        threshold: relevance below which nothing is said to match.
        places: whether hits are merged into places.
        timeline: whether places tell what every scene shows of their ground.
        explain: whether the stages of ranking are told.
    """

    query: Query
    marks: tuple[Mark, ...] = ()
    ranking: RankingSettings = field(default_factory=RankingSettings)
    threshold: float = 0.5
    places: bool = True
    timeline: bool = False
    explain: bool = False

    @property
    def words(self) -> list[str]:
        """What has to be encoded as text."""
        return [part.value for part in self.query.parts if part.kind == "words"]


Pictures = Callable[[str], ImageArray]
"""Gives an uploaded picture by its id; MissingError where there is none."""


def no_picture(name: str) -> ImageArray:
    """Where none can be named."""
    raise MissingError(f"there is no picture {name!r} here")


def read_search(
    body: SearchBody, *, settings: ServiceSettings, pictures: Pictures, where: TileFilter | None = None
) -> Asked:
    """Check a search.

    Args:
        body: what is asked.
        settings: of the service, whose limits hold.
        pictures: gives those that were uploaded.
        where: limits in place of the body's, where these were read already.

    Raises:
        QueryError: it asks for nothing, for too much, or for what cannot be.
        ConfigError: there is no such re-ranking method.
        MissingError: a picture is not there.
    """
    if body.k > settings.max_k:
        raise QueryError(f"k is at most {settings.max_k} here, not {body.k}")
    where = read_filter(body) if where is None else where
    marks = read_marks(body.marks)
    if body.detector is not None:
        if body.text is not None or body.unwanted or body.like or body.pictures or body.parts or marks:
            raise QueryError("a detector looks for what it has learned: leave out words, examples and marks")
        query = make_query(parts=[Part("detector", body.detector)], k=body.k, where=where, every=body.every)
    else:
        query = read_query(body, where=where, pictures=pictures)
    return Asked(
        query=query,
        marks=marks,
        ranking=_read_ranking(body.ranking, settings),
        threshold=body.threshold,
        places=body.places,
        timeline=body.timeline,
        explain=body.explain,
    )


def read_query(body: SearchBody, *, where: TileFilter | None = None, pictures: Pictures) -> Query:
    """The query of a search. Raises as `read_search`."""
    parts = [
        *(Part.parse("words", text) for text in ([] if body.text is None else [body.text])),
        *(Part.parse("tile", text) for text in body.like),
        *(_picture(name, 1.0, pictures) for name in body.pictures),
        *(_part(part, pictures) for part in body.parts),
        *(Part.unwanted(text) for text in body.unwanted),
    ]
    if not any(part.weight > 0 for part in parts):
        raise QueryError("nothing to search for: give words, a picture, or a tile that was found")
    limits = read_filter(body) if where is None else where
    return make_query(parts=parts, k=body.k, where=limits, every=body.every)


def read_marks(marks: list[MarkBody]) -> tuple[Mark, ...]:
    """Marks as `rsitr.search` takes them."""
    return tuple(Mark(tile=mark.tile, right=mark.right) for mark in marks)


def body_of(params: SearchParams) -> SearchBody:
    """A search in a URL as the same search in a body.

    Raises:
        QueryError: the box is none, or the sizes of pixels are.
    """
    return SearchBody.model_validate(
        {
            "text": params.q,
            "not": params.unwanted,
            "bbox": None if params.bbox is None else list(parse_bbox(params.bbox, name="bbox")),
            "gsd_m": None if params.gsd_m is None else list(parse_gsd(params.gsd_m, name="gsd_m")),
            **params.model_dump(include={"like", "detector", "since", "until", "sensor"}),
            **params.model_dump(include={"k", "places", "timeline", "threshold"}),
            "scene": params.scene or None,
            "all": params.every,
        }
    )


def read_filter(body: SearchBody) -> TileFilter:
    """The limits of a search.

    Raises:
        QueryError: one of them cannot be met by anything.
    """
    bbox: BBox | None = None
    if body.bbox is not None:
        west, south, east, north = body.bbox
        bbox = (west, south, east, north)
    return check_filter(
        TileFilter(
            bbox=bbox,
            area=_read_area(body),
            since=None if body.since is None else parse_day(body.since, name="since", is_last=False),
            until=None if body.until is None else parse_day(body.until, name="until", is_last=True),
            sensor=body.sensor,
            gsd_m=None if body.gsd_m is None else (body.gsd_m[0], body.gsd_m[1]),
            scene=tuple(body.scene) if isinstance(body.scene, list) else body.scene,
        )
    )


def _read_area(body: SearchBody) -> Area | None:
    return None if body.area is None else check_area(area_from_geojson(body.area))


def check_area(area: Area) -> Area:
    """An area that is not too long to be compared with.

    Raises:
        QueryError: its outline has too many positions.
    """
    if sum(len(ring) for rings in area for ring in rings) > MOST_POSITIONS:
        raise QueryError(f"the area has more than {MOST_POSITIONS:,} positions; simplify its outline")
    return area


def _read_ranking(body: RankingBody, settings: ServiceSettings) -> RankingSettings:
    if body.candidates > settings.max_candidates:
        raise QueryError(f"the number of candidates is at most {settings.max_candidates} here, not {body.candidates}")
    if body.rerank is not None:
        from rsitr.rerank import parse_rerank

        parse_rerank(body.rerank)  # these only: a fusion model would be named by a path
    return RankingSettings(
        n_candidates=body.candidates,
        local=body.local,
        rerank=body.rerank,
        budget_s=min(body.budget_s, settings.max_budget_s),
    )


def _picture(name: str, weight: float, pictures: Pictures) -> Part:
    return Part("picture", "your picture", weight, pictures(name))


def _part(part: PartBody, pictures: Pictures) -> Part:
    if part.kind == "picture":
        return _picture(part.value, part.weight, pictures)
    return Part(part.kind, part.value, part.weight)
