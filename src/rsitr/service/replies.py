"""What the service answers, as its OpenAPI description tells it: the records of `rsitr.formats`, and what HTTP adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from rsitr.formats import (
    MomentRecord,
    QueryRecord,
    SceneRecord,
    Scored,
    SightingRecord,
    StageRecord,
    TileRecord,
    Verdict,
)

__all__ = [
    "AreaReply",
    "BackgroundReply",
    "BrushedReply",
    "CellReply",
    "DaysReply",
    "HealthIndex",
    "HealthReply",
    "HeatReply",
    "HitReply",
    "IndexReply",
    "Limits",
    "ModelReply",
    "MomentReply",
    "PictureReply",
    "PlaceReply",
    "Problem",
    "ProblemReply",
    "QueryReply",
    "ReadyReply",
    "SceneReply",
    "ScenesReply",
    "SearchReply",
    "SightingReply",
    "StageReply",
    "TileReply",
    "TilesReply",
    "UnknownWordReply",
    "ViewReply",
]

Box = list[float]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What went wrong, and what to do."""

    status: int
    title: str
    detail: str
    request_id: str


@dataclass(frozen=True, kw_only=True)
class ProblemReply:
    """Every error has this shape."""

    error: Problem


@dataclass(frozen=True, kw_only=True)
class ModelReply:
    """The model that made the index."""

    name: str
    fingerprint: str
    dim: int
    image_size_px: int


@dataclass(frozen=True, kw_only=True)
class HealthIndex:
    """The index in a few numbers."""

    name: str
    n_tiles: int
    n_scenes: int


@dataclass(frozen=True, kw_only=True)
class ReadyReply:
    """Whether requests should be sent here, in a word for a person; the status of the answer says it to a program."""

    ready: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class HealthReply:
    """Whether searches are answered, and by what.

    Attributes:
        draining: whether it was told to stop, and still answers until load balancers have seen that.
        common: what has uploaded pictures and rates in common: this process (`memory`), the processes of this service
            (`folder`), or all that use the same Redis; where that is gone, the service goes on without it.
        pid: of the process that answers.
    """

    status: Literal["ready", "warming", "failed"]
    draining: bool
    common: Literal["memory", "folder", "redis", "redis is gone"]
    pid: int
    detail: str
    version: str
    model: ModelReply
    index: HealthIndex
    uptime_s: float
    versions: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be asked for."""

    max_k: int
    max_area_bytes: int
    max_upload_bytes: int
    max_upload_px: int


@dataclass(frozen=True, kw_only=True)
class BackgroundReply:
    """Map tiles of somebody else's, to lie under the scenes."""

    url: Annotated[str, Field(description="With {z}, {x} and {y} in it.")]
    credit: str


@dataclass(frozen=True, kw_only=True)
class IndexReply:
    """What a page needs to know before anything is searched."""

    name: str
    n_tiles: int
    n_scenes: int
    bbox: Box | None
    since: str | None
    until: str | None
    sensors: list[str]
    threshold: float
    limits: Limits
    can_write: bool
    suggestions: list[str]
    knows_words: Annotated[bool, Field(description="Else searches begin with a tile, a mark or a detector.")]
    examples: Annotated[list[str], Field(description="Tiles to begin with, where no words can be searched for.")]
    background: BackgroundReply | None
    language: Annotated[
        str | None, Field(description="Of the words that the model understands (ISO 639); null: several, or not known.")
    ]


@dataclass(frozen=True, kw_only=True)
class SceneReply(SceneRecord):
    """A scene, and how to draw it on a map."""

    id: str
    corners: Annotated[list[list[float]] | None, Field(description="Top left, top right, bottom right, bottom left.")]
    overview: str
    tiles: Annotated[str | None, Field(description="Of its map tiles, 512 pixels wide, with {z}, {x} and {y} in it.")]


@dataclass(frozen=True, kw_only=True)
class ScenesReply:
    """All scenes of the index."""

    scenes: list[SceneReply]


@dataclass(frozen=True, kw_only=True)
class TileReply(TileRecord):
    """A tile of the index."""

    scene_id: str
    geometry: dict[str, Any] | None
    bbox: Box | None
    picture: str


@dataclass(frozen=True, kw_only=True)
class TilesReply:
    """Tiles of one spot, one of each scene, the latest first."""

    tiles: list[TileReply]


@dataclass(frozen=True, kw_only=True)
class BrushedReply:
    """Tiles that a brush touched, of all scenes; `is_cut` where there were more than are told."""

    tiles: list[TileReply]
    is_cut: bool


@dataclass(frozen=True, kw_only=True)
class ViewReply:
    """The ground of a tile as one scene shows it; `tile` is that scene's own which is most like it."""

    scene: str
    scene_id: str
    date: str | None
    sensor: str | None
    gsd_m: float | None
    tile: str
    window_px: list[int]
    picture: str


@dataclass(frozen=True, kw_only=True)
class DaysReply:
    """The ground of a tile through all scenes that show at least half of it, the earliest first."""

    days: list[ViewReply]


@dataclass(frozen=True, kw_only=True)
class HitReply(TileReply, Scored):
    """A tile that answers a query; `place` is the rank of its place, where places were asked for.

    `suitability` is `good`, or why its pixels can show nothing to a model; `mark` is what a person called it.
    """

    place: int | None
    suitability: str
    mark: Literal["right", "wrong"] | None


@dataclass(frozen=True, kw_only=True)
class SightingReply(SightingRecord):
    """A place as one scene shows it."""

    scene_id: str
    best_tile: str


@dataclass(frozen=True, kw_only=True)
class MomentReply(MomentRecord):
    """A spot as one scene shows it, whether it matches there or not."""

    scene_id: str


@dataclass(frozen=True, kw_only=True)
class PlaceReply(Scored):
    """Ground that answers a query; `position` is the middle of its best tile."""

    id: str
    position: list[float] | None
    n_tiles: int
    geometry: dict[str, Any] | None
    bbox: Box | None
    dates: list[str]
    sightings: list[SightingReply]
    timeline: list[MomentReply] | None


@dataclass(frozen=True, kw_only=True)
class StageReply(StageRecord):
    """What a stage of ranking said of the hits, in their order."""

    scores: list[float | None]


@dataclass(frozen=True, kw_only=True)
class QueryReply(QueryRecord):
    """What was asked, in words and in parts."""

    has_area: bool


@dataclass(frozen=True, kw_only=True)
class UnknownWordReply:
    """A word that the model does not know."""

    word: str
    nearest: Annotated[list[str], Field(description="Words that it knows, the nearest first.")]


@dataclass(frozen=True, kw_only=True)
class SearchReply(Verdict):
    """The answer to a search; `stages` where it was asked to explain its ranking."""

    query: QueryReply
    message: str
    model: str
    took_ms: float
    refined: bool
    unknown: list[UnknownWordReply]
    is_foreign: Annotated[bool, Field(description="Whether the model knows none of the words that are wanted.")]
    hits: list[HitReply]
    places: list[PlaceReply]
    stages: list[StageReply] | None = None


@dataclass(frozen=True, kw_only=True)
class CellReply:
    """A piece of ground as sure as the best of its tiles, which is named."""

    ring: Annotated[list[list[float]], Field(description="Closed; across the antimeridian it goes on beyond 180.")]
    score: float
    relevance: float | None
    tile: str
    n_tiles: int


@dataclass(frozen=True, kw_only=True)
class HeatReply:
    """How well what a map shows fits a search; the best cells last, to be painted over the others."""

    n_tiles: Annotated[int, Field(description="Tiles in the view that the search may answer with.")]
    n_shown: Annotated[int, Field(description="Those that are in the cells: the best of them.")]
    joined: Annotated[bool, Field(description="Whether cells are hexagons of several tiles.")]
    cells: list[CellReply]


@dataclass(frozen=True, kw_only=True)
class AreaReply:
    """An area as searches take it; `note` says what was done to it, if anything was."""

    geometry: dict[str, Any]
    bbox: Box
    n_outlines: int
    n_corners: int
    note: str


@dataclass(frozen=True, kw_only=True)
class PictureReply:
    """An uploaded picture, to be named in searches until it expires."""

    picture: str
    width: int
    height: int
    expires_s: float
