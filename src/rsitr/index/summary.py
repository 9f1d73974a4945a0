"""What an index holds, in numbers."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rsitr.geo import area_km2, enclosing_bbox
from rsitr.index.folder import IndexFolder
from rsitr.index.imports import read_imports
from rsitr.index.journal import JOURNAL
from rsitr.index.nearest import NearestCheck, read_check
from rsitr.index.notes import describe_tiles, read_notes
from rsitr.types import BBox

__all__ = ["IndexSummary", "summarise"]


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
        size_bytes: of the index on disk.
        made_of: scenes, or embeddings that were made elsewhere.
        has_words: whether a model that encodes words is known to have made it.
        n_files: of embeddings that are in it.
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
    size_bytes: int
    made_of: Literal["scenes", "embeddings"]
    has_words: bool
    n_files: int


def summarise(index: IndexFolder) -> IndexSummary:
    """Gather what an index holds. Raises StoreError if it is damaged."""
    scenes = index.store.scenes()
    manifest = index.manifest
    dates = [scene.date for scene in scenes if scene.date is not None]
    gsds_m = [scene.gsd_m for scene in scenes if scene.gsd_m is not None]
    footprints = [scene.footprint for scene in scenes if scene.footprint is not None]
    return IndexSummary(
        path=index.path,
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
        n_unfinished=sum(1 for _ in (index.path / JOURNAL).glob("[!.]*")),
        nearest=read_check(index.path),
        tile_notes=describe_tiles(
            [scene for scene in scenes if all(scene.size_px)], read_notes(index.path), manifest.settings
        ),
        overlap=manifest.settings.overlap,
        root=index.root,
        is_root_there=index.root.is_dir(),
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
        size_bytes=sum(file.stat().st_size for file in index.path.rglob("*") if file.is_file()),
        made_of=manifest.made_of,
        has_words=not manifest.model.is_foreign,
        n_files=len(read_imports(index.path).files),
    )
