"""Hits, places, scenes and answers as plain values: the one spelling of every field that is written or sent.

The writers of this room choose among these fields and give them their order; the service's replies add fields of their
own. Dataclasses rather than pydantic's: names of files need not be UTF-8, which its strings must.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, overload

from rsitr.calibration import State
from rsitr.formats.places import DEGREE_DIGITS, Moment, Place, Sighting, ring_geometry
from rsitr.formats.suitability import say_suitability
from rsitr.types import Area, Hit, SceneEntry, Tile

__all__ = [
    "AskedRecord",
    "HitRecord",
    "MomentRecord",
    "PartRecord",
    "PlaceRecord",
    "QueryRecord",
    "SceneRecord",
    "Scored",
    "SightingRecord",
    "StageRecord",
    "TileRecord",
    "Verdict",
    "name_mark",
    "plain",
    "round_box",
    "round_score",
]

SCORE_DIGITS = 6
METRE_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Scored:
    """How well something answers: `rank` from 1; a higher `score` is better; `relevance` from 0 to 1, where known."""

    rank: int
    score: float
    relevance: float | None


@dataclass(frozen=True, kw_only=True)
class TileRecord:
    """A tile: `scene` is the scene's path in the index, `window_px` (column, row, width, height)."""

    tile: str
    scene: str
    window_px: list[int]
    date: str | None
    gsd_m: float | None
    sensor: str | None

    @classmethod
    def of(cls, tile: Tile) -> TileRecord:
        """Of a tile of the index."""
        return TileRecord(
            tile=tile.tile,
            scene=tile.scene,
            window_px=list(tile.window_px),
            date=_day(tile.date),
            gsd_m=_metres(tile.gsd_m),
            sensor=tile.sensor,
        )


@dataclass(frozen=True, kw_only=True)
class HitRecord(TileRecord, Scored):
    """A hit in a file: here `scene` is the name of the scene's file, and `path` where it is in the index.

    `suitability` is `good`, or why its pixels can show nothing to a model; `mark` is what a person called it.

    `sorted_by_value` is what the hit was sorted by: its score, or what the stage `sorted_by` said of it.
    """

    path: str
    suitability: str
    mark: Literal["right", "wrong"] | None
    sorted_by: str
    sorted_by_value: float | None

    @classmethod
    def of_hit(cls, hit: Hit, *, sorted_by: str, value: float | None) -> HitRecord:
        """Of a hit, and what it was sorted by."""
        return HitRecord(
            **vars(TileRecord.of(hit.tile)) | {"scene": PurePosixPath(hit.tile.scene).name},
            path=hit.tile.scene,
            suitability=say_suitability(hit.tile),
            mark=name_mark(hit.mark),
            rank=hit.rank,
            score=round_score(hit.score),
            relevance=round_score(hit.relevance),
            sorted_by=sorted_by,
            sorted_by_value=round_score(value),
        )


@dataclass(frozen=True, kw_only=True)
class SightingRecord:
    """A place as one scene shows it: `window_px` lies around its `tiles`, of which the first is the best."""

    date: str | None
    scene: str
    sensor: str | None
    score: float
    relevance: float | None
    window_px: list[int]
    tiles: list[str]

    @classmethod
    def of(cls, sighting: Sighting) -> SightingRecord:
        """Of a sighting."""
        return SightingRecord(
            date=_day(sighting.date),
            scene=sighting.scene,
            sensor=sighting.sensor,
            score=round_score(sighting.score),
            relevance=round_score(sighting.relevance),
            window_px=list(sighting.window_px),
            tiles=[hit.tile.tile for hit in sighting.hits],
        )


@dataclass(frozen=True, kw_only=True)
class MomentRecord:
    """A spot as one scene shows it, whether it matches there or not; `window_px` is of that same ground."""

    date: str | None
    scene: str
    sensor: str | None
    score: float
    relevance: float | None
    matches: bool | None
    tile: str
    window_px: list[int]

    @classmethod
    def of(cls, moment: Moment) -> MomentRecord:
        """Of a moment of a time line."""
        return MomentRecord(
            date=_day(moment.tile.date),
            scene=moment.tile.scene,
            sensor=moment.tile.sensor,
            score=round_score(moment.score),
            relevance=round_score(moment.relevance),
            matches=moment.matches,
            tile=moment.tile.tile,
            window_px=list(moment.window_px),
        )


@dataclass(frozen=True, kw_only=True)
class PlaceRecord(Scored):
    """Ground that answers a query; `place` is its id, that of its best tile, whose middle `lon` and `lat` are.

    `timeline` is what every scene that covers that tile shows there; null where it was not asked for.
    """

    place: str
    lon: float | None
    lat: float | None
    suitability: str
    mark: Literal["right", "wrong"] | None
    n_tiles: int
    first_date: str | None
    last_date: str | None
    sightings: list[SightingRecord]
    timeline: list[MomentRecord] | None

    @classmethod
    def of(cls, place: Place) -> PlaceRecord:
        """Of a place."""
        lon, lat = place.position or (None, None)
        return PlaceRecord(
            place=place.place,
            lon=_degrees(lon),
            lat=_degrees(lat),
            suitability=say_suitability(place.best.tile),
            mark=name_mark(place.best.mark),
            rank=place.rank,
            score=round_score(place.score),
            relevance=round_score(place.relevance),
            n_tiles=place.n_tiles,
            first_date=_day(min(place.dates, default=None)),
            last_date=_day(max(place.dates, default=None)),
            sightings=[SightingRecord.of(sighting) for sighting in place.sightings],
            timeline=None if place.timeline is None else [MomentRecord.of(moment) for moment in place.timeline],
        )


@dataclass(frozen=True, kw_only=True)
class SceneRecord:
    """A scene of the index: `size_px` is (width, height), `crs` its own reference system as people name it."""

    scene: str
    date: str | None
    sensor: str | None
    gsd_m: float | None
    n_tiles: int
    size_px: list[int]
    bbox: list[float] | None
    footprint: dict[str, Any] | None
    crs: str | None

    @classmethod
    def of(cls, entry: SceneEntry) -> SceneRecord:
        """Of what an index remembers of a scene."""
        return SceneRecord(
            scene=entry.scene,
            date=_day(entry.date),
            sensor=entry.sensor,
            gsd_m=_metres(entry.gsd_m),
            n_tiles=entry.n_tiles,
            size_px=list(entry.size_px),
            bbox=round_box(entry.bbox),
            footprint=ring_geometry(entry.footprint),
            crs=entry.crs,
        )


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """A stage of ranking: how long it took, and what is to be said of it."""

    name: str
    time_s: float
    note: str


@dataclass(frozen=True, kw_only=True)
class PartRecord:
    """One ingredient of a query; a negative `weight` is of what is not wanted."""

    kind: str
    value: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class QueryRecord:
    """What was asked, in words and in parts, and within which limits."""

    text: str | None
    parts: list[PartRecord]
    k: int
    bbox: list[float] | None
    since: str | None
    until: str | None
    sensor: str | None
    scene: str | list[str] | None
    described: str


@dataclass(frozen=True, kw_only=True)
class AskedRecord(QueryRecord):
    """The same in full, as files tell it: the name of an example picture, and the polygons of the area."""

    image: str | None
    area: Area | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether anything matches: `relevance` is the highest of the best tiles; `n_tiles` passed the limits.

    `state` is matches, unsure or nothing; null where the model is not calibrated.
    """

    matches: bool
    state: State | None
    relevance: float | None
    threshold: float
    n_tiles: int


def plain(value: Any, names: Sequence[str] = ()) -> Any:
    """Records as dictionaries and lists, for JSON.

    Args:
        value: a record, or a list of records, or what is plain already.
        names: the fields of the record itself that are wanted, in their order; all unless given.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in names or [field.name for field in fields(value)]}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


@overload
def round_score(value: float) -> float: ...
@overload
def round_score(value: None) -> None: ...
@overload
def round_score(value: float | None) -> float | None: ...
def round_score(value: float | None) -> float | None:
    """A score as it is written."""
    return None if value is None else round(value, SCORE_DIGITS)


def round_box(bbox: Sequence[float] | None) -> list[float] | None:
    """A box as it is written."""
    return None if bbox is None else [round(side, DEGREE_DIGITS) for side in bbox]


def _day(date: datetime.date | None) -> str | None:
    return None if date is None else date.isoformat()


def name_mark(mark: bool | None) -> Literal["right", "wrong"] | None:
    """What a person called a hit, in a word."""
    return None if mark is None else "right" if mark else "wrong"


def _degrees(side: float | None) -> float | None:
    return None if side is None else round(side, DEGREE_DIGITS)


def _metres(gsd_m: float | None) -> float | None:
    return None if gsd_m is None else round(gsd_m, METRE_DIGITS)
