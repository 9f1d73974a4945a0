"""Answers as GeoParquet 1.1."""

from __future__ import annotations

import io
import json
from typing import Any

import shapely

from rsitr.formats.answer import Answer
from rsitr.formats.geojson import about
from rsitr.formats.places import Place, outline_box
from rsitr.formats.records import name_mark
from rsitr.formats.suitability import say_suitability
from rsitr.geo import enclosing_bbox

__all__ = ["place_row", "to_geoparquet"]


def to_geoparquet(answer: Answer) -> bytes:
    """A GeoParquet 1.1 file of the places: WKB outlines in OGC:CRS84, its default, and the time line as lists.

    What was asked is a column; the file's metadata say it, too, under `rsitr`, and whether anything matches.

    Raises:
        ValueError: the answer has hits alone.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if answer.places is None:
        raise ValueError("a row is a place: give an answer with places")
    seen = pa.struct(
        [
            *(("date", pa.date32()), ("scene", pa.string()), ("sensor", pa.string())),
            *(("score", pa.float64()), ("relevance", pa.float64()), ("tiles", pa.list_(pa.string()))),
        ]
    )
    moment = pa.struct(
        [
            *(("date", pa.date32()), ("scene", pa.string()), ("sensor", pa.string())),
            *(("score", pa.float64()), ("relevance", pa.float64()), ("matches", pa.bool_()), ("tile", pa.string())),
        ]
    )
    schema = pa.schema(
        [
            *(("query", pa.string()), ("model", pa.string()), ("state", pa.string())),
            *(("place", pa.string()), ("rank", pa.int32()), ("score", pa.float64()), ("relevance", pa.float64())),
            *(("lon", pa.float64()), ("lat", pa.float64()), ("suitability", pa.string()), ("mark", pa.string())),
            *(("first_date", pa.date32()), ("last_date", pa.date32()), ("n_tiles", pa.int32())),
            *(("sightings", pa.list_(seen)), ("timeline", pa.list_(moment)), ("geometry", pa.binary())),
        ]
    )
    told = {"query": answer.query.described, "model": answer.model, "state": answer.state}
    rows = [told | place_row(place) for place in answer.places]
    outlines = [place.outline for place in answer.places if place.outline is not None]
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({outline.geom_type for outline in outlines}),
        "orientation": "counterclockwise",
        # As GeoJSON's: west > east where the places lie on both sides of the antimeridian.
        **({"bbox": enclosing_bbox(box for box in map(outline_box, outlines) if box is not None)} if outlines else {}),
    }
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    metadata = {"geo": json.dumps(geo), "rsitr": json.dumps(about(answer), ensure_ascii=False)}
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.with_metadata(metadata)), file, compression="zstd")
    return file.getvalue()


def place_row(place: Place) -> dict[str, Any]:
    """A place as a row of a table: scores in full, days as days, the outline as WKB."""
    lon, lat = place.position or (None, None)
    return {
        "place": place.place,
        "lon": lon,
        "lat": lat,
        "suitability": say_suitability(place.best.tile),
        "mark": name_mark(place.best.mark),
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
        "timeline": place.timeline
        and [
            {
                "date": moment.tile.date,
                "scene": moment.tile.scene,
                "sensor": moment.tile.sensor,
                "score": moment.score,
                "relevance": moment.relevance,
                "matches": moment.matches,
                "tile": moment.tile.tile,
            }
            for moment in place.timeline
        ],
        "geometry": None if place.outline is None else shapely.to_wkb(place.outline),
    }
