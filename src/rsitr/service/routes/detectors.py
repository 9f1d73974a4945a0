"""Detectors: what was learned from marks, kept with the index."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Response

from rsitr.errors import MissingError, QueryError
from rsitr.search import (
    Detector,
    Index,
    delete_detector,
    list_detectors,
    load_detector,
    load_detectors,
    rename_detector,
    say_precision,
)
from rsitr.service.answers import show_tile
from rsitr.service.asking import read_marks, read_query
from rsitr.service.errors import ForbiddenError
from rsitr.service.kept import DetectorReply, DetectorsReply, DetectorWithMarksReply
from rsitr.service.routes.wiring import EngineOf, Writer, errors_of, json_response
from rsitr.service.schemas import DetectorBody, DetectorName, RenameBody

__all__ = ["detectors"]

detectors = APIRouter(tags=["detectors"])


@detectors.get("/api/detectors", response_model=DetectorsReply, responses=errors_of(503))
async def get_detectors(engine: EngineOf) -> Response:
    """The detectors of the index; a damaged one is left out, and the service's log names it."""

    def make() -> DetectorsReply:
        return DetectorsReply(detectors=[_show(detector) for detector in load_detectors(engine.index.path)])

    return json_response(await engine.render(make))


@detectors.get("/api/detectors/{name}", response_model=DetectorWithMarksReply, responses=errors_of(404, 422, 503))
async def get_detector(engine: EngineOf, name: DetectorName) -> Response:
    """A detector with its examples: the marked tiles that are still in the index."""

    def make() -> DetectorWithMarksReply:
        index = engine.index
        _require(index.path, name)
        found = load_detector(index.path, name)
        told = _show(found)
        return DetectorWithMarksReply(
            **vars(told),
            right=[show_tile(tile) for tile in index.known(found.right)],
            wrong=[show_tile(tile) for tile in index.known(found.wrong)],
            estimate=say_precision(n_right=told.n_right, n_wrong=told.n_wrong, precision=told.precision),
            fits=found.fingerprint == index.model.fingerprint,
            search=None if found.search is None else dict(found.search.to_body()),
        )

    return json_response(await engine.render(make))


@detectors.post(
    "/api/detectors",
    status_code=201,
    response_model=DetectorReply,
    responses=errors_of(404, 422, 503),
    dependencies=[Writer],
)
async def post_detector(engine: EngineOf, body: DetectorBody) -> Response:
    """Learn a detector from a search and marks of its hits; marks of one of the same name are added to."""
    if body.search.marks or body.search.detector:
        raise ForbiddenError("a detector learns from a plain search: leave marks and detector out of `search`")
    query = read_query(body.search, pictures=await engine.pictures_of(body.search))
    marks = read_marks(body.marks)

    def make(index: Index) -> DetectorReply:
        return _show(index.learn(body.name, query=query, marks=marks, afresh=body.afresh))

    words = [part.value for part in query.parts if part.kind == "words"]
    return json_response(await engine.learn(words, make), status=201)


@detectors.patch(
    "/api/detectors/{name}",
    response_model=DetectorReply,
    responses=errors_of(404, 422, 503),
    dependencies=[Writer],
)
async def patch_detector(engine: EngineOf, name: DetectorName, body: RenameBody) -> Response:
    """Give a detector another name, which no other has."""

    def make() -> DetectorReply:
        folder = engine.index.path
        _require(folder, name)
        if body.name in list_detectors(folder):
            raise QueryError(f"there is a detector {body.name!r} already; delete it, or choose another name")
        return _show(rename_detector(folder, name, body.name))

    return json_response(await engine.render(make))


@detectors.delete(
    "/api/detectors/{name}",
    status_code=204,
    response_class=Response,
    responses=errors_of(404, 422, 503),
    dependencies=[Writer],
)
async def remove_detector(engine: EngineOf, name: DetectorName) -> Response:
    """Delete a detector."""

    def make() -> None:
        _require(engine.index.path, name)
        delete_detector(engine.index.path, name)

    await engine.render(make)
    return Response(status_code=204)


def _require(folder: Path, name: str) -> None:
    if name not in list_detectors(folder):
        raise MissingError(f"there is no detector {name!r} in this index; /api/detectors lists them")


def _show(detector: Detector) -> DetectorReply:
    return DetectorReply(
        name=detector.name,
        query=detector.query,
        n_right=len(detector.right),
        n_wrong=len(detector.wrong),
        n_gone=len(detector.gone),
        precision=detector.precision,
    )
