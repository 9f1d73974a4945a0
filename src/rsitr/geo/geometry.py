"""Outlines as other programs want them: GeoJSON geometries cut at the antimeridian, boxes around many, areas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from rsitr.types import BBox, Ring

__all__ = ["area_km2", "bbox_centre", "bbox_shape", "cut_shape", "enclosing_bbox", "geojson_geometry", "ring_shape"]

COORDINATE_DIGITS = 7  # about a centimetre
BAND_DEG, STEP_DEG = 60, 0.25


def ring_shape(ring: Ring) -> BaseGeometry:
    """The outline as a shapely geometry within -180..180: a MultiPolygon where it was cut at the antimeridian."""
    return cut_shape(shapely.Polygon(ring))


def cut_shape(whole: BaseGeometry) -> BaseGeometry:
    """A polygon that may go beyond 180 degrees, cut at the antimeridian into parts within -180..180."""
    west, _, east, _ = whole.bounds
    if west >= -180.0 and east <= 180.0:
        return whole
    parts: list[BaseGeometry] = []
    for shift in (-360.0, 0.0, 360.0):
        band = shapely.box(-180.0 - shift, -90.0, 180.0 - shift, 90.0)
        part = shapely.transform(whole.intersection(band), lambda xy, by=shift: xy + np.array([by, 0.0]))
        parts += [piece for piece in shapely.get_parts(part) if piece.area > 0]
    return shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0]


def geojson_geometry(ring: Ring) -> dict[str, Any]:
    """The outline as an RFC 7946 geometry: counter-clockwise, and cut into a MultiPolygon at the antimeridian."""
    shape = shapely.orient_polygons(shapely.transform(ring_shape(ring), lambda xy: xy.round(COORDINATE_DIGITS)))
    polygons = [
        [[list(point) for point in shapely.get_coordinates(polygon.exterior).tolist()]]
        for polygon in shapely.get_parts(shape)
    ]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def bbox_shape(bbox: BBox) -> BaseGeometry:
    """The box as a shapely geometry; one that crosses the antimeridian (west > east) is two boxes."""
    west, south, east, north = bbox
    if west <= east:
        return shapely.box(west, south, east, north)
    return shapely.MultiPolygon([shapely.box(west, south, 180.0, north), shapely.box(-180.0, south, east, north)])


def bbox_centre(bbox: BBox) -> tuple[float, float]:
    """Longitude and latitude of the middle of a box.

    >>> bbox_centre((179.0, 10.0, -177.0, 12.0))
    (-179.0, 11.0)
    """
    west, south, east, north = bbox
    lon = (west + (east if west <= east else east + 360.0)) / 2
    return (lon if lon <= 180.0 else lon - 360.0), (south + north) / 2


def enclosing_bbox(boxes: Iterable[BBox]) -> BBox | None:
    """The smallest box around all; it crosses the antimeridian where that is the shorter way round.

    >>> enclosing_bbox([(170.0, -5.0, 175.0, 0.0), (-178.0, -1.0, -170.0, 3.0)])
    (170.0, -5.0, -170.0, 3.0)
    """
    held = list(boxes)
    if not held:
        return None
    # What the boxes leave free of the circle of longitudes: the widest gap is outside, the rest is the box.
    spans = sorted((west, east if west <= east else east + 360.0) for west, _, east, _ in held)
    first, last = spans[0][0], max(end for _, end in spans)
    gaps = [(first + 360.0 - last, last, first)]
    reach = max(spans[0][1], last - 360.0)  # what goes beyond 180 covers the start of the circle, too
    for start, end in spans[1:]:
        gaps.append((start - reach, reach, start))
        reach = max(reach, end)
    width, east, west = max(gaps, key=lambda gap: gap[0])
    south, north = min(box[1] for box in held), max(box[3] for box in held)
    if width <= 0:
        return -180.0, south, 180.0, north
    return west, south, (east if east <= 180.0 else east - 360.0), north


def area_km2(rings: Iterable[Ring]) -> float:
    """Ground that the outlines cover together, on the ellipsoid; what several cover counts once."""
    from pyproj import Geod  # slow to import

    ellipsoid = Geod(ellps="WGS84")
    covered = shapely.union_all([ring_shape(ring) for ring in rings])
    total_m2 = 0.0
    # A geodesic takes the short way round: what spans the globe is measured in bands, its long edges in short steps.
    for west in range(-180, 180, BAND_DEG):
        band = covered.intersection(shapely.box(west, -90.0, west + BAND_DEG, 90.0))
        if not band.is_empty:
            step = shapely.segmentize(shapely.orient_polygons(band), STEP_DEG)
            total_m2 += abs(ellipsoid.geometry_area_perimeter(step)[0])
    return total_m2 / 1e6
