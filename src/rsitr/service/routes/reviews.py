"""Reviews: what people have said of results, kept beside the index, and the confirmed as files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from rsitr.errors import MissingError
from rsitr.formats import ReviewForm, to_reviewed
from rsitr.search import Review, Reviews, ReviewVerdict
from rsitr.service.kept import ReviewReply, ReviewsReply
from rsitr.service.routes.wiring import EngineOf, Writer, errors_of, json_response
from rsitr.service.schemas import ReviewBody
from rsitr.types import Tile

__all__ = ["reviews"]

MEDIA_TYPES: dict[ReviewForm, str] = {
    "geojson": "application/geo+json",
    "csv": "text/csv; charset=utf-8",
    "gpkg": "application/geopackage+sqlite3",
    "kml": "application/vnd.google-earth.kml+xml",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
FILES = {**dict.fromkeys(MEDIA_TYPES.values(), BINARY), MEDIA_TYPES["geojson"]: {"schema": {"type": "object"}}}

reviews = APIRouter(tags=["reviews"])

OfQuery = Annotated[
    str | None, Query(max_length=2000, description="Only reviews of what was looked for in these words.")
]
Asked = Annotated[str, Query(max_length=2000)]
TileId = Annotated[str, Query(min_length=1, max_length=2000)]
OfVerdict = Annotated[ReviewVerdict | None, Query(description="Only reviews of this verdict.")]


@reviews.get("/api/reviews", response_model=ReviewsReply, responses=errors_of(422, 503))
async def get_reviews(engine: EngineOf, query: OfQuery = None) -> Response:
    """The reviews of this index, or those of one query."""

    def make() -> ReviewsReply:
        return ReviewsReply(reviews=[ReviewReply(**asdict(found)) for found in Reviews(engine.index.path).all(query)])

    return json_response(await engine.render(make))


@reviews.post("/api/reviews", response_model=ReviewReply, responses=errors_of(404, 422, 503), dependencies=[Writer])
async def post_review(request: Request, engine: EngineOf, body: ReviewBody) -> Response:
    """Keep a person's word on a tile, in place of an earlier one on the same tile and query."""
    key = getattr(request.state, "key_name", None)
    who = " ".join(filter(None, [" ".join(body.who.split()), f"(key {key})" if key else ""]))

    def make() -> ReviewReply:
        tile = engine.index.tile(body.tile).tile
        said = Review(body.query, tile, body.verdict, body.note.strip(), who, relevance=body.relevance)
        return ReviewReply(**asdict(Reviews(engine.index.path).put(said)))

    return json_response(await engine.render(make))


@reviews.delete(
    "/api/reviews", status_code=204, response_class=Response, responses=errors_of(404, 422, 503), dependencies=[Writer]
)
async def remove_review(engine: EngineOf, query: Asked, tile: TileId) -> Response:
    """Forget what was said of a tile."""

    def make() -> None:
        if not Reviews(engine.index.path).remove(query=query, tile=tile):
            raise MissingError("there is no review of this tile for this query; /api/reviews lists them")

    await engine.render(make)
    return Response(status_code=204)


@reviews.get(
    "/api/reviews/export.{form}",
    response_class=Response,
    responses={
        200: {"content": FILES, "description": "The file"},
        **errors_of(422, 503),
    },
)
async def get_export(
    engine: EngineOf, form: ReviewForm, *, query: OfQuery = None, verdict: OfVerdict = "yes"
) -> Response:
    """Reviews as a file with the outlines of their tiles: the confirmed, unless another verdict is asked for."""

    def make() -> bytes:
        found = [one for one in Reviews(engine.index.path).all(query) if verdict is None or one.verdict == verdict]
        tiles: dict[str, Tile] = {}
        for one in found:
            try:
                tiles[one.tile] = engine.index.tile(one.tile)
            except MissingError:
                continue  # it has left the index; what was said of it has not
        return to_reviewed([asdict(one) for one in found], tiles, form)

    headers = {"Content-Disposition": f'attachment; filename="reviewed.{form}"'}
    return Response(await engine.render(make), media_type=MEDIA_TYPES[form], headers=headers)
