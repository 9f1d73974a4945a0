"""A contact sheet: what a search found, with pictures, as one HTML file that needs no other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rsitr.errors import SceneError
from rsitr.formats.answer import Answer
from rsitr.formats.map import draw_map
from rsitr.formats.places import Place, Sighting, outline_box
from rsitr.formats.records import name_mark
from rsitr.formats.suitability import find_unsuitable
from rsitr.formats.text import format_extent, format_number, format_place
from rsitr.geo import ring_shape
from rsitr.types import Hit, ImageArray, Tile

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["ContactSheet", "PictureSource", "make_sheet"]

PICTURE_PX = 256
JPEG_QUALITY = 85
MARK = (255, 214, 64)  # amber: seen on fields, water and roofs alike


class PictureSource(Protocol):
    """Has pictures of tiles, as :class:`rsitr.search.Index` has."""

    def picture(self, tile: Tile, *, max_px: int) -> ImageArray:
        """The picture of a tile, its longer side at most `max_px`; SceneError where its scene cannot be read."""


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """The page, and why pictures are missing from it: one line per hit without a picture."""

    html: str
    missing: tuple[str, ...]


def make_sheet(answer: Answer, *, pictures: PictureSource) -> ContactSheet:
    """Draw the contact sheet of a search: a card for each place, or else for each hit.

    A place is shown as its best scene shows it, its hits outlined, and beside it its other days. What a scene that
    cannot be read would show is a grey placeholder that says so.
    """
    album = _Album(pictures)
    outlines: Sequence[tuple[int, BaseGeometry | None]]
    if answer.places is None:
        cards = [_card(hit, answer, album.show(hit.tile, f"hit {hit.rank}")) for hit in answer.hits]
        summary = f"The {len(cards)} best of {answer.n_tiles:,} tiles"
        outlines = [(hit.rank, hit.tile.footprint and ring_shape(hit.tile.footprint)) for hit in answer.hits]
    else:
        cards = [_place_card(place, answer, album) for place in answer.places]
        summary = f"{len(cards)} places from the {len(answer.hits)} best of {answer.n_tiles:,} tiles"
        outlines = [(place.rank, place.outline) for place in answer.places]
    html = _render(
        answer, cards, summary=summary, outlines=[(rank, outline) for rank, outline in outlines if outline is not None]
    )
    return ContactSheet(html=html, missing=tuple(album.missing))


@dataclass(slots=True)
class _Album:
    """Pictures as they stand in a page; `missing` says which could not be had."""

    source: PictureSource
    missing: list[str] = field(default_factory=list)

    def show(self, tile: Tile, name: str) -> str | None:
        """The picture of a tile."""
        return _uri(self._picture(tile, name))

    def show_sighting(self, seen: Sighting, name: str) -> str | None:
        """The ground around a sighting's hits, the hits outlined where there are several."""
        picture = self._picture(dataclasses.replace(seen.hits[0].tile, window_px=seen.window_px), name)
        return _uri(picture if picture is None or len(seen.hits) == 1 else _outline_hits(picture, seen))

    def _picture(self, tile: Tile, name: str) -> ImageArray | None:
        try:
            return self.source.picture(tile, max_px=PICTURE_PX)
        except SceneError as error:
            self.missing.append(f"no picture of {name}: {error}")
            return None


def _uri(picture: ImageArray | None) -> str | None:
    from rsitr.pages import picture_uri

    return None if picture is None else picture_uri(picture, quality=JPEG_QUALITY)


def _outline_hits(picture: ImageArray, seen: Sighting) -> ImageArray:
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    left, top, width, _ = seen.window_px
    scale = canvas.width / width
    for hit in seen.hits:
        col, row, across, down = hit.tile.window_px
        corners = [(col - left) * scale, (row - top) * scale]
        draw.rectangle([*corners, corners[0] + across * scale - 1, corners[1] + down * scale - 1], outline=MARK)
    return np.asarray(canvas)


def _place_card(place: Place, answer: Answer, album: _Album) -> dict[str, Any]:
    pictures = {seen: album.show_sighting(seen, f"place {place.rank}") for seen in place.sightings}
    shown = next(seen for seen in place.sightings if place.best in seen.hits)
    days = [
        {
            "day": seen.date.isoformat() if seen.date else "undated",
            "score": f"{seen.score:.3f}",
            "picture": pictures[seen],
            "shown": seen is shown,
        }
        for seen in place.sightings
    ]
    if place.timeline is not None:
        days = [
            {
                "day": moment.tile.date.isoformat() if moment.tile.date else "undated",
                "score": _format_relevance(moment.relevance) or f"{moment.score:.3f}",
                "picture": album.show(
                    dataclasses.replace(moment.tile, window_px=moment.window_px), f"place {place.rank}"
                ),
                "shown": bool(moment.matches),
            }
            for moment in place.timeline
        ]
    return _card(place.best, answer, pictures[shown]) | {
        "rank": place.rank,
        "relevance": _format_relevance(place.relevance),
        "place": format_place(outline_box(place.outline)),
        "ground": f"{place.n_tiles} tiles{_remark(place.best)}" if place.n_tiles > 1 else _format_ground(place.best),
        "timeline": days if len(days) > 1 else [],
    }


def _card(hit: Hit, answer: Answer, picture: str | None) -> dict[str, Any]:
    tile, value = hit.tile, answer.value_of(hit)
    return {
        "sorting": "" if value is None else f"{value:.4g}",
        "rank": hit.rank,
        "score": f"{hit.score:.3f}",
        "relevance": _format_relevance(hit.relevance),
        "scene": PurePosixPath(tile.scene).name,
        "tile": tile.tile,
        "date": tile.date.isoformat() if tile.date else "date unknown",
        "place": format_place(tile.bbox),
        "ground": _format_ground(hit),
        "picture": picture,
        "timeline": [],
    }


def _render(
    answer: Answer, cards: Sequence[dict[str, Any]], *, summary: str, outlines: Sequence[tuple[int, BaseGeometry]]
) -> str:
    import markupsafe

    from rsitr.pages import render_page

    return render_page(
        "rsitr.formats",
        "sheet.html.jinja",
        answer=answer,
        cards=cards,
        summary=summary,
        map=markupsafe.Markup(draw_map(outlines)),  # made of numbers alone
    )


def _format_relevance(relevance: float | None) -> str:
    return "" if relevance is None else f"{relevance:.2f}"


def _format_ground(hit: Hit) -> str:
    """How much ground a tile shows: `1.12 x 1.12 km, 5.0 m per pixel`."""
    gsd_m = hit.tile.gsd_m
    _, _, width, height = hit.tile.window_px
    if not width:
        return f"of unknown size{_remark(hit)}"
    if gsd_m is None:
        return f"{width} × {height} px{_remark(hit)}"
    extent = format_extent(width * gsd_m, height * gsd_m)
    return f"{extent}, {format_number(gsd_m, digits=2)} m per pixel{_remark(hit)}"


def _remark(hit: Hit) -> str:
    """What a person has called a hit, and why its pixels may show nothing."""
    mark, unsuitable = name_mark(hit.mark), find_unsuitable(hit.tile)
    return "".join(
        [f"; marked {mark}" if mark else "", f"; {unsuitable} can show nothing to a model" if unsuitable else ""]
    )
