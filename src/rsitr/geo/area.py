"""Areas of interest: polygons from GeoJSON, GeoPackage, shapefile, KML or WKT, to search within."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsitr.errors import QueryError
from rsitr.extras import need
from rsitr.geo.geometry import cut_shape
from rsitr.types import Area, Ring

__all__ = ["area_from_geojson", "area_from_geometry", "area_shape", "read_area", "read_layers", "widen"]

LONGEST_BYTES = 64 * 2**20
METRES_PER_DEGREE = 111_320.0
HALF_WIDTH_DEG = 5e-6
"""Half a metre: what a point or a line reaches to each side, where an area is wanted."""
LAYERS = frozenset({".gpkg", ".shp", ".kml", ".fgb", ".gml"})
"""Endings of files that GDAL reads."""


def read_area(path: Path) -> Area:
    """The polygons of a file, whatever stands around them.

    GeoJSON, unless the ending says GeoPackage (.gpkg), shapefile (.shp), KML (.kml), FlatGeobuf (.fgb), GML (.gml) or
    well-known text (.wkt). Other coordinates than degrees are converted; well-known text is in degrees.

    Raises:
        QueryError: the file cannot be read, is of another kind, or holds no polygon on Earth.
    """
    try:
        if path.stat().st_size > LONGEST_BYTES:
            raise QueryError(f"{path}: larger than {LONGEST_BYTES >> 20} MB; simplify the outline first")
        if path.suffix.lower() in LAYERS:
            return _from_geometries(read_layers(path), path)
        if path.suffix.lower() == ".wkt":
            return _from_geometries([shapely.from_wkt(path.read_text(encoding="utf-8-sig"))], path)
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror or error})") from error
    except shapely.errors.GEOSException as error:
        raise QueryError(f"{path}: this is no well-known text ({error})") from error
    except ValueError as error:
        raise QueryError(f"{path}: this is no GeoJSON ({error}); `ogr2ogr` converts other formats") from error
    try:
        return area_from_geojson(found)
    except QueryError as error:
        raise QueryError(f"{path}: {error}") from error


def read_layers(path: Path) -> list[BaseGeometry]:
    """All geometries of a file, in degrees."""
    need("pyogrio", what=f"reading {path.name}", error=QueryError)
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError
    from pyproj import CRS, Transformer
    from pyproj.exceptions import CRSError

    found: list[BaseGeometry] = []
    try:
        for layer, _ in pyogrio.list_layers(path):
            about, _, shapes, _ = pyogrio.raw.read(path, layer=layer, columns=[], force_2d=True)
            geometries = shapely.from_wkb(shapes)
            if about["crs"] is not None and not CRS(about["crs"]).is_geographic:
                to_degrees = Transformer.from_crs(about["crs"], "OGC:CRS84", always_xy=True)
                geometries = shapely.transform(geometries, to_degrees.transform, interleaved=False)
            found += [geometry for geometry in geometries if geometry is not None]
    except (DataSourceError, DataLayerError, CRSError, ValueError) as error:
        raise QueryError(f"{path}: cannot be read as {path.suffix} ({error})") from error
    return found


def _from_geometries(geometries: Iterable[BaseGeometry], path: Path) -> Area:
    collection = {
        "type": "GeometryCollection",
        "geometries": [shapely.geometry.mapping(geometry) for geometry in geometries],
    }
    try:
        return area_from_geojson(collection)
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


def area_from_geometry(found: Any) -> Area:
    """The polygons of a GeoJSON geometry of any kind; points and lines are made a metre wide, so that tiles meet them.

    Raises:
        QueryError: it is no geometry, it is empty, or it cannot lie on Earth.
    """
    try:
        kind = found.get("type") if isinstance(found, Mapping) else None
        if kind == "GeometryCollection":
            members = [area_from_geometry(member) for member in found.get("geometries") or ()]
            return tuple(rings for member in members for rings in member) or area_from_geojson(found)
        if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
            coordinates = found.get("coordinates")
            if kind == "Point":
                return _widened([[coordinates]])
            if kind == "MultiPoint":
                return _widened([[point] for point in coordinates])
            return _widened([coordinates] if kind == "LineString" else coordinates)
    except (TypeError, RecursionError) as error:
        raise QueryError("this is no GeoJSON: its members are not what their names say") from error
    return area_from_geojson(found)


def _widened(lines: Iterable[Any]) -> Area:
    """A rectangle around each stretch of lines, a square around each point."""
    found = []
    for line in lines:
        points = _positions(line)
        found += [(_around(a, b),) for a, b in itertools.pairwise(points if len(points) > 1 else points * 2)]
    if not found:
        raise QueryError("the geometry has no position in it")
    return tuple(found)


def _around(a: tuple[float, float], b: tuple[float, float]) -> Ring:
    length = math.dist(a, b)
    along = ((b[0] - a[0]) / length, (b[1] - a[1]) / length) if length else (1.0, 0.0)
    x, y = (HALF_WIDTH_DEG * side for side in along)
    corners = [(a[0] - x + y, a[1] - y - x), (b[0] + x + y, b[1] + y - x), (b[0] + x - y, b[1] + y + x)]
    corners += [(a[0] - x - y, a[1] - y + x), corners[0]]
    return tuple((lon, min(90.0, max(-90.0, lat))) for lon, lat in corners)


def widen(shape: BaseGeometry, by_m: float) -> BaseGeometry:
    """The ground within so many metres, of something small: degrees of longitude are as long as in its middle."""
    shrink = max(0.02, float(np.cos(np.radians(shape.centroid.y))))
    flat = shapely.transform(shape, lambda xy: xy * [shrink, 1.0])
    wide = flat.buffer(by_m / METRES_PER_DEGREE, quad_segs=4)
    return shapely.transform(wide, lambda xy: (xy / [shrink, 1.0]).clip([-540, -90], [540, 90]))


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
    ring = _positions(points)
    if len(ring) < 4 or ring[0] != ring[-1]:
        raise QueryError("a ring in it has fewer than four positions, or does not end where it begins")
    return ring


def _positions(points: Any) -> Ring:
    try:
        found: Ring = tuple((float(point[0]), float(point[1])) for point in points)
    except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise QueryError("a ring or line in it is no list of positions [longitude, latitude]") from error
    for lon, lat in found:
        if not (math.isfinite(lon) and math.isfinite(lat) and abs(lon) <= 540 and abs(lat) <= 90):
            raise QueryError(
                f"the position {lon:g}, {lat:g} is not on Earth; GeoJSON is longitude, latitude in degrees (WGS 84)"
            )
    return found
