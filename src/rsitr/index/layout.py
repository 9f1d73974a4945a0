"""What a first pass over the small columns of a file of embeddings tells, and what becomes of its scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsitr.errors import DataError
from rsitr.geo import FileState
from rsitr.index.rows import BBOX, numbers
from rsitr.index.values import NO_DAY, day_of
from rsitr.types import BBox, Ring, SceneEntry

__all__ = ["Layout", "SceneTally", "name_scenes", "require_distinct"]

MOST_SCENES = 10_000
"""More in one file, or more than one for every other row, are no scenes but names of tiles."""
WORLD_DEG = 360.0


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The rows of a file, n of them.

    Attributes:
        scenes: names in the index.
        codes: (n,) which of them a row is of.
        days: (n,) since 1970, `NO_DAY` where unknown.
        ids: of the rows, a column of texts; None where the rows' numbers are to name the tiles.
        notes: what a person should know.
    """

    scenes: tuple[str, ...]
    codes: NDArray[np.int32]
    days: NDArray[np.int32]
    ids: Any
    notes: tuple[str, ...] = ()


def name_scenes(
    file: str, named: Any, days: NDArray[np.int32], *, is_asked: bool
) -> tuple[tuple[str, ...], NDArray[np.int32], str]:
    """The scenes of a file that is not of ours: those it names, or itself; of several days, one for each.

    Args:
        file: its name in the index, which scenes' names begin with.
        named: the column of scenes, empty where it has none.
        days: of the rows.
        is_asked: a person has named that column.

    Returns:
        The scenes' names, which of them each row is of, and what a person should know.

    Raises:
        DataError: the column that a person named holds more names than scenes can be.
    """
    coded = named.dictionary_encode().combine_chunks() if len(named) else None
    values = [file]
    base = np.zeros(len(days), dtype=np.int64)
    note = ""
    if coded is not None:
        chunk = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
        found = chunk.dictionary.to_pylist()
        if len(found) > min(MOST_SCENES, max(1, len(days) // 2)):
            if is_asked:
                raise DataError(
                    f"its column of scenes has {len(found):,} names for {len(days):,} rows: a scene is what many tiles "
                    f"were cut from, at most {MOST_SCENES:,} in a file"
                )
            note = f"its {len(found):,} names of scenes are too many to be scenes, so the file is one"
        else:
            values += [f"{file}/{name}" for name in found]
            base = numbers(chunk.indices, missing=-1).astype(np.int64) + 1
    pairs, codes = np.unique(np.stack([base, days.astype(np.int64)], axis=1), axis=0, return_inverse=True)
    if len(pairs) > MOST_SCENES:
        raise DataError(
            f"its rows are of {len(pairs):,} scenes and days, and a file holds {MOST_SCENES:,} at most: split it, or "
            "name another --date-column"
        )
    n_days = np.bincount(pairs[:, 0], minlength=len(values))
    scenes = tuple(
        values[which] if n_days[which] == 1 else f"{values[which]}/{day_of(day) or 'undated'}"
        for which, day in pairs.tolist()
    )
    return scenes, codes.reshape(-1).astype(np.int32), note


def require_distinct(ids: Any) -> str | None:
    """An id that occurs twice in a column of them; None where none does."""
    if pc.count_distinct(ids, mode="only_valid").as_py() == len(ids) - ids.null_count:
        return None
    counted = pc.value_counts(ids.drop_null())
    worst = int(np.argmax(counted.field("counts").to_numpy()))
    return str(counted.field("values")[worst])


class SceneTally:
    """What is known of the scenes of a file once its rows have gone by: how many tiles each has, and where they lie."""

    def __init__(self, scenes: Sequence[str]) -> None:
        self._scenes = {scene: i for i, scene in enumerate(scenes)}
        n = len(scenes)
        self._counts = np.zeros(n, dtype=np.int64)
        self._lat = np.stack([np.full(n, np.inf), np.full(n, -np.inf)])
        # Longitudes from -180 on and from 0 on: where a scene crosses the antimeridian, the latter are closer together.
        self._lon = np.stack([np.full((2, n), np.inf), np.full((2, n), -np.inf)])
        self._days = np.full(n, NO_DAY, dtype=np.int64)
        self._gsd_m = np.full(n, np.inf)
        self._sensors: dict[int, str] = {}

    def add(self, rows: Any) -> None:
        """Count a batch of an index's table of tiles."""
        coded = rows["scene"].dictionary_encode()
        where = np.array([self._scenes[name] for name in coded.dictionary.to_pylist()], dtype=np.int64)
        local = numbers(coded.indices)
        codes = where[local]
        np.add.at(self._counts, codes, 1)
        west, south, east, north = (numbers(rows[side]) for side in BBOX)
        with np.errstate(all="ignore"):
            width = np.where(east < west, east + WORLD_DEG, east) - west
            for frame, start in enumerate((west, west % WORLD_DEG)):
                np.fmin.at(self._lon[0, frame], codes, start)
                np.fmax.at(self._lon[1, frame], codes, start + width)
            np.fmin.at(self._lat[0], codes, south)
            np.fmax.at(self._lat[1], codes, north)
            np.fmin.at(self._gsd_m, codes, numbers(rows["gsd_m"]))
        np.maximum.at(self._days, codes, numbers(rows["day"], missing=NO_DAY))
        if rows["sensor"].null_count < len(rows):
            first = np.unique(local, return_index=True)[1]
            for row in first.tolist():
                if (sensor := rows["sensor"][row].as_py()) is not None:
                    self._sensors.setdefault(int(codes[row]), sensor)

    @property
    def n_tiles(self) -> int:
        """Tiles of all scenes."""
        return int(self._counts.sum())

    def entries(self, written: Mapping[str, SceneEntry], *, state: FileState) -> list[SceneEntry]:
        """What the index remembers of the scenes that have tiles.

        Args:
            written: scenes as the file itself tells of them, by name.
            state: of the file, for the others.
        """
        found = []
        for scene, i in self._scenes.items():
            n_tiles = int(self._counts[i])
            if n_tiles and (known := written.get(scene)) is not None:
                found.append(replace(known, n_tiles=n_tiles))
            elif n_tiles:
                found.append(self._entry(scene, i, n_tiles=n_tiles, state=state))
        return found

    def _entry(self, scene: str, i: int, *, n_tiles: int, state: FileState) -> SceneEntry:
        bbox, ring = self._place(i)
        return SceneEntry(
            scene=scene,
            size_bytes=state[0],
            mtime_ns=state[1],
            size_px=(0, 0),
            n_tiles=n_tiles,
            n_left_out=0,
            footprint=ring,
            bbox=bbox,
            date=day_of(int(self._days[i])),
            gsd_m=float(self._gsd_m[i]) if np.isfinite(self._gsd_m[i]) else None,
            sensor=self._sensors.get(i),
        )

    def _place(self, i: int) -> tuple[BBox | None, Ring | None]:
        """The box around a scene's tiles, and the same as a ring."""
        south, north = self._lat[:, i].tolist()
        spans = [self._lon[:, frame, i].tolist() for frame in (0, 1)]
        west, east = min(spans, key=lambda span: span[1] - span[0])
        if not np.isfinite([west, south, east, north]).all():
            return None, None
        if east - west >= WORLD_DEG:
            west, east = -180.0, 180.0
        elif west > 180.0:
            west, east = west - WORLD_DEG, east - WORLD_DEG
        ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
        return (west, south, east if east <= 180.0 else east - WORLD_DEG, north), ring
