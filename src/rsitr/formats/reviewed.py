"""Reviewed tiles as files: GeoJSON, CSV, GeoPackage and KML, with who said what of them, and when."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import shapely

from rsitr.extras import need
from rsitr.formats.places import ring_geometry
from rsitr.geo import bbox_centre
from rsitr.types import Tile

__all__ = ["ReviewForm", "to_reviewed"]

ReviewForm = Literal["geojson", "csv", "gpkg", "kml"]
SAID = ("query", "verdict", "note", "who", "when", "relevance", "tile")
"""What a review says."""
KNOWN = ("scene", "date", "sensor", "gsd_m", "lon", "lat")
"""What the index knows of its tile; nothing where the tile has left it."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
DRIVERS = {"gpkg": "GPKG", "kml": "LIBKML"}


def to_reviewed(reviews: Sequence[Mapping[str, Any]], tiles: Mapping[str, Tile], form: ReviewForm) -> bytes:
    """Reviews as a file.

    Args:
        reviews: each with the fields `query`, `verdict`, `note`, `who`, `when`, `relevance`, `tile`.
        tiles: by their ids, as far as they are in the index.
        form: of the file.
    """
    rows = [{**{name: review[name] for name in SAID}, **_known(tiles.get(review["tile"]))} for review in reviews]
    shapes = [ring_geometry(tile.footprint) if (tile := tiles.get(row["tile"])) else None for row in rows]
    if form == "csv":
        return _to_csv(rows)
    if form == "geojson":
        features = [
            {"type": "Feature", "geometry": shape, "properties": row} for row, shape in zip(rows, shapes, strict=True)
        ]
        return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False).encode()
    return _to_layer(rows, shapes, form)


def _known(tile: Tile | None) -> dict[str, Any]:
    if tile is None:
        return dict.fromkeys(KNOWN)
    lon, lat = (None, None) if tile.bbox is None else bbox_centre(tile.bbox)
    day = None if tile.date is None else tile.date.isoformat()
    return {"scene": tile.scene, "date": day, "sensor": tile.sensor, "gsd_m": tile.gsd_m, "lon": lon, "lat": lat}


def _to_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, (*SAID, *KNOWN), lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        # A spreadsheet takes what begins like this for a formula, and a note may be anybody's.
        safe = {name: f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for name, v in row.items()}
        writer.writerow(safe)
    return text.getvalue().encode()


def _to_layer(rows: Sequence[Mapping[str, Any]], shapes: Sequence[Any], form: ReviewForm) -> bytes:
    need("pyogrio", what=f"writing {form.upper()}")
    import pyarrow as pa
    import pyogrio

    numbers = {"relevance", "gsd_m", "lon", "lat"}
    kinds = {name: pa.float64() if name in numbers else pa.string() for name in (*SAID, *KNOWN)}
    # KML's driver takes columns of some names for things of its own.
    renamed = {"when": "said_at"} if form == "kml" else {}
    table = [
        {renamed.get(name, name): value for name, value in row.items()}
        | ({"Name": f"{row['verdict']}: {row['query']}"} if form == "kml" else {})
        | {"geometry": None if shape is None else bytes(shapely.to_wkb(shapely.geometry.shape(shape)))}
        for row, shape in zip(rows, shapes, strict=True)
        if form != "kml" or shape is not None
    ]
    schema = pa.schema(
        [
            *([("Name", pa.string())] if form == "kml" else []),
            *((renamed.get(name, name), kind) for name, kind in kinds.items()),
            ("geometry", pa.binary()),
        ]
    )
    file = io.BytesIO()
    pyogrio.write_arrow(
        pa.Table.from_pylist(table, schema=schema),
        file,
        driver=DRIVERS[form],
        layer="reviewed",
        geometry_name="geometry",
        geometry_type="Unknown",
        crs="OGC:CRS84",
    )
    return file.getvalue()
