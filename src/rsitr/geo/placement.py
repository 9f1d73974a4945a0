"""Where the pixels of a scene lie on Earth: footprints, boxes, ground sampling distances.

A window's outline is followed along its edges (in most reference systems a straight edge of pixels is no straight line
of longitudes and latitudes), so that its box holds all of it. Of the points only as many are kept as the outline needs
to stay within half a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray
from pyproj.exceptions import CRSError as PyprojCRSError
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.rpc import RPC
from rasterio.transform import GCPTransformer, RPCTransformer
from rasterio.warp import transform

from rsitr.geo.tiling import Window
from rsitr.types import BBox, Ring

__all__ = ["Ground", "Placement", "point_ground", "read_placement"]

Floats = NDArray[np.float64]

WGS84 = CRS.from_epsg(4326)
GEOD = pyproj.Geod(ellps="WGS84")
EARTH_RADIUS_M = (6.3e6, 6.4e6)  # every ellipsoid of the Earth has its axis in here, and no other planet's
DEGREE_M = 111_320.0  # one degree of latitude, near enough to compare an error with a pixel
EDGE_PARTS = 22  # as rasterio's transform_bounds divides an edge (21 points inside it), so that boxes agree with it
CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0))  # down, right, up, left: counter-clockwise where north is up


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a window of a scene lies.

    Attributes:
        ring: its outline.
        bbox: the box around the outline.
        gsd_m: ground sampling distance in metres at its centre: the root of a pixel's width times its height, measured
            on the ellipsoid (a pixel of web Mercator says 0.6 m and is 0.47 m on the ground at 38 degrees north); None
            where only a point is known.
    """

    ring: Ring
    bbox: BBox
    gsd_m: float | None


def point_ground(lon: float, lat: float) -> Ground:
    """A point as an outline of two metres, so that it has a place on maps and in areas.

    >>> [round(side, 5) for side in point_ground(2.29446, 48.85819).bbox]
    [2.29445, 48.85818, 2.29447, 48.8582]
    """
    high = 1.0 / DEGREE_M
    wide = min(high / max(math.cos(math.radians(lat)), high), 1.0)
    west, east = max(-180.0, lon - wide), min(180.0, lon + wide)
    south, north = max(-90.0, lat - high), min(90.0, lat + high)
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    return Ground(ring=ring, bbox=(west, south, east, north), gsd_m=None)


@dataclass(frozen=True, slots=True)
class Placement:
    """How pixels become coordinates: an affine transform, a polynomial through control points, or a sensor model.

    Attributes:
        crs_wkt: reference system of the transform or of the points.
        affine: (a, b, c, d, e, f) with x = a col + b row + c and y = d col + e row + f; None where there is none.
        gcps: (col, row, x, y) each; GDAL's own polynomial goes through them, as in gdalwarp.
        rpc: rational polynomial coefficients as GDAL names and writes them. Without a terrain model the ground is taken
            to lie at their mean height: in mountains footprints are off by tens to hundreds of metres.
    """

    crs_wkt: str
    affine: tuple[float, ...] | None
    gcps: tuple[tuple[float, float, float, float], ...] = ()
    rpc: tuple[tuple[str, str], ...] = ()

    def locate(self, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Longitudes and latitudes of pixel positions (0, 0 is the outer corner).

        Args:
            cols: (n windows, points).
            rows: likewise.

        Returns:
            Longitudes and latitudes of the same shape; a window with a point that has none is not finite.
        """
        xs, ys = self._project(cols.ravel(), rows.ravel())
        try:
            lon, lat = transform(CRS.from_wkt(self.crs_wkt), WGS84, xs, ys)
        except (RasterioError, CPLE_BaseError):
            # One impossible point fails them all, e.g. a corner of a geostationary image, which looks past the Earth.
            if len(cols) == 1:
                return np.full(cols.shape, np.nan), np.full(cols.shape, np.nan)
            each = [self.locate(cols[i : i + 1], rows[i : i + 1]) for i in range(len(cols))]
            return np.concatenate([lon for lon, _ in each]), np.concatenate([lat for _, lat in each])
        return np.reshape(lon, cols.shape), np.reshape(lat, cols.shape)

    def _project(self, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
        if self.affine is not None:
            a, b, c, d, e, f = self.affine
            return a * cols + b * rows + c, d * cols + e * rows + f
        if self.rpc:
            model = RPC.from_gdal(dict(self.rpc))
            with RPCTransformer(model, RPC_HEIGHT=str(model.height_off)) as sensor:
                xs, ys = sensor.xy(rows, cols, offset="ul")
            return np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
        points = [GroundControlPoint(row=row, col=col, x=x, y=y) for col, row, x, y in self.gcps]
        with GCPTransformer(points) as fitted:
            xs, ys = fitted.xy(rows, cols, offset="ul")
        return np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)

    def ground(self, windows: Sequence[Window]) -> list[Ground | None]:
        """Where each window lies; None for one that reaches beyond what its reference system can say of the Earth."""
        if not windows:
            return []
        col, row, width, height = np.asarray(windows, dtype=np.float64).T
        along = _edges()
        lon, lat = self.locate(
            col[:, None] + width[:, None] * along[:, 0], row[:, None] + height[:, None] * along[:, 1]
        )
        gsd_m = self._gsd_m(cols=col + width / 2, rows=row + height / 2)
        return [_outline(lon[i], lat[i], gsd_m=float(gsd_m[i])) for i in range(len(windows))]

    def _gsd_m(self, *, cols: Floats, rows: Floats) -> Floats:
        half = 0.5
        lon, lat = self.locate(
            np.stack([cols - half, cols + half, cols, cols], axis=1),
            np.stack([rows, rows, rows - half, rows + half], axis=1),
        )
        lon, lat = np.where(np.isfinite(lon), lon, np.nan), np.where(np.isfinite(lat), lat, np.nan)
        _, _, across = GEOD.inv(lon[:, 0], lat[:, 0], lon[:, 1], lat[:, 1])
        _, _, down = GEOD.inv(lon[:, 2], lat[:, 2], lon[:, 3], lat[:, 3])
        product: Floats = np.asarray(across) * np.asarray(down)
        return np.sqrt(product)


def read_placement(dataset: DatasetReader) -> Placement | None:
    """How an open raster is placed on Earth, or None: no reference system, no transform, or another planet's."""
    gcps, gcp_crs = dataset.gcps
    affine = dataset.transform
    if dataset.crs and not affine.is_identity and not affine.is_degenerate:
        placement = Placement(crs_wkt=dataset.crs.to_wkt(), affine=tuple(affine)[:6])
    elif gcps and gcp_crs:
        points = tuple((float(p.col), float(p.row), float(p.x), float(p.y)) for p in gcps)
        placement = Placement(crs_wkt=gcp_crs.to_wkt(), affine=None, gcps=points)
    elif dataset.rpcs:
        placement = Placement(crs_wkt=WGS84.to_wkt(), affine=None, rpc=tuple(sorted(dataset.rpcs.to_gdal().items())))
    else:
        return None
    return placement if _is_earth(placement.crs_wkt) else None


def _is_earth(crs_wkt: str) -> bool:
    try:
        ellipsoid = pyproj.CRS.from_wkt(crs_wkt).ellipsoid
    except PyprojCRSError:
        return False
    return ellipsoid is not None and EARTH_RADIUS_M[0] < ellipsoid.semi_major_metre < EARTH_RADIUS_M[1]


def _edges() -> Floats:
    """Points along the outline of the unit square, (4 x EDGE_PARTS, 2), from corner to corner, the first not again."""
    parts = np.arange(EDGE_PARTS)[:, None] / EDGE_PARTS
    corners = np.asarray(CORNERS)
    return np.concatenate([a + parts * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])


def _outline(lon: Floats, lat: Floats, *, gsd_m: float) -> Ground | None:
    if not (np.isfinite(lon).all() and np.isfinite(lat).all() and math.isfinite(gsd_m)):
        return None
    lat = np.clip(lat, -90.0, 90.0)  # rasters of the whole globe often reach half a pixel beyond the poles
    steps = np.diff(lon, append=lon[:1])
    steps -= 360.0 * np.round(steps / 360.0)
    if abs(steps.sum()) > 180.0:  # once around: a pole is inside
        return Ground(*_polar(lon, lat), gsd_m=gsd_m)
    lon = lon[0] + np.concatenate([[0.0], np.cumsum(steps[:-1])])
    lon -= 360.0 * math.floor(((lon.min() + lon.max()) / 2 + 180.0) / 360.0)
    lon = np.where(np.abs(np.abs(lon) - 180.0) < 1e-9, np.copysign(180.0, lon), lon)  # rounding is no crossing
    kept = _needed_points(lon, lat, tolerance_m=gsd_m / 2)
    return Ground(ring=_ring(lon[kept], lat[kept]), bbox=_bbox(lon, lat), gsd_m=gsd_m)


def _needed_points(lon: Floats, lat: Floats, *, tolerance_m: float) -> NDArray[np.intp]:
    """Corners only, or as many points between them as it takes to stay within the tolerance."""
    every = np.arange(len(lon))
    closed_lon, closed_lat = np.append(lon, lon[0]), np.append(lat, lat[0])
    scale = np.cos(np.radians(lat))
    for step in (EDGE_PARTS, EDGE_PARTS // 2, 2):
        kept = every[::step]
        ends = np.append(kept, len(lon))
        off_lon = (np.interp(every, ends, closed_lon[ends]) - lon) * scale
        off_lat = np.interp(every, ends, closed_lat[ends]) - lat
        if float(np.hypot(off_lon, off_lat).max()) * DEGREE_M <= tolerance_m:
            return kept
    return every


def _ring(lon: Floats, lat: Floats) -> Ring:
    twice_area = float(np.sum(lon * np.roll(lat, -1) - np.roll(lon, -1) * lat))
    points = list(zip(lon.tolist(), lat.tolist(), strict=True))
    if twice_area < 0:
        points.reverse()
    return (*points, points[0])


def _bbox(lon: Floats, lat: Floats) -> BBox:
    west, east = float(lon.min()), float(lon.max())
    if east - west >= 360.0:
        west, east = -180.0, 180.0
    west = west + 360.0 if west < -180.0 else west
    east = east - 360.0 if east > 180.0 else east
    return west, float(lat.min()), east, float(lat.max())


def _polar(lon: Floats, lat: Floats) -> tuple[Ring, BBox]:
    """The outline of a window around a pole: on a map of longitudes a band from side to side, closed along the pole."""
    pole = math.copysign(90.0, float(lat.mean()))
    order = np.argsort((lon + 180.0) % 360.0)
    lon, lat = (lon[order] + 180.0) % 360.0 - 180.0, lat[order]
    side = float(np.interp(180.0, lon, lat, period=360.0))
    inner = (lon > -180.0) & (lon < 180.0)
    lon = np.concatenate([[-180.0], lon[inner], [180.0, 180.0, -180.0]])
    lat = np.concatenate([[side], lat[inner], [side, pole, pole]])
    return _ring(lon, lat), (-180.0, float(lat.min()), 180.0, float(lat.max()))
