"""Embeddings that others made into an index: file by file, each whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rsitr.errors import DataError, StoreError
from rsitr.files import common_folder, name_from
from rsitr.geo import FileState, is_url
from rsitr.index.address import ENGINES, address_of, find_index
from rsitr.index.columns import ColumnChoice
from rsitr.index.embeddings import EmbeddingFile
from rsitr.index.folder import IndexFolder, clear_index, create_index, is_index, open_index, writing
from rsitr.index.home import publish
from rsitr.index.imports import ImportedFile, Imports, read_imports
from rsitr.index.layout import Layout, SceneTally
from rsitr.index.manifest import Manifest, ModelRecord, Settings, read_manifest, write_manifest
from rsitr.index.store import LanceStore
from rsitr.index.writing import Failure
from rsitr.types import Encoder, Progress, no_progress

__all__ = ["ImportOptions", "ImportReport", "find_tables", "import_embeddings"]

SUFFIXES = (".parquet", ".geoparquet", ".gpq", ".parq")
UNNAMED = "unnamed model"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How files are understood.

    Attributes:
        columns: that a person named.
        side_m: side of the square that a point stands for, in metres.
        model_name: of what made the vectors, where files don't say; None: what they say.
        encoder: what made them, where it is at hand: then words can be searched for.
        root: the folder that files are named from, and that scenes lie in; None: what an existing index has, or the
            files' common folder.
    """

    columns: ColumnChoice = field(default_factory=ColumnChoice)
    side_m: float | None = None
    model_name: str | None = None
    encoder: Encoder | None = None
    root: Path | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of the files.

    Attributes:
        imported: files that are new or have changed, by name.
        unchanged: files that were in the index already, as they are.
        failures: files that could not be used.
        notes: what else a person should know.
        time_s: from the first file to the last commit.
    """

    imported: dict[str, ImportedFile]
    unchanged: tuple[str, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    time_s: float

    @property
    def n_tiles(self) -> int:
        """Tiles that were written."""
        return sum(one.n_tiles for one in self.imported.values())

    @property
    def n_bad(self) -> int:
        """Rows that could not be used."""
        return sum(one.n_bad for one in self.imported.values())


def find_tables(inputs: Sequence[str | Path]) -> list[Path]:
    """The files that are meant: those that are named, and all Parquet files in folders that are.

    Raises:
        DataError: one is not there, lies on a server, or is a folder without such files.
    """
    found: list[Path] = []
    for item in inputs:
        path = Path(item)
        if is_url(str(item)):
            raise DataError(f"{item}: embeddings are read from files here; fetch it first")
        if path.is_dir():
            inside = sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES and one.is_file())
            if not inside:
                raise DataError(f"{path}: no Parquet files in this folder ({', '.join(SUFFIXES)})")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise DataError(f"no such file or folder: {path}")
    return list(dict.fromkeys(one.resolve() for one in found))


def import_embeddings(
    inputs: Sequence[str | Path],
    *,
    into: str | Path,
    options: ImportOptions | None = None,
    progress: Progress = no_progress,
) -> ImportReport:
    """Take embeddings from Parquet files into an index, which is made if it is not there.

    A file appears in the index whole or not at all. Files that are there already and have not changed are left as they
    are, those that have changed take their own place; an interrupted run, however it ended, goes on at the file that it
    was at. Rows without a place or a vector are left out and counted; a file that fits nothing stops no other.

    Args:
        inputs: files, and folders to search for them.
        into: the folder of the index, or its address (`s3://bucket/prefix`); one that was made of embeddings of
            the same model grows.
        options: how files are understood.
        progress: told how many rows have been read, of how many.

    Raises:
        DataError: an input is missing.
        StoreError: `into` is no index, was made of scenes, is being written, or is damaged.
    """
    started, into = time.monotonic(), find_index(into)
    options = options or ImportOptions()
    paths = find_tables(inputs)
    if options.root is not None and not options.root.is_dir():
        raise StoreError(f"{options.root}: no such folder (--root names the folder that scenes lie in)")
    with ExitStack() as held:
        work = _Importing(into, options, paths=paths, held=held, progress=progress)
        for path in paths:
            work.take(path)
        work.finish()
    return ImportReport(
        work.imported, tuple(work.unchanged), tuple(work.failures), tuple(work.notes), time.monotonic() - started
    )


class _Importing:
    """One run: the index as it grows, and what becomes of each file."""

    def __init__(
        self, into: Path, options: ImportOptions, *, paths: Sequence[Path], held: ExitStack, progress: Progress
    ) -> None:
        self.imported: dict[str, ImportedFile] = {}
        self.unchanged: list[str] = []
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self._folder, self._options, self._held = into, options, held
        self._progress = progress
        self._done_bytes, self._all_bytes = 0, sum(path.stat().st_size for path in paths)
        self._index: IndexFolder | None = None
        self._is_new = False
        self._ids: Any = None  # of all tiles, once they are asked for
        self._known = Imports()
        if is_index(into):
            read_manifest(into).check_made_of("embeddings", folder=into)
            held.enter_context(writing(into))
            self._index = open_index(into, root=options.root)
            self._known = read_imports(into)
            if options.root is not None:
                write_manifest(into, self._index.manifest.with_root(into, options.root))
        common = common_folder([path.parent for path in paths])
        self._root = self._index.root if self._index else (options.root or common).resolve()

    def take(self, path: Path) -> None:
        """Read one file into the index, unless it is there."""
        name = name_from(path, folder=self._root)
        size_bytes = 0
        try:
            name.encode()
            found = path.stat()
            size_bytes = found.st_size
            state = (size_bytes, found.st_mtime_ns)
            known = self._known.files.get(name)
            if known is not None and known.is_done and (known.size_bytes, known.mtime_ns) == state:
                self.unchanged.append(name)
            else:
                self._read(path, name, state)
        except DataError as error:
            self.failures.append(Failure(name, str(error)))
        except UnicodeEncodeError:
            self.failures.append(Failure(ascii(name), "its name is not valid UTF-8: rename it"))
        except OSError as error:
            self.failures.append(Failure(name, (error.strerror or str(error)).lower()))
        self._done_bytes += size_bytes
        self._progress(self._done_bytes, self._all_bytes)

    def finish(self) -> None:
        """Tidy up what many files have left, or all if nothing came of a new index."""
        if self._is_new and not self.imported:
            clear_index(self._folder)
        elif self._index is not None:
            self._index.store.tidy()

    def _read(self, path: Path, name: str, state: FileState) -> None:
        options = self._options
        file = EmbeddingFile(path, name=name, given=options.columns, side_m=options.side_m)
        try:
            model = self._model_of(file)
            layout = self._with_free_ids(file, file.read_layout())
            self._require_free(name, layout)
            tally = SceneTally(layout.scenes)
            batches = self._counted(file, layout, tally, size_bytes=state[0])
            first = next(batches)  # before an index is made for a file of which nothing can be used
            index = self._index or self._create(model, file.own.settings if file.own else Settings())
            self._clear(name)
            self._write(file, layout, chain([first], batches), tally, store=_lance(index), state=state)
        finally:
            file.close()

    def _counted(self, file: EmbeddingFile, layout: Layout, tally: SceneTally, *, size_bytes: int) -> Iterator[Any]:
        """The usable rows of a file, counted as they go by; raises DataError if there is none."""
        for batch in file.read(layout):
            if len(batch):
                tally.add(batch)
                yield batch
            done = (tally.n_tiles + file.bad.total) / max(1, file.n_rows)
            self._progress(self._done_bytes + round(size_bytes * done), self._all_bytes)
        if not tally.n_tiles:
            why = f"none of its {file.n_rows:,} rows can be used: {file.bad.describe()}"
            raise DataError(why if file.n_rows else "it has no rows")

    def _write(
        self,
        file: EmbeddingFile,
        layout: Layout,
        batches: Iterator[Any],
        tally: SceneTally,
        *,
        store: LanceStore,
        state: FileState,
    ) -> None:
        begun = ImportedFile(size_bytes=state[0], mtime_ns=state[1], scenes=layout.scenes)
        written = {entry.scene: entry for entry in file.own.scenes} if file.own else {}
        self._record(file.name, begun)  # first: what an interruption leaves is then known to be half of something
        try:
            store.extend(batches, lambda: tally.entries(written, state=state))
        except DataError:
            self._forget(file.name)  # nothing was written
            raise
        bad = file.bad
        done = begun.model_copy(
            update={"n_tiles": tally.n_tiles, "n_bad": bad.total, "bad": bad.describe(), "is_done": True}
        )
        self._record(file.name, done)
        self.imported[file.name] = done
        if self._ids is not None and layout.ids is not None:
            self._ids = pa.chunked_array([*self._ids.chunks, *layout.ids.chunks], pa.string())
        self.notes += [f"{file.name}: {note}" for note in layout.notes]
        if file.is_quantized:
            self.notes.append(
                f"{file.name}: its vectors are of whole numbers, which were taken as they are; where these stand for "
                "others by more than a factor, write those instead"
            )

    def _with_free_ids(self, file: EmbeddingFile, layout: Layout) -> Layout:
        """A file's layout; its rows' numbers name its tiles where its ids name tiles of other files.

        Raises:
            DataError: they do, and a person named the column of ids, or the file is one of ours.
        """
        if layout.ids is None or self._index is None:
            return layout
        known = self._known.files.get(file.name)
        if known is not None:  # its own tiles, which will go, are no hindrance
            self._ids, others = None, _lance(self._index).tile_names(but=known.scenes)
        else:
            others = self._ids = _lance(self._index).tile_names() if self._ids is None else self._ids
        there = pc.is_in(others, value_set=layout.ids.combine_chunks())
        if not pc.any(there).as_py():
            return layout
        said = f"ids in its column {file.columns.id!r} are in the index already, e.g. {others.filter(there)[0]}"
        if file.own or self._options.columns.id:
            raise DataError(f"{said}: name another --id-column, or take it into another index")
        return replace(layout, ids=None, notes=(*layout.notes, f"{said}, so tiles are called by their rows"))

    def _model_of(self, file: EmbeddingFile) -> ModelRecord:
        """What made a file's vectors; raises DataError unless it is what made those of the index."""
        options, there = self._options, None if self._index is None else self._index.manifest.model
        if file.own is not None:
            found = file.own.model
        elif options.encoder is not None:
            found = ModelRecord.of(options.encoder)
        else:
            said = options.model_name or file.model_name
            if said is None and there is not None and there.is_foreign:
                said = there.name
            found = ModelRecord.foreign(said or UNNAMED, dim=file.width)
        if found.dim != file.width:
            raise DataError(f"its vectors have {file.width:,} numbers, those of {found.name!r} {found.dim:,}")
        if there is not None and found.fingerprint != there.fingerprint:
            name = there.name + ("" if found.name != there.name else f" ({there.dim} numbers, another version)")
            raise DataError(
                f"its vectors were made by {found.name!r}, those of the index by {name!r}: they cannot be compared; "
                "take them into another index"
            )
        return found

    def _create(self, model: ModelRecord, settings: Settings) -> IndexFolder:
        address = address_of(self._folder)
        if address is not None and ENGINES[address.scheme] != "lance":
            raise StoreError(
                f"{self._folder}: embeddings are kept by lance alone: name a folder, or s3://bucket/prefix"
            )
        manifest = Manifest.of_embeddings(self._folder, model=model, settings=settings, root=self._root)
        self._index = create_index(self._folder, manifest, held=self._held)
        self._is_new = True
        return self._index

    def _require_free(self, name: str, layout: Layout) -> None:
        """Raises DataError if a scene of a file is in the index from another one."""
        mine = set(layout.scenes)
        for other, known in self._known.files.items():
            if other != name and (shared := mine.intersection(known.scenes)):
                raise DataError(f"its scene {min(shared)!r} is in the index already, from {other}")

    def _clear(self, name: str) -> None:
        """Take out what is there of a file: an earlier state of it, or what an interrupted run has left."""
        known = self._known.files.get(name)
        if known is not None and self._index is not None:
            self._record(name, known.model_copy(update={"is_done": False}))
            self._index.store.remove(known.scenes)
            self._forget(name)

    def _record(self, name: str, file: ImportedFile) -> None:
        self._known.files[name] = file
        self._save()

    def _forget(self, name: str) -> None:
        self._known.files.pop(name, None)
        self._save()

    def _save(self) -> None:
        self._known.write(self._folder)
        publish(self._folder)


def _lance(index: IndexFolder) -> LanceStore:
    if not isinstance(index.store, LanceStore):
        raise StoreError(f"{index.path}: embeddings are kept by lance alone, not by {index.manifest.engine}")
    return index.store
