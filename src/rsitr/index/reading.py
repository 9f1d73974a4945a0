"""The reading half of ingest: scenes in, tiles out, in a thread of its own so that the encoder need not wait."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rsitr.errors import SceneError
from rsitr.geo import (
    FileState,
    Ground,
    Scene,
    SceneReader,
    Source,
    Window,
    cut_scales,
    open_reader,
    public_address,
)
from rsitr.index.journal import Finished, LeftOut
from rsitr.index.manifest import Manifest, Settings
from rsitr.index.notes import SceneNote, TileSize, choose_tile, digest_of
from rsitr.types import ImageArray, SceneEntry, Tile

__all__ = [
    "Event",
    "Job",
    "SceneFailed",
    "SceneRead",
    "TileRead",
    "TileSkipped",
    "cut",
    "enter",
    "read_scenes",
    "remark",
    "sample_pictures",
    "with_catalogue",
]

READ_PX = 2  # times the model's picture: what is read of a larger tile is reduced to this, the encoder does the rest
PLACE_AT_ONCE = 512  # windows whose footprints are computed together


@dataclass(frozen=True, slots=True)
class Job:
    """A scene to index.

    Attributes:
        scene: its name in the index.
        source: where it is, and what a catalogue says of it.
        size_bytes: of the file at the start.
        mtime_ns: the file's time of change then.
        finished: what an interrupted run has done of it.
    """

    scene: str
    source: Source
    size_bytes: int
    mtime_ns: int
    finished: Finished = field(default_factory=Finished)

    @property
    def state(self) -> FileState:
        """What tells this file from another of the same name."""
        return self.size_bytes, self.mtime_ns


@dataclass(frozen=True, slots=True)
class TileRead:
    """A tile, ready to be encoded; `done` is the part of its scene that has been read, 0 to 1."""

    tile: Tile
    image: ImageArray
    done: float


@dataclass(frozen=True, slots=True)
class TileSkipped:
    """A window was left out."""

    scene: str
    left_out: LeftOut


@dataclass(frozen=True, slots=True)
class SceneRead:
    """All tiles of a scene have been read; `note` is what else is to be remembered of it."""

    entry: SceneEntry
    note: SceneNote


@dataclass(frozen=True, slots=True)
class SceneFailed:
    """A scene cannot be used; tiles of it that were read already are void."""

    scene: str
    reason: str


Event = TileRead | TileSkipped | SceneRead | SceneFailed


def read_scenes(jobs: Iterable[Job], *, manifest: Manifest) -> Generator[Event, None, None]:
    """Read scenes one after another: the tiles of each, then that it is done; or, at any point, that it failed."""
    for job in jobs:
        try:
            yield from _read_scene(job, manifest)
        except SceneError as error:
            yield SceneFailed(job.scene, str(error).removeprefix(f"{public_address(job.source.location)}: "))


def sample_pictures(
    sources: Sequence[Source], *, settings: Settings, image_size_px: int, count: int
) -> list[ImageArray]:
    """Pictures of up to `count` tiles, evenly spread over scenes and within them; what cannot be read is passed over.

    Args:
        sources: the scenes.
        settings: how they are cut and shown.
        image_size_px: of the model.
        count: pictures wanted.
    """
    chosen = [source for source in sources if source.problem is None]
    chosen = chosen[:: max(1, -(-len(chosen) // count))]
    each = -(-count // max(1, len(chosen)))
    found: list[ImageArray] = []
    for source in chosen:
        try:
            with open_reader(source.location, bands=settings.bands, page=settings.page) as reader:
                tile = choose_tile(reader.scene, settings, image_size_px=image_size_px)
                windows = cut(reader.scene, settings, tile)
                for window in windows[:: max(1, -(-len(windows) // each))]:
                    pixels = reader.read(window, max_px=READ_PX * image_size_px)
                    if pixels.valid_share >= settings.min_valid:
                        found.append(pixels.image)
        except SceneError:  # ingest will say what is wrong with it
            continue
    return found[:count]


def _read_scene(job: Job, manifest: Manifest) -> Iterator[Event]:
    settings, max_px = manifest.settings, READ_PX * manifest.model.image_size_px
    with open_reader(job.source.location, bands=settings.bands, page=settings.page) as reader:
        scene = with_catalogue(reader.scene, job.source)
        tile = choose_tile(scene, settings, image_size_px=manifest.model.image_size_px)
        windows = cut(scene, settings, tile)
        finished = job.finished.windows
        kept, left_out = len(job.finished.tiles), list(job.finished.left_out)
        to_do = [window for window in windows if window not in finished]
        for number, (window, ground) in enumerate(_placed(scene, to_do), start=1):
            pixels = reader.read(window, max_px=max_px)
            if pixels.valid_share >= settings.min_valid:
                kept += 1
                yield TileRead(_tile(job, scene, window, ground), pixels.image, number / len(to_do))
            else:
                left_out.append(LeftOut(window, pixels.valid_share))
                yield TileSkipped(job.scene, left_out[-1])
        if not kept:
            yield _fullest(job, scene, reader, left_out, max_px=max_px)
            kept = 1
        digest = digest_of(job.source.location, job.state, files=reader.files())
        note = remark(job.scene, job.state, scene, tile, sha256=digest)
        entry = enter(job.scene, job.state, scene, n_tiles=kept, n_left_out=len(windows) - kept)
        yield SceneRead(entry, note)


def with_catalogue(scene: Scene, source: Source) -> Scene:
    """A catalogue knows better than a file's tags when and by what a scene was taken."""
    return replace(scene, date=source.date or scene.date, sensor=source.sensor or scene.sensor)


def cut(scene: Scene, settings: Settings, tile: TileSize) -> list[Window]:
    """All windows of a scene that become tiles."""
    return cut_scales(
        scene.width,
        scene.height,
        tile_px=tile.px,
        scales=settings.scales,
        overlap=settings.overlap,
        is_picture=scene.is_picture,
    )


def _fullest(job: Job, scene: Scene, reader: SceneReader, left_out: list[LeftOut], *, max_px: int) -> TileRead:
    """A scene with a little data is better known by its fullest tile than by none."""
    best = max(left_out, key=lambda left: left.valid_share)
    if best.valid_share == 0:
        raise reader.without_data()
    ((window, ground),) = _placed(scene, [best.window_px])
    return TileRead(_tile(job, scene, window, ground), reader.read(window, max_px=max_px).image, done=1.0)


def _placed(scene: Scene, windows: list[Window]) -> Iterator[tuple[Window, Ground | None]]:
    for start in range(0, len(windows), PLACE_AT_ONCE):
        some = windows[start : start + PLACE_AT_ONCE]
        grounds = scene.placement.ground(some) if scene.placement else [scene.ground] * len(some)
        yield from zip(some, grounds, strict=True)


def _tile(job: Job, scene: Scene, window: Window, ground: Ground | None) -> Tile:
    return Tile(
        tile=f"{job.scene}:{','.join(str(number) for number in window)}",
        scene=job.scene,
        window_px=window,
        footprint=ground.ring if ground else None,
        bbox=ground.bbox if ground else None,
        date=scene.date.day if scene.date else None,
        gsd_m=ground.gsd_m if ground else None,
        sensor=scene.sensor,
    )


def enter(name: str, state: FileState, scene: Scene, *, n_tiles: int, n_left_out: int) -> SceneEntry:
    """What an index records of a scene."""
    size_bytes, mtime_ns = state
    return SceneEntry(
        scene=name,
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        size_px=(scene.width, scene.height),
        n_tiles=n_tiles,
        n_left_out=n_left_out,
        crs=scene.crs,
        stretch=scene.stretch,
        footprint=scene.ground.ring if scene.ground else None,
        bbox=scene.ground.bbox if scene.ground else None,
        date=scene.date.day if scene.date else None,
        gsd_m=scene.ground.gsd_m if scene.ground else None,
        sensor=scene.sensor,
    )


def remark(name: str, state: FileState, scene: Scene, tile: TileSize, *, sha256: str | None) -> SceneNote:
    """What is remembered of a scene beside that."""
    return SceneNote(
        name,
        *state,
        sha256=sha256,
        tile_px=tile.px,
        tile_rule=tile.rule,
        n_pages=scene.n_pages,
        guessed_bands=scene.bands if scene.are_bands_guessed else (),
        is_camera_place=scene.placement is None and scene.ground is not None,
    )
