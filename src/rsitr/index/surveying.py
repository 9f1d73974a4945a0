"""What indexing would do, before it does it: scenes, tiles, and where tiles would not be what was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rsitr.errors import SceneError
from rsitr.files import common_folder, name_from
from rsitr.geo import FileState, Source, open_scene, public_address, stat_source
from rsitr.index.manifest import Settings
from rsitr.index.notes import SceneNote, choose_tile, describe_sizes, describe_tiles
from rsitr.index.reading import cut, enter, remark, with_catalogue
from rsitr.index.writing import Failure
from rsitr.types import SceneEntry

__all__ = ["Survey", "survey"]

ROW_BYTES = 320
"""Of a tile in the table beside its vector and code: its names, window, outline and box."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found.

    Attributes:
        scenes: that would be indexed; their tiles may turn out fewer, where they are mostly nodata.
        unchanged: names of those that are in the index as they are.
        failures: what cannot be opened.
        notes: what else a person should know of them.
        tile_notes: of these, where tiles would not be of the size that was asked for.
    """

    scenes: tuple[SceneEntry, ...]
    unchanged: tuple[str, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    tile_notes: tuple[str, ...]

    @property
    def n_tiles(self) -> int:
        """At most."""
        return sum(scene.n_tiles for scene in self.scenes)

    def size_bytes(self, *, dim: int, code_length: int = 0) -> int:
        """About how much the tiles take on disk.

        Args:
            dim: width of the vectors.
            code_length: numbers in the code of each tile.
        """
        return self.n_tiles * (4 * dim + 2 * code_length + ROW_BYTES)


def survey(
    sources: Sequence[Source],
    *,
    settings: Settings,
    image_size_px: int,
    root: Path | None = None,
    known: Mapping[str, FileState] = MappingProxyType({}),
) -> Survey:
    """Look at scenes as far as they say of themselves; no pixel is read.

    Args:
        sources: from `rsitr.geo.find_sources`.
        settings: how they would be cut.
        image_size_px: of the model.
        root: folder that their names are relative to; None: their common folder.
        known: states of the scenes that are in the index, by name.
    """
    local = [source.location.parent for source in sources if isinstance(source.location, Path)]
    base = root or common_folder(local or [Path.cwd()])
    scenes: list[SceneEntry] = []
    unchanged: list[str] = []
    failures: list[Failure] = []
    notes: dict[str, dict[FileState, SceneNote]] = {}
    for source in sources:
        where = source.location
        name = public_address(where) if isinstance(where, str) else name_from(where, folder=base)
        if source.problem is not None:
            failures.append(Failure(name, source.problem))
            continue
        try:
            state = stat_source(where)
            if known.get(name) == state:
                unchanged.append(name)
                continue
            scene = with_catalogue(open_scene(where, page=settings.page, bands=settings.bands), source)
        except OSError as error:
            failures.append(Failure(name, (error.strerror or str(error)).lower()))
            continue
        except SceneError as error:
            failures.append(Failure(name, str(error).removeprefix(f"{public_address(where)}: ")))
            continue
        tile = choose_tile(scene, settings, image_size_px=image_size_px)
        scenes.append(enter(name, state, scene, n_tiles=len(cut(scene, settings, tile)), n_left_out=0))
        notes[name] = {state: remark(name, state, scene, tile, sha256=None)}
    return Survey(
        scenes=tuple(scenes),
        unchanged=tuple(unchanged),
        failures=tuple(failures),
        notes=describe_tiles(scenes, notes, settings),
        tile_notes=describe_sizes(scenes, notes, settings),
    )
