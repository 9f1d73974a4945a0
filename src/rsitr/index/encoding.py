"""The encoding half of ingest: batches across scenes, each noted in the journal, scenes handed on when complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rsitr.index.journal import Finished, LeftOut
from rsitr.index.notes import SceneNote
from rsitr.index.reading import Event, Job, SceneFailed, TileRead, TileSkipped
from rsitr.index.writing import Failure, Writer
from rsitr.types import Encoder, FloatArray, SceneEntry, Tile, TileCoder

__all__ = ["Encoding"]


@dataclass(slots=True)
class _Collected:
    """A scene on its way: what has been encoded of it, and, once it has been read to its end, its entry."""

    finished: Finished
    entry: SceneEntry | None = None
    note: SceneNote | None = None

    @property
    def is_complete(self) -> bool:
        return self.entry is not None and len(self.finished.tiles) == self.entry.n_tiles


@dataclass(slots=True)
class _Work:
    """The scenes to do and how much of each is done, weighed by the sizes of their files."""

    sizes: dict[str, int]
    whole: int = field(init=False)
    done: int = 0

    def __post_init__(self) -> None:
        self.whole = max(1, sum(self.sizes.values()))


class Encoding:
    """Gathers tiles into batches across scenes, encodes them, and hands on the scenes that are complete.

    Args:
        writer: where batches are noted and scenes go.
        encoder: what turns pictures into vectors.
        coder: what makes their codes, or None.
        jobs: the scenes that will come, with what is finished of them.
        batch_size: pictures encoded at once.
    """

    def __init__(
        self, writer: Writer, encoder: Encoder, *, coder: TileCoder | None, jobs: Sequence[Job], batch_size: int
    ) -> None:
        self.failures: list[Failure] = []
        self.n_tiles = 0
        self._writer = writer
        self._encoder = encoder
        self._coder = coder
        self._batch_size = batch_size
        self._batch: list[TileRead] = []
        self._left_out: dict[str, list[LeftOut]] = {}
        self._scenes = {job.scene: _Collected(job.finished) for job in jobs}
        self._work = _Work({job.scene: job.size_bytes for job in jobs})
        self._n_done = 0
        self._parts: dict[str, float] = {}

    @property
    def scene(self) -> str:
        """The scene under way that was begun last, or empty."""
        return next(reversed(self._parts), "")

    @property
    def scenes_done(self) -> float:
        """Scenes that are done; half a scene counts half."""
        return self._n_done + sum(self._parts.values())

    @property
    def share_done(self) -> float:
        """The part of all work that is done, 0 to 1."""
        under_way = sum(part * self._work.sizes[scene] for scene, part in self._parts.items())
        return (self._work.done + under_way) / self._work.whole

    def take(self, event: Event) -> bool:
        """Take what was read next; True if that is worth telling the person who waits."""
        if isinstance(event, TileSkipped):
            self._left_out.setdefault(event.scene, []).append(event.left_out)
            return False
        if isinstance(event, TileRead):
            self.reach(event.tile.scene, event.done)
            self._batch.append(event)
            if len(self._batch) < self._batch_size:
                return False
            self._encode()
            return True
        self._n_done += 1
        if isinstance(event, SceneFailed):
            self._parts.pop(event.scene, None)
            self._fail(event)
        else:
            self._parts.pop(event.entry.scene, None)
            self._work.done += self._work.sizes[event.entry.scene]
            self._scenes[event.entry.scene].entry, self._scenes[event.entry.scene].note = event.entry, event.note
            self._hand_on(event.entry.scene)
        return True

    def reach(self, scene: str, part: float) -> None:
        """So much of a scene has been read, 0 to 1."""
        self._parts[scene] = max(part, self._parts.get(scene, 0.0))

    def keep(self, tiles: Sequence[Tile], vectors: FloatArray, codes: NDArray[np.float16] | None) -> None:
        """Keep tiles that are encoded, and hand on the scenes that are complete with them.

        Args:
            tiles: of scenes under way; none that was kept before.
            vectors: (n, dim), theirs.
            codes: (n, length), or None where the index keeps none.
        """
        self._writer.note(tiles, vectors, codes, left_out=self._left_out)
        self._left_out = {}
        for i, tile in enumerate(tiles):
            finished = self._scenes[tile.scene].finished
            finished.tiles.append(tile)
            finished.vectors.append(vectors[i])
            if codes is not None:
                finished.codes.append(codes[i])
        self.n_tiles += len(tiles)
        for scene in dict.fromkeys(tile.scene for tile in tiles):
            self._hand_on(scene)

    def finish(self) -> None:
        """Encode what is left."""
        if self._batch:
            self._encode()

    def _fail(self, event: SceneFailed) -> None:
        self.failures.append(Failure(event.scene, event.reason))
        self._batch = [read for read in self._batch if read.tile.scene != event.scene]
        self._left_out.pop(event.scene, None)
        self._work.done += self._work.sizes[event.scene]
        del self._scenes[event.scene]
        self._writer.give_up(event.scene)

    def _encode(self) -> None:
        batch, self._batch = self._batch, []
        encoded = self._encoder.encode_images([read.image for read in batch], batch_size=self._batch_size)
        codes = None if self._coder is None else self._coder.encode(encoded)
        vectors = np.ascontiguousarray(encoded.global_emb, dtype=np.float32)
        self.keep([read.tile for read in batch], vectors, codes)

    def _hand_on(self, scene: str) -> None:
        collected = self._scenes[scene]
        if collected.is_complete and collected.entry is not None and collected.note is not None:
            self._writer.add(collected.entry, collected.finished, collected.note)
            del self._scenes[scene]
