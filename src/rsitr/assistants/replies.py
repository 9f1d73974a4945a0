"""What an assistant is answered: the records of `rsitr.formats`, and where on Earth that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rsitr.formats import (
    Place,
    PlaceRecord,
    SceneRecord,
    Scored,
    TileRecord,
    Verdict,
    name_mark,
    outline_box,
    round_box,
    round_score,
    say_suitability,
)
from rsitr.geo import bbox_centre
from rsitr.search import SearchResult, say_stronger
from rsitr.types import BBox, Hit, SceneEntry, Tile

__all__ = [
    "FoundPlace",
    "FoundTile",
    "IndexReply",
    "PlacesReply",
    "SearchReply",
    "ShownTile",
    "ToldScene",
    "show_places",
    "show_search",
    "show_tile",
    "tell_scene",
]


@dataclass(frozen=True, kw_only=True)
class ShownTile(TileRecord):
    """A tile, and the middle of its ground in degrees; null where its scene has no known place."""

    lon: float | None
    lat: float | None
    bbox: list[float] | None


@dataclass(frozen=True, kw_only=True)
class FoundTile(ShownTile, Scored):
    """A hit. `suitability` is `good`, or why its pixels can show nothing; `mark` is what a person called it."""

    suitability: str
    mark: str | None


@dataclass(frozen=True, kw_only=True)
class FoundPlace(PlaceRecord):
    """Ground that answers, as the scenes that show it."""

    bbox: list[float] | None


@dataclass(frozen=True, kw_only=True)
class _Reply(Verdict):
    """What was asked of which index, and what is to be said of the answer: read `message` before the hits.

    `notes` is for the person, e.g. which model may find what this one did not.
    """

    asked: str
    message: str
    notes: list[str]
    index: str
    model: str


@dataclass(frozen=True, kw_only=True)
class SearchReply(_Reply):
    """Tiles, best first."""

    hits: list[FoundTile]


@dataclass(frozen=True, kw_only=True)
class PlacesReply(_Reply):
    """Places, best first."""

    places: list[FoundPlace]


@dataclass(frozen=True, kw_only=True)
class ToldScene(SceneRecord):
    """A scene, without its outline: its box says enough."""

    footprint: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class IndexReply:
    """What an index holds; `scenes` are those that were asked for, of `n_scenes`."""

    index: str
    model: str
    n_tiles: int
    n_scenes: int
    bbox: list[float] | None
    since: str | None
    until: str | None
    sensors: list[str]
    finest_gsd_m: float | None
    coarsest_gsd_m: float | None
    area_km2: float
    detectors: list[str]
    scenes: list[ToldScene]


def show_tile(tile: Tile) -> ShownTile:
    """A tile and where it lies."""
    lon, lat = _middle(tile.bbox)
    return ShownTile(**vars(TileRecord.of(tile)), lon=lon, lat=lat, bbox=round_box(tile.bbox))


def show_search(result: SearchResult, *, message: str) -> SearchReply:
    """The hits of a search."""
    return SearchReply(**_verdict(result), message=message, hits=[_show_hit(hit) for hit in result])


def show_places(result: SearchResult, places: tuple[Place, ...], *, message: str) -> PlacesReply:
    """The places of a search."""
    found = [FoundPlace(**vars(PlaceRecord.of(place)), bbox=round_box(outline_box(place.outline))) for place in places]
    return PlacesReply(**_verdict(result), message=message, places=found)


def tell_scene(entry: SceneEntry) -> ToldScene:
    """A scene of the index."""
    return ToldScene(**vars(SceneRecord.of(entry)) | {"footprint": None})


def _show_hit(hit: Hit) -> FoundTile:
    return FoundTile(
        **vars(show_tile(hit.tile)),
        rank=hit.rank,
        score=round_score(hit.score),
        relevance=round_score(hit.relevance),
        suitability=say_suitability(hit.tile),
        mark=name_mark(hit.mark),
    )


def _verdict(result: SearchResult) -> dict[str, Any]:
    return {
        "asked": result.query.describe(),
        "index": result.index,
        "model": result.model,
        "matches": result.matches,
        "state": result.state,
        "relevance": round_score(result.relevance),
        "threshold": result.threshold,
        "n_tiles": result.n_tiles,
        "notes": [said] if (said := say_stronger(result)) else [],
    }


def _middle(bbox: BBox | None) -> tuple[float | None, float | None]:
    if bbox is None:
        return None, None
    lon, lat = round_box(bbox_centre(bbox)) or (None, None)
    return lon, lat
