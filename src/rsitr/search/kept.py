"""A search as it is kept: words, tiles and limits as plain values, which become a checked query again.

Pictures are no part of it: those that are sent live in memory, and files move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rsitr.errors import QueryError
from rsitr.geo import area_from_geojson
from rsitr.search.limits import parse_day
from rsitr.search.query import MINUS_WEIGHT, Part, Query, check_threshold, make_query
from rsitr.types import Area, BBox, TileFilter

__all__ = ["KeptPart", "KeptSearch"]

MOST_K = 100_000
USUAL_K = 24


@dataclass(frozen=True, slots=True)
class KeptPart:
    """An ingredient of a kept search: words, a tile of the index, or alone a detector."""

    kind: Literal["words", "tile", "detector"]
    value: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSearch:
    """What is looked for, and where.

    Attributes:
        parts: as a query has them.
        bbox: west, south, east, north in degrees.
        area: polygons that tiles must meet.
        since: the first day, as ISO 8601 has it.
        until: the last day.
        sensor: that took the tiles.
        scene: patterns for scenes' names.
        gsd_m: the finest and the coarsest pixels.
        every: also tiles whose pixels can show nothing, and every file of the same ground and day.
        right: tiles that were marked right.
        wrong: tiles that were marked wrong.
        threshold: relevance below which nothing matches.
        k: how many hits are shown.
        places: whether they are merged into places.
    """

    parts: tuple[KeptPart, ...]
    bbox: BBox | None = None
    area: Area | None = None
    since: str | None = None
    until: str | None = None
    sensor: str | None = None
    scene: str | tuple[str, ...] | None = None
    gsd_m: tuple[float, float] | None = None
    every: bool = False
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    threshold: float = 0.5
    k: int = USUAL_K
    places: bool = True

    def __post_init__(self) -> None:
        """Raises QueryError where it asks for nothing, or for what cannot be."""
        check_threshold(self.threshold)
        if self.k > MOST_K:
            raise QueryError(f"k is at most {MOST_K:,}, not {self.k:,}")
        if self.area is not None:
            area_from_geojson({"type": "MultiPolygon", "coordinates": self.area})
        if any(part.kind == "detector" for part in self.parts) and (len(self.parts) > 1 or self.right or self.wrong):
            raise QueryError("a detector looks for what it has learned: leave out words, examples and marks")
        self.to_query()

    @classmethod
    def of(
        cls,
        query: Query,
        *,
        marks: Iterable[tuple[str, bool]] = (),
        threshold: float = 0.5,
        places: bool = True,
    ) -> KeptSearch:
        """What is kept of a query.

        Args:
            query: what is asked.
            marks: tiles, and whether each is right; the last one of a tile counts.
            threshold: relevance below which nothing matches.
            places: whether hits are merged into places.

        Raises:
            QueryError: it asks for what is like a picture.
        """
        if query.image is not None:
            raise QueryError(
                "a picture cannot be kept with a search: leave it out, or ask for what is like a tile that it found"
            )
        where, last = query.where, dict(marks)
        return cls(
            parts=tuple(KeptPart(part.kind, part.value, part.weight) for part in query.parts if part.kind != "picture"),
            bbox=where.bbox,
            area=where.area,
            since=where.since.isoformat() if where.since else None,
            until=where.until.isoformat() if where.until else None,
            sensor=where.sensor,
            scene=where.scene,
            gsd_m=where.gsd_m,
            every=query.every,
            right=tuple(tile for tile, is_right in last.items() if is_right),
            wrong=tuple(tile for tile, is_right in last.items() if not is_right),
            threshold=threshold,
            k=query.k,
            places=places,
        )

    @property
    def marks(self) -> tuple[tuple[str, bool], ...]:
        """The marked tiles, and whether each is right."""
        return (*((tile, True) for tile in self.right), *((tile, False) for tile in self.wrong))

    def to_query(self, *, k: int | None = None) -> Query:
        """The query that it was, for more or fewer hits if `k` says so.

        Raises:
            QueryError: it asks for nothing, or for what cannot be.
        """
        where = TileFilter(
            bbox=self.bbox,
            area=self.area,
            since=None if self.since is None else parse_day(self.since, name="since", is_last=False),
            until=None if self.until is None else parse_day(self.until, name="until", is_last=True),
            sensor=self.sensor,
            scene=self.scene,
            gsd_m=self.gsd_m,
        )
        parts = [Part(part.kind, part.value, part.weight) for part in self.parts]
        return make_query(parts=parts, k=self.k if k is None else k, where=where, every=self.every)

    def to_body(self) -> Mapping[str, Any]:
        """The search as it is asked over HTTP: words and tiles in the fields that are theirs, weights before them."""
        words = [part for part in self.parts if part.kind == "words" and part.weight > 0]
        tiles = [part for part in self.parts if part.kind == "tile" and part.weight > 0]
        minus = [part for part in self.parts if part.kind == "words" and part.weight < 0]
        rest = [*words[1:], *(part for part in self.parts if part.kind == "tile" and part.weight < 0)]
        polygons = None if self.area is None else [[list(map(list, ring)) for ring in rings] for rings in self.area]
        return {
            "text": _written(words[0], 1.0) if words else None,
            "not": [_written(part, -MINUS_WEIGHT) for part in minus],
            "like": [_written(part, 1.0) for part in tiles],
            "parts": [{"kind": part.kind, "value": part.value, "weight": part.weight} for part in rest],
            "detector": next((part.value for part in self.parts if part.kind == "detector"), None),
            "marks": [{"tile": tile, "right": right} for tile, right in self.marks],
            "bbox": None if self.bbox is None else list(self.bbox),
            "area": None
            if polygons is None
            else {"type": "Polygon", "coordinates": polygons[0]}
            if len(polygons) == 1
            else {"type": "MultiPolygon", "coordinates": polygons},
            "since": self.since,
            "until": self.until,
            "sensor": self.sensor,
            "gsd_m": None if self.gsd_m is None else list(self.gsd_m),
            "scene": list(self.scene) if isinstance(self.scene, tuple) else self.scene,
            "all": self.every,
            "threshold": self.threshold,
            "k": self.k,
            "places": self.places,
        }


def _written(part: KeptPart, usual: float) -> str:
    return part.value if part.weight == usual else f"{abs(part.weight):g}*{part.value}"
