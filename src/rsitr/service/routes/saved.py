"""Saved searches: a name and what is asked, kept with the index."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

from rsitr.errors import MissingError, QueryError
from rsitr.search import (
    KeptSearch,
    SavedSearch,
    delete_saved,
    list_saved,
    load_all_saved,
    load_saved,
    rename_saved,
    save_search,
)
from rsitr.service.asking import no_picture, read_search
from rsitr.service.engine import Engine
from rsitr.service.kept import SavedReply, SavedSearchesReply
from rsitr.service.routes.wiring import EngineOf, Writer, errors_of, json_response
from rsitr.service.schemas import DetectorName, RankingBody, RenameBody, SavedBody, SearchBody

__all__ = ["saved"]

saved = APIRouter(tags=["saved searches"])


@saved.get("/api/saved", response_model=SavedSearchesReply, responses=errors_of(503))
async def get_saved_searches(engine: EngineOf) -> Response:
    """The saved searches of the index; damaged ones are named."""

    def make() -> SavedSearchesReply:
        folder = engine.index.path
        found = load_all_saved(folder)
        damaged = sorted(set(list_saved(folder)) - {one.name for one in found})
        return SavedSearchesReply(searches=[_show(one) for one in found], damaged=damaged)

    return json_response(await engine.render(make))


@saved.get("/api/saved/{name}", response_model=SavedReply, responses=errors_of(404, 422, 503))
async def get_saved_search(engine: EngineOf, name: DetectorName) -> Response:
    """A saved search."""

    def make() -> SavedReply:
        _require(engine.index.path, name)
        return _show(load_saved(engine.index.path, name))

    return json_response(await engine.render(make))


@saved.post(
    "/api/saved", status_code=201, response_model=SavedReply, responses=errors_of(404, 422, 503), dependencies=[Writer]
)
async def post_saved_search(engine: EngineOf, body: SavedBody) -> Response:
    """Keep a search under a name, as POST /api/search takes it; pictures cannot be kept."""
    kept = _read(body.search, engine)

    def make() -> SavedReply:
        folder, one = engine.index.path, SavedSearch(body.name, kept)
        if not body.replace:
            _require_free(folder, body.name)
        save_search(folder, one, may_replace=body.replace)
        return _show(one)

    return json_response(await engine.render(make), status=201)


@saved.patch("/api/saved/{name}", response_model=SavedReply, responses=errors_of(404, 422, 503), dependencies=[Writer])
async def patch_saved_search(engine: EngineOf, name: DetectorName, body: RenameBody) -> Response:
    """Give a saved search another name, which no other has."""

    def make() -> SavedReply:
        folder = engine.index.path
        _require(folder, name)
        _require_free(folder, body.name)
        return _show(rename_saved(folder, name, body.name))

    return json_response(await engine.render(make))


@saved.delete(
    "/api/saved/{name}",
    status_code=204,
    response_class=Response,
    responses=errors_of(404, 422, 503),
    dependencies=[Writer],
)
async def remove_saved_search(engine: EngineOf, name: DetectorName) -> Response:
    """Delete a saved search."""

    def make() -> None:
        _require(engine.index.path, name)
        delete_saved(engine.index.path, name)

    await engine.render(make)
    return Response(status_code=204)


def _read(body: SearchBody, engine: Engine) -> KeptSearch:
    """A search that can be kept.

    Raises:
        QueryError: it cannot be made, or has what cannot be kept.
    """
    if body.pictures or any(part.kind == "picture" for part in body.parts):
        raise QueryError(
            "a picture that was sent is kept for a while only, and not with a search: leave it out, or ask for what is "
            "like a tile that it found"
        )
    if body.ranking != RankingBody() or body.timeline or body.explain:
        raise QueryError(
            "a saved search is ranked as usual: leave out ranking, timeline and explain, and give them when it is made"
        )
    asked = read_search(body, settings=engine.settings, pictures=no_picture)
    marks = [(mark.tile, mark.right) for mark in asked.marks]
    return KeptSearch.of(asked.query, marks=marks, threshold=asked.threshold, places=asked.places)


def _require(folder: Path, name: str) -> None:
    if name not in list_saved(folder):
        raise MissingError(f"there is no saved search {name!r} in this index; /api/saved lists them")


def _require_free(folder: Path, name: str) -> None:
    if name in list_saved(folder):
        raise QueryError(f"there is a saved search {name!r} already; delete it, or choose another name")


def _show(found: SavedSearch) -> SavedReply:
    return SavedReply(name=found.name, query=found.describe(), search=dict(found.search.to_body()))
