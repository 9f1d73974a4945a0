"""What has been encoded and is not yet in the store, so that a killed run loses next to nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rsitr.geo import FileState
from rsitr.index.rows import codes_from_table, table_from_tiles, tile_from_row, tile_schema, vectors_from_table
from rsitr.types import FloatArray, Tile
from rsitr.version import __version__

__all__ = ["Finished", "Journal", "LeftOut"]

HEADER = b"rsitr"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A window that is mostly nodata, and the share of it that is not."""

    window_px: tuple[int, int, int, int]
    valid_share: float


@dataclass(slots=True)
class Finished:
    """What is done of a scene.

    Attributes:
        tiles: that are encoded.
        vectors: one (dim,) for each.
        codes: likewise (length,), or empty where the index keeps none.
        left_out: windows that were read and left out.
    """

    tiles: list[Tile] = field(default_factory=list)
    vectors: list[FloatArray] = field(default_factory=list)
    codes: list[NDArray[np.float16]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    @property
    def windows(self) -> set[tuple[int, int, int, int]]:
        """All windows that need not be read again."""
        return {tile.window_px for tile in self.tiles} | {left.window_px for left in self.left_out}


class Journal:
    """Small files in a folder, one for each encoded batch; a file goes when all of its scenes are in the store.

    A file appears whole or not at all, and says of which state of which scenes it tells: after a kill at any moment the
    files are what is finished. Made and used only by whoever holds the index for writing.
    """

    def __init__(self, folder: Path, *, dim: int, code_length: int) -> None:
        self._folder = folder
        self._schema = tile_schema(dim, code_length=code_length)
        self._held: dict[Path, set[str]] = {}
        self._next = 0

    def read(self, states: Mapping[str, FileState]) -> dict[str, Finished]:
        """What is finished of scenes that are still to do; what tells of anything else is thrown away."""
        found: dict[str, Finished] = {}
        for path in sorted(self._folder.glob("[!.]*")) if self._folder.is_dir() else []:
            scenes = self._read_file(path, states, found)
            if scenes:
                self._held[path] = scenes
                self._next = max(self._next, int(path.stem) + 1)
            else:
                path.unlink()
        return found

    def write(
        self,
        tiles: Sequence[Tile],
        vectors: FloatArray,
        codes: NDArray[np.float16] | None,
        *,
        left_out: Mapping[str, Sequence[LeftOut]],
        states: Mapping[str, FileState],
    ) -> None:
        """Note an encoded batch, and windows that were left out meanwhile; `states` are those of all their scenes."""
        notes = {
            "version": __version__,
            "states": states,
            "left_out": {
                scene: [[*left.window_px, left.valid_share] for left in some] for scene, some in left_out.items()
            },
        }
        table = table_from_tiles(tiles, vectors, codes).replace_schema_metadata({HEADER: json.dumps(notes)})
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{self._next:09d}.arrow"
        part = path.with_name(f".{path.name}")
        with pa.OSFile(str(part), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        part.replace(path)
        self._held[path] = set(states)
        self._next += 1

    def forget(self, scenes: Iterable[str]) -> None:
        """Let go of scenes that are in the store, or cannot be used."""
        gone = set(scenes)
        for path in list(self._held):
            self._held[path] -= gone
            if not self._held[path]:
                path.unlink(missing_ok=True)
                del self._held[path]

    def remove(self) -> None:
        """Take the folder away, once nothing is in it."""
        if self._folder.is_dir() and not self._held:
            for part in self._folder.iterdir():  # half a file that a killed run was writing
                part.unlink()
            self._folder.rmdir()

    def _read_file(self, path: Path, states: Mapping[str, FileState], found: dict[str, Finished]) -> set[str]:
        """Add what a file tells to `found`; returns the scenes that it told of."""
        try:
            with pa.memory_map(os.fspath(path)) as file, pa.ipc.open_file(file) as reader:
                table = reader.read_all()
                notes = json.loads(table.schema.metadata[HEADER])
        except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
            return set()  # cut off by a power failure: what it told is done again
        if notes["version"] != __version__ or not table.schema.equals(self._schema):
            return set()
        scenes = {scene for scene, state in notes["states"].items() if states.get(scene) == tuple(state)}
        codes = codes_from_table(table)
        for i, (row, vector) in enumerate(
            zip(table.drop_columns("vector").to_pylist(), vectors_from_table(table), strict=True)
        ):
            if row["scene"] in scenes:
                of_scene = found.setdefault(row["scene"], Finished())
                of_scene.tiles.append(tile_from_row(row))
                of_scene.vectors.append(vector.copy())
                if codes is not None:
                    of_scene.codes.append(codes[i].copy())
        for scene in scenes & set(notes["left_out"]):
            left_out = found.setdefault(scene, Finished()).left_out
            left_out += [LeftOut((col, row, w, h), share) for col, row, w, h, share in notes["left_out"][scene]]
        return scenes
