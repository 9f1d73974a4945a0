"""The writing half of ingest: what is to do, the journal, and commits of finished scenes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import SceneError, StoreError
from rsitr.files import common_folder, name_from
from rsitr.geo import FileState, Source, is_url, public_address, stat_source
from rsitr.index.address import ENGINES, address_of
from rsitr.index.folder import IndexFolder, clear_index, create_index, is_index, open_index, writing
from rsitr.index.home import publish
from rsitr.index.journal import Finished, Journal, LeftOut
from rsitr.index.manifest import Manifest, Settings, encoding_of, read_manifest, record_code, write_manifest
from rsitr.index.names import JOURNAL
from rsitr.index.notes import SceneNote, add_notes, describe_tiles, digest_of, read_notes
from rsitr.index.reading import Job
from rsitr.types import Encoder, FloatArray, SceneEntry, Tile, TileCoder

__all__ = ["Failure", "Plan", "Writer", "open_writer"]

SAME_NAME = "another file has the same address up to the '?', which is what a scene is called: only one can be indexed"
COMMIT_TILES = 2048  # finished scenes wait for company until they have so many tiles together ...
COMMIT_S = 20.0  # ... or so much time has gone by: every commit leaves a small piece on disk


@dataclass(frozen=True, slots=True)
class Failure:
    """A scene that could not be used, and why, in one line."""

    scene: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to do, which scenes are unchanged, and which files cannot even be looked at."""

    jobs: tuple[Job, ...]
    unchanged: tuple[str, ...]
    failures: tuple[Failure, ...]


class Writer:
    """Notes encoded batches and commits finished scenes, several at a time; made by `open_writer`."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        *,
        root: Path | None,
        held: ExitStack,
        coder: TileCoder | None,
    ) -> None:
        self.manifest = manifest
        self._coder = coder
        self.written: list[SceneEntry] = []
        self._folder = folder
        self._given_root = root
        self._root = root or Path.cwd()  # until an index that is there says where its scenes lie
        self._held = held
        self._index: IndexFolder | None = None
        self._is_new = False
        self._encoding: str | None = None
        self._journal = Journal(folder / JOURNAL, dim=manifest.model.dim, code_length=manifest.code_length)
        self._states: dict[str, FileState] = {}
        self._waiting: list[tuple[SceneEntry, Finished]] = []
        self._notes: list[SceneNote] = []
        self._noted: dict[str, dict[FileState, SceneNote]] = {}
        self._last_commit = time.monotonic()

    def open_existing(self) -> None:
        """Take hold of the index that is there."""
        self._held.enter_context(writing(self._folder))
        self._index = open_index(self._folder, root=self._given_root)
        self._root = self._index.root

    def adopt(self, encoder: Encoder) -> None:
        """Take an encoder for what is to be done; raises StoreError for another model than the index's."""
        self.manifest.check_encoder(encoder, folder=self._folder)
        self._encoding = encoding_of(encoder)

    def plan(self, sources: Sequence[Source]) -> Plan:
        """Compare the files with the index, and take up what an interrupted run has left.

        Raises:
            StoreError: the archive seems to have moved, and nobody has said where to.
        """
        known = {entry.scene: entry for entry in self._index.store.scenes()} if self._index else {}
        self._noted = read_notes(self._folder)
        to_do: dict[str, Source] = {}
        unchanged: list[str] = []
        failures: list[Failure] = []
        seen: dict[str, FileState] = {}
        for source in sources:
            scene = self._name(source.location)
            if source.problem is not None:
                failures.append(Failure(scene, source.problem))
                continue
            try:
                scene.encode()
                state = stat_source(source.location)
            except OSError as error:
                failures.append(Failure(scene, (error.strerror or str(error)).lower()))
                continue
            except UnicodeEncodeError:
                failures.append(Failure(ascii(scene), "its name is not valid UTF-8: rename it"))
                continue
            if seen.setdefault(scene, state) is not state:  # addresses that differ in their queries only
                if seen[scene] != state:
                    failures.append(Failure(scene, SAME_NAME))
                continue
            entry = known.get(scene)
            if entry and self._is_unchanged(entry, source, state):
                unchanged.append(scene)
            else:
                to_do[scene] = source
                self._states[scene] = state
        self._require_not_moved(known)
        finished = self._journal.read(self._states) if self._index else {}
        jobs = [
            Job(scene, source, *self._states[scene], finished=finished.get(scene, Finished()))
            for scene, source in to_do.items()
        ]
        return Plan(tuple(jobs), tuple(unchanged), tuple(failures))

    def _is_unchanged(self, entry: SceneEntry, source: Source, state: FileState) -> bool:
        """Whether a file is as it was; a copy of it has another time of change, and is known by what it holds."""
        indexed = (entry.size_bytes, entry.mtime_ns)
        if indexed == state:
            return True
        noted = self._noted.get(entry.scene, {})
        then = noted.get(indexed)
        if then is None or then.sha256 is None or state[0] != entry.size_bytes:
            return False
        if state in noted:
            return noted[state].sha256 == then.sha256
        if digest_of(source.location, state) != then.sha256:
            return False
        add_notes(self._folder, [replace(then, mtime_ns=state[1])])
        return True

    def _require_not_moved(self, known: Mapping[str, SceneEntry]) -> None:
        """Files outside of the root that are those that are missing in it would be indexed under other names again."""
        if self._given_root is not None:
            return
        outside = {
            (PurePosixPath(scene).name, state[0]): scene
            for scene, state in self._states.items()
            if scene.startswith("../") and scene not in known
        }
        moved = [
            (scene, outside[PurePosixPath(scene).name, entry.size_bytes])
            for scene, entry in known.items()
            if (PurePosixPath(scene).name, entry.size_bytes) in outside and not (self._root / scene).exists()
        ]
        if moved:
            scene, offered = moved[0]
            path = Path(os.path.normpath(self._root / offered))
            ends_alike = path.as_posix().endswith(f"/{scene}")
            now = path.parents[scene.count("/")] if ends_alike else path.parent
            raise StoreError(
                f"{self._folder}: {len(moved):,} of its scenes are missing in {self._root}, and files of the same "
                f"names and sizes are offered from elsewhere ({path}); --root {now} says where the archive lies now"
            )

    def remove_missing(self, inputs: Sequence[str | Path], sources: Sequence[Source]) -> tuple[str, ...]:
        """Take scenes out of the index that lay in the inputs' folders and are no longer there; returns their names.

        Args:
            inputs: as named; folders that are gone are folders of which all is gone.
            sources: what was found there.

        Raises:
            SceneError: an input is not there, and no scene of the index ever lay in it.
            StoreError: the archive itself is not there, or nothing of it, as when a disk is not mounted.
        """
        if self._index is None:
            return ()
        named = [Path(item) for item in inputs if not is_url(str(item))]
        local = [entry.scene for entry in self._index.store.scenes() if not is_url(entry.scene)]
        missing = [path for path in named if not path.exists()]
        never = [str(path) for path in missing if not any(_lies_in(self._root / scene, path) for scene in local)]
        if never:
            raise SceneError(f"no such file or folder: {', '.join(never)}")
        folders = [path for path in named if path.is_dir()] + missing
        gone = [scene for scene in local if _is_gone(self._root / scene, folders)]
        if gone and not self._root.is_dir():
            raise StoreError(
                f"{self._folder}: its scenes lie in {self._root}, which is not there, so nothing is removed; is a disk "
                "not mounted? --root says where an archive that has moved lies now"
            )
        found = any(isinstance(source.location, Path) for source in sources)
        if local and len(gone) == len(local) and not found and self._given_root is None:
            raise StoreError(
                f"{self._folder}: all of its {len(local):,} scenes would be removed, as nothing is left of them in "
                f"{self._root}; is a disk not mounted? If they are gone indeed, say so with --root {self._root}"
            )
        if gone:
            self._index.store.remove(gone)
        return tuple(gone)

    def note(
        self,
        tiles: Sequence[Tile],
        vectors: FloatArray,
        codes: NDArray[np.float16] | None,
        *,
        left_out: Mapping[str, Sequence[LeftOut]],
    ) -> None:
        """Keep an encoded batch in the journal, and make a new index's folder for it."""
        self._index = self._index or self._create()
        if self._encoding is not None and self._encoding not in self.manifest.model.encodings:
            self.manifest = self.manifest.with_encoding(self._encoding)
            write_manifest(self._folder, self.manifest)
        scenes = {*left_out, *(tile.scene for tile in tiles)}
        states = {scene: self._states[scene] for scene in sorted(scenes)}
        self._journal.write(tiles, vectors, codes, left_out=left_out, states=states)

    def give_up(self, scene: str) -> None:
        """Let go of a scene that cannot be used."""
        self._journal.forget([scene])

    def add(self, entry: SceneEntry, finished: Finished, note: SceneNote) -> None:
        """Take a finished scene, and what else is to be remembered of it."""
        self._waiting.append((entry, finished))
        self._notes.append(note)
        self._noted.setdefault(note.scene, {})[note.state] = note
        n_tiles = sum(len(waiting.tiles) for _, waiting in self._waiting)
        if n_tiles >= COMMIT_TILES or time.monotonic() - self._last_commit >= COMMIT_S:
            self._commit()

    def finish(self) -> None:
        """Commit what is left, and tidy up: what many commits have left, or all if nothing came of a new index."""
        if self._waiting:
            self._commit()
        self._journal.remove()
        if self._index:
            self._index.store.tidy()
        if self._is_new and not self.written:
            clear_index(self._folder)

    def _commit(self) -> None:
        index = self._index or self._create()
        entries = [entry for entry, _ in self._waiting]
        tiles = [tile for _, finished in self._waiting for tile in finished.tiles]
        vectors = np.stack([vector for _, finished in self._waiting for vector in finished.vectors])
        codes = [code for _, finished in self._waiting for code in finished.codes]
        add_notes(self._folder, self._notes)  # first: notes of scenes that are not listed do no harm
        self._notes = []
        publish(self._folder)
        index.store.put(entries, tiles, vectors, codes=np.stack(codes) if codes else None)
        self._journal.forget(entry.scene for entry in entries)
        self.written += entries
        self._waiting = []
        self._last_commit = time.monotonic()

    def describe_tiles(self) -> tuple[str, ...]:
        """Where tiles of the scenes that were written did not become as large as was asked for."""
        return describe_tiles(self.written, self._noted, self.manifest.settings)

    def _create(self) -> IndexFolder:
        self._index = create_index(self._folder, self.manifest, held=self._held, coder=self._coder)
        self._is_new = True
        return self._index

    def _name(self, location: Path | str) -> str:
        """A scene's name in the index: its path as seen from the root, or its address without a query."""
        if isinstance(location, str):
            return public_address(location)
        return name_from(location, folder=self._root)


def open_writer(
    into: Path,
    sources: Sequence[Source],
    *,
    encoder: Callable[[], Encoder],
    given: Settings,
    root: Path | None,
    coder: TileCoder | None,
    held: ExitStack,
    engine: str | None = None,
) -> Writer:
    """Take hold of the index in a folder, or get ready to make one.

    Args:
        into: the folder.
        sources: the scenes.
        encoder: gives what encodes them; called only to make an index, which records it.
        given: the settings; of those that were not set, an existing index keeps its own.
        root: folder that scene paths are relative to, or None.
        coder: what makes the tiles' codes, or None.
        held: lets go of the index in the end.
        engine: of the store of a new index; an existing one takes only its own.

    Raises:
        StoreError: see `ingest`.
    """
    if root is not None and not root.is_dir():
        raise StoreError(f"{root}: no such folder (--root names the folder that scene paths are relative to)")
    address = address_of(into)
    usual = "lance" if address is None else ENGINES[address.scheme]
    if address is not None and engine not in {None, usual}:
        raise StoreError(f"{into}: tiles there are kept by {usual!r}, not by {engine!r}; leave --store out")
    if not is_index(into):
        # The common folder of all scenes: the paths in the index are then as short as they can be.
        local = [source.location.parent for source in sources if isinstance(source.location, Path)]
        base = (root or common_folder(local or [Path.cwd()])).resolve()
        manifest = Manifest.create(
            into, encoder=encoder(), settings=given, root=base, code=record_code(coder), engine=engine or usual
        )
        return Writer(into, manifest, root=base, held=held, coder=coder)
    manifest = read_manifest(into)
    if engine not in {None, manifest.engine}:
        raise StoreError(
            f"{into}: its tiles are kept by {manifest.engine!r}, not by {engine!r}; make another index to change that"
        )
    manifest.check_made_of("scenes", folder=into)
    manifest.check_settings(given, folder=into)
    manifest.check_code(record_code(coder), folder=into)
    writer = Writer(into, manifest, root=root and root.resolve(), held=held, coder=coder)
    writer.open_existing()
    if root is not None:
        writer.manifest = manifest.with_root(into, root)
        write_manifest(into, writer.manifest)
    return writer


def _is_gone(path: Path, folders: Sequence[Path]) -> bool:
    return not path.exists() and any(_lies_in(path, folder) for folder in folders)


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is, or leads into, a folder, whichever of both is reached through links."""
    whole = folder.resolve()
    ways = (Path(os.path.normpath(path)), path.parent.resolve() / path.name)
    return any(way.is_relative_to(whole) for way in ways)
