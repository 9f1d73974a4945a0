"""The tools: each takes its arguments as a record and gives one back, perhaps with a picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, TypeAdapter

from rsitr.assistants.arguments import (
    InfoArguments,
    LocateArguments,
    PlacesArguments,
    SearchArguments,
    ShowArguments,
)
from rsitr.assistants.replies import (
    IndexReply,
    PlacesReply,
    SearchReply,
    ShownTile,
    show_places,
    show_search,
    show_tile,
    tell_scene,
)
from rsitr.errors import MissingError, QueryError
from rsitr.formats import HeatMap, HeatRecord, draw_heat_map, plain, round_box
from rsitr.search import Index, SearchResult
from rsitr.service import load_settings
from rsitr.service.asking import read_search
from rsitr.service.rendering import to_jpeg
from rsitr.service.schemas import QuestionBody, SearchBody
from rsitr.types import ImageArray, Progress

__all__ = ["TOOLS", "Answered", "Tool"]

MOST_WINDOWS = 20_000
"""Of one scene: encoding them takes minutes, and nobody waits for more."""
MAP_PX = 1024
SURROUNDINGS = 2.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What a tool gives: plain values that fit its schema, and perhaps a picture, as base64 of a JPEG."""

    told: dict[str, Any]
    picture: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool.

    Attributes:
        name: that assistants call it by.
        title: for people.
        description: for assistants.
        arguments: what it takes.
        reply: what it gives.
        run: does it, and is told whom to tell how far it is.
    """

    name: str
    title: str
    description: str
    arguments: type[BaseModel]
    reply: TypeAdapter[Any]
    run: Callable[[Index, Any, Progress], Answered]


def _search(index: Index, asked: SearchArguments, _progress: Progress) -> Answered:
    result = _answer(index, asked)
    return Answered(plain(show_search(result, message=index.say_result(result))))


def _places(index: Index, asked: PlacesArguments, _progress: Progress) -> Answered:
    result = _answer(index, asked)
    places = result.places(timeline=asked.timeline)
    return Answered(plain(show_places(result, places, message=index.say_result(result))))


def _answer(index: Index, asked: QuestionBody) -> SearchResult:
    """As over HTTP, with the same limits and checks."""
    given = {name: value for name, value in asked.model_dump(by_alias=True).items() if name != "timeline"}
    settings = load_settings(index=index.path)
    found = read_search(SearchBody.model_validate(given), settings=settings, pictures=_no_picture)
    return index.answer(found.query, marks=found.marks, ranking=found.ranking, threshold=found.threshold)


def _no_picture(name: str) -> ImageArray:
    raise MissingError(f"there is no picture {name!r}")


def _show(index: Index, asked: ShowArguments, _progress: Progress) -> Answered:
    tile = index.tile(asked.tile)
    picture = index.picture(tile, max_px=asked.size_px, context=SURROUNDINGS if asked.context else 1.0)
    return Answered(plain(show_tile(tile)), _encode(picture))


def _locate(index: Index, asked: LocateArguments, progress: Progress) -> Answered:
    def watch(done: int, total: int) -> None:
        if total > MOST_WINDOWS:
            raise QueryError(
                f"{asked.scene}: too large for windows of these scales ({total:,}, of at most {MOST_WINDOWS:,}); "
                f"ask with larger ones, e.g. {[scale * 2 for scale in asked.scales]}, or use search with this scene"
            )
        progress(done, total)

    heat = index.locate(asked.scene, asked.text, scales=asked.scales, threshold=asked.threshold, progress=watch)
    return Answered(plain(HeatRecord.of(heat, scene=asked.scene)), _encode(_draw(heat)))


def _info(index: Index, asked: InfoArguments, _progress: Progress) -> Answered:
    from rsitr.search import list_detectors

    held = index.summary()
    scenes = index.scenes()[asked.first : asked.first + asked.most]
    reply = IndexReply(
        index=index.name,
        model=held.model,
        n_tiles=held.n_tiles,
        n_scenes=held.n_scenes,
        bbox=round_box(held.bbox),
        since=held.first_date.isoformat() if held.first_date else None,
        until=held.last_date.isoformat() if held.last_date else None,
        sensors=list(held.sensors),
        finest_gsd_m=held.finest_gsd_m,
        coarsest_gsd_m=held.coarsest_gsd_m,
        area_km2=round(held.area_km2, 6),
        detectors=list_detectors(index.path),
        scenes=[tell_scene(entry) for entry in scenes],
    )
    return Answered(plain(reply))


def _draw(heat: HeatMap) -> ImageArray:
    with Image.open(io.BytesIO(draw_heat_map(heat))) as drawn:
        picture = drawn.convert("RGB")
        picture.thumbnail((MAP_PX, MAP_PX))
        return np.asarray(picture)


def _encode(picture: ImageArray) -> str:
    return base64.b64encode(to_jpeg(picture)).decode("ascii")


TOOLS = (
    Tool(
        name="search",
        title="Search the imagery",
        description="Find tiles by words, by tiles found before (like), or both, within an area, days, sensors or "
        "scenes. `state` says how sure the answer is: matches, unsure or nothing; null where this model gives no "
        "verdict. Each hit has its relevance from 0 to 1, its place, day and scene, and an id for `show` and `like`.",
        arguments=SearchArguments,
        reply=TypeAdapter(SearchReply),
        run=_search,
    ),
    Tool(
        name="places",
        title="Find places",
        description="As search, with the tiles that match joined to places on the ground, each with the scenes and "
        "days that show it; with `timeline`, also those that show its ground without a match.",
        arguments=PlacesArguments,
        reply=TypeAdapter(PlacesReply),
        run=_places,
    ),
    Tool(
        name="show",
        title="Show a tile",
        description="The picture of a tile of this index, and what is known of it.",
        arguments=ShowArguments,
        reply=TypeAdapter(ShownTile),
        run=_show,
    ),
    Tool(
        name="locate",
        title="Locate in a scene",
        description="Where in one whole scene of this index words fit best: a heat map as a picture, the best point "
        "in pixels and degrees, and whether it is there at all. Takes seconds to minutes; search is quicker.",
        arguments=LocateArguments,
        reply=TypeAdapter(HeatRecord),
        run=_locate,
    ),
    Tool(
        name="info",
        title="What is in the index",
        description="What this index holds: its extent, days, sensors, sizes of pixels, detectors, and its scenes.",
        arguments=InfoArguments,
        reply=TypeAdapter(IndexReply),
        run=_info,
    ),
)
