"""Areas of interest: polygons from GeoJSON, to search within."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from rsitr.errors import QueryError
from rsitr.geo.geometry import cut_shape
from rsitr.types import Area, Ring

__all__ = ["area_from_geojson", "area_shape", "read_area"]

LONGEST_BYTES = 64 * 2**20


def read_area(path: Path) -> Area:
    """The polygons of a GeoJSON file, whatever stands around them: features, collections, geometries.

    Raises:
        QueryError: the file cannot be read, is no GeoJSON, or holds no polygon on Earth.
    """
    try:
        if path.stat().st_size > LONGEST_BYTES:
            raise QueryError(f"{path}: larger than {LONGEST_BYTES >> 20} MB; simplify the outline first")
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise QueryError(f"{path}: this is no GeoJSON ({error}); `ogr2ogr` converts other formats") from error
    try:
        return area_from_geojson(found)
    except QueryError as error:
        raise QueryError(f"{path}: {error}") from error


def area_from_geojson(found: Any) -> Area:
    """The polygons of a GeoJSON object.

    Raises:
        QueryError: it holds no polygon, or one that cannot lie on Earth.
    """
    try:
        polygons = tuple(tuple(_ring(ring) for ring in rings) for rings in _polygons(found) if rings)
    except (TypeError, RecursionError) as error:
        raise QueryError("this is no GeoJSON: its members are not what their names say") from error
    if not polygons:
        raise QueryError("no polygon in it: an area is a GeoJSON Polygon, MultiPolygon, or features of these")
    return polygons


def area_shape(area: Area) -> BaseGeometry:
    """The area as one valid geometry within -180..180 degrees."""
    whole = [shapely.make_valid(shapely.Polygon(rings[0], rings[1:])) for rings in area]
    parts = [cut_shape(part) for shape in whole for part in shapely.get_parts(shape) if part.area > 0]
    return shapely.union_all(parts)


def _polygons(found: Any) -> Iterator[Any]:
    if not isinstance(found, Mapping):
        return
    kind = found.get("type")
    if kind == "Polygon":
        yield found.get("coordinates")
    elif kind == "MultiPolygon":
        yield from found.get("coordinates") or ()
    elif kind == "Feature":
        yield from _polygons(found.get("geometry"))
    elif kind in {"FeatureCollection", "GeometryCollection"}:
        for member in found.get("features" if kind == "FeatureCollection" else "geometries") or ():
            yield from _polygons(member)


def _ring(points: Any) -> Ring:
    try:
        ring: Ring = tuple((float(point[0]), float(point[1])) for point in points)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise QueryError("a ring in it is no list of positions [longitude, latitude]") from error
    if len(ring) < 4 or ring[0] != ring[-1]:
        raise QueryError("a ring in it has fewer than four positions, or does not end where it begins")
    for lon, lat in ring:
        if not (math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 540 and abs(lat) <= 90):
            raise QueryError(
                f"the position {lon:g}, {lat:g} is not on Earth; GeoJSON is longitude, latitude in degrees (WGS 84)"
            )
    return ring
