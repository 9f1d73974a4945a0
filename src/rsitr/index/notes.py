"""What is remembered of scenes beside the table of them: what their files hold, and how large their tiles came out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rsitr.geo import COARSEST_GSD_M, SMALLEST_PX, FileState, choose_tile_px
from rsitr.index.manifest import Settings
from rsitr.index.names import NOTES
from rsitr.types import SceneEntry

if TYPE_CHECKING:
    from rsitr.geo import Scene

__all__ = [
    "SceneNote",
    "TileSize",
    "add_notes",
    "choose_tile",
    "describe_sizes",
    "describe_tiles",
    "digest_of",
    "read_notes",
]

TileRule = Literal["as asked", "smallest", "no metres"]


@dataclass(frozen=True, slots=True)
class TileSize:
    """The side of a scene's tiles in pixels, and what became of what was asked for.

    `smallest`: it would have been fewer pixels than a tile can have. `no metres`: of a scene without a place nobody
    knows how many pixels a metre is, and its tiles are as large as if no metres had been asked for.
    """

    px: int
    rule: TileRule


@dataclass(frozen=True, slots=True)
class SceneNote:
    """What is known of a scene's file in one state.

    Attributes:
        scene: its name in the index.
        size_bytes: of the file.
        mtime_ns: time of its change.
        sha256: of what it holds, in hex; None for one on a server, or if it changed while it was read.
        tile_px: side of its tiles.
        tile_rule: as of `TileSize`.
        n_pages: images in the file, of which one is shown.
        guessed_bands: that are shown because they are the first; none where the file or a person says which.
        is_camera_place: its place is only where its camera was.
    """

    scene: str
    size_bytes: int
    mtime_ns: int
    sha256: str | None
    tile_px: int
    tile_rule: TileRule
    n_pages: int = 1
    guessed_bands: tuple[int, ...] = ()
    is_camera_place: bool = False

    @property
    def state(self) -> FileState:
        """Of the file."""
        return self.size_bytes, self.mtime_ns


def choose_tile(scene: Scene, settings: Settings, *, image_size_px: int) -> TileSize:
    """How large the tiles of a scene become."""
    gsd_m = scene.ground.gsd_m if scene.ground else None
    px = settings.tile_px or choose_tile_px(model_px=image_size_px, gsd_m=gsd_m, tile_m=settings.tile_m)
    asked = settings.tile_m / gsd_m if settings.tile_m and gsd_m else px
    if round(asked * min(settings.scales)) < SMALLEST_PX:
        return TileSize(px, "smallest")
    return TileSize(px, "no metres" if settings.tile_m and gsd_m is None else "as asked")


LARGE_BYTES = 16 * 2**20
"""More than this beside a scene's own size is not read only to know a copy of it."""


def digest_of(location: Path | str, state: FileState, *, files: Sequence[Path] | None = None) -> str | None:
    """Of what a scene's files hold; None where that is not known, so that a copy of the scene is read again.

    That is so on a server, in another state by now, and beside large files: a VRT's sources may be a whole archive.

    Args:
        location: of the scene.
        state: that it is to be in.
        files: of the scene, where they are known already; to find them, it is opened.
    """
    from rsitr.geo import list_files, stat_source

    if isinstance(location, str):
        return None
    try:
        paths = files or list_files(location)
        if sum(path.stat().st_size for path in paths[1:]) > paths[0].stat().st_size + LARGE_BYTES:
            return None
        digests = []
        for path in paths:
            with path.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        digest = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
        return digest if stat_source(location, files=paths) == state else None
    except OSError:
        return None


def read_notes(folder: Path) -> dict[str, dict[FileState, SceneNote]]:
    """All notes of an index by scene and state; of several the last. What cannot be read is nothing that was noted."""
    found: dict[str, dict[FileState, SceneNote]] = {}
    try:
        lines = (folder / NOTES).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return found
    for line in lines:
        try:
            fields = json.loads(line)
            note = SceneNote(**{**fields, "guessed_bands": tuple(fields.get("guessed_bands", ()))})
        except (ValueError, TypeError, AttributeError):  # blank, or cut off by a kill
            continue
        found.setdefault(note.scene, {})[note.state] = note
    return found


def add_notes(folder: Path, notes: Sequence[SceneNote]) -> None:
    """Write notes behind those that are there. A line begins with its end: what a kill has cut off stays alone."""
    with (folder / NOTES).open("a", encoding="utf-8") as file:
        file.write("".join(f"\n{json.dumps(asdict(note))}" for note in notes))


def describe_tiles(
    entries: Iterable[SceneEntry], notes: Mapping[str, Mapping[FileState, SceneNote]], settings: Settings
) -> tuple[str, ...]:
    """In words: where tiles are not what was asked for, or show nothing that a model would know."""
    entries = list(entries)
    noted = _noted(entries, notes)
    said = list(_describe_sizes(noted, settings))
    if coarse := [entry for entry in entries if entry.gsd_m and entry.gsd_m > COARSEST_GSD_M]:
        said.append(
            f"models of aerial pictures guess where pixels are coarser than {COARSEST_GSD_M:g} m: trust neither hits "
            f"nor relevance in {_count(coarse)} ({coarse[0].scene}: {coarse[0].gsd_m:.3g} m)"
        )
    if tiny := [entry for entry in entries if min(entry.size_px) < SMALLEST_PX]:
        width, height = tiny[0].size_px
        said.append(
            f"no model makes anything of fewer than {SMALLEST_PX} pixels to a side: trust neither hits nor relevance "
            f"in {_count(tiny)} ({tiny[0].scene}: {width} x {height} px)"
        )
    return (*said, *_describe_choices([note for _, note in noted], settings))


def describe_sizes(
    entries: Iterable[SceneEntry], notes: Mapping[str, Mapping[FileState, SceneNote]], settings: Settings
) -> tuple[str, ...]:
    """In words: where tiles are not of the size that was asked for. Part of `describe_tiles`."""
    return tuple(_describe_sizes(_noted(entries, notes), settings))


def _noted(
    entries: Iterable[SceneEntry], notes: Mapping[str, Mapping[FileState, SceneNote]]
) -> list[tuple[SceneEntry, SceneNote]]:
    return [
        (entry, note)
        for entry in entries
        if (note := notes.get(entry.scene, {}).get((entry.size_bytes, entry.mtime_ns))) is not None
    ]


def _describe_sizes(noted: Sequence[tuple[SceneEntry, SceneNote]], settings: Settings) -> Iterator[str]:
    by_rule: dict[TileRule, list[tuple[SceneEntry, SceneNote]]] = {}
    for entry, note in noted:
        by_rule.setdefault(note.tile_rule, []).append((entry, note))
    asked = f"{settings.tile_m:g} m" if settings.tile_m else f"{settings.tile_px or 'the usual'} px"
    if small := by_rule.get("smallest"):
        entry, _ = small[0]
        used = f"{SMALLEST_PX} px" + (f", {SMALLEST_PX * entry.gsd_m:.3g} m" if entry.gsd_m else "")
        yield (
            f"tiles of {asked}{_scales(settings)} would have fewer than {SMALLEST_PX} pixels in {_count(small)}, "
            f"where the smallest that there are are used ({entry.scene}: {used})"
        )
    if unplaced := by_rule.get("no metres"):
        entry, note = unplaced[0]
        yield (
            f"without a known place on Earth there are no tiles of {asked}: pixels are counted in {_count(unplaced)} "
            f"({entry.scene}: {note.tile_px} px)"
        )


def _describe_choices(notes: Sequence[SceneNote], settings: Settings) -> Iterator[str]:
    """Where one of several ways to show a scene was taken that nobody had asked for."""
    if paged := [note for note in notes if note.n_pages > 1 and settings.page is None]:
        yield (
            f"only the first of several images is shown in {_count(paged)} ({paged[0].scene}: {paged[0].n_pages} "
            "pages); --page N makes an index of another"
        )
    if guessed := [note for note in notes if note.guessed_bands]:
        shown = ", ".join(map(str, guessed[0].guessed_bands))
        as_what = "red, green and blue" if len(guessed[0].guessed_bands) == 3 else "grey"
        yield (
            f"nothing says which bands to show in {_count(guessed)} ({guessed[0].scene}: bands {shown} are taken as "
            f"{as_what}); --bands R,G,B chooses others"
        )
    if cameras := [note for note in notes if note.is_camera_place]:
        yield (
            f"where the camera was, as EXIF says, is all that is known of the place in {_count(cameras)} "
            f"({cameras[0].scene}): what it shows may lie beside it"
        )


def _scales(settings: Settings) -> str:
    return "" if settings.scales == (1.0,) else f" times {min(settings.scales):g}"


def _count(scenes: Sequence[object]) -> str:
    return f"{len(scenes):,} scene" + ("" if len(scenes) == 1 else "s")
