"""What an index holds, in numbers."""

from __future__ import annotations

import datetime
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsitr.errors import ConfigError
from rsitr.files import write_file
from rsitr.index.address import address_of, cache_of
from rsitr.index.home import elsewhere
from rsitr.index.manifest import Manifest, read_manifest
from rsitr.index.names import CACHE, JOURNAL, NOTES
from rsitr.index.state import NearestCheck, read_check, table_versions
from rsitr.index.traffic import read_traffic
from rsitr.version import __version__

if TYPE_CHECKING:
    from rsitr.index.folder import IndexFolder
    from rsitr.types import BBox

__all__ = ["IndexSummary", "describe_index", "summarise"]

SUMMARY = "summary.json"
"""What the scenes come to, in the folder of what can be made again."""


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What `rsitr info` tells.

    Attributes:
        path: the index.
        created_with: the program that made it.
        model: name of the model.
        fingerprint: of the model's weights and settings.
        dim: width of the vectors.
        tile_px: side of a tile in pixels, None where it follows the model and the scene.
        tile_m: side of a tile in metres, None where it is not given so.
        scales: tiles are cut in so many times this size.
        bands: that are shown, None where each scene says.
        encoding: how pictures were encoded at first, if the model says so.
        later_encodings: how else, in later runs.
        code_length: numbers in the code that is kept of each tile, 0 where none is.
        n_unfinished: batches in the journal of an ingest that is running or was interrupted.
        nearest: the recall check of the IVF index, None where there is none and search is exact.
        tile_notes: where tiles are not as large as was asked for, in words.
        overlap: part of a tile's side shared with its neighbour.
        root: the folder of the scenes.
        is_root_there: whether that folder exists; without it, hits have no pictures.
        n_scenes: scenes.
        n_without_place: of these, scenes without a known place on Earth.
        n_tiles: tiles.
        n_left_out: tiles left out because they are mostly nodata.
        first_date: earliest known day of acquisition.
        last_date: latest known day of acquisition.
        n_undated: scenes without a known day.
        finest_gsd_m: smallest ground sampling distance of a scene.
        coarsest_gsd_m: largest.
        sensors: that are named, sorted.
        bbox: box around everything that has a place.
        area_km2: ground that the scenes cover; what several cover counts once.
        size_bytes: of the index on disk, or in its bucket; None where that is not told.
        made_of: scenes, or embeddings that were made elsewhere.
        has_words: whether a model that encodes words is known to have made it.
        n_files: of embeddings that are in it.
        address: where it lies, if that is no folder.
        read_bytes: that this user has read of it from there, on this host.
        read_since: the day from which these are counted, or None.
    """

    path: Path
    created_with: str
    model: str
    fingerprint: str
    dim: int
    tile_px: int | None
    tile_m: float | None
    scales: tuple[float, ...]
    bands: tuple[int, ...] | None
    encoding: str | None
    later_encodings: tuple[str, ...]
    code_length: int
    n_unfinished: int
    nearest: NearestCheck | None
    tile_notes: tuple[str, ...]
    overlap: float
    root: Path
    is_root_there: bool
    n_scenes: int
    n_without_place: int
    n_tiles: int
    n_left_out: int
    first_date: datetime.date | None
    last_date: datetime.date | None
    n_undated: int
    finest_gsd_m: float | None
    coarsest_gsd_m: float | None
    sensors: tuple[str, ...]
    bbox: BBox | None
    area_km2: float
    size_bytes: int | None
    made_of: Literal["scenes", "embeddings"]
    has_words: bool
    n_files: int
    address: str | None = None
    read_bytes: int = 0
    read_since: str | None = None


@dataclass(frozen=True, slots=True)
class _SceneTotals:
    """What the scenes come to: the part of `IndexSummary` for which all of them are read.

    It is kept beside the tables for as long as these are as they were. Who asks again waits neither for what reads them
    nor for the ground that they cover.
    """

    n_scenes: int
    n_without_place: int
    n_tiles: int
    n_left_out: int
    first_date: datetime.date | None
    last_date: datetime.date | None
    n_undated: int
    finest_gsd_m: float | None
    coarsest_gsd_m: float | None
    sensors: tuple[str, ...]
    bbox: BBox | None
    area_km2: float
    tile_notes: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path, *, state: str) -> _SceneTotals | None:
        """What was kept of this state; None where nothing was, or it is damaged."""
        try:
            found = json.loads((folder / CACHE / SUMMARY).read_text(encoding="utf-8"))
            if found.pop("state") != state:
                return None
            for name in ("first_date", "last_date"):
                found[name] = found[name] and datetime.date.fromisoformat(found[name])
            for name in ("sensors", "bbox", "tile_notes"):
                found[name] = found[name] and tuple(found[name])
            return cls(**{**found, "sensors": found["sensors"] or (), "tile_notes": found["tile_notes"] or ()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    @classmethod
    def count(cls, index: IndexFolder) -> _SceneTotals:
        """Gather it from all scenes. Raises StoreError if the index is damaged."""
        from rsitr.geo import area_km2, enclosing_bbox
        from rsitr.index.notes import describe_tiles, read_notes

        scenes = index.store.scenes()
        dates = [scene.date for scene in scenes if scene.date is not None]
        gsds_m = [scene.gsd_m for scene in scenes if scene.gsd_m is not None]
        footprints = [scene.footprint for scene in scenes if scene.footprint is not None]
        return cls(
            n_scenes=len(scenes),
            n_without_place=len(scenes) - len(footprints),
            n_tiles=len(index.store),
            n_left_out=sum(scene.n_left_out for scene in scenes),
            first_date=min(dates, default=None),
            last_date=max(dates, default=None),
            n_undated=len(scenes) - len(dates),
            finest_gsd_m=min(gsds_m, default=None),
            coarsest_gsd_m=max(gsds_m, default=None),
            sensors=tuple(sorted({scene.sensor for scene in scenes if scene.sensor})),
            bbox=enclosing_bbox(scene.bbox for scene in scenes if scene.bbox is not None),
            area_km2=area_km2(footprints),
            tile_notes=describe_tiles(
                [scene for scene in scenes if all(scene.size_px)], read_notes(index.path), index.manifest.settings
            ),
        )

    def keep(self, folder: Path, *, state: str) -> None:
        """Leave it for the next process; where nothing can be written, nothing is."""
        content = json.dumps({"state": state, **asdict(self)}, default=str)
        with suppress(OSError, ConfigError):
            (folder / CACHE).mkdir(exist_ok=True)
            write_file(folder / CACHE / SUMMARY, content + "\n")


def describe_index(folder: Path) -> IndexSummary:
    """What the index in a folder holds; as :func:`summarise`, without opening its store where that was done before.

    Raises:
        StoreError: the folder is missing, no index, or damaged.
    """
    manifest = read_manifest(folder)
    state = _state(folder, manifest)
    totals = None if state is None else _SceneTotals.read(folder, state=state)
    if totals is None:
        from rsitr.index.folder import open_index

        return summarise(open_index(folder))

    def known() -> list[str]:
        from rsitr.index.folder import open_index, sample_files

        return sample_files(open_index(folder).store)

    return _gather(folder, manifest, root=manifest.find_root(folder, known=known).resolve(), totals=totals)


def summarise(index: IndexFolder) -> IndexSummary:
    """Gather what an index holds. Raises StoreError if it is damaged."""
    state = _state(index.path, index.manifest)  # before anything is read: what is written meanwhile changes it
    totals = None if state is None else _SceneTotals.read(index.path, state=state)
    if totals is None:
        totals = _SceneTotals.count(index)
        if state is not None:
            totals.keep(index.path, state=state)
    return _gather(index.path, index.manifest, root=index.root, totals=totals)


def _state(folder: Path, manifest: Manifest) -> str | None:
    """Of all that the totals depend on; None where that cannot be told, as of another engine's files."""
    versions = table_versions(folder)
    if versions is None or manifest.engine != "lance":
        return None
    notes = folder / NOTES
    about = notes.stat() if notes.is_file() else None
    noted = None if about is None else (about.st_size, about.st_mtime_ns)
    return f"{__version__} {versions} {noted}"


def _gather(folder: Path, manifest: Manifest, *, root: Path, totals: _SceneTotals) -> IndexSummary:
    kept: dict[str, Any] = {name: getattr(totals, name) for name in _SceneTotals.__slots__}
    return IndexSummary(
        **kept,
        path=folder,
        created_with=manifest.created_with,
        model=manifest.model.name,
        fingerprint=manifest.model.fingerprint,
        dim=manifest.model.dim,
        tile_px=manifest.settings.tile_px,
        tile_m=manifest.settings.tile_m,
        scales=manifest.settings.scales,
        bands=manifest.settings.bands,
        encoding=manifest.model.encoding,
        later_encodings=manifest.model.later_encodings,
        code_length=manifest.code_length,
        n_unfinished=sum(1 for _ in (folder / JOURNAL).glob("[!.]*")),
        nearest=read_check(folder),
        overlap=manifest.settings.overlap,
        root=root,
        is_root_there=root.is_dir(),
        **_measure(folder),
        made_of=manifest.made_of,
        has_words=not manifest.model.is_foreign,
        n_files=_count_files(folder) if manifest.made_of == "embeddings" else 0,
    )


def _measure(folder: Path) -> dict[str, Any]:
    """The size of an index, and what it took to read it where it is."""
    address = address_of(folder)
    if address is None:
        return {"size_bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())}
    traffic = read_traffic(cache_of(folder))
    return {
        "size_bytes": elsewhere(address).measure(),
        "address": str(address),
        "read_bytes": traffic.read_bytes,
        "read_since": traffic.since,
    }


def _count_files(folder: Path) -> int:
    from rsitr.index.imports import read_imports

    return len(read_imports(folder).files)
