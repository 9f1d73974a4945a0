"""The scenes of the index, for the background of a map."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from rsitr.service.engine import Engine
from rsitr.service.rendering import to_jpeg, to_png
from rsitr.service.replies import ScenesReply
from rsitr.service.routes.wiring import EngineOf, errors_of, json_response, picture_response

__all__ = ["scenes"]

scenes = APIRouter(tags=["scenes"])

SceneId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["5ba5602ad6956bcf"])]
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


async def _overview(engine: Engine, scene: str, max_px: int, *, is_png: bool) -> bytes:
    def make() -> bytes:
        entry = engine.catalogue.find(scene)

        def render() -> bytes:
            pixels = engine.index.overview(entry.scene, max_px=max_px)
            return to_png(pixels.image, valid=pixels.valid) if is_png else to_jpeg(pixels.image)

        return engine.rendered.get(("overview", entry.scene, entry.mtime_ns, max_px, is_png), render)

    return await engine.render(make)
