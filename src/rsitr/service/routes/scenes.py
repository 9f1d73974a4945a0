"""The scenes of the index, for the background of a map."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query, Request, Response

from rsitr.errors import QueryError
from rsitr.service.engine import Engine
from rsitr.service.rendering import to_jpeg, to_png, to_webp
from rsitr.service.replies import ScenesReply
from rsitr.service.routes.wiring import EngineOf, errors_of, json_response, picture_response

__all__ = ["scenes"]

NOTHING = to_webp(np.zeros((1, 1, 3), np.uint8), valid=np.zeros((1, 1), np.bool_))
"""The tile where a scene has nothing to show: maps ask for whole rectangles of tiles, and that is no error."""

scenes = APIRouter(tags=["scenes"])

MOST_ZOOM = 24

SceneId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["5ba5602ad6956bcf"])]
Zoom = Annotated[int, Path(ge=0, le=MOST_ZOOM, description="0 is the whole world in one tile.")]
Place = Annotated[int, Path(ge=0, lt=2**MOST_ZOOM, description="Column or row of the tile, from the north-west.")]
MaxPx = Annotated[int, Query(ge=16, le=2048, description="Its longer side at most.")]


@scenes.get("/api/scenes", response_model=ScenesReply, responses=errors_of(503))
async def get_scenes(engine: EngineOf) -> Response:
    """All scenes of the index, with their footprints, their corners, and where their overviews are."""
    return json_response(await engine.render(engine.catalogue.show))


@scenes.get(
    "/api/scenes/{scene}/overview.jpg",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "The picture"}, **errors_of(404, 422, 503)},
)
async def get_overview_jpeg(request: Request, engine: EngineOf, scene: SceneId, max_px: MaxPx = 1024) -> Response:
    """A whole scene as a picture."""
    return picture_response(request, await _overview(engine, scene, max_px, is_png=False), "image/jpeg")


@scenes.get(
    "/api/scenes/{scene}/overview.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The picture"}, **errors_of(404, 422, 503)},
)
async def get_overview_png(request: Request, engine: EngineOf, scene: SceneId, max_px: MaxPx = 1024) -> Response:
    """The same, transparent where the scene has no data."""
    return picture_response(request, await _overview(engine, scene, max_px, is_png=True), "image/png")


@scenes.get(
    "/api/scenes/{scene}/tiles/{zoom}/{x}/{y}.webp",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}, "description": "The tile"}, **errors_of(404, 422, 503)},
)
async def get_web_tile(
    request: Request, engine: EngineOf, *, scene: SceneId, zoom: Zoom, x: Place, y: Place
) -> Response:
    """A scene on one square of web maps' grid (XYZ, Web Mercator, 512 pixels), transparent where it has no data."""
    if max(x, y) >= 2**zoom:
        raise QueryError(f"there are {2**zoom} tiles a side at zoom {zoom}, counted from 0")

    def make() -> bytes:
        entry = engine.catalogue.find(scene)

        def draw() -> bytes:
            pixels = engine.index.web_tile(entry.scene, zoom=zoom, x=x, y=y)
            return NOTHING if pixels is None else to_webp(pixels.image, valid=pixels.valid)

        return engine.rendered.get(("web tile", entry.scene, entry.mtime_ns, zoom, x, y), draw)

    return picture_response(request, await engine.render(make), "image/webp")


async def _overview(engine: Engine, scene: str, max_px: int, *, is_png: bool) -> bytes:
    def make() -> bytes:
        entry = engine.catalogue.find(scene)

        def render() -> bytes:
            pixels = engine.index.overview(entry.scene, max_px=max_px)
            return to_png(pixels.image, valid=pixels.valid) if is_png else to_jpeg(pixels.image)

        return engine.rendered.get(("overview", entry.scene, entry.mtime_ns, max_px, is_png), render)

    return await engine.render(make)
