"""A contact sheet: the hits of a search with their pictures, as one HTML file that needs no other."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import markupsafe
import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely.geometry.base import BaseGeometry

from rsitr.errors import SceneError
from rsitr.geo import bbox_centre, enclosing_bbox, ring_shape
from rsitr.search.exchange import outline_box
from rsitr.search.index import Index
from rsitr.search.output import resorted_by, scene_name
from rsitr.search.places import Sighting
from rsitr.search.result import SearchResult
from rsitr.types import BBox, Hit, ImageArray, Tile

__all__ = ["ContactSheet", "draw_map", "format_place", "format_point", "make_contact_sheet", "make_place_sheet"]

PICTURE_PX = 256
JPEG_QUALITY = 85
MARK = (255, 214, 64)  # amber: seen on fields, water and roofs alike
MAP_SIZE = (1200.0, 420.0)
MAP_MARGIN = 0.12
LEAST_MAP_DEG = 0.001
LEAST_SQUEEZE = 0.05  # at the poles
RING = 9


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
        cards.append(_card(hit, result, _data_uri(picture)) | {"timeline": []})
    summary = f"The {len(cards)} best of {result.n_tiles:,} tiles"
    outlines = [(hit.rank, ring_shape(hit.tile.footprint)) for hit in result if hit.tile.footprint is not None]
    return ContactSheet(html=_render(result, cards, summary=summary, outlines=outlines), missing=tuple(missing))


def make_place_sheet(index: Index, result: SearchResult) -> ContactSheet:
    """The same with merged places: each as its best scene shows it, hits outlined, and beside it its other days."""
    missing: list[str] = []
    cards: list[dict[str, Any]] = []
    places = result.places()
    for place in places:
        pictures = {seen: _show(index, seen, f"place {place.rank}", missing) for seen in place.sightings}
        shown = next(seen for seen in place.sightings if place.best in seen.hits)
        box = outline_box(place.outline)
        cards.append(
            _card(place.best, result, pictures[shown])
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
    outlines = [(place.rank, place.outline) for place in places if place.outline is not None]
    return ContactSheet(html=_render(result, cards, summary=summary, outlines=outlines), missing=tuple(missing))


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


def _render(
    result: SearchResult,
    cards: Sequence[dict[str, Any]],
    *,
    summary: str,
    outlines: Sequence[tuple[int, BaseGeometry]],
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rsitr.search"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("sheet.html.jinja").render(
        result=result,
        cards=cards,
        summary=summary,
        sorting=resorted_by(result),
        map=markupsafe.Markup(draw_map(outlines)),  # made of numbers alone
    )


def draw_map(outlines: Sequence[tuple[int, BaseGeometry]]) -> str:
    """Where places lie, as an SVG that asks no server: outlines with their ranks, and a grid of degrees.

    An outline too small to be seen gets a ring around it. Empty where nothing has a known place.

    Args:
        outlines: ranks and outlines within -180..180.
    """
    around = enclosing_bbox(box for _, outline in outlines if (box := outline_box(outline)) is not None)
    if around is None:
        return ""
    west, south, east, north = around
    view = _View.around(west, south, east + 360.0 if east < west else east, north)
    lines = [*_draw_grid(view), *(_draw_outline(view, *each) for each in reversed(outlines))]  # the best on top
    corners = f"{format_point(west, south)} and {format_point(east, north)}"
    return (
        f'<svg class="map" viewBox="0 0 {view.width:.1f} {view.height:.1f}" role="img" '
        f'aria-label="Map of {len(outlines)} outlines between {corners}">{"".join(lines)}</svg>'
    )


@dataclass(frozen=True, slots=True)
class _View:
    """How a map shows degrees: those of longitude are drawn as much shorter as they are in its middle.

    `left` and `top` in degrees, `scale_x` and `scale_y` in units of the drawing per degree.
    """

    left: float
    top: float
    scale_x: float
    scale_y: float
    width: float
    height: float

    @classmethod
    def around(cls, west: float, south: float, east: float, north: float) -> _View:
        squeeze = max(math.cos(math.radians((south + north) / 2)), LEAST_SQUEEZE)
        margin = MAP_MARGIN * max((east - west) * squeeze, north - south, LEAST_MAP_DEG)
        across, down = (east - west) * squeeze + 2 * margin, north - south + 2 * margin
        scale = min(MAP_SIZE[0] / across, MAP_SIZE[1] / down)
        left, top = west - margin / squeeze, north + margin
        return cls(left, top, scale * squeeze, scale, width=across * scale, height=down * scale)

    def place(self, lon_lat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points (n, 2) are drawn; those beyond the antimeridian lie to the right of it."""
        lon = np.where(lon_lat[:, 0] < self.left, lon_lat[:, 0] + 360.0, lon_lat[:, 0])
        return np.stack([(lon - self.left) * self.scale_x, (self.top - lon_lat[:, 1]) * self.scale_y], axis=1)


def _draw_grid(view: _View) -> list[str]:
    lines = []
    for lon in _ticks(view.left, view.left + view.width / view.scale_x):
        x = (lon - view.left) * view.scale_x
        lines.append(f'<path class="grid" d="M{x:.1f} 0V{view.height:.1f}"/>')
        lines.append(f'<text x="{x + 4:.1f}" y="{view.height - 6:.1f}">{_format_degrees(lon, "EW")}</text>')
    for lat in _ticks(view.top - view.height / view.scale_y, view.top):
        y = (view.top - lat) * view.scale_y
        lines.append(f'<path class="grid" d="M0 {y:.1f}H{view.width:.1f}"/>')
        lines.append(f'<text x="4" y="{y - 4:.1f}">{_format_degrees(lat, "NS")}</text>')
    return lines


def _draw_outline(view: _View, rank: int, outline: BaseGeometry) -> str:
    rings = [view.place(shapely.get_coordinates(ring)) for ring in shapely.get_rings(shapely.get_parts(outline))]
    drawn = "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in ring[:-1].tolist()) + "Z" for ring in rings)
    low, high = np.vstack(rings).min(axis=0), np.vstack(rings).max(axis=0)
    x, y = ((low + high) / 2).tolist()
    if (high - low).max() < RING:
        half = f"a{RING} {RING} 0 1 0"
        drawn += f"M{x - RING:.1f} {y:.1f}{half} {2 * RING} 0{half} {-2 * RING} 0Z"
    name = f"{rank}: {format_place(outline_box(outline))}"
    return (
        f'<g><title>{name}</title><path d="{drawn}"/><text class="name" x="{x:.1f}" y="{y + 4:.1f}">{rank}</text></g>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, a handful."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [round(step * n, 9) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _turned(lon: float) -> float:
    return lon - 360.0 if lon > 180.0 else lon + 360.0 if lon < -180.0 else lon


def _format_degrees(value: float, letters: str) -> str:
    turned = _turned(value) if letters == "EW" else value
    return f"{abs(turned):.7g}° {letters[0] if turned >= 0 else letters[1]}"


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


def _card(hit: Hit, result: SearchResult, picture: str | None) -> dict[str, Any]:
    tile = hit.tile
    later = resorted_by(result)
    value = next((stage.scores[hit.rank - 1] for stage in result.stages if stage.name == later), None)
    return {
        "sorting": "" if value is None else f"{value:.4g}",
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
    return "" if relevance is None else f"{relevance:.2f}"


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
