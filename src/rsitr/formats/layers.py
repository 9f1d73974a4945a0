"""Answers as layers for geographic information systems: GeoPackage and KML, written by GDAL."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import shapely

from rsitr.extras import need
from rsitr.formats.answer import Answer
from rsitr.formats.parquet import place_row
from rsitr.formats.places import ring_geometry
from rsitr.formats.records import name_mark
from rsitr.formats.suitability import say_suitability
from rsitr.types import Hit

__all__ = ["LayerFormat", "answer_rows", "hit_row", "to_layer", "write_layer"]

LayerFormat = Literal["GPKG", "KML"]
DRIVERS = {"GPKG": "GPKG", "KML": "LIBKML"}
LAYER = "rsitr"
MODEL = "model_name"
"""Column of KML: its driver takes one called `model` for a thing of its own, and drops it."""


def to_layer(answer: Answer, form: LayerFormat) -> bytes:
    """A file with one layer in OGC:CRS84: a row for each place, or for each hit of an answer without places.

    Every row carries what was asked, the model, what is said of the answer, and its own relevance. What has no known
    place on Earth is a row without an outline in a GeoPackage, and is left out of KML, which knows no such thing.
    """
    rows = answer_rows(answer)
    if form == "KML":
        named = {row["rank"]: f"{row['rank']}. {answer.query.text or ''}".strip() for row in rows}
        rows = [row | {"Name": named[row["rank"]], MODEL: row["model"]} for row in rows if row["geometry"]]
    return write_layer(rows, columns=_schema(answer, form), form=form, layer=LAYER)


def write_layer(
    rows: Sequence[Mapping[str, Any]], *, columns: Mapping[str, Any], form: LayerFormat, layer: str
) -> bytes:
    """A file of one layer in OGC:CRS84.

    Args:
        rows: by column; `geometry` is well-known binary or None.
        columns: the Arrow type of each column.
        form: of the file.
        layer: its name.

    Raises:
        ConfigError: what writes such files is not installed.
    """
    need("pyogrio", what=f"writing {form}")
    import pyarrow as pa
    import pyogrio

    file = io.BytesIO()
    pyogrio.write_arrow(
        pa.Table.from_pylist([dict(row) for row in rows], schema=pa.schema(list(columns.items()))),
        file,
        driver=DRIVERS[form],
        layer=layer,
        geometry_name="geometry",
        geometry_type="Unknown",
        crs="OGC:CRS84",
    )
    return file.getvalue()


def answer_rows(answer: Answer) -> list[dict[str, Any]]:
    """A row for each place, or for each hit of an answer without places, with what is said of the whole answer."""
    rows = [hit_row(hit) for hit in answer.hits] if answer.places is None else _places(answer)
    return [_common(answer) | row for row in rows]


def _schema(answer: Answer, form: LayerFormat) -> dict[str, Any]:
    import pyarrow as pa

    text, number, count, day = pa.string(), pa.float64(), pa.int32(), pa.date32()
    one = {"tile": text, "scene": text, "date": day, "gsd_m": number, "sensor": text}
    several = {
        **{"place": text, "lon": number, "lat": number},
        **{"first_date": day, "last_date": day, "n_tiles": count, "sightings": text, "timeline": text},
    }
    return {
        **({"Name": text} if form == "KML" else {}),
        **{"query": text, (MODEL if form == "KML" else "model"): text, "state": text, "threshold": number},
        **{"rank": count, "score": number, "relevance": number, "suitability": text, "mark": text},
        **(one if answer.places is None else several),
        "geometry": pa.binary(),
    }


def _common(answer: Answer) -> dict[str, Any]:
    return {
        "query": answer.query.described,
        "model": answer.model,
        "state": answer.state,
        "threshold": answer.threshold,
    }


def hit_row(hit: Hit) -> dict[str, Any]:
    """A hit as a row of a table: scores in full, the day as a day, the outline as WKB."""
    return {
        "rank": hit.rank,
        "score": hit.score,
        "relevance": hit.relevance,
        "suitability": say_suitability(hit.tile),
        "mark": name_mark(hit.mark),
        "tile": hit.tile.tile,
        "scene": hit.tile.scene,
        "date": hit.tile.date,
        "gsd_m": hit.tile.gsd_m,
        "sensor": hit.tile.sensor,
        "geometry": _wkb(ring_geometry(hit.tile.footprint)),
    }


def _places(answer: Answer) -> list[dict[str, Any]]:
    """As in GeoParquet; a layer has no lists, so the sightings and the time line are JSON."""
    rows = [place_row(place) for place in answer.places or ()]
    lists = ("sightings", "timeline")
    return [
        row | {name: row[name] and json.dumps(row[name], default=str, ensure_ascii=False) for name in lists}
        for row in rows
    ]


def _wkb(geometry: dict[str, Any] | None) -> bytes | None:
    return None if geometry is None else bytes(shapely.to_wkb(shapely.geometry.shape(geometry)))
