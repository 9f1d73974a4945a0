"""The view for STAC clients: a STAC API with search."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from rsitr.errors import MissingError, QueryError
from rsitr.geo import area_from_geometry
from rsitr.service.answers import item_id
from rsitr.service.asking import read_search
from rsitr.service.browsing import MOST_FOUND, MOST_SHOWN, read_limits, select
from rsitr.service.engine import Engine, Found
from rsitr.service.features import show_features
from rsitr.service.items import (
    COLLECTIONS,
    STAC,
    hit_item,
    scene_item,
    show_catalog,
    show_collections,
    show_conformance,
    tile_item,
)
from rsitr.service.links import GEOJSON, OPENAPI, Links
from rsitr.service.openapi import describe_view
from rsitr.service.routes.wiring import DOCUMENT, FEATURES, EngineOf, ItemId, errors_of, json_response
from rsitr.service.schemas import MOST_LETTERS, SearchBody, StacBody, StacParams
from rsitr.types import Tile, TileFilter

__all__ = ["stac"]

stac = APIRouter(tags=["STAC API"])
Collection = Literal["scenes", "tiles"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A checked search.

    Attributes:
        where: box or area, and time.
        collections: of which items are wanted.
        start: how many are passed over.
        limit: how many are wanted at most.
        words: what tiles are to show, or None.
        ids: of items, or None.
    """

    where: TileFilter
    collections: frozenset[str]
    start: int
    limit: int
    words: str | None = None
    ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    items: list[dict[str, Any]]
    n_matched: int
    told: dict[str, Any]


@stac.get(f"{STAC}/", include_in_schema=False)
@stac.get(STAC, response_class=Response, responses=DOCUMENT)
async def get_stac(request: Request, engine: EngineOf) -> Response:
    """The landing page for STAC clients."""
    return json_response(show_catalog(Links.of(request, STAC), name=engine.index.name))


@stac.get(f"{STAC}/conformance", response_class=Response, responses=DOCUMENT)
async def get_stac_conformance() -> Response:
    """The classes of the STAC API that this view conforms to."""
    return json_response(show_conformance())


@stac.get(
    f"{STAC}/api",
    response_class=Response,
    responses={200: {"description": "OpenAPI 3.0", "content": {OPENAPI: {}}}, **errors_of()},
)
async def get_stac_api(request: Request) -> Response:
    """The description of this view."""
    return json_response(describe_view(request.app.openapi(), view=STAC), media_type=OPENAPI)


@stac.get(f"{STAC}/collections", response_class=Response, responses=DOCUMENT)
async def get_stac_collections(request: Request, engine: EngineOf) -> Response:
    """The collections: scenes and tiles of known days."""
    links = Links.of(request, STAC)
    found = await _collections(engine, links)
    return json_response({"collections": found, "links": [links.to("self", "/collections"), links.to("root", "")]})


@stac.get(f"{STAC}/collections/{{collection}}", response_class=Response, responses=DOCUMENT)
async def get_stac_collection(request: Request, engine: EngineOf, collection: Collection) -> Response:
    """A collection."""
    found = await _collections(engine, Links.of(request, STAC))
    return json_response(next(one for one in found if one["id"] == collection))


@stac.get(f"{STAC}/collections/{{collection}}/items", response_class=Response, responses=FEATURES)
async def get_stac_items(
    request: Request, engine: EngineOf, collection: Collection, params: Annotated[StacParams, Query()]
) -> Response:
    """The items of a collection, as a search within it; `collections`, which clients name once more, is passed over."""
    params = params.model_copy(update={"collections": None})
    wanted, links = _read_params(params, collections=[collection]), Links.of(request, STAC)
    return _show(await _find(engine, links, wanted), links, wanted, params, path=f"/collections/{collection}/items")


@stac.get(f"{STAC}/collections/scenes/items/{{item}}", response_class=Response, responses=FEATURES)
async def get_stac_scene(request: Request, engine: EngineOf, item: ItemId) -> Response:
    """A scene."""
    return await _single(request, engine, item, collection="scenes")


@stac.get(f"{STAC}/collections/tiles/items/{{item}}", response_class=Response, responses=FEATURES)
async def get_stac_tile(request: Request, engine: EngineOf, item: ItemId) -> Response:
    """A tile."""
    return await _single(request, engine, item, collection="tiles")


@stac.get(f"{STAC}/search", response_class=Response, responses=FEATURES)
async def get_stac_search(request: Request, engine: EngineOf, params: Annotated[StacParams, Query()]) -> Response:
    """Items within a box or area and a time; with `q`, the tiles that show what it says, best first."""
    collections = None if params.collections is None else params.collections.split(",")
    wanted, links = _read_params(params, collections=collections), Links.of(request, STAC)
    return _show(await _find(engine, links, wanted), links, wanted, params, path="/search")


@stac.post(f"{STAC}/search", response_class=Response, responses=FEATURES)
async def post_stac_search(request: Request, engine: EngineOf, body: StacBody) -> Response:
    """The same with the search in the body."""
    wanted, links = _read(body, bbox=body.bbox, intersects=body.intersects), Links.of(request, STAC)
    return _show(await _find(engine, links, wanted), links, wanted, body, path="/search")


def _read_params(params: StacParams, *, collections: list[str] | None) -> _Wanted:
    area = None
    if params.intersects is not None:
        try:
            area = json.loads(params.intersects)
        except (ValueError, RecursionError) as error:
            raise QueryError("intersects takes a GeoJSON geometry") from error
    given = params.model_dump(include={"q", "datetime", "limit", "offset"})
    ids = None if params.ids is None else params.ids.split(",")
    try:
        body = StacBody.model_validate(given | {"collections": collections, "ids": ids})
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    return _read(body, bbox=params.bbox, intersects=area)


def _read(body: StacBody, *, bbox: str | Sequence[float] | None, intersects: Any) -> _Wanted:
    words = body.q if body.q is None or isinstance(body.q, str) else ", ".join(body.q)
    if words is not None and not 0 < len(words.strip()) <= MOST_LETTERS:
        raise QueryError(f"q takes words, up to {MOST_LETTERS:,} letters in all")
    collections = frozenset(COLLECTIONS if body.collections is None else body.collections)
    if words is not None and "tiles" not in collections:
        raise QueryError("q finds items of the collection `tiles`: name it in `collections`, or leave that out")
    return _Wanted(
        where=read_limits(
            bbox=bbox,
            interval=body.datetime,
            area=None if intersects is None else area_from_geometry(intersects),
            is_dated=True,
        ),
        collections=collections,
        start=body.offset,
        limit=min(body.limit, MOST_SHOWN),
        words=words,
        ids=None if body.ids is None else tuple(dict.fromkeys(body.ids)),
    )


async def _find(engine: Engine, links: Links, wanted: _Wanted) -> _Page:
    if wanted.words is None:
        return await engine.render(lambda: _browse(engine, links, wanted))
    body = SearchBody(text=wanted.words, k=min(MOST_FOUND, engine.settings.max_k), places=False)
    asked = read_search(body, settings=engine.settings, pictures=await engine.pictures_of(body), where=wanted.where)
    return await engine.search(asked, lambda found: _show_found(engine, links, wanted, found))


def _show_found(engine: Engine, links: Links, wanted: _Wanted, found: Found) -> _Page:
    answer = found.result.to_answer()
    hits = [hit for hit in answer.hits if wanted.ids is None or item_id(hit.tile) in wanted.ids]
    shown = hits[wanted.start : wanted.start + wanted.limit]
    items = [hit_item(links, hit, engine.catalogue.show_of(hit.tile), answer) for hit in shown]
    told = {"rsitr:state": answer.state, "rsitr:message": engine.index.say_result(found.result)}
    return _Page(items, len(hits), told)


def _browse(engine: Engine, links: Links, wanted: _Wanted) -> _Page:
    """Scenes first, by name, then tiles."""
    catalogue, index, where = engine.catalogue, engine.index, wanted.where
    there = catalogue.scenes()
    scenes = [there[name] for name in (there if wanted.ids is None else wanted.ids) if name in there]
    chosen = select(scenes, where) if "scenes" in wanted.collections else []
    shown = chosen[wanted.start : wanted.start + wanted.limit]
    start, n = max(0, wanted.start - len(chosen)), wanted.limit - len(shown)
    n_tiles, tiles = 0, []
    if "tiles" in wanted.collections and wanted.ids is None:
        n_tiles, tiles = index.count(where), index.browse(where, start=start, n=n)
    elif "tiles" in wanted.collections and wanted.ids:
        every = select(catalogue.find_tiles(wanted.ids), where)
        n_tiles, tiles = len(every), every[start : start + n]
    items = [
        *(scene_item(links, entry, catalogue.show_one(entry)) for entry in shown),
        *(tile_item(links, tile, catalogue.show_of(tile)) for tile in tiles),
    ]
    return _Page(items, len(chosen) + n_tiles, {})


def _show(page: _Page, links: Links, wanted: _Wanted, asked: BaseModel, *, path: str) -> Response:
    end = wanted.start + len(page.items)
    is_more = bool(page.items) and end < page.n_matched
    if isinstance(asked, StacBody):
        body = asked.model_dump(exclude_none=True, exclude_defaults=True)
        pages = [links.to("self", path, media_type=GEOJSON, method="POST", body=body)]
        if is_more:
            body = body | {"offset": end}
            pages.append(links.to("next", path, media_type=GEOJSON, method="POST", body=body, merge=False))
    else:
        pages = links.pages(path, asked, start=wanted.start, n_shown=len(page.items), is_more=is_more)
    every = [links.to("root", ""), *pages]
    return json_response(
        show_features(page.items, n_matched=page.n_matched, links=every, **page.told), media_type=GEOJSON
    )


async def _single(request: Request, engine: Engine, name: str, *, collection: str) -> Response:
    links = Links.of(request, STAC)

    def make() -> Response:
        catalogue = engine.catalogue
        found = catalogue.find(name) if collection == "scenes" else catalogue.find_tile(name)
        if found.date is None:
            raise MissingError("its day is unknown, and STAC knows no item without a time; /ogc has it")
        if isinstance(found, Tile):
            item = tile_item(links, found, catalogue.show_of(found))
        else:
            item = scene_item(links, found, catalogue.show_one(found))
        return json_response(item, media_type=GEOJSON)

    return await engine.render(make)


async def _collections(engine: Engine, links: Links) -> list[dict[str, Any]]:
    def make() -> list[dict[str, Any]]:
        n_undated = sum(entry.date is None for entry in engine.catalogue.scenes().values())
        return show_collections(links, engine.catalogue.extent(is_dated=True), n_undated=n_undated)

    return await engine.render(make)
