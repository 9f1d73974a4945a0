"""A filter as Milvus reads it: which tiles it may leave out before it ranks.

What passes a filter is decided here, by the columns in memory. What Milvus is told leaves out no tile that passes, and
few that do not: it looks at boxes where outlines decide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import shapely

from rsitr.geo import COARSEST_GSD_M, SMALLEST_PX, area_shape
from rsitr.index.filtering import TileColumns, match_names
from rsitr.index.rows import EPOCH
from rsitr.types import BBox, Tile, TileFilter

__all__ = ["columns_of", "condition_of", "one_of"]

NO_BOX = (400.0, 400.0, 400.0, 400.0)  # Milvus 2.3 knows no null; this meets no box on Earth
NO_DAY = -(2**31)
NO_GSD_M = -1.0
MOST_NAMES = 1000
MOST_PARTS = 64


def condition_of(where: TileFilter | None, columns: TileColumns) -> list[str]:
    """The conditions of a filter, all of which hold for each tile that passes it.

    Args:
        where: the filter.
        columns: of the tiles, for the names of scenes that a pattern means.
    """
    if where is None:
        return []
    found = []
    if where.scene is not None:
        meant = match_names(where.scene, columns.scenes.names)
        names = [name for name, is_meant in zip(columns.scenes.names, meant, strict=True) if is_meant]
        if len(names) <= MOST_NAMES:
            found.append(one_of("scene", names))
    if where.sensor is not None:
        found.append(one_of("sensor", [_name_sensor(where.sensor)]))
    if where.since is not None:
        found.append(f"day >= {(where.since - EPOCH).days}")
    if where.until is not None:
        found.append(f"(day <= {(where.until - EPOCH).days} and day > {NO_DAY})")
    if where.gsd_m is not None:
        finest, coarsest = (_round(side) for side in where.gsd_m)
        found.append(f"(gsd_m >= {max(finest, 0.0)!r} and gsd_m <= {coarsest!r})")
    if where.is_suitable:
        found.append(f"(side_px >= {SMALLEST_PX} or side_px == 0) and not (gsd_m > {_round(COARSEST_GSD_M)!r})")
    if where.bbox is not None:
        found.append(_meets(where.bbox))
    if where.area is not None:
        area = area_shape(where.area)
        parts = shapely.get_parts(area)
        boxes = [part.bounds for part in parts] if len(parts) <= MOST_PARTS else [area.bounds]
        found.append("(" + " or ".join(map(_meets, boxes)) + ")" if boxes else f"day < {NO_DAY}")
    return found


def one_of(field: str, names: Iterable[str]) -> str:
    """That a text is one of some."""
    return f"{field} in [{', '.join(json.dumps(name, ensure_ascii=False) for name in names)}]"


def _name_sensor(sensor: str | None) -> str:
    """A sensor whatever the case of its letters; one without a name is another than none."""
    return "" if sensor is None else f"={sensor.casefold()}"


def _round(gsd_m: float | None) -> float:
    """As filters compare it."""
    return NO_GSD_M if gsd_m is None else float(np.float32(gsd_m))


def columns_of(tile: Tile) -> dict[str, object]:
    """What conditions look at, of a tile."""
    west, south, east, north = tile.bbox or NO_BOX
    return {
        "west": west,
        "south": south,
        "east": east,
        "north": north,
        "day": NO_DAY if tile.date is None else (tile.date - EPOCH).days,
        "gsd_m": _round(tile.gsd_m),
        "sensor": _name_sensor(tile.sensor),
        "side_px": min(tile.window_px[2:]),
    }


def _meets(bbox: BBox) -> str:
    west, south, east, north = (float(side) for side in bbox)
    beside = f"south <= {north!r} and north >= {south!r}"
    either = f"(east >= {west!r} or west <= {east!r})"
    if west <= east:
        return f"({beside} and ((east >= {west!r} and west <= {east!r}) or (west > east and {either})))"
    return f"({beside} and (west > east or {either}))"
