"""The scenes of an index by the ids that URLs name them with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rsitr.errors import MissingError
from rsitr.geo import enclosing_bbox
from rsitr.search import Corners, Index
from rsitr.service.answers import scene_id, show_scene
from rsitr.service.replies import ScenesReply
from rsitr.types import BBox, SceneEntry

__all__ = ["Catalogue"]

FRESH_S = 5.0
"""How long the list of scenes is taken for true: a scene that was just indexed is on the map so much later."""


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

    def state_of(self, scene: str) -> int:
        """What changes when a scene's file does: pictures of it are kept under this."""
        entry = self.scenes().get(scene_id(scene))
        return 0 if entry is None else entry.mtime_ns

    def show(self) -> ScenesReply:
        """All scenes."""
        return ScenesReply(
            scenes=[show_scene(entry, corners=self._corners_of(entry)) for entry in self.scenes().values()]
        )

    def extent(self) -> tuple[BBox | None, str | None, str | None, list[str]]:
        """Box around everything that has a place, first and last day, and the sensors."""
        entries = self.scenes().values()
        days = sorted(entry.date.isoformat() for entry in entries if entry.date is not None)
        sensors = sorted({entry.sensor for entry in entries if entry.sensor})
        box = enclosing_bbox(entry.bbox for entry in entries if entry.bbox is not None)
        return box, (days[0] if days else None), (days[-1] if days else None), sensors

    def _corners_of(self, entry: SceneEntry) -> Corners | None:
        key = (entry.scene, entry.mtime_ns)
        if key not in self._corners:
            self._corners[key] = self._index.corners(entry.scene)
        return self._corners[key]
