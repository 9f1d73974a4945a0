"""Places as other programs read them: GeoJSON (RFC 7946), CSV, GeoParquet 1.1, STAC 1.1 items."""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from shapely.geometry.base import BaseGeometry

from rsitr.geo import enclosing_bbox
from rsitr.search.places import Place, Sighting
from rsitr.search.result import SearchResult
from rsitr.types import BBox

__all__ = [
    "feature_collection",
    "outline_box",
    "outline_geometry",
    "place_feature",
    "place_properties",
    "places_to_csv",
    "places_to_geojson",
    "places_to_geoparquet",
    "places_to_stac",
    "rounded",
]

SCORE_DIGITS = 6
DEGREE_DIGITS = 7  # about a centimetre
CSV_COLUMNS = (
    *("query", "rank", "score", "relevance", "place", "date", "scene", "sensor", "n_tiles", "lon", "lat"),
    *("west", "south", "east", "north", "col", "row", "width", "height", "wkt"),
)
STAC_VERSION = "1.1.0"
GEOTIFF = "image/tiff; application=geotiff"
MEDIA_TYPES = {
    **dict.fromkeys((".tif", ".tiff", ".gtiff"), "image/tiff"),
    **dict.fromkeys((".jpg", ".jpeg"), "image/jpeg"),
    **dict.fromkeys((".jp2", ".j2k"), "image/jp2"),
    **dict.fromkeys((".ntf", ".nitf"), "application/vnd.nitf"),
    **{".png": "image/png", ".webp": "image/webp", ".bmp": "image/bmp"},
}


def places_to_geojson(places: Sequence[Place], *, result: SearchResult) -> str:
    """An RFC 7946 FeatureCollection, a feature for each place with its time line. One without a place has no geometry.

    Members beside the features, which RFC 7946 allows, say what was asked and whether anything matches.
    """
    return feature_collection([(result, [place_feature(place) for place in places])])


def place_feature(place: Place) -> dict[str, Any]:
    """A place as a GeoJSON feature."""
    return {
        "type": "Feature",
        "id": place.place,
        **({"bbox": outline_box(place.outline)} if place.outline is not None else {}),
        "geometry": outline_geometry(place.outline),
        "properties": place_properties(place),
    }


def feature_collection(
    answers: Sequence[tuple[SearchResult, Sequence[Mapping[str, Any]]]], *, several: bool = False
) -> str:
    """Features as one RFC 7946 FeatureCollection that says beside them what was asked and whether anything matches.

    Args:
        answers: results, and their features.
        several: every feature says itself which query it answers, and the collection lists the queries.
    """
    about = [_about(result) for result, _ in answers]
    features = [
        {**feature, "properties": {"query": told["query"], **feature["properties"]}} if several else feature
        for told, (_, found) in zip(about, answers, strict=True)
        for feature in found
    ]
    # One feature per line: coordinates on lines of their own would make the file long, and no easier to read.
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False) for feature in features)
    told_above: Mapping[str, Any] = {"queries": about} if several else about[0]
    head = json.dumps({"type": "FeatureCollection", **told_above}, ensure_ascii=False)[:-1]
    return f'{head}, "features": [\n{lines}\n]}}\n'


def _about(result: SearchResult) -> dict[str, Any]:
    return {"query": result.query.describe(), "matches": result.matches, "relevance": rounded(result.relevance)}


def places_to_csv(answers: Sequence[tuple[str, Sequence[Place]]]) -> str:
    """A line for each sighting of each place; empty where something is unknown.

    Args:
        answers: what was asked, in words, and the places that were found.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for asked, places in answers:
        for place in places:
            for sighting in place.sightings:
                writer.writerow({"query": asked, **_line(place, sighting)})
    return text.getvalue()


def places_to_geoparquet(places: Sequence[Place], *, result: SearchResult) -> bytes:
    """A GeoParquet 1.1 file: WKB outlines in OGC:CRS84, its default, and the time line as lists.

    What was asked is a column; the file's metadata say it, too, under `rsitr`, and whether anything matches.
    """
    seen = pa.struct(
        [
            *(("date", pa.date32()), ("scene", pa.string()), ("sensor", pa.string())),
            *(("score", pa.float64()), ("relevance", pa.float64()), ("tiles", pa.list_(pa.string()))),
        ]
    )
    schema = pa.schema(
        [
            *(("query", pa.string()), ("place", pa.string()), ("rank", pa.int32())),
            *(("score", pa.float64()), ("relevance", pa.float64())),
            *(("first_date", pa.date32()), ("last_date", pa.date32()), ("n_tiles", pa.int32())),
            *(("sightings", pa.list_(seen)), ("geometry", pa.binary())),
        ]
    )
    rows = [
        {
            "query": result.query.describe(),
            "place": place.place,
            "rank": place.rank,
            "score": place.score,
            "relevance": place.relevance,
            "first_date": min(place.dates, default=None),
            "last_date": max(place.dates, default=None),
            "n_tiles": place.n_tiles,
            "sightings": [
                {
                    "date": sighting.date,
                    "scene": sighting.scene,
                    "sensor": sighting.sensor,
                    "score": sighting.score,
                    "relevance": sighting.relevance,
                    "tiles": [hit.tile.tile for hit in sighting.hits],
                }
                for sighting in place.sightings
            ],
            "geometry": None if place.outline is None else shapely.to_wkb(place.outline),
        }
        for place in places
    ]
    outlines = [place.outline for place in places if place.outline is not None]
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({outline.geom_type for outline in outlines}),
        "orientation": "counterclockwise",
        # As GeoJSON's: west > east where the places lie on both sides of the antimeridian.
        **({"bbox": enclosing_bbox(box for box in map(outline_box, outlines) if box is not None)} if outlines else {}),
    }
    about = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    metadata = {"geo": json.dumps(about), "rsitr": json.dumps(_about(result), ensure_ascii=False)}
    table = pa.Table.from_pylist(rows, schema=schema.with_metadata(metadata))
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def places_to_stac(
    answers: Sequence[tuple[SearchResult, Sequence[Place]]], *, address: Callable[[str], str]
) -> tuple[str, tuple[str, ...]]:
    """A STAC ItemCollection, an item for each place with its scenes as assets, and what had to be left out.

    STAC knows no item without a day, so places that no dated scene shows are left out.

    Args:
        answers: results, and their places.
        address: of a scene, from its path in the index: a URL that leads to it from anywhere.
    """
    items, left_out = [], []
    for number, (result, places) in enumerate(answers, start=1):
        prefix = f"{number:04d}-" if len(answers) > 1 else ""
        for place in places:
            if not place.dates:
                left_out.append(f"place {place.rank} is no STAC item: the day of {place.best.tile.scene} is unknown")
                continue
            items.append(_item(place, result, prefix=prefix, address=address))
    return json.dumps({"type": "FeatureCollection", "features": items}, indent=1, ensure_ascii=False) + "\n", tuple(
        left_out
    )


def _item(place: Place, result: SearchResult, *, prefix: str, address: Callable[[str], str]) -> dict[str, Any]:
    first, last = _instant(place.dates[0]), _instant(place.dates[-1])
    when = (
        {"datetime": first}
        if len(place.dates) == 1
        else {"datetime": None, "start_datetime": first, "end_datetime": last}
    )
    names = re.sub(r"[^A-Za-z0-9_.-]+", "-", place.place)
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": f"{prefix}{place.rank:04d}-{names}",
        **({"bbox": outline_box(place.outline)} if place.outline is not None else {}),
        "geometry": outline_geometry(place.outline),
        "properties": {
            **when,
            "title": result.query.describe(),
            **{f"rsitr:{name}": value for name, value in place_properties(place).items()},
        },
        "links": [],
        "assets": {
            sighting.scene: {
                "href": address(sighting.scene),
                **({"type": media} if (media := _media_type(sighting)) else {}),
                "title": f"{sighting.scene}, {sighting.date.isoformat() if sighting.date else 'day unknown'}",
                "roles": ["data"],
            }
            for sighting in place.sightings
        },
    }


def _media_type(sighting: Sighting) -> str | None:
    """By the ending of the scene's name; None where that says nothing."""
    found = MEDIA_TYPES.get(PurePosixPath(urlsplit(sighting.scene).path).suffix.lower())
    return GEOTIFF if found == "image/tiff" and sighting.outline is not None else found


def place_properties(place: Place) -> dict[str, Any]:
    """What is known of a place but its outline, as plain values."""
    return {
        "place": place.place,
        "rank": place.rank,
        "score": rounded(place.score),
        "relevance": rounded(place.relevance),
        "n_tiles": place.n_tiles,
        "first_date": min((day.isoformat() for day in place.dates), default=None),
        "last_date": max((day.isoformat() for day in place.dates), default=None),
        "sightings": [
            {
                "date": sighting.date and sighting.date.isoformat(),
                "scene": sighting.scene,
                "sensor": sighting.sensor,
                "score": rounded(sighting.score),
                "relevance": rounded(sighting.relevance),
                "window_px": list(sighting.window_px),
                "tiles": [hit.tile.tile for hit in sighting.hits],
            }
            for sighting in place.sightings
        ],
    }


def _line(place: Place, sighting: Sighting) -> dict[str, Any]:
    window = dict(zip(("col", "row", "width", "height"), sighting.window_px, strict=True))
    line: dict[str, Any] = {
        "rank": place.rank,
        "score": rounded(sighting.score),
        "relevance": rounded(sighting.relevance),
        "place": place.place,
        "date": sighting.date and sighting.date.isoformat(),
        "scene": sighting.scene,
        "sensor": sighting.sensor,
        "n_tiles": len(sighting.hits),
        **window,
    }
    if sighting.outline is not None:
        point = sighting.outline.representative_point()
        sides = dict(zip(("west", "south", "east", "north"), outline_box(sighting.outline) or (), strict=True))
        lon, lat = round(point.x, DEGREE_DIGITS), round(point.y, DEGREE_DIGITS)
        line |= {"lon": lon, "lat": lat, **sides, "wkt": shapely.to_wkt(sighting.outline, rounding_precision=7)}
    return line


def outline_box(outline: BaseGeometry | None) -> BBox | None:
    """West, south, east, north; west > east where the outline was cut at the antimeridian."""
    if outline is None:
        return None
    box = _rounded_box(outline.bounds)
    if box[0] > -180.0 or box[2] < 180.0:
        return box
    # It reaches both sides of the map: its parts hang together there, and leave a gap elsewhere if there is one.
    return enclosing_bbox(_rounded_box(part.bounds) for part in shapely.get_parts(outline))


def _rounded_box(bounds: BBox) -> BBox:
    west, south, east, north = (round(side, DEGREE_DIGITS) for side in bounds)
    return west, south, east, north


def outline_geometry(outline: BaseGeometry | None) -> dict[str, Any] | None:
    """The outline as an RFC 7946 geometry."""
    return None if outline is None else json.loads(shapely.to_geojson(outline))


def _instant(day: datetime.date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def rounded(value: float | None) -> float | None:
    """A score as it is written."""
    return None if value is None else round(value, SCORE_DIGITS)
