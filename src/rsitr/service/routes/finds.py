"""What detectors and saved searches find now: what is new since somebody last looked, and two of them compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from rsitr.errors import MissingError
from rsitr.search import (
    THRESHOLD,
    Detector,
    Finds,
    Index,
    Kept,
    find_new,
    list_detectors,
    list_saved,
    load_kept,
    mark_seen,
)
from rsitr.service.answers import show_hit
from rsitr.service.engine import Engine
from rsitr.service.errors import ChangedError, hide_paths
from rsitr.service.kept import ComparedReply, FindsReply, SeenReply
from rsitr.service.replies import HitReply
from rsitr.service.routes.wiring import EngineOf, Writer, errors_of, json_response
from rsitr.service.schemas import DetectorName
from rsitr.types import Hit

__all__ = ["finds"]

MOST_SHOWN, BEST = 100, 4
Kind = Literal["detectors", "saved"]
KINDS: dict[str, str] = {"detectors": "detector", "saved": "saved search"}

finds = APIRouter(tags=["finds"])

Version = Annotated[
    int | None, Query(ge=0, le=2**63 - 1, description="Of the index, as `finds` told it: refused where it has changed.")
]
Reference = Annotated[
    str,
    Query(
        pattern=r"^(detectors|saved):[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$",
        description="A detector or a saved search.",
        examples=["detectors:bridges"],
    ),
]


@finds.get("/api/detectors/{name}/finds", response_model=FindsReply, responses=errors_of(404, 422, 503))
async def get_detector_finds(engine: EngineOf, name: DetectorName) -> Response:
    """What a detector finds now, and which of it is new since somebody last looked."""
    return await _finds(engine, "detectors", name)


@finds.post(
    "/api/detectors/{name}/seen",
    response_model=SeenReply,
    responses=errors_of(404, 409, 422, 503),
    dependencies=[Writer],
)
async def post_detector_seen(engine: EngineOf, name: DetectorName, *, version: Version = None) -> Response:
    """All that a detector finds now has been looked at."""
    return await _seen(engine, "detectors", name, version)


@finds.get("/api/saved/{name}/finds", response_model=FindsReply, responses=errors_of(404, 422, 503))
async def get_saved_finds(engine: EngineOf, name: DetectorName) -> Response:
    """What a saved search finds now, and which of it is new since somebody last looked."""
    return await _finds(engine, "saved", name)


@finds.post(
    "/api/saved/{name}/seen", response_model=SeenReply, responses=errors_of(404, 409, 422, 503), dependencies=[Writer]
)
async def post_saved_seen(engine: EngineOf, name: DetectorName, *, version: Version = None) -> Response:
    """All that a saved search finds now has been looked at."""
    return await _seen(engine, "saved", name, version)


@finds.get("/api/compare", response_model=ComparedReply, responses=errors_of(404, 422, 503))
async def get_comparison(engine: EngineOf, first: Reference, second: Reference) -> Response:
    """How much two detectors or saved searches both find, and how much only one of them."""
    pair = [await _load(engine, *reference.split(":", 1)) for reference in (first, second)]

    def make(index: Index) -> ComparedReply:
        one, other = (find_new(index, kept) for kept in pair)
        known, others = ({hit.tile.tile for hit in found.hits} for found in (one, other))
        both = [hit for hit in one.hits if hit.tile.tile in others]
        alone = [hit for hit in one.hits if hit.tile.tile not in others]
        only = [hit for hit in other.hits if hit.tile.tile not in known]
        return ComparedReply(
            first=pair[0].name,
            second=pair[1].name,
            model=index.model.name,
            threshold=min(map(_threshold, pair)),
            n_tiles=len(index),
            n_both=len(both),
            n_first=len(alone),
            n_second=len(only),
            note="; ".join(dict.fromkeys(_cut_note(found) for found in (one, other) if found.is_cut)),
            both=_show(both),
            only_first=_show(alone),
            only_second=_show(only),
        )

    return json_response(await engine.learn(_words(*pair), make))


async def _finds(engine: Engine, kind: Kind, name: str) -> Response:
    kept = await _load(engine, kind, name)

    def make(index: Index) -> FindsReply:
        found = find_new(index, kept)
        return FindsReply(
            query=_describe(kept),
            model=index.model.name,
            threshold=_threshold(kept),
            n_tiles=len(index),
            n_finds=len(found.hits),
            n_new=len(found.new),
            is_cut=found.is_cut,
            seen=found.seen,
            note=hide_paths(found.note, index),
            version=found.version,
            best=_show(found.hits[:BEST]),
            new=_show(found.new),
        )

    return json_response(await engine.learn(_words(kept), make))


async def _seen(engine: Engine, kind: Kind, name: str, version: int | None) -> Response:
    kept = await _load(engine, kind, name)

    def make(index: Index) -> SeenReply:
        if version is not None and version != index.version:
            raise ChangedError("the index has changed since this was looked at: look at its finds again")
        seen = mark_seen(index, kept)
        return SeenReply(seen=seen.when, n_finds=len(seen.tiles))

    return json_response(await engine.learn(_words(kept), make))


async def _load(engine: Engine, kind: str, name: str) -> Kept:
    def make() -> Kept:
        folder = engine.index.path
        if name not in (list_detectors(folder) if kind == "detectors" else list_saved(folder)):
            raise MissingError(f"there is no {KINDS[kind]} {name!r} in this index; /api/{kind} lists them")
        return load_kept(folder, "detector" if kind == "detectors" else "saved", name)

    return await engine.render(make)


def _words(*every: Kept) -> list[str]:
    """What has to be encoded as text."""
    searches = [kept.search for kept in every if not isinstance(kept, Detector)]
    return [part.value for search in searches for part in search.parts if part.kind == "words"]


def _describe(kept: Kept) -> str:
    return f"detector {kept.name}" if isinstance(kept, Detector) else kept.describe()


def _threshold(kept: Kept) -> float:
    return THRESHOLD if isinstance(kept, Detector) else kept.search.threshold


def _show(hits: Sequence[Hit]) -> list[HitReply]:
    return [show_hit(hit) for hit in hits[:MOST_SHOWN]]


def _cut_note(found: Finds) -> str:
    return f"only the {len(found.hits):,} best of each are compared"
