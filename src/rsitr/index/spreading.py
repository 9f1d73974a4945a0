"""Scenes encoded on a cluster: what is handed out, what comes back, what is tried again, what is set aside."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from rsitr.errors import ConfigError
from rsitr.geo import Window
from rsitr.index.cluster import (
    Cluster,
    Node,
    check_nodes,
    connect,
    count_encoders,
    explain_wait,
    last_line,
    list_nodes,
)
from rsitr.index.encoding import Encoding
from rsitr.index.journal import Finished
from rsitr.index.manifest import Manifest
from rsitr.index.reading import Job, SceneFailed, SceneRead, TileSkipped
from rsitr.index.streaming import Pump, SceneTroubled, Share, TileEncoded, tell_events
from rsitr.types import TileCoder

__all__ = ["encode_on_cluster"]

LOOK_S = 1.0  # between two looks at which nodes are alive
SETTLE_S = 10.0  # after a node has died, Ray may take so long to say what is lost with it
BARREN = 3  # rounds in succession of which nothing came at all
WORDLESS = "the process that read or encoded it has ended without a word, as it does when memory runs out"


def encode_on_cluster(
    jobs: Sequence[Job],
    *,
    encoding: Encoding,
    cluster: Cluster,
    manifest: Manifest,
    coder: TileCoder | None,
    batch_size: int,
    tell: Callable[[], None],
) -> None:
    """Read and encode scenes on a cluster; what comes back goes the way that it goes without one.

    Ray tries again by itself what it can. What is missing in the end, whatever the reason (a node that died, a process
    that was killed), is asked for in a further round: only what is missing. A scene that is not complete after
    `cluster.retries` rounds is tried once more by itself, and then set aside: it keeps no other from being done.

    Args:
        jobs: the scenes.
        encoding: takes what is encoded.
        cluster: where.
        manifest: of the index.
        coder: what makes codes, or None.
        batch_size: pictures encoded at once.
        tell: called whenever something has been done.

    Raises:
        ConfigError: the cluster cannot be used: what is wrong with it.
    """
    with connect(cluster):
        count_encoders(cluster)
        check_nodes(cluster, fingerprint=manifest.model.fingerprint)
        share = Share(
            jobs=(),
            manifest=manifest,
            load=cluster.load,
            coder=coder,
            batch_size=batch_size,
            n_encoders=1,
            encoder_cpus=cluster.encoder_cpus,
            reader_cpus=cluster.reader_cpus,
            retries=cluster.retries,
        )
        _Rounds(jobs, share=share, encoding=encoding, cluster=cluster, tell=tell).run()


@dataclass(slots=True)
class _Scene:
    """A scene that is not complete.

    Attributes:
        job: the scene, with what is finished of it.
        kept: windows that have come as tiles.
        left_out: windows that were left out.
        read: what is said of it at its end, once that has been reached.
        tries: rounds that have not completed it.
        trouble: what went wrong last.
    """

    job: Job
    kept: set[Window]
    left_out: set[Window]
    read: SceneRead | None = None
    tries: int = 0
    trouble: str = WORDLESS

    @property
    def is_complete(self) -> bool:
        return self.read is not None and len(self.job.finished.tiles) == self.read.entry.n_tiles


@dataclass(frozen=True, slots=True)
class _Round:
    """What became of a round: whether anything new has come, and what ended it before its end, if something did."""

    came: bool
    problem: str | None = None
    is_silent: bool = False


class _Rounds:
    """The scenes to do, and rounds over them until none is left.

    What comes back is taken once, whatever comes twice: Ray does lost work again, and does not know what of it has been
    taken.
    """

    def __init__(
        self, jobs: Sequence[Job], *, share: Share, encoding: Encoding, cluster: Cluster, tell: Callable[[], None]
    ) -> None:
        self._share = share
        self._encoding = encoding
        self._cluster = cluster
        self._tell = tell
        self._left = {
            job.scene: _Scene(
                job,
                kept={tile.window_px for tile in job.finished.tiles},
                left_out={left.window_px for left in job.finished.left_out},
            )
            for job in jobs
        }

    def run(self) -> None:
        has_worked, barren = False, 0
        while self._left:
            together = [scene for scene in self._left.values() if scene.tries < self._cluster.retries]
            some = together or [next(iter(self._left.values()))]
            done = self._go_round(some)
            has_worked |= done.came
            barren = 0 if done.came or done.problem is None else barren + 1
            if done.problem and (barren >= BARREN or (done.is_silent and not has_worked)):
                raise ConfigError(done.problem)
            if done.problem and done.came:
                continue  # what is missing was lost through no fault of its own
            for scene in some:
                if scene.job.scene in self._left:
                    self._blame(scene, done.problem)

    def _blame(self, scene: _Scene, problem: str | None) -> None:
        """A round has not completed a scene; after too many it is set aside."""
        scene.tries += 1
        if problem and scene.trouble == WORDLESS:
            scene.trouble = problem
        if scene.tries > self._cluster.retries:
            name = scene.job.scene
            del self._left[name]
            self._encoding.take(SceneFailed(name, f"{scene.trouble}; tried {scene.tries} times"))
            self._tell()

    def _go_round(self, scenes: Sequence[_Scene]) -> _Round:
        """Have some scenes done, as far as it goes."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = list_nodes()
        n_encoders = count_encoders(self._cluster)
        packed = tuple(_pack(scene.job) for scene in scenes)
        share = replace(self._share, jobs=packed, n_encoders=n_encoders)
        head = next((node.node for node in nodes if node.is_head), nodes[0].node)  # the cluster ends with it anyway
        on_head = NodeAffinitySchedulingStrategy(head, soft=True)
        pump = ray.remote(Pump).options(num_cpus=0, max_restarts=0, scheduling_strategy=on_head).remote(share)
        came = False
        try:
            asked = pump.take.remote()
            while (problem := self._wait(asked, nodes=nodes, n_encoders=n_encoders)) is None:
                block = ray.get(asked)
                if block is None:
                    return _Round(came)
                asked = pump.take.remote()  # while this one is written
                came |= self._take(block)
            return _Round(came, problem, is_silent=True)
        except (ray.exceptions.RayError, ConnectionError) as error:
            return _Round(came, f"{self._cluster.name} could not go on: {last_line(error)}")
        finally:
            ray.kill(pump)

    def _wait(self, asked: object, *, nodes: Sequence[Node], n_encoders: int) -> str | None:
        """Wait for what was asked for; what is wrong if it does not come in time.

        After a node has died, what is under way either comes soon or not at all.
        """
        import ray

        began, lost = time.monotonic(), None
        while not ray.wait([asked], timeout=LOOK_S)[0]:
            now = time.monotonic()
            if lost is None and {node.node for node in nodes} - {node.node for node in list_nodes()}:
                lost = now
            if now - began > (self._cluster.wait_s if lost is None else SETTLE_S):
                return explain_wait(self._cluster, n_encoders=n_encoders, has_lost=lost is not None)
        return None

    def _take(self, block: pa.Table) -> bool:
        """Take what has come; True if any of it is new."""
        encoded: dict[str, TileEncoded] = {}
        touched: set[str] = set()
        is_new = False
        for event in tell_events(block):
            name = _name_of(event)
            scene = self._left.get(name)
            if scene is None:
                continue
            touched.add(name)
            if isinstance(event, SceneTroubled):
                scene.trouble = event.reason
            elif isinstance(event, SceneRead):
                scene.read = event
            elif isinstance(event, SceneFailed):
                encoded = {tile: one for tile, one in encoded.items() if one.tile.scene != name}
                del self._left[name]
                self._encoding.take(event)
                is_new = True
            elif isinstance(event, TileSkipped):
                is_new |= self._leave_out(event, scene)
            elif event.tile.window_px not in scene.kept:
                scene.kept.add(event.tile.window_px)
                encoded[event.tile.tile] = event
                is_new = True
        self._keep(list(encoded.values()))
        for name in touched & self._left.keys():
            scene = self._left[name]
            if scene.read is not None and scene.is_complete:
                del self._left[name]
                self._encoding.take(scene.read)
                is_new = True
        self._tell()
        return is_new

    def _leave_out(self, event: TileSkipped, scene: _Scene) -> bool:
        if event.left_out.window_px in scene.left_out:
            return False
        scene.left_out.add(event.left_out.window_px)
        scene.job.finished.left_out.append(event.left_out)
        self._encoding.take(event)
        return True

    def _keep(self, encoded: Sequence[TileEncoded]) -> None:
        if not encoded:
            return
        codes = [one.code for one in encoded if one.code is not None]
        self._encoding.keep(
            [one.tile for one in encoded],
            np.stack([one.vector for one in encoded]),
            np.stack(codes) if codes else None,
        )
        for one in encoded:
            self._encoding.reach(one.tile.scene, one.done)


def _pack(job: Job) -> bytes:
    """A job without the vectors of what is finished, which nobody needs to read the rest."""
    return pickle.dumps(replace(job, finished=Finished(tiles=job.finished.tiles, left_out=job.finished.left_out)))


def _name_of(event: TileEncoded | TileSkipped | SceneRead | SceneFailed | SceneTroubled) -> str:
    if isinstance(event, TileEncoded):
        return event.tile.scene
    return event.entry.scene if isinstance(event, SceneRead) else event.scene
