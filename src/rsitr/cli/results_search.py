"""What commands about indexes print with `--json`.

A command builds its record and hands it to `rsitr.cli.output.print_json` or `write_json`, and says nothing else on
stdout then. Paths are text, days as ISO has them, what is not known is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rsitr.types import SceneEntry

__all__ = [
    "AssessResult",
    "DemoResult",
    "DetectorTold",
    "FeedbackResult",
    "IndexResult",
    "InfoResult",
    "SavedResult",
    "SearchResult",
    "tell_entry",
]


@dataclass(frozen=True, kw_only=True)
class IndexResult:
    """What became of the scenes, or with --dry-run would.

    Without scenes, where only --root is recorded: index, root, and n_missing, the scenes that are not there.

    Attributes:
        index: folder of the index.
        dry_run: whether nothing was written.
        scenes: indexed now: scene, n_tiles, n_left_out, size_px, date, gsd_m, sensor, crs, bbox.
        unchanged: names of those that were in the index already.
        removed: names of those that are no longer there.
        failures: files that could not be used: scene and reason.
        notes: what else is to be known.
        n_tiles: tiles of these scenes; with --dry-run, at most.
        n_left_out: tiles left out, mostly nodata.
        n_resumed: tiles that were encoded before an interruption.
        time_s: seconds it took, or would take.
        size_bytes: with --dry-run, how much it would take on disk.
        finds: of the index's detectors in these scenes: detector, relevance, tile.
    """

    index: str
    dry_run: bool = False
    scenes: list[dict[str, Any]]
    unchanged: list[str]
    removed: list[str]
    failures: list[dict[str, str]]
    notes: list[str]
    n_tiles: int
    n_left_out: int
    n_resumed: int
    time_s: float
    size_bytes: int | None = None
    finds: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The answer to a query; of --queries, one on each line.

    Attributes:
        query: what was asked: text, image, parts, k, bbox, area, scene, since, until, sensor.
        index: name of the index.
        model: name of its model.
        n_tiles: tiles within the limits.
        n_unsuitable: tiles left out, whose pixels can show nothing to a model.
        n_copies: tiles left out, since better hits show the same ground and day.
        matches: whether anything matches; true also where the model gives no verdict.
        state: matches, unsure or nothing; null where the model is not calibrated.
        relevance: the highest of the best tiles.
        threshold: relevance below which nothing is said to match.
        sorted_by: score, or the re-ranking that has sorted the hits.
        stages: of the ranking: name, time_s, note.
        notes: what is told beside the hits, a line each.
        hits: rank, score, relevance, tile, scene, path, window_px, date, gsd_m, sensor, suitability, mark, sorted_by,
            sorted_by_value, stages, bbox, footprint; null with --places.
        places: place, rank, score, relevance, lon, lat, suitability, mark, n_tiles, first_date, last_date, sightings,
            timeline, bbox, outline; null without --places.
    """

    query: dict[str, Any]
    index: str
    model: str
    n_tiles: int
    n_unsuitable: int
    n_copies: int
    matches: bool
    state: str | None
    relevance: float | None
    threshold: float
    sorted_by: str
    stages: list[dict[str, Any]]
    notes: list[str]
    hits: list[dict[str, Any]] | None = None
    places: list[dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class DetectorTold:
    """A detector.

    Attributes:
        name: of the detector.
        query: what it started from.
        right: tiles marked right.
        wrong: tiles marked wrong.
        gone: tiles whose marks were let go, since they have left the index.
        precision: on marks that were left out.
        n_finds: how much it finds; null where it cannot.
        n_new: of these, how much was not there when it was last looked at.
        seen: when that was; null where nobody has.
    """

    name: str
    query: str
    right: list[str]
    wrong: list[str]
    gone: list[str]
    precision: float | None
    n_finds: int | None = None
    n_new: int | None = None
    seen: str | None = None


@dataclass(frozen=True, kw_only=True)
class FeedbackResult:
    """The detectors of an index, or the one that has learned.

    Attributes:
        detectors: those of the index, or that one alone: name, query, right, wrong, gone, precision,
            n_finds, n_new, seen.
        finds: what it finds beside the marked tiles: tile, relevance, date, bbox; nothing with --list and the like.
    """

    detectors: list[DetectorTold]
    finds: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class SavedResult:
    """The saved searches of an index.

    Attributes:
        searches: name, query (in words), search (as the service takes it), n_finds, n_new, seen (when it was last
            looked at).
    """

    searches: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class AssessResult:
    """Precision on labels.

    Attributes:
        indexes: each with its model, tiles, precisions, how far down the labels go, and advice on a threshold.
        recommended: the best of those compared; null where that cannot be said.
        not_compared: why indexes were not compared, a line each.
    """

    indexes: list[dict[str, Any]]
    recommended: dict[str, Any] | None
    not_compared: list[str]


@dataclass(frozen=True, kw_only=True)
class InfoResult:
    """What an index holds.

    Attributes:
        path: the index.
        created_with: the program that made it.
        made_of: `scenes`, or `embeddings` that were made elsewhere.
        has_words: whether a model that encodes words is known to have made it.
        n_files: of embeddings that are in it.
        model: name of the model.
        fingerprint: of the model's weights and settings.
        dim: width of the vectors.
        tile_px: side of a tile in pixels, where it is given so.
        tile_m: side of a tile in metres, where it is given so.
        scales: tiles are cut in so many times this size.
        bands: that are shown; null: as each file says.
        encoding: how pictures were encoded at first.
        later_encodings: how else, in later runs.
        code_length: numbers in a tile's local code.
        n_unfinished: batches of an interrupted ingest.
        nearest: the recall check of its IVF index; null where search is exact.
        tile_notes: where tiles are not as large as was asked for.
        overlap: part of a tile's side shared with its neighbour.
        root: folder of the scenes.
        is_root_there: whether that is there.
        n_scenes: scenes.
        n_without_place: of these, without a known place.
        n_tiles: tiles.
        n_left_out: tiles left out, mostly nodata.
        first_date: earliest day.
        last_date: latest day.
        n_undated: scenes without a day.
        finest_gsd_m: finest pixels.
        coarsest_gsd_m: coarsest pixels.
        sensors: that are named.
        bbox: west, south, east, north.
        area_km2: ground that is covered.
        size_bytes: on disk, or in the bucket; null where that is not told.
        address: where it lies, if that is no folder.
        read_bytes: that you have read of it from there, on this host.
        read_since: the day from which these are counted.
        detectors: their names.
        scenes: scene, size_bytes, size_px, n_tiles, n_left_out, crs, bbox, date, gsd_m, sensor.
    """

    path: str
    created_with: str
    made_of: str
    has_words: bool
    n_files: int
    model: str
    fingerprint: str
    dim: int
    tile_px: int | None
    tile_m: float | None
    scales: list[float]
    bands: list[int] | None
    encoding: str | None
    later_encodings: list[str]
    code_length: int
    n_unfinished: int
    nearest: dict[str, Any] | None
    tile_notes: list[str]
    overlap: float
    root: str
    is_root_there: bool
    n_scenes: int
    n_without_place: int
    n_tiles: int
    n_left_out: int
    first_date: str | None
    last_date: str | None
    n_undated: int
    finest_gsd_m: float | None
    coarsest_gsd_m: float | None
    sensors: list[str]
    bbox: list[float] | None
    area_km2: float
    size_bytes: int | None
    address: str | None
    read_bytes: int
    read_since: str | None
    detectors: list[str]
    scenes: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo found in the scene that it has drawn.

    Attributes:
        folder: of scene, index and report.
        report: the page.
        seed: of the scene.
        model: that was asked.
        n_tiles: of the index.
        queries: each with its title and its hits: rank, score, right, there, tile.
        summary: how often the best hit is right, and how often a guess would be.
    """

    folder: str
    report: str
    seed: int
    model: str
    n_tiles: int
    queries: list[dict[str, Any]]
    summary: dict[str, Any]


def tell_entry(entry: SceneEntry) -> dict[str, Any]:
    """A scene as results tell it."""
    return {
        "scene": entry.scene,
        "n_tiles": entry.n_tiles,
        "n_left_out": entry.n_left_out,
        "size_px": list(entry.size_px),
        "date": None if entry.date is None else entry.date.isoformat(),
        "gsd_m": entry.gsd_m,
        "sensor": entry.sensor,
        "crs": entry.crs,
        "bbox": None if entry.bbox is None else list(entry.bbox),
    }
