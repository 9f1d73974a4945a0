"""Tiles as others exchange them: what a file of an index's own embeddings holds beside what any other does.

`rsitr embeddings` writes these columns, and `rsitr index --from-embeddings` reads them back to the last bit. Names are
those that Earth Index and Planet use (`id`, `geometry`, `embedding`, `datetime`) and STAC's (`gsd`).
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from rsitr.errors import DataError
from rsitr.geo import cut_shape
from rsitr.index.manifest import ModelRecord, Settings
from rsitr.index.rows import numbers, tile_schema
from rsitr.types import SceneEntry

__all__ = ["OWN_KEY", "Exchange", "file_columns", "file_schema", "rows_of_file"]

OWN_KEY = b"rsitr"
"""Under which a file's metadata hold an `Exchange`."""
DAY_MS = 86_400_000
SIDES = ("xmin", "ymin", "xmax", "ymax")
WINDOW = ("col", "row", "width", "height")
CROSSING = pa.struct([("west", pa.float64()), ("east", pa.float64()), ("footprint", pa.binary())])


class Exchange(BaseModel):
    """What a file says of the index that its tiles are from.

    Attributes:
        tiles: marks the file, and numbers its format.
        model: that made the vectors.
        settings: how scenes were cut.
        scenes: what the index remembers of each.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiles: Literal[1] = 1
    model: ModelRecord
    settings: Settings
    scenes: tuple[SceneEntry, ...]

    def dump(self) -> str:
        """As the file's metadata hold it: JSON, whose numbers are exact."""
        plain = {
            "tiles": self.tiles,
            "model": self.model.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
            "scenes": [dataclasses.asdict(scene) for scene in self.scenes],
        }
        return json.dumps(plain, ensure_ascii=False, default=_day)

    @classmethod
    def load(cls, metadata: Mapping[bytes, bytes]) -> Exchange | None:
        """Of a file's metadata; None where the file is not one of ours.

        Raises:
            DataError: it is, and cannot be understood.
        """
        found = metadata.get(OWN_KEY)
        if found is None or b'"tiles"' not in found:
            return None
        try:
            return cls.model_validate_json(found)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "it"
            raise DataError(
                f"what it says of its index is not understood ({where}: {first['msg']}); update rsitr, or write it anew"
            ) from error


def _day(value: datetime.date) -> str:
    return value.isoformat()


def file_schema(dim: int) -> Any:
    """Columns of a file of tiles: for each its id, place, time, what it was cut from, its model and its vector."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("geometry", pa.binary()),
            ("bbox", pa.struct([(side, pa.float64()) for side in SIDES])),
            ("datetime", pa.timestamp("ms", tz="UTC")),
            ("gsd", pa.float64()),
            ("sensor", pa.string()),
            ("scene", pa.string()),
            ("window_px", pa.list_(pa.int32(), len(WINDOW))),
            ("model", pa.string()),
            ("model_fingerprint", pa.string()),
            ("crossing", CROSSING),
            ("embedding", pa.list_(pa.float32(), dim)),
        ]
    )


def file_columns(rows: Any, *, model: ModelRecord) -> Any:
    """A batch of an index's table of tiles as a batch of a file.

    Outlines across the antimeridian are cut there, as GeoParquet wants them, and boxes made to hold both sides of the
    map; what they were is kept in the column `crossing`.
    """
    n = len(rows)
    west, east = numbers(rows["west"]), numbers(rows["east"])
    footprints = rows["footprint"]
    across = np.flatnonzero(_reach_beyond(footprints) | (west > east))
    geometry, crossing = footprints, pa.nulls(n, CROSSING)
    if len(across):
        geometry, crossing = _cut(footprints, across, west=west, east=east)
        west, east = west.copy(), east.copy()
        west[across], east[across] = -180.0, 180.0
    is_nowhere = pc.is_null(rows["west"])
    sides = [pa.array(west), rows["south"], pa.array(east), rows["north"]]
    days = numbers(rows["day"], missing=0).astype(np.int64) * DAY_MS
    window = np.stack([numbers(rows[name]) for name in WINDOW], axis=1).astype(np.int32)
    return pa.record_batch(
        [
            rows["tile"],
            geometry,
            pa.StructArray.from_arrays(sides, names=list(SIDES), mask=is_nowhere),
            pa.array(days, mask=~np.asarray(rows["day"].is_valid())).cast(pa.timestamp("ms", tz="UTC")),
            rows["gsd_m"],
            rows["sensor"],
            rows["scene"],
            pa.FixedSizeListArray.from_arrays(pa.array(window.ravel()), len(WINDOW)),
            pa.repeat(pa.scalar(model.name), n),
            pa.repeat(pa.scalar(model.fingerprint), n),
            crossing,
            rows["vector"],
        ],
        schema=file_schema(model.dim),
    )


def rows_of_file(batch: Any, *, vectors: Any) -> Any:
    """A batch of a file of ours as a batch of an index's table of tiles; `vectors` are those that were read of it."""
    n, crossing = len(batch), batch["crossing"]
    across = np.flatnonzero(np.asarray(crossing.is_valid()))
    footprints, bbox = batch["geometry"], batch["bbox"]
    sides = {name: bbox.field(i) for i, name in enumerate(SIDES)}
    west, east = numbers(sides["xmin"]).copy(), numbers(sides["xmax"]).copy()
    if len(across):
        whole = footprints.to_pylist()
        for i in across.tolist():
            west[i], east[i], whole[i] = (crossing[i].as_py()[name] for name in ("west", "east", "footprint"))
        footprints = pa.array(whole, pa.binary())
    there = np.asarray(bbox.is_valid())
    window = batch["window_px"].flatten().to_numpy().reshape(n, len(WINDOW))
    days = numbers(batch["datetime"].cast(pa.int64()), missing=0) // DAY_MS
    columns = [
        batch["id"],
        batch["scene"],
        *(pa.array(window[:, i].astype(np.int32)) for i in range(len(WINDOW))),
        *(
            pa.array(side, mask=~there)
            for side in (west, numbers(sides["ymin"]), east, numbers(sides["ymax"]))
        ),
        footprints,
        pa.array(days.astype(np.int32), mask=~np.asarray(batch["datetime"].is_valid())),
        batch["gsd"],
        batch["sensor"],
        vectors,
    ]  # fmt: skip
    return pa.record_batch(columns, schema=tile_schema(vectors.type.list_size))


def _reach_beyond(footprints: Any) -> NDArray[np.bool_]:
    bounds = shapely.bounds(shapely.from_wkb(footprints.to_numpy(zero_copy_only=False)))
    with np.errstate(all="ignore"):
        found: NDArray[np.bool_] = (bounds[:, 0] < -180.0) | (bounds[:, 2] > 180.0)
    return found


def _cut(
    footprints: Any, across: Sequence[int] | NDArray[np.intp], *, west: NDArray[Any], east: NDArray[Any]
) -> tuple[Any, Any]:
    whole, kept = footprints.to_pylist(), [None] * len(footprints)
    cut = list(whole)
    for i in (int(place) for place in across):
        kept[i] = {"west": float(west[i]), "east": float(east[i]), "footprint": whole[i]}  # type: ignore[call-overload]
        if whole[i] is not None:
            cut[i] = shapely.to_wkb(shapely.orient_polygons(cut_shape(shapely.from_wkb(whole[i]))), byte_order=1)
    return pa.array(cut, pa.binary()), pa.array(kept, CROSSING)
