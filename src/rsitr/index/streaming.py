"""What runs on a cluster: scenes are read, their tiles encoded, and what comes of it is handed to whoever writes.

Ray Data carries it: read tasks, then a pool of encoder processes, each stage with an explicit share of a CPU, and with
Ray Data's own back-pressure between them. Nothing here writes to an index. Ray is imported where it is used, and so is
what reads scenes: processes that encode start without GDAL.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rsitr.index.manifest import Manifest
from rsitr.types import Encoder, FloatArray, ImageArray, Tile, TileCoder

if TYPE_CHECKING:
    from rsitr.index.reading import Event, Job, SceneFailed, SceneRead, TileSkipped

__all__ = ["EncoderProcess", "Pump", "SceneTroubled", "Share", "TileEncoded", "read_jobs", "tell_events"]

CHUNK_ROWS = 64  # rows that a reader hands over together
MOST_BLOCKS = 4096  # read tasks; of more scenes several share one
KEPT_READY = 2  # blocks of encoded tiles that wait for whoever writes

_READ = pa.schema(
    [("event", pa.binary()), ("pixels", pa.large_binary()), ("height", pa.int32()), ("width", pa.int32())]
)
_ENCODED = pa.schema([("event", pa.binary()), ("vector", pa.binary()), ("code", pa.binary())])


@dataclass(frozen=True, slots=True)
class SceneTroubled:
    """A scene could not be done, but another attempt may succeed; the reason names the node."""

    scene: str
    reason: str


@dataclass(frozen=True, slots=True)
class TileEncoded:
    """A tile with its vector (dim,), and its code (length,) where the index keeps one; `done` as of `TileRead`."""

    tile: Tile
    vector: FloatArray
    code: NDArray[np.float16] | None
    done: float


@dataclass(frozen=True, kw_only=True)
class Share:
    """What the cluster is to do in one go.

    Attributes:
        jobs: the scenes, each a pickled `Job`.
        manifest: of the index.
        load: gives the encoder, in each of its processes.
        coder: what makes codes, or None.
        batch_size: pictures encoded at once.
        n_encoders: processes that encode.
        encoder_cpus: that each of them asks for.
        reader_cpus: that each read task asks for.
        retries: of a read task whose process or node has died.
    """

    jobs: tuple[bytes, ...]
    manifest: Manifest
    load: Callable[[], Encoder]
    coder: TileCoder | None
    batch_size: int
    n_encoders: int
    encoder_cpus: float
    reader_cpus: float
    retries: int


class Pump:
    """An actor in which Ray Data runs; whoever writes asks it for what is ready.

    So that this works through Ray's client, too, from which Ray Data cannot be run; and to end this process ends all
    that it has begun.
    """

    def __init__(self, share: Share) -> None:
        self._blocks = _run(share)

    def take(self) -> pa.Table | None:
        """The next block of what has been done, for `tell_events`; None after the last one."""
        return next(self._blocks, None)


def _run(share: Share) -> Iterator[pa.Table]:
    import ray.data
    from ray.data import ActorPoolStrategy, TaskPoolStrategy

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # what is lost with a process is missed by whoever writes, and asked for again
    context.max_consecutive_actor_init_deaths = max(3, share.n_encoders)  # a node may die while they start
    # A block is about a batch: large ones would leave processes idle at the end, and fill small object stores.
    context.target_max_block_size = max(1 << 20, share.batch_size * 3 * share.manifest.model.image_size_px**2)
    rows = [{"job": job} for job in share.jobs]
    read = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map_batches(
        read_jobs,
        fn_kwargs={"manifest": share.manifest},
        batch_size=None,
        batch_format="pyarrow",
        compute=TaskPoolStrategy(size=share.n_encoders),
        num_cpus=share.reader_cpus,
        max_retries=share.retries,
    )
    encoded = read.map_batches(
        EncoderProcess,
        fn_constructor_kwargs={
            "load": share.load,
            "coder": share.coder,
            "batch_size": share.batch_size,
            "threads": max(1, round(share.encoder_cpus)),
        },
        batch_size=share.batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=share.n_encoders),
        num_cpus=share.encoder_cpus,
        # A process that dies is started again, but its batch is not given to it again: it may be what killed it. And
        # where no node has room for it any more, nothing waits for it.
        max_restarts=-1,
        max_task_retries=0,
        scheduling_strategy="SPREAD",
    )
    yield from encoded.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=KEPT_READY)


def read_jobs(jobs: pa.Table, *, manifest: Manifest) -> Iterator[pa.Table]:
    """Read scenes: a row for each event, with the pixels of those that are tiles.

    Args:
        jobs: in the column `job`, pickled.
        manifest: of the index.
    """
    held: list[dict[str, Any]] = []
    for packed in jobs["job"].to_pylist():
        for event in _read_safely(pickle.loads(packed), manifest):
            held.append(_pack_read(event))
            if len(held) >= CHUNK_ROWS:
                yield pa.Table.from_pylist(held, schema=_READ)
                held = []
    if held:
        yield pa.Table.from_pylist(held, schema=_READ)


def _read_safely(job: Job, manifest: Manifest) -> Iterator[Event | SceneTroubled]:
    """The events of a scene; where another node might fare better, or this one another time, trouble, not a failure."""
    from rsitr.index.reading import SceneFailed, read_scenes

    location = job.source.location
    try:
        for event in read_scenes([job], manifest=manifest):
            if not isinstance(event, SceneFailed):
                yield event
            elif isinstance(location, Path) and location.is_file():
                yield event  # its pixels are what they are
            elif isinstance(location, Path):
                yield SceneTroubled(job.scene, f"there is no such file on node {_node()}: every node has to see it")
            else:
                yield SceneTroubled(job.scene, f"{event.reason} (node {_node()})")
    except Exception as error:  # of whatever kind: it must not take other scenes with it
        yield SceneTroubled(job.scene, _explain(error, location))


def _pack_read(event: Event | SceneTroubled) -> dict[str, Any]:
    from rsitr.index.reading import TileRead

    if not isinstance(event, TileRead):
        return {"event": pickle.dumps(event), "pixels": None, "height": 0, "width": 0}
    height, width, _ = event.image.shape
    pixels = np.ascontiguousarray(event.image).tobytes()
    return {"event": pickle.dumps((event.tile, event.done)), "pixels": pixels, "height": height, "width": width}


class EncoderProcess:
    """A process that encodes what readers have read.

    Args:
        load: gives the encoder.
        coder: what makes codes, or None.
        batch_size: pictures encoded at once.
        threads: to compute with: as many as the CPUs that were asked for.
    """

    def __init__(self, *, load: Callable[[], Encoder], coder: TileCoder | None, batch_size: int, threads: int) -> None:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._encoder = load()
        self._coder = coder
        self._batch_size = batch_size

    def __call__(self, read: pa.Table) -> pa.Table:
        """From rows of `read_jobs` to rows for `tell_events`."""
        rows: list[dict[str, Any]] = []
        tiles: list[tuple[Tile, float]] = []
        images: list[ImageArray] = []
        columns = (read[name].to_pylist() for name in ("event", "height", "width"))
        for event, height, width, pixels in zip(*columns, read["pixels"], strict=True):
            if not pixels.is_valid:
                rows.append({"event": event})
                continue
            tiles.append(pickle.loads(event))
            images.append(np.frombuffer(pixels.as_buffer(), dtype=np.uint8).reshape(height, width, 3))
        rows += self._encode(tiles, images)
        return pa.Table.from_pylist(rows, schema=_ENCODED)

    def _encode(self, tiles: list[tuple[Tile, float]], images: list[ImageArray]) -> list[dict[str, Any]]:
        """Rows of encoded tiles; if something goes wrong, each scene for itself, so that only one is troubled."""
        if not tiles:
            return []
        try:
            encoded = self._encoder.encode_images(images, batch_size=self._batch_size)
            codes = [None] * len(tiles) if self._coder is None else self._coder.encode(encoded)
        except Exception as error:  # of whatever kind, as above
            scenes = {tile.scene for tile, _ in tiles}
            if len(scenes) == 1:
                return [{"event": pickle.dumps(SceneTroubled(scenes.pop(), _explain(error)))}]
            rows = []
            for scene in sorted(scenes):
                own = [i for i, (tile, _) in enumerate(tiles) if tile.scene == scene]
                rows += self._encode([tiles[i] for i in own], [images[i] for i in own])
            return rows
        vectors = np.ascontiguousarray(encoded.global_emb, dtype=np.float32)
        return [
            {
                "event": pickle.dumps(known),
                "vector": vector.tobytes(),
                "code": None if code is None else np.asarray(code, dtype=np.float16).tobytes(),
            }
            for known, vector, code in zip(tiles, vectors, codes, strict=True)
        ]


def tell_events(block: pa.Table) -> Iterator[TileEncoded | TileSkipped | SceneRead | SceneFailed | SceneTroubled]:
    """What a block of the pump tells."""
    for row in block.to_pylist():
        event = pickle.loads(row["event"])
        if row["vector"] is None:
            yield event
            continue
        tile, done = event
        code = None if row["code"] is None else np.frombuffer(row["code"], dtype=np.float16)
        yield TileEncoded(tile, np.frombuffer(row["vector"], dtype=np.float32), code, done)


def _node() -> str:
    with suppress(Exception):
        import ray

        return str(ray.util.get_node_ip_address())
    return socket.gethostname()


def _explain(error: Exception, location: Path | str = "") -> str:
    said = str(error)
    if location:
        from rsitr.geo import public_address

        said = said.replace(str(location), str(public_address(location)))
    lines = said.strip().splitlines()
    return f"{type(error).__name__}{': ' + lines[0] if lines else ''} (node {_node()})"
