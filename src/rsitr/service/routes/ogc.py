"""The view for GIS programs: OGC API Features."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from rsitr.service.asking import Asked, body_of, read_search
from rsitr.service.browsing import MOST_FOUND, MOST_SHOWN, parse_interval, read_limits, select
from rsitr.service.engine import Engine, Found
from rsitr.service.features import (
    OGC,
    found_features,
    keep_matches,
    list_collections,
    scene_feature,
    show_conformance,
    show_feature,
    show_features,
    show_landing,
    tile_feature,
)
from rsitr.service.links import GEOJSON, OPENAPI, Links
from rsitr.service.openapi import describe_view
from rsitr.service.routes.wiring import DOCUMENT, FEATURES, EngineOf, ItemId, errors_of, json_response
from rsitr.service.schemas import FoundParams, PageParams, SearchParams

__all__ = ["ogc"]

NOTHING_ASKED = "nothing was asked for: add ?q=WORDS to the address, or like=TILE, or detector=NAME"

ogc = APIRouter(tags=["OGC API Features"])
Collection = Literal["scenes", "tiles", "search"]


@ogc.get(f"{OGC}/", include_in_schema=False)
@ogc.get(OGC, response_class=Response, responses=DOCUMENT)
async def get_ogc(request: Request, engine: EngineOf) -> Response:
    """The landing page for GIS programs."""
    return json_response(show_landing(Links.of(request, OGC), name=engine.index.name))


@ogc.get(f"{OGC}/conformance", response_class=Response, responses=DOCUMENT)
async def get_ogc_conformance() -> Response:
    """The classes of OGC API Features that this view conforms to."""
    return json_response(show_conformance())


@ogc.get(
    f"{OGC}/api",
    response_class=Response,
    responses={200: {"description": "OpenAPI 3.0", "content": {OPENAPI: {}}}, **errors_of()},
)
async def get_ogc_api(request: Request) -> Response:
    """The description of this view."""
    return json_response(describe_view(request.app.openapi(), view=OGC), media_type=OPENAPI)


@ogc.get(f"{OGC}/collections", response_class=Response, responses=DOCUMENT)
async def get_ogc_collections(request: Request, engine: EngineOf) -> Response:
    """The collections of features."""
    links = Links.of(request, OGC)
    found = list_collections(links, await engine.render(engine.catalogue.extent))
    return json_response({"links": [links.to("self", "/collections")], "collections": found})


@ogc.get(f"{OGC}/collections/{{collection}}", response_class=Response, responses=DOCUMENT)
async def get_ogc_collection(request: Request, engine: EngineOf, collection: Collection) -> Response:
    """A collection of features."""
    found = list_collections(Links.of(request, OGC), await engine.render(engine.catalogue.extent))
    return json_response(next(one for one in found if one["id"] == collection))


@ogc.get(f"{OGC}/collections/scenes/items", response_class=Response, responses=FEATURES)
async def get_ogc_scenes(request: Request, engine: EngineOf, params: Annotated[PageParams, Query()]) -> Response:
    """The scenes of the index, by name."""
    links, where = Links.of(request, OGC), read_limits(bbox=params.bbox, interval=params.datetime)

    def make() -> Response:
        every = select(engine.catalogue.scenes().values(), where)
        shown = every[params.offset : params.offset + min(params.limit, MOST_SHOWN)]
        features = [scene_feature(links, engine.catalogue.show_one(entry)) for entry in shown]
        return _page(links, "scenes", params, features, n_matched=len(every))

    return await engine.render(make)


@ogc.get(f"{OGC}/collections/tiles/items", response_class=Response, responses=FEATURES)
async def get_ogc_tiles(request: Request, engine: EngineOf, params: Annotated[PageParams, Query()]) -> Response:
    """The tiles of the index."""
    links, where = Links.of(request, OGC), read_limits(bbox=params.bbox, interval=params.datetime)

    def make() -> Response:
        shown = engine.index.browse(where, start=params.offset, n=min(params.limit, MOST_SHOWN))
        features = [tile_feature(links, tile) for tile in shown]
        return _page(links, "tiles", params, features, n_matched=engine.index.count(where))

    return await engine.render(make)


@ogc.get(f"{OGC}/collections/search/items", response_class=Response, responses=FEATURES)
async def get_ogc_found(request: Request, engine: EngineOf, params: Annotated[FoundParams, Query()]) -> Response:
    """What a search finds, best first, as places or tiles; the members `state` and `message` say what is to be said."""
    links = Links.of(request, OGC)
    if params.q is None and not params.like and params.detector is None:
        return _page(links, "search", params, [], n_matched=0, message=NOTHING_ASKED)

    def show(found: Found) -> Response:
        answer = found.result.to_answer(places=found.places)
        every = found_features(links, keep_matches(answer) if params.matches else answer)
        shown = every[params.offset : params.offset + min(params.limit, MOST_SHOWN)]
        told = {"state": answer.state, "message": engine.index.say_result(found.result)}
        return _page(links, "search", params, shown, n_matched=len(every), **told)

    return await engine.search(await _read_found(params, engine), show)


@ogc.get(f"{OGC}/collections/scenes/items/{{feature}}", response_class=Response, responses=FEATURES)
async def get_ogc_scene(request: Request, engine: EngineOf, feature: ItemId) -> Response:
    """A scene."""
    links = Links.of(request, OGC)

    def make() -> Response:
        found = scene_feature(links, engine.catalogue.show_one(engine.catalogue.find(feature)))
        return json_response(show_feature(links, found, collection="scenes"), media_type=GEOJSON)

    return await engine.render(make)


@ogc.get(f"{OGC}/collections/tiles/items/{{feature}}", response_class=Response, responses=FEATURES)
async def get_ogc_tile(request: Request, engine: EngineOf, feature: ItemId) -> Response:
    """A tile."""
    return await engine.render(partial(_show_tile, Links.of(request, OGC), engine, feature, "tiles"))


@ogc.get(f"{OGC}/collections/search/items/{{feature}}", response_class=Response, responses=FEATURES)
async def get_ogc_found_tile(request: Request, engine: EngineOf, feature: ItemId) -> Response:
    """The tile of something that was found, the best one of a place; how relevant it was, only the search can say."""
    return await engine.render(partial(_show_tile, Links.of(request, OGC), engine, feature, "search"))


def _show_tile(links: Links, engine: Engine, name: str, collection: str) -> Response:
    found = tile_feature(links, engine.catalogue.find_tile(name))
    return json_response(show_feature(links, found, collection=collection), media_type=GEOJSON)


def _page(
    links: Links, name: str, params: PageParams, features: list[dict[str, Any]], *, n_matched: int, **more: Any
) -> Response:
    path, end = f"/collections/{name}", params.offset + len(features)
    pages = links.pages(
        f"{path}/items", params, start=params.offset, n_shown=len(features), is_more=bool(features) and end < n_matched
    )
    shown = show_features(features, n_matched=n_matched, links=[*pages, links.to("collection", path)], **more)
    return json_response(shown, media_type=GEOJSON)


async def _read_found(params: FoundParams, engine: Engine) -> Asked:
    since, until = (None, None) if params.datetime is None else parse_interval(params.datetime)
    asked = SearchParams.model_validate(
        {
            **params.model_dump(include={"q", "like", "detector", "sensor", "gsd_m", "scene", "threshold", "places"}),
            "not": params.unwanted,
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
            "k": min(MOST_FOUND, engine.settings.max_k),
        }
    )
    where = read_limits(bbox=params.bbox, interval=None)
    body = body_of(asked).model_copy(update={"bbox": where.bbox and list(where.bbox)})
    return read_search(body, settings=engine.settings, pictures=await engine.pictures_of(body))
