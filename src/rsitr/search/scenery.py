"""What the scenes of an index look like, and where their corners lie: for pictures of hits and for maps."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np

from rsitr import geo
from rsitr.errors import MissingError, SceneError
from rsitr.index import IndexFolder
from rsitr.types import ImageArray, Ring, SceneEntry, Tile

__all__ = ["Corners", "Scenery", "widen"]

Corners = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""Longitude and latitude of a scene's corners: top left, top right, bottom right, bottom left of its pixels."""

SETTLED_S = 2.0
"""How long after its tiles a scene's own record may be written: two commits, of which the version tells the first."""


class Scenery:
    """Reads pictures from an index's scenes, with the contrast that they were indexed with. Safe for many threads."""

    def __init__(self, folder: IndexFolder) -> None:
        self._folder = folder
        self._entries: dict[str, SceneEntry] = {}
        self._version: int | None = None
        self._read_again_at = math.inf
        self._lock = threading.Lock()

    def entry(self, scene: str) -> SceneEntry:
        """What the index remembers of a scene.

        Raises:
            MissingError: it is not in the index.
        """
        with self._lock:
            if self._is_stale(scene):
                self._entries = {entry.scene: entry for entry in self._folder.store.scenes()}
            try:
                return self._entries[scene]
            except KeyError:
                raise MissingError(f"{self._folder.path}: there is no scene {scene!r} in this index") from None

    def _is_stale(self, scene: str) -> bool:
        """Whether the scenes are to be read (again): another process may have added or replaced some."""
        version, now = self._folder.store.version, time.monotonic()
        if version != self._version:
            self._version, self._read_again_at = version, now + SETTLED_S
            return True
        if now >= self._read_again_at:
            self._read_again_at = math.inf
            return True
        return scene not in self._entries

    def path(self, scene: str) -> Path | str:
        """Where a scene of the index lies. Raises as `picture`."""
        return self._unchanged_path(self.entry(scene))

    def picture(self, tile: Tile, *, max_px: int, context: float = 1.0) -> ImageArray:
        """The picture of a tile, or of so many times its window, as far as the scene reaches.

        Raises:
            MissingError: its scene is not in the index.
            SceneError: the scene is not where the index expects it, cannot be read, or has changed its size.
        """
        entry = self.entry(tile.scene)
        return geo.read_window(
            self._unchanged_path(entry),
            tile.window_px if context == 1.0 else widen(tile.window_px, by=context, size_px=entry.size_px),
            max_px=max_px,
            stretch=entry.stretch,
            bands=self._folder.manifest.settings.bands,
            page=self._folder.manifest.settings.page,
        )

    def overview(self, scene: str, *, max_px: int) -> geo.WindowPixels:
        """A whole scene as a picture, its longer side at most `max_px`. Raises as `picture` does."""
        entry = self.entry(scene)
        path, shown = self._unchanged_path(entry), self._folder.manifest.settings
        with geo.open_reader(path, stretch=entry.stretch, bands=shown.bands, page=shown.page) as reader:
            return reader.read(reader.scene.whole, max_px=max_px)

    def web_tile(self, scene: str, *, zoom: int, x: int, y: int) -> geo.WindowPixels | None:
        """A map tile of a scene, None where it shows nothing there (`rsitr.geo.draw_web_tile`). Raises as `picture`."""
        entry = self.entry(scene)
        path, shown = self._unchanged_path(entry), self._folder.manifest.settings
        with geo.open_reader(path, stretch=entry.stretch, bands=shown.bands, page=shown.page) as reader:
            return geo.draw_web_tile(reader, zoom=zoom, x=x, y=y)

    def write_chip(self, tile: Tile, stem: Path) -> Path:
        """Write the window of a tile as a file, named with the ending that it needs (`rsitr.geo.write_chip`).

        Raises:
            MissingError: its scene is not in the index.
            SceneError: the scene cannot be read or has changed its size, or the file cannot be written.
        """
        entry, shown = self.entry(tile.scene), self._folder.manifest.settings
        path = self._unchanged_path(entry)
        return geo.write_chip(
            path, tile.window_px, stem, stretch=entry.stretch, bands=shown.bands, page=shown.page
        )  # fmt: skip

    def find_window(self, tile: Tile, ring: Ring) -> geo.Window:
        """The window of a tile's scene that shows the ground within an outline, as far as the scene reaches.

        That of the tile itself where the scene has no known place, or where it cannot be read.
        """
        try:
            entry = self.entry(tile.scene)
            page = self._folder.manifest.settings.page
            placement = geo.open_scene(self._unchanged_path(entry), page=page).placement
        except (MissingError, SceneError):
            return tile.window_px
        if placement is None:
            return tile.window_px
        col, row, width, height = tile.window_px
        cols, rows = np.array([[col, col + width, col]], float), np.array([[row, row, row + height]], float)
        lon, lat = placement.locate(cols, rows)
        # Near one tile, degrees are as good as linear in pixels.
        lon = np.where(lon - lon[0, 0] > 180, lon - 360, np.where(lon - lon[0, 0] < -180, lon + 360, lon))
        frame = np.array([lon[0, 1:] - lon[0, 0], lat[0, 1:] - lat[0, 0]])
        if not np.isfinite(frame).all() or abs(np.linalg.det(frame)) < 1e-18:
            return tile.window_px
        points = np.array(ring)
        points[:, 0] += 360 * np.round((lon[0, 0] - points[:, 0]) / 360)
        across, down = np.linalg.solve(frame, points.T - [[lon[0, 0]], [lat[0, 0]]])
        across, down = col + across * width, row + down * height
        wide, high = entry.size_px
        left, right = (int(np.clip(round(side), 0, wide)) for side in (across.min(), across.max()))
        top, bottom = (int(np.clip(round(side), 0, high)) for side in (down.min(), down.max()))
        return (left, top, right - left, bottom - top) if right > left and bottom > top else tile.window_px

    def _unchanged_path(self, entry: SceneEntry) -> Path | str:
        """Where a scene lies; its size gives away another file. Times of change don't: copies have their own."""
        if not all(entry.size_px):
            raise SceneError(f"{entry.scene}: there is no picture, since its embeddings were made elsewhere")
        path = self._folder.scene_path(entry.scene)
        if isinstance(path, Path) and path.is_file() and geo.stat_source(path)[0] != entry.size_bytes:
            raise SceneError(f"{path}: has changed since it was indexed; run `rsitr index` again to renew its tiles")
        return path

    def corners(self, scene: str) -> Corners | None:
        """Where a scene's corners lie; None for one without a known place, or whose file cannot be read.

        Longitudes don't jump: across the antimeridian they go beyond 180.

        Raises:
            MissingError: it is not in the index.
        """
        entry = self.entry(scene)
        if entry.footprint is None or not all(entry.size_px):
            return None
        try:
            page = self._folder.manifest.settings.page
            placement = geo.open_scene(self._folder.scene_path(scene), page=page).placement
        except SceneError:
            return None
        if placement is None:
            return None
        width, height = entry.size_px
        lon, lat = placement.locate(np.array([[0.0, width, width, 0.0]]), np.array([[0.0, 0.0, height, height]]))
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            return None
        if np.ptp(lon) > 180.0:
            lon = np.where(lon < 0, lon + 360.0, lon)
        found = [(round(float(x), 7), round(float(y), 7)) for x, y in zip(lon[0], lat[0], strict=True)]
        return found[0], found[1], found[2], found[3]


def widen(window: geo.Window, *, by: float, size_px: tuple[int, int]) -> geo.Window:
    """A window with its surroundings, moved inwards where the scene ends and never larger than the scene.

    >>> widen((0, 50, 100, 100), by=2.0, size_px=(300, 160))
    (0, 0, 200, 160)
    """
    sides = []
    for start, length, whole in zip(window[:2], window[2:], size_px, strict=True):
        wanted = min(round(length * by), whole)
        sides.append((min(max(0, start - (wanted - length) // 2), whole - wanted), wanted))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]
