"""Places: ground that answers a query, as the scenes that show it. `rsitr.search` makes them of hits."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from rsitr.geo import bbox_centre, enclosing_bbox, geojson_geometry
from rsitr.types import BBox, Hit, Ring, Tile

__all__ = ["DEGREE_DIGITS", "Moment", "Place", "Sighting", "outline_box", "outline_geometry", "ring_geometry"]

DEGREE_DIGITS = 7  # about a centimetre


@dataclass(frozen=True, slots=True)
class Sighting:
    """A place as one scene shows it.

    Attributes:
        scene: path of the scene in the index.
        date: day of acquisition, or None.
        sensor: as the scene names it, or None.
        hits: its tiles that match, best first.
        outline: within -180..180 and counter-clockwise; None where the scene has no known place on Earth.
        window_px: (column, row, width, height) around the hits' windows.
    """

    scene: str
    date: datetime.date | None
    sensor: str | None
    hits: tuple[Hit, ...]
    outline: BaseGeometry | None
    window_px: tuple[int, int, int, int]

    @property
    def score(self) -> float:
        """Of its best hit."""
        return self.hits[0].score

    @property
    def relevance(self) -> float | None:
        """The highest of its hits."""
        return max((hit.relevance for hit in self.hits if hit.relevance is not None), default=None)


@dataclass(frozen=True, slots=True)
class Moment:
    """A spot as one scene that covers it shows it, whether it matches there or not.

    Attributes:
        tile: that of the scene which covers the spot best.
        window_px: of that same spot in the scene's pixels: (column, row, width, height).
        score: of the tile.
        relevance: of the tile; None where that was not estimated.
        matches: whether it reaches the threshold; None where that is not known.
    """

    tile: Tile
    window_px: tuple[int, int, int, int]
    score: float
    relevance: float | None
    matches: bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """Ground that answers a query.

    Attributes:
        rank: from 1.
        outline: as its best sighting shows it; None where it has no known place on Earth.
        sightings: where it matches, by day, undated ones last.
        timeline: the ground of its best tile in every scene that covers it, by day, if that was asked for.
    """

    rank: int
    outline: BaseGeometry | None
    sightings: tuple[Sighting, ...]
    timeline: tuple[Moment, ...] | None = None

    @property
    def best(self) -> Hit:
        """Its best hit, which gives the place its score and its id."""
        return min((hit for sighting in self.sightings for hit in sighting.hits), key=lambda hit: hit.rank)

    @property
    def place(self) -> str:
        """Its id, that of its best tile: what `--like` takes."""
        return self.best.tile.tile

    @property
    def position(self) -> tuple[float, float] | None:
        """Longitude and latitude of the middle of its best tile; None where it has no known place on Earth."""
        bbox = self.best.tile.bbox
        return None if bbox is None else bbox_centre(bbox)

    @property
    def score(self) -> float:
        """Of its best hit."""
        return self.best.score

    @property
    def relevance(self) -> float | None:
        """The highest of its sightings."""
        return max((found.relevance for found in self.sightings if found.relevance is not None), default=None)

    @property
    def n_tiles(self) -> int:
        """Tiles that make it up, those that match beyond the hits that were asked for included."""
        return sum(len(sighting.hits) for sighting in self.sightings)

    @property
    def dates(self) -> tuple[datetime.date, ...]:
        """The days it was seen on, each once."""
        return tuple(sorted({sighting.date for sighting in self.sightings if sighting.date is not None}))


def outline_box(outline: BaseGeometry | None) -> BBox | None:
    """West, south, east, north; west > east where the outline was cut at the antimeridian."""
    if outline is None:
        return None
    box = _rounded_box(outline.bounds)
    if box[0] > -180.0 or box[2] < 180.0:
        return box
    # It reaches both sides of the map: its parts hang together there, and leave a gap elsewhere if there is one.
    return enclosing_bbox(_rounded_box(part.bounds) for part in shapely.get_parts(outline))


def outline_geometry(outline: BaseGeometry | None) -> dict[str, Any] | None:
    """The outline as an RFC 7946 geometry."""
    return None if outline is None else json.loads(shapely.to_geojson(outline))


def ring_geometry(ring: Ring | None) -> dict[str, Any] | None:
    """A tile's or a scene's footprint as an RFC 7946 geometry."""
    return None if ring is None else geojson_geometry(ring)


def _rounded_box(bounds: BBox) -> BBox:
    west, south, east, north = (round(side, DEGREE_DIGITS) for side in bounds)
    return west, south, east, north
