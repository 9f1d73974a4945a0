"""The scenes of an index by the ids that URLs name them with."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterable

from rsitr.errors import MissingError
from rsitr.geo import enclosing_bbox
from rsitr.search import Corners, Index
from rsitr.service.answers import scene_id, show_scene
from rsitr.service.replies import SceneReply, ScenesReply
from rsitr.types import BBox, SceneEntry, Tile

__all__ = ["Catalogue", "Extent"]

ITEM = re.compile(r"([0-9a-f]{16})-(\d{1,9}(?:-\d{1,9}){3})", re.ASCII)
FRESH_S = 5.0
"""How long the list of scenes is taken for true: a scene that was just indexed is on the map so much later."""


Extent = tuple[BBox | None, str | None, str | None, list[str]]
"""Box around everything that has a place, first and last day, and the sensors."""


class Catalogue:
    """The list of scenes, read again when it may have changed. Safe for many threads."""

    def __init__(self, index: Index, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._scenes: dict[str, SceneEntry] = {}
        self._corners: dict[tuple[str, int], Corners | None] = {}

    def scenes(self) -> dict[str, SceneEntry]:
        """Scenes by id, in the order of their names."""
        with self._lock:
            if self._clock() - self._read_at > FRESH_S:
                self._scenes = {scene_id(entry.scene): entry for entry in self._index.scenes()}
                self._read_at = self._clock()
            return self._scenes

    def find(self, name: str) -> SceneEntry:
        """A scene by its id.

        Raises:
            MissingError: there is none.
        """
        try:
            return self.scenes()[name]
        except KeyError:
            raise MissingError("there is no such scene in this index; /api/scenes lists them") from None

    def find_tile(self, name: str) -> Tile:
        """A tile by what `rsitr.service.answers.item_id` calls it.

        Raises:
            MissingError: there is none.
        """
        if (found := ITEM.fullmatch(name)) is None:
            raise MissingError("there is no such tile in this index; tiles are called SCENE-COLUMN-ROW-WIDTH-HEIGHT")
        window = ",".join(str(int(side)) for side in found[2].split("-"))
        return self._index.tile(f"{self.find(found[1]).scene}:{window}")

    def find_tiles(self, names: Iterable[str]) -> list[Tile]:
        """Those of some tiles that there are, by what `rsitr.service.answers.item_id` calls them."""
        found = []
        for name in names:
            with contextlib.suppress(MissingError):
                found.append(self.find_tile(name))
        return found

    def state_of(self, scene: str) -> int:
        """What changes when a scene's file does: pictures of it are kept under this."""
        entry = self.scenes().get(scene_id(scene))
        return 0 if entry is None else entry.mtime_ns

    def show(self) -> ScenesReply:
        """All scenes."""
        return ScenesReply(scenes=[self.show_one(entry) for entry in self.scenes().values()])

    def show_one(self, entry: SceneEntry) -> SceneReply:
        """One scene."""
        return show_scene(entry, corners=self._corners_of(entry))

    def show_of(self, tile: Tile) -> SceneReply | None:
        """The scene of a tile; None where it is not on the list yet."""
        entry = self.scenes().get(scene_id(tile.scene))
        return None if entry is None else self.show_one(entry)

    def extent(self, *, is_dated: bool = False) -> Extent:
        """Box around everything that has a place, first and last day, and the sensors."""
        entries = [entry for entry in self.scenes().values() if entry.date is not None or not is_dated]
        days = sorted(entry.date.isoformat() for entry in entries if entry.date is not None)
        sensors = sorted({entry.sensor for entry in entries if entry.sensor})
        box = enclosing_bbox(entry.bbox for entry in entries if entry.bbox is not None)
        return box, (days[0] if days else None), (days[-1] if days else None), sensors

    def _corners_of(self, entry: SceneEntry) -> Corners | None:
        key = (entry.scene, entry.mtime_ns)
        if key not in self._corners:
            self._corners[key] = self._index.corners(entry.scene)
        return self._corners[key]
