"""An index on disk: a folder with a manifest and the store's tables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from rsitr.errors import StoreError
from rsitr.files import locked
from rsitr.geo import is_url
from rsitr.index.address import address_of, find_index
from rsitr.index.home import clear, hold, is_taken, publish, refresh
from rsitr.index.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from rsitr.index.names import CACHE, CODE_FILE, HOME, IMPORTS, JOURNAL, LOCK, NEAREST, NOTES, TABLE_FOLDERS
from rsitr.index.store import LanceStore
from rsitr.registry import Registry
from rsitr.types import OpenStore, Store, TileCoder

__all__ = [
    "STORES",
    "IndexFolder",
    "clear_index",
    "create_index",
    "is_index",
    "open_index",
    "recorded_encodings",
    "recorded_model",
    "relink_index",
    "sample_files",
    "writing",
]

ROOT_SAMPLE = 64  # scenes are looked for where an archive may lie
# What a run that was killed while it made an index may leave: with nothing else, a folder counts as empty.
OWN = frozenset({HOME, LOCK, MANIFEST, JOURNAL, CACHE, NEAREST, NOTES, IMPORTS, CODE_FILE, *TABLE_FOLDERS, "store"})

STORES: Registry[OpenStore] = Registry("engine", group="stores", error=StoreError)
"""What keeps tiles with their vectors, by the name that an index records."""
STORES.register("lance", LanceStore)
STORES.register("milvus", "rsitr.index.milvus:MilvusStore")


@dataclass(frozen=True, slots=True)
class IndexFolder:
    """An open index.

    Attributes:
        path: the folder.
        manifest: what it was made of and by.
        store: its tiles.
        root: the folder that scene paths are relative to.
    """

    path: Path
    manifest: Manifest
    store: Store
    root: Path

    def scene_path(self, scene: str) -> Path | str:
        """Where a scene's file lies now: a path, or the address of one that is elsewhere."""
        return scene if is_url(scene) else self.root / scene


def is_index(folder: Path) -> bool:
    """Whether there is an index in a folder.

    Raises:
        StoreError: something else is there, which must not be written into.
    """
    refresh(folder)
    if (folder / MANIFEST).is_file():
        return True
    if address_of(folder) is not None:
        if is_taken(folder):
            raise StoreError(f"{folder}: something else than an index lies there; give --into a name of its own")
        return False
    if folder.is_file() or (folder.is_dir() and any(not _is_own(entry) for entry in folder.iterdir())):
        raise StoreError(f"{folder}: exists and is no index; give --into a folder that is empty or does not exist yet")
    return False


def recorded_model(folder: Path) -> str | None:
    """Name of the model that made the index in a folder; None where there is no index yet.

    Raises:
        StoreError: something else is there, or the index is damaged.
    """
    return read_manifest(folder).model.name if is_index(folder) else None


def recorded_encodings(folder: Path) -> tuple[str, ...]:
    """How the pictures of the index in a folder were encoded, the first way first; none where there is no index yet.

    Raises:
        StoreError: as of `recorded_model`.
    """
    return read_manifest(folder).model.encodings if is_index(folder) else ()


def open_index(folder: str | Path, *, root: Path | None = None) -> IndexFolder:
    """Open an index.

    Args:
        folder: the index, or its address.
        root: where its scenes lie, if that is not where the index expects them.

    Raises:
        StoreError: the folder is missing, no index, or damaged.
    """
    folder = find_index(folder)
    manifest = read_manifest(folder)
    opens = STORES[manifest.engine]
    store = opens(folder, dim=manifest.model.dim, code_length=manifest.code_length, must_exist=True)

    found = (root or manifest.find_root(folder, known=lambda: sample_files(store))).resolve()
    return IndexFolder(path=folder, manifest=manifest, store=store, root=found)


def create_index(folder: Path, manifest: Manifest, *, held: ExitStack, coder: TileCoder | None = None) -> IndexFolder:
    """Make an empty index in a folder and hold it for writing.

    Raises:
        StoreError: the folder cannot be written, or another process has made an index there in the meantime.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made ({error.strerror or error})") from error
    held.enter_context(writing(folder))
    if is_index(folder):
        raise StoreError(f"{folder}: another process has made an index here meanwhile; run the command again")
    # The manifest comes last: with it, everything is there.
    clear_index(folder, but=LOCK)
    STORES[manifest.engine](folder, dim=manifest.model.dim, code_length=manifest.code_length)
    if coder is not None:
        coder.save(folder / CODE_FILE)
    publish(folder)
    write_manifest(folder, manifest)
    return open_index(folder)


def clear_index(folder: Path, *, but: str | None = None) -> None:
    """Take away an index of which nothing has come, and its folder if it is then empty."""
    clear(folder)
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name != MANIFEST):
        if entry.name == LOCK and but != LOCK:
            with suppress(PermissionError):  # Windows keeps what is open; a folder with nothing else counts as empty
                entry.unlink()
        elif entry.name != but and _is_own(entry):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def relink_index(folder: Path, root: Path) -> int:
    """Record where an archive that has moved lies now; returns how many of its scenes are not there.

    Raises:
        StoreError: there is no index, another process is writing it, or no scene of it lies in `root`.
    """
    with writing(folder) if is_index(folder) else nullcontext():
        index = open_index(folder, root=root)
        local = [entry.scene for entry in index.store.scenes() if not is_url(entry.scene)]
        missing = [scene for scene in local if not (root / scene).is_file()]
        if local and len(missing) == len(local):
            raise StoreError(f"{root}: none of the {len(local):,} scenes of {folder} lie here, e.g. no {missing[0]}")
        write_manifest(folder, index.manifest.with_root(folder, root))
    return len(missing)


def sample_files(store: Store) -> list[str]:
    """Some of the scenes that are files."""
    local = [scene for scene in store.scene_names() if not is_url(scene)]
    return local[:: max(1, -(-len(local) // ROOT_SAMPLE))]


def _is_own(entry: Path) -> bool:
    return entry.name in OWN or entry.name.startswith(f".{MANIFEST}.")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold an index for writing. The system lets go of the lock when the process ends, however it ends.

    Raises:
        StoreError: another process is writing, or the folder cannot be written.
    """
    busy = f"{folder}: another process is writing this index; wait until it is done"
    with locked(folder / LOCK, busy=busy, error=StoreError), hold(folder):
        yield
