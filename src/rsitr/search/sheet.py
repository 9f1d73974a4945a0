"""A contact sheet: the hits of a search with their pictures, as one HTML file that needs no other."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from PIL import Image, ImageDraw

from rsitr.errors import SceneError
from rsitr.geo import bbox_centre
from rsitr.search.exchange import outline_box
from rsitr.search.index import Index
from rsitr.search.output import scene_name
from rsitr.search.places import Sighting
from rsitr.search.result import SearchResult
from rsitr.types import BBox, Hit, ImageArray, Tile

__all__ = ["ContactSheet", "format_place", "format_point", "make_contact_sheet", "make_place_sheet"]

PICTURE_PX = 256
JPEG_QUALITY = 85
MARK = (255, 214, 64)  # amber: seen on fields, water and roofs alike


@dataclass(frozen=True, slots=True)
class ContactSheet:
    """The page, and why pictures are missing from it: one line per hit without a picture."""

    html: str
    missing: tuple[str, ...]


def make_contact_sheet(index: Index, result: SearchResult) -> ContactSheet:
    """Draw the contact sheet of a search; a hit whose scene cannot be read gets a grey placeholder that says so."""
    missing: list[str] = []
    cards: list[dict[str, Any]] = []
    for hit in result.hits:
        picture = _picture(index, hit.tile, f"hit {hit.rank}", missing)
        cards.append(_card(hit, _data_uri(picture)) | {"timeline": []})
    summary = f"The {len(cards)} best of {result.n_tiles:,} tiles"
    return ContactSheet(html=_render(result, cards, summary=summary), missing=tuple(missing))


def make_place_sheet(index: Index, result: SearchResult) -> ContactSheet:
    """The same with merged places: each as its best scene shows it, hits outlined, and beside it its other days."""
    missing: list[str] = []
    cards: list[dict[str, Any]] = []
    for place in result.places():
        pictures = {seen: _show(index, seen, f"place {place.rank}", missing) for seen in place.sightings}
        shown = next(seen for seen in place.sightings if place.best in seen.hits)
        box = outline_box(place.outline)
        cards.append(
            _card(place.best, pictures[shown])
            | {
                "rank": place.rank,
                "relevance": _format_relevance(place.relevance),
                "place": format_place(box),
                "ground": f"{place.n_tiles} tiles" if place.n_tiles > 1 else _format_ground(place.best),
                "timeline": [
                    {"day": seen.date.isoformat() if seen.date else "undated", "score": f"{seen.score:.3f}",
                     "picture": pictures[seen], "shown": seen is shown}
                    for seen in place.sightings
                ] if len(place.sightings) > 1 else [],
            }
        )  # fmt: skip
    summary = f"{len(cards)} places from the {len(result)} best of {result.n_tiles:,} tiles"
    return ContactSheet(html=_render(result, cards, summary=summary), missing=tuple(missing))


def format_place(bbox: BBox | None) -> str:
    """The middle of a box as a person writes it.

    >>> format_place((-99.2, 47.0, -99.0, 47.1))
    '47.0500° N, 99.1000° W'
    """
    if bbox is None:
        return "no known place"
    return format_point(*bbox_centre(bbox))


def format_point(lon: float, lat: float) -> str:
    """A position as a person writes it.

    >>> format_point(-99.1, 47.05)
    '47.0500° N, 99.1000° W'
    """
    return f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"


def _render(result: SearchResult, cards: Sequence[dict[str, Any]], *, summary: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rsitr.search"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("sheet.html.jinja").render(result=result, cards=cards, summary=summary)


def _picture(index: Index, tile: Tile, name: str, missing: list[str]) -> ImageArray | None:
    try:
        return index.picture(tile, max_px=PICTURE_PX)
    except SceneError as error:
        missing.append(f"no picture of {name}: {error}")
        return None


def _show(index: Index, seen: Sighting, name: str, missing: list[str]) -> str | None:
    """The ground around a sighting's hits, the hits outlined where there are several."""
    tile = dataclasses.replace(seen.hits[0].tile, window_px=seen.window_px)
    picture = _picture(index, tile, name, missing)
    if picture is None or len(seen.hits) == 1:
        return _data_uri(picture)
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    left, top, width, _ = seen.window_px
    scale = canvas.width / width
    for hit in seen.hits:
        col, row, across, down = hit.tile.window_px
        corners = [(col - left) * scale, (row - top) * scale]
        draw.rectangle([*corners, corners[0] + across * scale - 1, corners[1] + down * scale - 1], outline=MARK)
    return _data_uri(np.asarray(canvas))


def _card(hit: Hit, picture: str | None) -> dict[str, Any]:
    tile = hit.tile
    return {
        "rank": hit.rank,
        "score": f"{hit.score:.3f}",
        "relevance": _format_relevance(hit.relevance),
        "scene": scene_name(tile),
        "tile": tile.tile,
        "date": tile.date.isoformat() if tile.date else "date unknown",
        "place": format_place(tile.bbox),
        "ground": _format_ground(hit),
        "picture": picture,
    }


def _format_relevance(relevance: float | None) -> str:
    return "" if relevance is None else f"relevance {relevance:.2f}"


def _format_ground(hit: Hit) -> str:
    """How much ground a tile shows: `1.12 x 1.12 km, 5.0 m per pixel`."""
    gsd_m = hit.tile.gsd_m
    _, _, width, height = hit.tile.window_px
    if gsd_m is None:
        return f"{width} × {height} px"
    factor, unit = (1000.0, "km") if max(width, height) * gsd_m >= 1000 else (1.0, "m")
    return f"{width * gsd_m / factor:.3g} × {height * gsd_m / factor:.3g} {unit}, {gsd_m:.2g} m per pixel"


def _data_uri(image: ImageArray | None) -> str | None:
    if image is None:
        return None
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
