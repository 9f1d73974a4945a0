"""Single tiles: what is known of them, what they look like, and why they were found."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from rsitr.errors import MissingError, QueryError
from rsitr.search import Index, map_words
from rsitr.service.answers import show_glimpse, show_tile
from rsitr.service.engine import Engine
from rsitr.service.rendering import draw_similarity, to_jpeg
from rsitr.service.replies import BrushedReply, DaysReply, TileReply, TilesReply
from rsitr.service.routes.wiring import EngineOf, errors_of, json_response, picture_response
from rsitr.service.schemas import BrushBody
from rsitr.types import Tile

__all__ = ["tiles"]

SURROUNDINGS = 2.0
MOST_BRUSHED = 1000
"""Tiles that are told of a brush: a search takes no more marks."""

tiles = APIRouter(tags=["tiles"])

TileId = Annotated[str, Path(min_length=1, max_length=2000, examples=["scene.tif:0,0,224,224"])]
Size = Annotated[int, Query(ge=16, le=1024, description="Its longer side at most.")]
SceneId = Annotated[
    str | None, Query(pattern="^[0-9a-f]{16}$", description="Shows the same ground in this scene, by its id.")
]
Lon = Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, examples=[-98.99])]
Lat = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, examples=[47.01])]
Context = Annotated[int, Query(ge=0, le=1, description="1 shows twice the window, with what lies around the tile.")]


@tiles.get(
    "/api/tiles/{tile:path}/picture.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "The picture"}, **errors_of(404, 422, 503)},
)
async def get_picture(
    request: Request, engine: EngineOf, tile: TileId, *, size: Size = 256, context: Context = 0, scene: SceneId = None
) -> Response:
    """The picture of a tile, read from its scene, or of the same ground, read from another."""

    def make() -> bytes:
        found = engine.index.tile(tile)
        if scene is not None:
            found = _in_scene(engine, found, scene)
        times = SURROUNDINGS if context else 1.0
        state = engine.catalogue.state_of(found.scene)

        def render() -> bytes:
            return to_jpeg(engine.index.picture(found, max_px=size, context=times))

        return engine.rendered.get(("tile", found.scene, state, found.window_px, size, context), render)

    return picture_response(request, await engine.render(make), "image/jpeg")


@tiles.get(
    "/api/tiles/{tile:path}/explanation.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The heat map"}, **errors_of(404, 422, 503)},
)
async def get_explanation(
    request: Request,
    engine: EngineOf,
    tile: TileId,
    *,
    q: Annotated[str, Query(max_length=1000, description="The words.", examples=["a bridge"])],
    size: Size = 256,
    scene: SceneId = None,
) -> Response:
    """Where in a tile the words fit best, by pieces of it that are encoded one by one, as a transparent PNG.

    It has the size of the tile's picture and is meant to lie over it. Strength is relative to the tile itself.
    """
    words = " ".join(q.split())
    if not words:
        raise QueryError("q: the words to explain a tile by are empty")

    def make(index: Index) -> bytes:
        found = index.tile(tile)
        if scene is not None:
            found = _in_scene(engine, found, scene)
        width, height = found.window_px[2:]
        scale = min(1.0, size / max(width, height, 1))
        shown = (max(1, round(width * scale)), max(1, round(height * scale)))

        def render() -> bytes:
            picture = index.picture(found, max_px=2 * index.model.image_size_px)
            return draw_similarity(map_words(index.encoder, picture, words), size_px=shown)

        state = engine.catalogue.state_of(found.scene)
        return engine.rendered.get(("why", found.scene, state, found.window_px, words, shown), render)

    return picture_response(request, await engine.learn([words], make), "image/png")


@tiles.get("/api/tiles", response_model=TilesReply, responses=errors_of(422, 503))
async def get_tiles(engine: EngineOf, lon: Lon, lat: Lat) -> Response:
    """The tiles under a point, one of each scene, the latest first; none where the index holds nothing there."""

    def make() -> TilesReply:
        return TilesReply(tiles=[show_tile(tile) for tile in engine.index.tiles_at(lon=lon, lat=lat)])

    return json_response(await engine.render(make))


@tiles.post("/api/tiles", response_model=BrushedReply, responses=errors_of(422, 503))
async def post_tiles(engine: EngineOf, body: BrushBody) -> Response:
    """The tiles that a brush touches which is drawn along a way, of each scene those of its finest scale."""

    def make() -> BrushedReply:
        found = engine.index.tiles_along(body.way, radius_m=body.radius_m)
        return BrushedReply(tiles=[show_tile(tile) for tile in found[:MOST_BRUSHED]], is_cut=len(found) > MOST_BRUSHED)

    return json_response(await engine.render(make))


@tiles.get("/api/tiles/{tile:path}/days", response_model=DaysReply, responses=errors_of(404, 422, 503))
async def get_days(engine: EngineOf, tile: TileId) -> Response:
    """The ground of a tile through all scenes that show at least half of it, the earliest first."""

    def make() -> DaysReply:
        found = engine.index.tile(tile)
        return DaysReply(days=[show_glimpse(glimpse, of=found) for glimpse in engine.index.days(found)])

    return json_response(await engine.render(make))


def _in_scene(engine: Engine, tile: Tile, scene: str) -> Tile:
    """The ground of a tile in another scene, as a tile of its own."""
    named = engine.catalogue.find(scene).scene
    for glimpse in engine.index.days(tile):
        if glimpse.tile.scene == named:
            return replace(glimpse.tile, window_px=glimpse.window_px)
    raise MissingError("this scene does not show most of the tile's ground; its /days lists those that do")


@tiles.get("/api/tiles/{tile:path}", response_model=TileReply, responses=errors_of(404, 422, 503))
async def get_tile(engine: EngineOf, tile: TileId) -> Response:
    """What is known of a tile."""
    return json_response(await engine.render(lambda: show_tile(engine.index.tile(tile))))
