"""Records of the index and of searches as the service's replies."""

from __future__ import annotations

import dataclasses
import hashlib
from urllib.parse import quote

from rsitr.formats import (
    Answer,
    HitStage,
    MomentRecord,
    Place,
    QueryRecord,
    SceneRecord,
    Sighting,
    SightingRecord,
    TileRecord,
    name_mark,
    outline_box,
    outline_geometry,
    ring_geometry,
    round_box,
    round_score,
    say_suitability,
)
from rsitr.search import Corners, Glimpse, SearchResult, Spread
from rsitr.service.replies import (
    CellReply,
    HeatReply,
    HitReply,
    MomentReply,
    PlaceReply,
    QueryReply,
    SceneReply,
    SearchReply,
    SightingReply,
    StageReply,
    TileReply,
    UnknownWordReply,
    ViewReply,
)
from rsitr.types import Hit, SceneEntry, Tile

__all__ = [
    "item_id",
    "scene_id",
    "show_glimpse",
    "show_hit",
    "show_scene",
    "show_search",
    "show_spread",
    "show_tile",
]


def scene_id(scene: str) -> str:
    """What names a scene in a URL: not its path, which is nobody's business there.

    >>> scene_id("2016/naip.tif")
    '5ba5602ad6956bcf'
    """
    return hashlib.sha256(scene.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def item_id(tile: Tile) -> str:
    """What names a tile where ids may hold no slashes, commas or colons: its scene and its window.

    >>> item_id(Tile("2016/naip.tif:0,64,224,224", "2016/naip.tif", (0, 64, 224, 224)))
    '5ba5602ad6956bcf-0-64-224-224'
    """
    return "-".join([scene_id(tile.scene), *(str(side) for side in tile.window_px)])


def show_scene(entry: SceneEntry, *, corners: Corners | None) -> SceneReply:
    """A scene and how to draw it."""
    name = scene_id(entry.scene)
    return SceneReply(
        **vars(SceneRecord.of(entry)),
        id=name,
        corners=None if corners is None else [list(corner) for corner in corners],
        overview=f"/api/scenes/{name}/overview.jpg",
        tiles=None if corners is None else f"/api/scenes/{name}/tiles/{{z}}/{{x}}/{{y}}.webp",
    )


def show_tile(tile: Tile) -> TileReply:
    """A tile and where its picture is."""
    return TileReply(
        **vars(TileRecord.of(tile)),
        scene_id=scene_id(tile.scene),
        geometry=ring_geometry(tile.footprint),
        bbox=round_box(tile.bbox),
        picture=f"/api/tiles/{quote(tile.tile, safe='')}/picture.jpg",
    )


def show_glimpse(glimpse: Glimpse, *, of: Tile) -> ViewReply:
    """Ground as one scene shows it, and where the picture of just that ground is."""
    tile, name = glimpse.tile, scene_id(glimpse.tile.scene)
    return ViewReply(
        scene=tile.scene,
        scene_id=name,
        date=None if tile.date is None else tile.date.isoformat(),
        sensor=tile.sensor,
        gsd_m=tile.gsd_m,
        tile=tile.tile,
        window_px=list(glimpse.window_px),
        picture=f"/api/tiles/{quote(of.tile, safe='')}/picture.jpg?scene={name}",
    )


def show_search(
    result: SearchResult,
    *,
    places: tuple[Place, ...] | None,
    message: str,
    refined: bool,
    took_s: float,
    explain: bool,
) -> SearchReply:
    """The answer to a search; without places, it has none."""
    answer = result.to_answer(places=places)
    places = places or ()
    place_of = {hit.tile.tile: place.rank for place in places for sighting in place.sightings for hit in sighting.hits}
    return SearchReply(
        query=_show_query(answer),
        matches=answer.matches,
        state=answer.state,
        message=message,
        model=answer.model,
        relevance=round_score(answer.relevance),
        threshold=answer.threshold,
        n_tiles=answer.n_tiles,
        took_ms=round(1e3 * took_s, 2),
        refined=refined,
        unknown=[UnknownWordReply(word=word, nearest=list(near)) for word, near in result.unknown.items()],
        is_foreign=result.is_foreign,
        hits=[show_hit(hit, place=place_of.get(hit.tile.tile)) for hit in answer.hits],
        places=[_show_place(place) for place in places],
        stages=[_show_stage(stage) for stage in answer.stages] if explain else None,
    )


def _show_query(answer: Answer) -> QueryReply:
    asked = {field.name: getattr(answer.query, field.name) for field in dataclasses.fields(QueryRecord)}
    return QueryReply(**asked | {"bbox": round_box(answer.query.bbox)}, has_area=answer.query.area is not None)


def show_hit(hit: Hit, *, place: int | None = None) -> HitReply:
    """A tile with what a search says of it."""
    return HitReply(
        **vars(show_tile(hit.tile)),
        rank=hit.rank,
        score=round_score(hit.score),
        relevance=round_score(hit.relevance),
        place=place,
        suitability=say_suitability(hit.tile),
        mark=name_mark(hit.mark),
    )


def _show_place(place: Place) -> PlaceReply:
    return PlaceReply(
        rank=place.rank,
        id=place.place,
        position=None if place.position is None else round_box(place.position),
        score=round_score(place.score),
        relevance=round_score(place.relevance),
        n_tiles=place.n_tiles,
        geometry=outline_geometry(place.outline),
        bbox=round_box(outline_box(place.outline)),
        dates=[day.isoformat() for day in place.dates],
        sightings=[_show_sighting(sighting) for sighting in place.sightings],
        timeline=None
        if place.timeline is None
        else [
            MomentReply(**vars(MomentRecord.of(moment)), scene_id=scene_id(moment.tile.scene))
            for moment in place.timeline
        ],
    )


def _show_sighting(sighting: Sighting) -> SightingReply:
    return SightingReply(
        **vars(SightingRecord.of(sighting)),
        scene_id=scene_id(sighting.scene),
        best_tile=sighting.hits[0].tile.tile,
    )


def _show_stage(stage: HitStage) -> StageReply:
    return StageReply(
        name=stage.name,
        time_s=round(stage.time_s, 6),
        note=stage.note,
        scores=[round_score(score) for score in stage.scores],
    )


def show_spread(spread: Spread) -> HeatReply:
    """How an answer is spread over what a map shows."""
    return HeatReply(
        n_tiles=spread.n_tiles,
        n_shown=spread.n_shown,
        joined=spread.joined,
        cells=[
            CellReply(
                ring=[list(corner) for corner in cell.ring],
                score=round_score(cell.score),
                relevance=round_score(cell.relevance),
                tile=cell.tile,
                n_tiles=cell.n_tiles,
            )
            for cell in spread.cells
        ],
    )
