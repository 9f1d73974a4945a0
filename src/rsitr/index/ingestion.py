"""Scenes into an index: read, encode, write, so that an interruption costs at most the batch that was under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import cast

from rsitr.geo import Source, count_passed_over, find_sources, is_url, list_files
from rsitr.index.address import find_index
from rsitr.index.cluster import Cluster
from rsitr.index.encoding import Encoding
from rsitr.index.folder import is_index
from rsitr.index.manifest import Manifest, Settings
from rsitr.index.prefetching import Prefetched
from rsitr.index.reading import Job, read_scenes
from rsitr.index.spreading import encode_on_cluster
from rsitr.index.writing import Failure, open_writer
from rsitr.types import Encoder, SceneEntry, TileCoder

__all__ = ["IngestProgress", "IngestReport", "ingest"]

READ_AHEAD = 2  # batches
KINDS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How far it has come.

    Attributes:
        scenes_done: of the scenes to do; half a scene counts half.
        n_scenes: scenes to do.
        n_tiles: encoded in this run.
        scene: under way, or empty.
        time_s: since the first read.
        share_done: of the work, by the sizes of the files, 0 to 1.
    """

    scenes_done: float
    n_scenes: int
    n_tiles: int
    scene: str
    time_s: float
    share_done: float

    @property
    def tiles_per_s(self) -> float:
        """Tiles encoded per second."""
        return self.n_tiles / self.time_s if self.time_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest will take if it goes on like this; None as long as nobody can tell."""
        return self.time_s * (1.0 - self.share_done) / self.share_done if self.share_done > 0 else None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What became of the scenes.

    Attributes:
        indexed: scenes that are new or were changed, with their counts of tiles.
        unchanged: scenes that were in the index already, as they are.
        failures: scenes that could not be used.
        removed: scenes that are no longer there, and so no longer in the index.
        n_resumed: tiles that an interrupted run had encoded already.
        notes: what else a person should know of the scenes that were indexed.
        time_s: from the first read to the last commit.
    """

    indexed: tuple[SceneEntry, ...]
    unchanged: tuple[str, ...]
    failures: tuple[Failure, ...]
    removed: tuple[str, ...]
    n_resumed: int
    notes: tuple[str, ...]
    time_s: float

    @property
    def n_tiles(self) -> int:
        """Tiles that were written."""
        return sum(entry.n_tiles for entry in self.indexed)

    @property
    def n_left_out(self) -> int:
        """Tiles that were left out, mostly nodata."""
        return sum(entry.n_left_out for entry in self.indexed)


def ingest(
    inputs: Sequence[str | Path],
    *,
    into: str | Path,
    encoder: Encoder | Callable[[], Encoder],
    settings: Settings | None = None,
    root: Path | None = None,
    sync: bool = False,
    coder: TileCoder | None = None,
    engine: str | None = None,
    batch_size: int = 64,
    cluster: Cluster | None = None,
    progress: Callable[[IngestProgress], None] | None = None,
) -> IngestReport:
    """Index scenes: into a new index, or into one that exists, where unchanged scenes are left as they are.

    A scene appears in the index whole or not at all. What has been encoded of scenes under way is kept in a journal
    beside it, and an interrupted run, however it ended, continues there when it is called again. A scene that fails
    does not stop the others; if it was in the index in an earlier state, that stays. The folder of a new index is made
    when its first tiles are encoded, and taken away again if no scene could be used.

    Args:
        inputs: files, folders to search for files, addresses (https, s3), STAC items, collections and catalogues.
        into: the folder of the index, or its address (`s3://bucket/prefix`, `milvus://host:19530/collection`).
        encoder: what turns pictures into vectors, or what gives it, and is then called only if there is something to
            do; an existing index takes only the model that made it.
        settings: how scenes are cut and shown; of what is not set, an existing index keeps its own.
        root: folder that scene paths are relative to; None: what an existing index has, or the common folder of the
            scenes. Given for an existing index, it records where the archive lies now.
        sync: also remove from the index what lay in the inputs' folders and is no longer there; these may be empty or
            gone themselves.
        coder: what makes the codes of a second stage of ranking; an existing index with codes takes only its own.
        engine: what keeps the tiles of a new index, by its name in `rsitr.index.STORES`; None: `lance`, or
            what its address says. An existing
            index takes only its own.
        batch_size: pictures encoded at once.
        cluster: where scenes are read and encoded, if not in this process. They have to be there by the same paths.
        progress: called after every batch.

    Raises:
        SceneError: an input is missing, a folder holds no images, or a catalogue cannot be read.
        StoreError: `into` is no index, belongs to another model or other settings, is being written, or is damaged.
        ConfigError: the cluster cannot be used.
    """
    started, into = time.monotonic(), find_index(into)
    sources = find_sources(inputs, may_be_gone=sync and is_index(into))
    with ExitStack() as held:
        # What encodes pictures is an encoder here, whether or not it can do all that searching asks of one.
        given = None if callable(encoder) and not isinstance(encoder, Encoder) else encoder
        load = cache(cast("Callable[[], Encoder]", encoder)) if given is None else partial(_given, given)
        writer = open_writer(
            into, sources, encoder=load, given=settings or Settings(), root=root, coder=coder, held=held, engine=engine
        )
        if given is not None:
            writer.adopt(given)
        plan = writer.plan(sources)
        n_resumed = sum(len(job.finished.tiles) for job in plan.jobs)
        removed = writer.remove_missing(inputs, sources) if sync else ()
        failures = plan.failures
        if plan.jobs:
            writer.adopt(load())
            encoding = Encoding(writer, load(), coder=coder, jobs=plan.jobs, batch_size=batch_size)

            def tell() -> None:
                if progress is not None:
                    progress(_progress(encoding, n_scenes=len(plan.jobs), time_s=time.monotonic() - started))

            if cluster is None:
                _encode_here(plan.jobs, encoding=encoding, manifest=writer.manifest, batch_size=batch_size, tell=tell)
            else:
                encode_on_cluster(
                    plan.jobs,
                    encoding=encoding,
                    cluster=cluster,
                    manifest=writer.manifest,
                    coder=coder,
                    batch_size=batch_size,
                    tell=tell,
                )
            tell()
            failures += tuple(encoding.failures)
        writer.finish()
    return IngestReport(
        indexed=tuple(writer.written),
        unchanged=plan.unchanged,
        failures=failures,
        removed=removed,
        n_resumed=n_resumed,
        notes=(*writer.describe_tiles(), *_describe_mosaics(sources), *_describe_passed_over(inputs)),
        time_s=time.monotonic() - started,
    )


def _encode_here(
    jobs: Sequence[Job], *, encoding: Encoding, manifest: Manifest, batch_size: int, tell: Callable[[], None]
) -> None:
    """Read in a thread, and encode beside it."""
    with Prefetched(read_scenes(jobs, manifest=manifest), depth=READ_AHEAD * batch_size) as read:
        for event in read:
            if encoding.take(event):
                tell()
    encoding.finish()


def _describe_passed_over(inputs: Sequence[str | Path]) -> Iterator[str]:
    counts = count_passed_over([Path(item) for item in inputs if not is_url(str(item))])
    if counts:
        some = ", ".join(f"{count:,} {suffix}" for suffix, count in list(counts.items())[:KINDS_SHOWN])
        more = f" and {len(counts) - KINDS_SHOWN:,} more kinds" if len(counts) > KINDS_SHOWN else ""
        yield f"passed over in folders, as no images by their endings: {some}{more}; who names a file has it read"


def _describe_mosaics(sources: Sequence[Source]) -> Iterator[str]:
    """Where what a mosaic shows is indexed from its own files, too."""
    files = {source.location for source in sources if isinstance(source.location, Path)}
    doubled = [
        (path, shown)
        for path in sorted(file for file in files if file.suffix.lower() == ".vrt")
        if (shown := files.intersection(list_files(path)[1:]))
    ]
    if doubled:
        path, shown = doubled[0]
        more = f" and {len(doubled) - 1:,} more mosaics" if len(doubled) > 1 else ""
        yield (
            f"{path.name} ({len(shown):,} of its sources){more} and what it is made of are both in this index: every "
            "place in them is found twice; name the mosaic or its sources alone"
        )


def _given(encoder: Encoder) -> Encoder:
    return encoder


def _progress(encoding: Encoding, *, n_scenes: int, time_s: float) -> IngestProgress:
    return IngestProgress(
        scenes_done=encoding.scenes_done,
        n_scenes=n_scenes,
        n_tiles=encoding.n_tiles,
        scene=encoding.scene,
        time_s=time_s,
        share_done=encoding.share_done,
    )
