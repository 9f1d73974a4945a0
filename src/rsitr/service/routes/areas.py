"""Areas that people send, to search within."""

from __future__ import annotations

from typing import Annotated

import shapely
from fastapi import APIRouter, Query, Request, Response

from rsitr.formats import round_box
from rsitr.geo import enclosing_bbox, parse_area
from rsitr.service.replies import AreaReply
from rsitr.service.routes.wiring import EngineOf, errors_of, json_response

__all__ = ["areas"]

areas = APIRouter(tags=["search"])

BINARY = {"schema": {"type": "string", "format": "binary"}}
Around = Annotated[
    float,
    Query(
        ge=1, le=50_000, allow_inf_nan=False, description="Metres around lines and points, where there are only such."
    ),
]


@areas.post(
    "/api/areas",
    response_model=AreaReply,
    responses=errors_of(422, 503),
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": BINARY}}},
)
async def post_area(request: Request, engine: EngineOf, around_m: Around = 250.0) -> Response:
    """Read an area from a file or text: GeoJSON, KML, GPX, GeoPackage or well-known text, which its content tells.

    Nothing is kept. What comes back is a GeoJSON geometry for `area` of a search, in degrees, with few enough corners.
    """
    content = await request.body()

    def make() -> AreaReply:
        given = parse_area(content, around_m=around_m)
        boxes = [part.bounds for part in shapely.get_parts(shapely.geometry.shape(given.geometry))]
        return AreaReply(
            geometry=given.geometry,
            bbox=round_box(enclosing_bbox(boxes)) or [],
            n_outlines=given.n_outlines,
            n_corners=given.n_corners,
            note=given.note,
        )

    return json_response(await engine.render(make))
