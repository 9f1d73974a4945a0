"""Outlines that others give of many tiles at once: read, brought into WGS 84, and made rings as an index keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from pyproj.exceptions import CRSError

from rsitr.errors import DataError

__all__ = ["Outlines", "make_outlines", "read_crs"]

Shapes = NDArray[np.object_]
Floats = NDArray[np.float64]

DEGREE_M = 111_320.0
WORLD_DEG = 360.0
HALF_DEG = 180.0
BEYOND_DEG = 1e-6
"""By how much rounding may carry a corner beyond a pole."""
POINT, POLYGON, MULTIPOLYGON = 0, 3, 6


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Outlines of n tiles.

    Attributes:
        wkb: polygons of one ring, counter-clockwise, little-endian; None where there is none. A ring across the
            antimeridian goes beyond 180 degrees.
        boxes: (4, n) west, south, east, north; west > east across the antimeridian, NaN where there is no outline.
        n_points: how many are points: what is asked to be a square around each.
    """

    wkb: Shapes
    boxes: Floats
    n_points: int

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which tiles have an outline."""
        return np.asarray(np.isfinite(self.boxes[0]))


def read_crs(crs: Any) -> pyproj.Transformer | None:
    """What brings coordinates into longitude and latitude; None where they are that already.

    Args:
        crs: PROJJSON, well-known text or a code such as EPSG:32631; None is WGS 84 with longitude first.

    Raises:
        DataError: it is no reference system that is known here.
    """
    if crs is None:
        return None
    try:
        found = pyproj.CRS.from_user_input(crs)
        if found.is_geographic and found.to_epsg() in {4326, None} and found.name.startswith("WGS 84"):
            return None  # GeoParquet's coordinates are longitude first whatever the system says of its axes
        return pyproj.Transformer.from_crs(found, "OGC:CRS84", always_xy=True)
    except CRSError as error:
        raise DataError(f"its coordinates are in a reference system that is not known here ({error})") from error


def _square_around(lon: Floats, lat: Floats, *, side_m: float) -> Shapes:
    """Squares on the ground around points, (n,); None around a point that is nowhere on Earth."""
    high = side_m / 2 / DEGREE_M
    with np.errstate(all="ignore"):
        wide = np.minimum(high / np.maximum(np.cos(np.radians(lat)), high), HALF_DEG / 2)
    there = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90.0)
    squares = np.full(len(lon), None, dtype=object)
    south, north = np.clip(lat - high, -90.0, 90.0), np.clip(lat + high, -90.0, 90.0)
    squares[there] = shapely.box(*(side[there] for side in (lon - wide, south, lon + wide, north)))
    return squares


def make_outlines(
    shapes: Shapes, *, transformer: pyproj.Transformer | None = None, side_m: float | None = None
) -> Outlines:
    """Make outlines of geometries of any kind: what is neither a polygon nor a point has none, nor has what is nowhere.

    Holes are left out. Of several polygons it is the hull, or, where they touch the antimeridian from both sides, what
    they make together across it. A polygon of more than half the world's width is taken to cross the antimeridian.

    Args:
        shapes: (n,) geometries or None.
        transformer: brings their coordinates into longitude and latitude; None where they are that.
        side_m: side of the square that a point stands for; None leaves points without an outline.
    """
    with np.errstate(all="ignore"):  # coordinates that are no numbers are let go of below
        found, is_point = _polygons(shapes, transformer=transformer, side_m=side_m)
        bounds = shapely.bounds(found)
        for i in np.flatnonzero(bounds[:, 2] - bounds[:, 0] > HALF_DEG):
            found[i] = _narrowed(found[i])
            bounds[i] = shapely.bounds(found[i])
        there = _is_on_earth(bounds)
        found[~there], bounds[~there] = None, np.nan
        turned = there & ~shapely.is_ccw(shapely.get_exterior_ring(found))
        found[turned] = shapely.orient_polygons(found[turned])
        wkb = shapely.to_wkb(found, output_dimension=2, byte_order=1, include_srid=False)
    boxes = bounds.T
    boxes[1::2] = np.clip(boxes[1::2], -90.0, 90.0)
    boxes[0::2] = _wrapped(boxes[0::2])
    return Outlines(np.asarray(wkb, dtype=object), boxes, n_points=int(is_point.sum()))


def _polygons(
    shapes: Shapes, *, transformer: pyproj.Transformer | None, side_m: float | None
) -> tuple[Shapes, NDArray[np.bool_]]:
    """Polygons of one ring each in longitude and latitude, and which of them were points."""
    found = np.array(shapes, dtype=object)
    kind = shapely.get_type_id(found)
    points, index = shapely.get_coordinates(found, return_index=True)
    found[index[~np.isfinite(points).all(axis=1)]] = None
    found[~np.isin(kind, (POINT, POLYGON, MULTIPOLYGON)) | shapely.is_empty(found)] = None
    if transformer is not None:
        found = shapely.transform(found, _moving(transformer))
    is_point = (kind == POINT) & ~shapely.is_missing(found)
    if side_m is None:
        found[is_point] = None
    else:
        found[is_point] = _square_around(
            shapely.get_x(found[is_point]), shapely.get_y(found[is_point]), side_m=side_m
        )  # fmt: skip
    for i in np.flatnonzero(kind == MULTIPOLYGON):
        found[i] = None if found[i] is None else _one_of(found[i])
    pierced = shapely.get_num_interior_rings(found) > 0
    found[pierced] = shapely.polygons(shapely.get_exterior_ring(found[pierced]))
    return found, is_point


def _moving(transformer: pyproj.Transformer) -> Any:
    def move(points: Floats) -> Floats:
        lon, lat = transformer.transform(points[:, 0], points[:, 1])
        return np.stack([lon, lat], axis=1)

    return move


def _one_of(shape: Any) -> Any:
    """One polygon that stands for several."""
    parts = shapely.get_parts(shape)
    if len(parts) == 1:
        return parts[0]
    west, _, east, _ = shapely.bounds(shape)
    if east - west > HALF_DEG:
        moved = [shapely.transform(part, _eastward) if shapely.bounds(part)[2] <= 0 else part for part in parts]
        shape = shapely.union_all(moved)
    return shape if shapely.get_type_id(shape) == POLYGON else shapely.convex_hull(shape)


def _narrowed(shape: Any) -> Any:
    """A polygon whose longitudes jump from 180 to -180, without the jump; as it is where that makes nothing of it."""
    moved = shapely.transform(shape, _eastward)
    west, _, east, _ = shapely.bounds(moved)
    old_west, _, old_east, _ = shapely.bounds(shape)
    return moved if 0 < east - west < old_east - old_west else shape


def _eastward(points: Floats) -> Floats:
    return np.stack([np.where(points[:, 0] < 0, points[:, 0] + WORLD_DEG, points[:, 0]), points[:, 1]], axis=1)


def _is_on_earth(bounds: Floats) -> NDArray[np.bool_]:
    """Which of (n, 4) bounds are finite, of some size, and on the globe."""
    with np.errstate(all="ignore"):
        west, south, east, north = bounds.T
        inside = (south >= -90.0 - BEYOND_DEG) & (north <= 90.0 + BEYOND_DEG)
        near = (np.abs(west) <= WORLD_DEG) & (np.abs(east) <= WORLD_DEG) & (east - west <= WORLD_DEG)
        there: NDArray[np.bool_] = inside & near & (east > west) & (north > south)
    return there


def _wrapped(sides: Floats) -> Floats:
    """West and east within -180..180, (2, n); what lies there already stays as it is to the last bit."""
    with np.errstate(all="ignore"):
        moved = (sides + HALF_DEG) % WORLD_DEG - HALF_DEG
        return np.where(np.abs(sides) <= HALF_DEG, sides, moved)
