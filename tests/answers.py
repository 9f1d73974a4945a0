"""A small search whose every number is given: places on several days, across the antimeridian, and without a place."""

from __future__ import annotations

import datetime

from rsitr.formats import HitStage
from rsitr.search import Part, SearchResult, make_query
from rsitr.types import Hit, Ring, Tile, TileFilter

__all__ = ["empty_result", "sample_result"]


def _tile(
    scene: str,
    window_px: tuple[int, int, int, int],
    *,
    ring: Ring | None = None,
    date: datetime.date | None = None,
    gsd_m: float | None = None,
    sensor: str | None = None,
) -> Tile:
    lon, lat = ([point[axis] for point in ring or ()] for axis in (0, 1))
    turned = [value - 360.0 if value > 180.0 else value for value in lon]
    bbox = None if ring is None else (turned[lon.index(min(lon))], min(lat), turned[lon.index(max(lon))], max(lat))
    name = f"{scene}:{','.join(map(str, window_px))}"
    return Tile(name, scene, window_px, footprint=ring, bbox=bbox, date=date, gsd_m=gsd_m, sensor=sensor)


def _ring(west: float, south: float, east: float, north: float) -> Ring:
    return ((west, south), (east, south), (east, north), (west, north), (west, south))


def sample_result() -> SearchResult:
    """Five hits, sorted anew by a re-ranking; the last has no place, and the re-ranking did not see it."""
    summer, winter = datetime.date(2016, 8, 16), datetime.date(2020, 1, 1)
    north = {"date": summer, "gsd_m": 4.99987654, "sensor": "NAIP"}
    tiles = [
        _tile("north_20160816.tif", (64, 0, 64, 64), ring=_ring(-99.1893141, 47.0, -99.1851234567, 47.003), **north),
        _tile("deep/später_20200101.tif", (0, 0, 64, 64), ring=_ring(-99.1892, 47.0001, -99.185, 47.0031), date=winter),
        _tile("north_20160816.tif", (128, 0, 64, 64), ring=_ring(-99.1851234567, 47.0, -99.181, 47.003), **north),
        _tile("<b>dateline.tif", (0, 0, 64, 64), ring=_ring(179.9, -17.1, 180.05, -16.9), gsd_m=200.0),
        _tile("photo.png", (0, 0, 64, 64)),
    ]
    scores = (0.91234567, 0.9, 0.85, 0.123456789, -0.05)
    relevance = (0.98765432, 0.9, 0.75, 0.25, None)
    hits = tuple(
        Hit(tile=tile, score=score, rank=rank, relevance=found)
        for rank, (tile, score, found) in enumerate(zip(tiles, scores, relevance, strict=True), start=1)
    )
    query = make_query(
        text="a “river” & <i>Brücke</i>",
        parts=[Part("tile", "north_20160816.tif:64,0,64,64", 0.5)],
        minus=["clouds"],
        k=5,
        where=TileFilter(
            bbox=(170.0, -20.0, -90.0, 50.0), since=datetime.date(2010, 1, 1), area=((_ring(-180, -90, 180, 90),),)
        ),
    )
    stages = (
        HitStage("global", (0.9, 0.95, 0.85, 0.2, 0.1), 0.0012345678, ""),
        HitStage("local", (0.93, 0.825, 0.85, None, None), 0.25, "3 of 5 candidates fit the time allowed"),
        HitStage("sar:k=5", (1.0, 2.0, 3.0, 4.0, None), 0.01, ""),
    )
    return SearchResult(
        query=query, hits=hits, n_tiles=1234, index="archive", model="compact", threshold=0.5, stages=stages,
        judged=hits,
    )  # fmt: skip


def empty_result() -> SearchResult:
    """A search within limits that no tile meets."""
    return SearchResult(
        query=make_query(text="red", k=3, where=TileFilter(scene="x*")), hits=(), n_tiles=0, index="archive", model="m"
    )
