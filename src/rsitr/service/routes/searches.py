"""Searching."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request, Response

from rsitr.formats import plain, to_csv, to_geojson
from rsitr.service.answers import show_search, show_spread
from rsitr.service.asking import Asked, body_of, read_search
from rsitr.service.engine import Engine, Found
from rsitr.service.replies import HeatReply, SearchReply
from rsitr.service.routes.wiring import EngineOf, errors_of, json_response
from rsitr.service.schemas import Form, HeatBody, SearchBody, SearchParams

__all__ = ["searches"]

MEDIA_TYPES: dict[Form, str] = {
    "json": "application/json",
    "geojson": "application/geo+json",
    "csv": "text/csv; charset=utf-8",
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What was found, as JSON, or as `format` or the Accept header say",
        "content": {"application/geo+json": {"schema": {"type": "object"}}, "text/csv": {"schema": {"type": "string"}}},
    }
}

searches = APIRouter(tags=["search"])


@searches.post("/api/search", response_model=SearchReply, responses={**ANSWERS, **errors_of(404, 422, 503)})
async def post_search(
    request: Request,
    engine: EngineOf,
    body: SearchBody,
    format: Annotated[Form | None, Query(description="Takes the place of the Accept header.")] = None,  # noqa: A002
) -> Response:
    """Find places by words, by pictures, by tiles found before, or by a mixture; within limits; refined by marks."""
    return await _answer(engine, body, form=format or _accepted(request))


@searches.get("/api/search", response_model=SearchReply, responses={**ANSWERS, **errors_of(404, 422, 503)})
async def get_search(request: Request, engine: EngineOf, params: Annotated[SearchParams, Query()]) -> Response:
    """The same with the search in the URL."""
    return await _answer(engine, body_of(params), form=params.format or _accepted(request))


@searches.post("/api/heat", response_model=HeatReply, responses=errors_of(404, 422, 503))
async def post_heat(engine: EngineOf, body: HeatBody) -> Response:
    """How well every tile in view fits a search; where tiles are small on the map, joined in hexagons."""
    plainly = body.search.model_copy(update={"k": 1, "places": False, "timeline": False, "explain": False})
    asked = read_search(plainly, settings=engine.settings, pictures=await engine.pictures_of(plainly))
    west, south, east, north = body.view

    def show(found: Found) -> Response:
        spread = engine.index.spread(found.result, view=(west, south, east, north), zoom=body.zoom)
        return json_response(show_spread(spread))

    return await engine.search(asked, show)


async def _answer(engine: Engine, body: SearchBody, *, form: Form) -> Response:
    asked = read_search(body, settings=engine.settings, pictures=await engine.pictures_of(body))
    return await engine.search(asked, lambda found: _show(engine, asked, found, form=form))


def _show(engine: Engine, asked: Asked, found: Found, *, form: Form) -> Response:
    result = found.result
    if form == "json":
        shown = show_search(
            result,
            places=found.places,
            message=engine.index.say_result(result),
            refined=bool(asked.marks),
            took_s=found.took_s,
            explain=asked.explain,
        )
        reply = plain(shown)
        if not asked.explain:
            del reply["stages"]
        return json_response(reply)
    answer = result.to_answer(places=found.places)
    text = to_geojson(answer) if form == "geojson" else to_csv(answer)
    headers = {"Content-Disposition": f'attachment; filename="places.{form}"'}
    return Response(text, media_type=MEDIA_TYPES[form], headers=headers)


def _accepted(request: Request) -> Form:
    """The form that the Accept header names first, JSON where it names none of ours."""
    accepted = request.headers.get("accept", "")
    found = {form: accepted.find(MEDIA_TYPES[form].split(";")[0]) for form in get_args(Form)}
    named = [form for form, place in found.items() if place >= 0]
    return min(named, key=lambda form: found[form], default="json")
