"""Areas as people hand them over: the content of a file, or text, of a kind that only the content tells.

Who sends it may mean ill, and GDAL and GEOS are large programs. So it is read in a process of its own, which has a
limit on time and memory, opens nothing but what it was sent, and knows a file's kind by its content, not by its name.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from rsitr.errors import QueryError
from rsitr.extras import need
from rsitr.geo.area import METRES_PER_DEGREE, area_from_geojson, area_shape, read_layers, widen
from rsitr.types import Area

__all__ = ["KINDS", "GivenArea", "parse_area", "read_given"]

KINDS = "GeoJSON, KML, GPX, GeoPackage or well-known text"
TIME_S, MEMORY_BYTES = 20, 2 * 2**30
MOST_CORNERS = 1000
"""A web page keeps an area in its address, and people move its corners by hand."""
DEEPEST = 16
FINEST_M = 0.5
OFFLINE = {
    "CPL_CURL_ENABLED": "NO",
    "GDAL_SKIP": "HTTP",
    "OGR_SKIP": "OGR_VRT,SQLite,GML,CAD,DXF",
    "OGR_SQLITE_ALLOW_EXTERNAL_ACCESS": "NO",
    "PROJ_NETWORK": "OFF",
    "GDAL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class GivenArea:
    """An area that was handed over.

    Attributes:
        geometry: a GeoJSON Polygon or MultiPolygon within -180..180 degrees.
        n_outlines: how many polygons it has.
        n_corners: how many positions.
        note: what was done to it, in words; empty where it is as it was given.
    """

    geometry: dict[str, Any]
    n_outlines: int
    n_corners: int
    note: str


def parse_area(content: bytes, *, around_m: float = 250.0) -> GivenArea:
    """Read an area from a file's content, or from text.

    Polygons are taken as they are. Where there are none, lines that end where they begin are outlines, and other lines
    and points are widened by `around_m` to each side, so that a track or a list of places can be searched along.

    Raises:
        QueryError: it is of no kind that is read here, damaged, holds nothing on Earth, or takes too long.
    """
    command = [sys.executable, "-m", "rsitr.geo.given", repr(float(around_m))]
    environment = {**os.environ, **OFFLINE, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(
            command, input=content, capture_output=True, timeout=TIME_S, check=False, env=environment
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise QueryError(f"the area could not be read within {TIME_S} s; simplify its outline") from error
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise QueryError("the area cannot be read: it is damaged, or far too intricate") from error
    if "error" in told:
        raise QueryError(told["error"])
    return GivenArea(**told)


def read_given(content: bytes, *, around_m: float) -> GivenArea:
    """What `parse_area` does, in this very process. Raises as it does."""
    polygons, shapes = _sort(content)
    notes = []
    if not polygons:
        closed = [shapely.Polygon(shape.coords) for shape in shapes if shape.geom_type == "LineString" and _ends(shape)]
        if closed:
            polygons = area_from_geojson(_collection(closed))
        else:
            narrow = _drop_repeated(shapes)
            if not narrow:
                raise QueryError("the area holds no polygon, line or point")
            polygons = area_from_geojson(_collection([widen(shape, around_m) for shape in narrow]))
            notes.append(f"{_count(narrow)}: {around_m:g} m around")
    whole = shapely.remove_repeated_points(area_shape(polygons))
    if whole.is_empty or not whole.area > 0:
        raise QueryError("the area has no extent: its corners lie on one line")
    whole, by_m = _simplify(whole)
    if by_m:
        notes.append(f"simplified by up to {by_m:g} m")
    parts = shapely.get_parts(shapely.orient_polygons(shapely.transform(whole, lambda xy: xy.round(7))))
    rings = [
        [shapely.get_coordinates(ring).tolist() for ring in (part.exterior, *part.interiors)]
        for part in parts
        if part.area > 0
    ]
    if not rings:
        raise QueryError("the area is smaller than a centimetre")
    one = len(rings) == 1
    return GivenArea(
        geometry={"type": "Polygon" if one else "MultiPolygon", "coordinates": rings[0] if one else rings},
        n_outlines=len(rings),
        n_corners=sum(len(ring) - 1 for part in rings for ring in part),
        note="; ".join(notes),
    )


def _sort(content: bytes) -> tuple[Area, list[BaseGeometry]]:
    """The polygons, and everything else."""
    text = content.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise QueryError("the area is empty")
    if content.startswith(b"SQLite format 3\0"):
        if content[68:72] not in {b"GPKG", b"GP10", b"GP11", b"GP12"}:
            raise QueryError("this database is no GeoPackage; `ogr2ogr` converts it")
        return _split(_read_file(content, ".gpkg"))
    if text[:1] in b"{[":
        return _from_json(text)
    if text[:1] == b"<":
        return _split(_read_file(content, _xml_suffix(text)))
    return _split(_from_wkt(text))


def _from_json(text: bytes) -> tuple[Area, list[BaseGeometry]]:
    try:
        found = json.loads(text.decode("utf-8"))
        members = list(_members(found))
        if any(str(member.get("type")).endswith("Polygon") for member in members):
            return area_from_geojson(found), []
        shapes = [shapely.geometry.shape(member) for member in members]
        _require_on_earth(shapes)
    except QueryError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError) as error:
        raise QueryError("the area is no GeoJSON: its text breaks off, or its members are not what they say") from error
    except shapely.errors.ShapelyError as error:
        raise QueryError("the area is no GeoJSON: its coordinates are not what they say") from error
    return (), shapes


def _members(found: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The simple geometries of a GeoJSON object."""
    if not isinstance(found, Mapping) or depth > DEEPEST:
        return
    kind = found.get("type")
    if kind == "Feature":
        yield from _members(found.get("geometry"), depth + 1)
    elif kind in {"FeatureCollection", "GeometryCollection"}:
        for member in found.get("features" if kind == "FeatureCollection" else "geometries") or ():
            yield from _members(member, depth + 1)
    elif found.get("coordinates"):
        yield found


def _xml_suffix(text: bytes) -> str:
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise QueryError("the area is XML with a document type of its own, which is not read here")
    root = re.search(rb"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)[\s>/]", re.sub(rb"(?s)<\?.*?\?>|<!--.*?-->", b"", text[:65536]))
    name = root.group(1).lower() if root else b""
    if name not in {b"kml", b"gpx"}:
        raise QueryError(f"this XML is neither KML nor GPX; an area is {KINDS}")
    return f".{name.decode()}"


def _read_file(content: bytes, suffix: str) -> list[BaseGeometry]:
    need("pyogrio", what=f"reading {suffix[1:].upper()}", error=QueryError)
    with tempfile.TemporaryDirectory(prefix="rsitr-area-") as folder:
        path = Path(folder) / f"area{suffix}"
        path.write_bytes(content)
        try:
            return read_layers(path)
        except QueryError as error:
            raise QueryError(f"the area cannot be read as {suffix[1:].upper()}: the file is damaged") from error


def _from_wkt(text: bytes) -> list[BaseGeometry]:
    try:
        words = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise QueryError(f"this is no area that can be read; an area is {KINDS}") from error
    srid = re.match(r"(?i)SRID\s*=\s*(\d+)\s*;", words)
    if srid and srid.group(1) not in {"4326", "4979"}:
        raise QueryError(f"well-known text is read in degrees (SRID 4326), not in SRID {srid.group(1)}")
    words = words[srid.end() :] if srid else words
    if not re.match(r"(?i)\s*((MULTI)?(POLYGON|LINESTRING|POINT)|GEOMETRYCOLLECTION)", words):
        raise QueryError(f"this is no area that can be read; an area is {KINDS}")
    if _depth(words) > DEEPEST:
        raise QueryError("the well-known text is nested too deeply")
    try:
        return [shapely.from_wkt(words)]
    except shapely.errors.ShapelyError as error:
        raise QueryError(f"the well-known text cannot be read: {str(error)[:200]}") from error


def _depth(words: str) -> int:
    deepest = now = 0
    for bracket in re.findall(r"[()]", words):
        now += 1 if bracket == "(" else -1
        deepest = max(deepest, now)
    return deepest


def _split(shapes: list[BaseGeometry]) -> tuple[Area, list[BaseGeometry]]:
    simple = [part for shape in shapes for part in _flatten(shape)]
    polygons = [shape for shape in simple if shape.geom_type == "Polygon" and not shape.is_empty]
    others = [shape for shape in simple if shape.geom_type in {"Point", "LineString"} and not shape.is_empty]
    _require_on_earth(others)
    return (area_from_geojson(_collection(polygons)) if polygons else ()), others


def _require_on_earth(shapes: list[BaseGeometry]) -> None:
    """Raises QueryError as `area_from_geojson` does for polygons."""
    for lon, lat in shapely.get_coordinates(shapes).tolist():
        if not (abs(lon) <= 540 and abs(lat) <= 90):
            raise QueryError(f"the position {lon:g}, {lat:g} is not on Earth; an area is in degrees (WGS 84)")


def _flatten(shape: BaseGeometry, depth: int = 0) -> Iterator[BaseGeometry]:
    if depth <= DEEPEST:
        for part in shapely.get_parts(shape):
            yield from [part] if part.geom_type in {"Point", "LineString", "Polygon"} else _flatten(part, depth + 1)


def _collection(shapes: list[Any]) -> dict[str, Any]:
    return {"type": "GeometryCollection", "geometries": [shapely.geometry.mapping(shape) for shape in shapes]}


def _ends(line: BaseGeometry) -> bool:
    """Whether a line ends where it begins, around some ground."""
    return bool(line.is_closed and shapely.get_num_coordinates(line) >= 4)


def _drop_repeated(shapes: list[BaseGeometry]) -> list[BaseGeometry]:
    """Without the points that lie on lines: GDAL tells the points of a GPX track once more."""
    lines = [shape for shape in shapes if shape.geom_type == "LineString"]
    whole = shapely.union_all(lines)
    shapely.prepare(whole)
    points = [shape for shape in shapes if shape.geom_type == "Point"]
    return [*lines, *(point for point in points if not lines or not shapely.dwithin(whole, point, 1e-9))]


def _simplify(whole: BaseGeometry) -> tuple[BaseGeometry, float]:
    """The area with few enough corners, and by how many metres it was changed at most."""
    by_m, found = 0.0, whole
    while shapely.get_num_coordinates(found) > MOST_CORNERS:
        by_m = max(FINEST_M, 2 * by_m)
        found = shapely.make_valid(whole.simplify(by_m / METRES_PER_DEGREE))
        if by_m > 100_000:
            raise QueryError(
                f"the area has {len(shapely.get_parts(whole)):,} outlines; join them into one, or leave some out"
            )
    return found, by_m


def _count(shapes: list[BaseGeometry]) -> str:
    names = {"Point": "point", "LineString": "line"}
    counts = {kind: sum(shape.geom_type == kind for shape in shapes) for kind in names}
    return " and ".join(f"{n:,} {names[kind]}{'' if n == 1 else 's'}" for kind, n in counts.items() if n)


def _main() -> None:
    """Read an area from the standard input, within limits, and tell it on the standard output."""
    from dataclasses import asdict

    with suppress(ImportError, ValueError, OSError):  # where a system has no such limits, time is one
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (TIME_S, TIME_S))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        told: Mapping[str, Any] = asdict(read_given(sys.stdin.buffer.read(), around_m=float(sys.argv[1])))
    except QueryError as error:
        told = {"error": str(error)}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    _main()
