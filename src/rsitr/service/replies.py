"""What the service answers, as its OpenAPI description tells it. `answers` makes these; nothing is checked twice."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

__all__ = [
    "DetectorReply",
    "DetectorsReply",
    "HealthIndex",
    "HealthReply",
    "HitReply",
    "IndexReply",
    "Limits",
    "ModelReply",
    "PictureReply",
    "PlaceReply",
    "Problem",
    "ProblemReply",
    "QueryReply",
    "SceneReply",
    "ScenesReply",
    "SearchReply",
    "SightingReply",
    "StageReply",
    "TileReply",
]

Box = list[float]


class Problem(BaseModel):
    """What went wrong, and what to do."""

    status: int
    title: str
    detail: str
    request_id: str


class ProblemReply(BaseModel):
    """Every error has this shape."""

    error: Problem


class ModelReply(BaseModel):
    """The model that made the index."""

    name: str
    fingerprint: str
    dim: int
    image_size_px: int


class HealthIndex(BaseModel):
    """The index in a few numbers."""

    name: str
    n_tiles: int
    n_scenes: int


class HealthReply(BaseModel):
    """Whether searches are answered, and by what."""

    status: Literal["ready", "warming", "failed"]
    detail: str
    version: str
    model: ModelReply
    index: HealthIndex
    uptime_s: float
    versions: dict[str, str]


class Limits(BaseModel):
    """What may be asked for."""

    max_k: int
    max_upload_bytes: int
    max_upload_px: int


class IndexReply(BaseModel):
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


class SceneReply(BaseModel):
    """A scene, and how to draw it on a map."""

    id: str
    scene: str
    date: str | None
    sensor: str | None
    gsd_m: float | None
    n_tiles: int
    size_px: list[int]
    bbox: Box | None
    footprint: dict[str, Any] | None
    crs: str | None
    corners: list[list[float]] | None = Field(description="Top left, top right, bottom right, bottom left.")
    overview: str


class ScenesReply(BaseModel):
    """All scenes of the index."""

    scenes: list[SceneReply]


class TileReply(BaseModel):
    """A tile of the index."""

    tile: str
    scene: str
    scene_id: str
    date: str | None
    sensor: str | None
    gsd_m: float | None
    window_px: list[int]
    geometry: dict[str, Any] | None
    bbox: Box | None
    picture: str


class HitReply(TileReply):
    """A tile that answers a query; `place` is the rank of its place, where places were asked for."""

    rank: int
    score: float
    relevance: float | None
    place: int | None


class SightingReply(BaseModel):
    """A place as one scene shows it."""

    scene: str
    scene_id: str
    date: str | None
    sensor: str | None
    score: float
    relevance: float | None
    window_px: list[int]
    best_tile: str
    tiles: list[str]


class PlaceReply(BaseModel):
    """Ground that answers a query, with its time line."""

    rank: int
    id: str
    score: float
    relevance: float | None
    n_tiles: int
    geometry: dict[str, Any] | None
    bbox: Box | None
    dates: list[str]
    sightings: list[SightingReply]


class StageReply(BaseModel):
    """What a stage of ranking said of the hits, in their order."""

    name: str
    time_s: float
    note: str
    scores: list[float | None]


class QueryReply(BaseModel):
    """What was asked, in words and in parts."""

    described: str
    text: str | None
    parts: list[dict[str, Any]]
    k: int
    bbox: Box | None
    since: str | None
    until: str | None
    sensor: str | None
    scene: str | None
    has_area: bool


class SearchReply(BaseModel):
    """The answer to a search."""

    query: QueryReply
    matches: bool
    message: str
    relevance: float | None
    threshold: float
    n_tiles: int
    took_ms: float
    refined: bool
    hits: list[HitReply]
    places: list[PlaceReply]
    stages: list[StageReply] | None = None


class PictureReply(BaseModel):
    """An uploaded picture, to be named in searches until it expires."""

    picture: str
    width: int
    height: int
    expires_s: float


class DetectorReply(BaseModel):
    """A detector that was learned from marks."""

    name: str
    query: str
    n_right: int
    n_wrong: int
    n_gone: int = Field(description="Marks that were dropped: their tiles have left the index.")


class DetectorsReply(BaseModel):
    """The detectors of the index."""

    detectors: list[DetectorReply]
