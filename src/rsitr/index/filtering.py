"""Which tiles may answer: every condition of a filter, decided before anything is ranked."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rsitr.geo import COARSEST_GSD_M, SMALLEST_PX, area_shape, bbox_shape, cut_shape
from rsitr.index.rows import BBOX, EPOCH, numbers, take
from rsitr.types import BBox, TileFilter

__all__ = ["Names", "TileColumns", "boxes_inside", "boxes_meet", "match_names"]

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Names:
    """A column of names as numbers: `codes` (n,) are positions in `names`, -1 where there is none."""

    names: tuple[str, ...]
    codes: NDArray[np.int32]

    @classmethod
    def from_column(cls, column: Any) -> Names:
        """Number the names of an Arrow column."""
        coded = column.dictionary_encode().combine_chunks()
        chunk = coded.chunk(0) if hasattr(coded, "chunk") else coded
        return cls(
            names=tuple(chunk.dictionary.to_pylist()),
            codes=numbers(chunk.indices, missing=-1).astype(np.int32),
        )

    def which(self, chosen: Mask) -> Mask:
        """Which rows have one of the chosen names; `chosen` is (len(names),)."""
        return np.append(chosen, False)[self.codes]


@dataclass(frozen=True)
class TileColumns:
    """What filters look at, one entry per tile, in memory.

    Attributes:
        boxes: (4, n) west, south, east, north; NaN where a tile has no place.
        days: (n,) days since 1970; NaN where unknown.
        gsd_m: (n,) metres per pixel; NaN where unknown.
        sides_px: (n,) the shorter side of each tile's window; 0 where it is unknown.
        scenes: the scene of each tile.
        sensors: the sensor of each tile.
        footprints: Arrow column of WKB outlines.
    """

    boxes: NDArray[np.float64]
    days: NDArray[np.float32]
    gsd_m: NDArray[np.float32]
    sides_px: NDArray[np.int32]
    scenes: Names
    sensors: Names
    footprints: Any

    @classmethod
    def from_table(cls, table: Any) -> TileColumns:
        """Take the columns out of an Arrow table of tiles."""
        return cls(
            boxes=np.stack([numbers(table[side]) for side in BBOX]),
            days=numbers(table["day"].cast("float32")),
            gsd_m=numbers(table["gsd_m"].cast("float32")),
            sides_px=np.minimum(numbers(table["width"]), numbers(table["height"])),
            scenes=Names.from_column(table["scene"]),
            sensors=Names.from_column(table["sensor"]),
            footprints=table["footprint"],
        )

    def __len__(self) -> int:
        return len(self.days)

    @cached_property
    def _crossing(self) -> Rows:
        """Tiles across the antimeridian."""
        return np.flatnonzero(self.boxes[0] > self.boxes[2])

    @cached_property
    def _suitable(self) -> Mask | None:
        """Tiles whose pixels can show something to a model; None where all can."""
        is_large = (self.sides_px >= SMALLEST_PX) | (self.sides_px == 0)
        mask: Mask = ~(self.gsd_m > np.float32(COARSEST_GSD_M)) & is_large
        return None if mask.all() else mask

    def passing(self, where: TileFilter | None) -> Rows | None:
        """Rows of the tiles that pass, ascending; None where nothing is asked, which all do."""
        if where is None or where == TileFilter():
            return None
        masks: list[Mask] = []
        if where.scene is not None:
            masks.append(self.scenes.which(match_names(where.scene, self.scenes.names)))
        if where.is_suitable and self._suitable is not None:
            masks.append(self._suitable)
        if where.sensor is not None:
            wanted = where.sensor.casefold()
            masks.append(self.sensors.which(np.array([name.casefold() == wanted for name in self.sensors.names])))
        # Comparisons with NaN are false: what is unknown of a tile does not pass.
        if where.since is not None:
            masks.append(self.days >= (where.since - EPOCH).days)
        if where.until is not None:
            masks.append(self.days <= (where.until - EPOCH).days)
        if where.gsd_m is not None:
            finest, coarsest = where.gsd_m
            masks.append((self.gsd_m >= np.float32(finest)) & (self.gsd_m <= np.float32(coarsest)))
        if where.bbox is not None:
            masks.append(self._meet(where.bbox))
        area = None if where.area is None else area_shape(where.area)
        if area is not None:
            masks.append(self._near(area))
        if not masks:
            return None
        rows: Rows = np.flatnonzero(np.logical_and.reduce(masks))
        if where.bbox is not None:
            rows = self._within(rows, where.bbox)
        return rows if area is None else rows[self._outlines_meet(rows, area)]

    def _meet(self, bbox: BBox) -> Mask:
        return boxes_meet(self.boxes, bbox, crossing=self._crossing)

    def _near(self, area: BaseGeometry) -> Mask:
        near: Mask = np.zeros(len(self), dtype=bool)
        for part in shapely.get_parts(area):
            near |= self._meet(part.bounds)
        return near

    def _within(self, rows: Rows, bbox: BBox) -> Rows:
        """Of tiles whose boxes meet a box, those whose outlines do. Where the box holds all of a tile, that is sure."""
        sure = boxes_inside(self.boxes[:, rows], bbox)
        sure[~sure] = self._outlines_meet(rows[~sure], bbox_shape(bbox))
        return rows[sure]

    def _outlines_meet(self, rows: Rows, shape: BaseGeometry) -> Mask:
        if not len(rows):
            return np.zeros(0, dtype=bool)
        outlines = shapely.from_wkb(take(self.footprints, rows).to_numpy())
        bounds = shapely.bounds(outlines)
        for i in np.flatnonzero((bounds[:, 0] < -180.0) | (bounds[:, 2] > 180.0)):
            outlines[i] = cut_shape(outlines[i])
        shapely.prepare(shape)
        meets: Mask = shapely.intersects(shape, outlines)
        return meets


def boxes_meet(boxes: NDArray[np.float64], bbox: BBox, *, crossing: Rows | None = None) -> Mask:
    """Which of (4, n) boxes meet another; either may cross the antimeridian (west > east).

    Args:
        boxes: west, south, east, north.
        bbox: the other.
        crossing: which of `boxes` cross the antimeridian, where that is known already.
    """
    west, south, east, north = boxes
    crossing = np.flatnonzero(west > east) if crossing is None else crossing
    from_west, to_east = east >= bbox[0], west <= bbox[2]
    meets: Mask = from_west & to_east if bbox[0] <= bbox[2] else from_west | to_east
    meets[crossing] = (from_west[crossing] | to_east[crossing]) if bbox[0] <= bbox[2] else True
    meets &= south <= bbox[3]
    meets &= north >= bbox[1]
    return meets


def boxes_inside(boxes: NDArray[np.float64], bbox: BBox) -> Mask:
    """Which of (4, n) boxes certainly lie within another; one across the antimeridian is never certain."""
    west, south, east, north = boxes
    from_west, to_east = west >= bbox[0], east <= bbox[2]
    in_lon = from_west & to_east if bbox[0] <= bbox[2] else from_west | to_east
    inside: Mask = in_lon & (west <= east) & (south >= bbox[1]) & (north <= bbox[3])
    return inside


def match_names(scene: str | Sequence[str], names: Sequence[str]) -> Mask:
    """Which names are meant: the one that is exactly so called, or else those that fit the pattern; or of several."""
    if not isinstance(scene, str):
        any_of: Mask = np.logical_or.reduce([match_names(one, names) for one in scene])
        return any_of
    if scene in names:
        return np.array([name == scene for name in names], dtype=bool)
    pattern = re.compile(fnmatch.translate(scene))
    return np.array([bool(pattern.match(name)) for name in names], dtype=bool)
