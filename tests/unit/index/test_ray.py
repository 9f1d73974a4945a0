"""Scenes encoded on a Ray cluster of two nodes: the same rows, whatever ends meanwhile, and clear words if not."""

from __future__ import annotations

import json
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import ray

from clusters import DeadlyEncoder, SlowEncoder, TwoNodes
from fakes import COLOURS, ColourEncoder
from rasters import quadrants, write_all_nodata, write_bgra16, write_corrupt, write_float_nan, write_utm
from rsitr.cli.indexing import IndexOptions, run_index
from rsitr.errors import ConfigError
from rsitr.geo.files import Source
from rsitr.index import Cluster, IngestProgress, LanceStore, Settings, ingest, open_index
from rsitr.index.cluster import connect
from rsitr.index.manifest import Manifest
from rsitr.index.notes import read_notes
from rsitr.index.reading import Job, SceneFailed, SceneRead, TileSkipped
from rsitr.index.streaming import EncoderProcess, SceneTroubled, TileEncoded, read_jobs, tell_events
from rsitr.models.zoo import load_encoder
from rsitr.types import EncodedImages, ImageArray

WAIT_S = 90.0  # the machine may be busy
ONE_ENCODER: dict[str, Any] = {"encoder_cpus": 0.9, "reader_cpus": 0.2}  # where two would only take longer to start
load = partial(ColourEncoder, image_size_px=64)


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    """Two nodes of a CPU each, and this process connected with them."""
    with TwoNodes() as started, pytest.MonkeyPatch.context() as patch:
        for name, value in started.settings.items():
            patch.setenv(name, value)
        with connect(Cluster(load=load, address=started.address)):  # once: each connection has processes of its own
            yield started


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of which some have tiles that are left out, and two cannot be used."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(4):
        write_utm(folder / f"utm_{number}_20160816.tif", np.roll(quadrants(), 16 * number, axis=2))
    write_bgra16(folder / "bgra16.tif")
    write_float_nan(folder / "nan.tif")
    write_all_nodata(folder / "nodata.tif")
    write_corrupt(folder / "corrupt.tif")
    return folder


def rows(index: Path, *, dim: int = load().dim) -> dict[str, tuple[dict[str, Any], np.ndarray]]:
    """Everything in the table of tiles, by tile id; none is there twice."""
    matrix = LanceStore(index, dim=dim).load()
    plain = matrix.rows.to_pylist()
    assert len({row["tile"] for row in plain}) == len(plain)
    return {row["tile"]: (row, vector) for row, vector in zip(plain, matrix.vectors, strict=True)}


def assert_same(one: Path, other: Path, *, dim: int = load().dim) -> None:
    """Two indexes have the same tiles in every column, vectors within 1e-5, and the same scenes and notes."""
    left, right = rows(one, dim=dim), rows(other, dim=dim)
    assert left.keys() == right.keys()
    for tile, (row, vector) in left.items():
        assert row == right[tile][0]
        assert np.abs(vector - right[tile][1]).max() <= 1e-5
    scenes = [sorted(open_index(index).store.scenes(), key=lambda entry: entry.scene) for index in (one, other)]
    assert scenes[0] == scenes[1]
    assert read_notes(one) == read_notes(other)


def test_an_interrupted_run_goes_on_where_it_was(nodes: TwoNodes, archive: Path, tmp_path: Path) -> None:
    cluster = Cluster(load=load, address=nodes.address, wait_s=WAIT_S, **ONE_ENCODER)
    ingest([archive], into=tmp_path / "here", encoder=load)

    def interrupt(now: IngestProgress) -> None:
        if now.n_tiles > 4:
            raise KeyboardInterrupt

    into = tmp_path / "there"
    with pytest.raises(KeyboardInterrupt):
        ingest([archive], into=into, encoder=load, cluster=cluster, batch_size=2, progress=interrupt)
    n_kept = len(rows(into))
    assert list((into / ".journal").iterdir())
    report = ingest([archive], into=into, encoder=load, cluster=cluster)
    assert report.n_resumed > 0
    assert report.n_tiles == len(rows(into)) - n_kept
    assert_same(tmp_path / "here", into)


def test_a_scene_that_ends_its_process_is_set_aside_and_the_rest_is_there(nodes: TwoNodes, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_utm(tmp_path / "scenes" / f"{name}.tif")
    write_utm(tmp_path / "scenes" / "deadly.tif", quadrants(names=("yellow",) * 4))
    deadly = partial(DeadlyEncoder, image_size_px=64)
    cluster = Cluster(load=deadly, address=nodes.address, wait_s=WAIT_S, retries=1, **ONE_ENCODER)
    report = ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=load, cluster=cluster, batch_size=4)
    assert [entry.n_tiles for entry in report.indexed] == [4, 4]
    (failure,) = report.failures
    assert failure.scene == "deadly.tif"
    assert failure.reason.endswith("tried 2 times")
    assert {tile.split(":")[0] for tile in rows(tmp_path / "index")} == {"a.tif", "b.tif"}


def test_too_few_cpus_are_said_to_be_too_few(nodes: TwoNodes, archive: Path, tmp_path: Path) -> None:
    cluster = Cluster(load=load, address=nodes.address, wait_s=WAIT_S, encoder_cpus=2)
    with pytest.raises(ConfigError, match=r"too few CPUs: 2 CPUs on 2 nodes, but an encoder asks for 2 on one node"):
        ingest([archive], into=tmp_path / "index", encoder=load, cluster=cluster)
    assert not (tmp_path / "index").exists()


def test_waiting_for_cpus_that_others_have_comes_to_an_end(nodes: TwoNodes, archive: Path, tmp_path: Path) -> None:
    """Ray Data itself would wait for ever, and say nothing."""

    class Busy:
        def ready(self) -> None: ...

    others = [ray.remote(Busy).options(num_cpus=1).remote() for _ in range(2)]
    ray.get([other.ready.remote() for other in others])
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"nothing has come from .* for 3 s\. It has 2 CPUs on 2 nodes, of which 0"):
        ingest(
            [archive],
            into=tmp_path / "index",
            encoder=load,
            cluster=Cluster(load=load, address=nodes.address, wait_s=3.0),
        )
    assert time.monotonic() - began < WAIT_S
    assert not (tmp_path / "index" / ".journal").exists()
    for other in others:
        ray.kill(other)


def test_rows_are_those_of_the_local_engine_and_damaged_scenes_are_named(
    nodes: TwoNodes, archive: Path, tmp_path: Path
) -> None:
    """By the command line in a process of its own, through the server for clients, with the packaged model."""
    encoder = load_encoder("lookout", device="cpu")
    here = ingest([archive], into=tmp_path / "here", encoder=encoder)
    words = ["index", str(archive), "--into", str(tmp_path / "there"), "--json", "--engine"]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from rsitr.cli.entry import run; run()",
            *words,
            f"ray://127.0.0.1:{nodes.client_port}",
        ],
        env=nodes.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr  # two scenes cannot be used
    assert_same(tmp_path / "here", tmp_path / "there", dim=encoder.dim)
    told = json.loads(done.stdout)
    assert {failure["scene"] for failure in told["failures"]} == {"corrupt.tif", "nodata.tif"}
    assert {(one["scene"], one["reason"]) for one in told["failures"]} == {
        (failure.scene, failure.reason) for failure in here.failures
    }
    assert (told["n_tiles"], told["n_left_out"], told["notes"]) == (here.n_tiles, here.n_left_out, [*here.notes])
    assert not (tmp_path / "there" / ".journal").exists()
    again = ingest([archive], into=tmp_path / "there", encoder=encoder)
    assert (len(again.unchanged), again.indexed) == (6, ())


def test_a_node_that_dies_loses_and_doubles_nothing(nodes: TwoNodes, tmp_path: Path) -> None:
    """The last test: one node is left."""
    for number in range(24):
        write_utm(tmp_path / "scenes" / f"{number:02d}.tif", np.roll(quadrants(), 5 * number, axis=2))
    ingest([tmp_path / "scenes"], into=tmp_path / "here", encoder=load)
    killed: list[float] = []
    told: list[IngestProgress] = []

    def kill(now: IngestProgress) -> None:
        told.append(now)
        if now.share_done > 0.2 and not killed:
            killed.append(now.share_done)
            nodes.kill("second")

    report = ingest(
        [tmp_path / "scenes"],
        into=tmp_path / "there",
        encoder=load,
        cluster=Cluster(load=partial(SlowEncoder, batch_s=0.3), address=nodes.address, wait_s=WAIT_S),
        batch_size=4,
        progress=kill,
    )
    assert killed[0] < 0.8
    assert (len(report.indexed), report.failures) == (24, ())
    done = [now.scenes_done for now in told]
    assert done == sorted(done)
    assert (told[-1].scenes_done, told[-1].share_done, told[-1].left_s) == (24, 1.0, 0.0)
    assert_same(tmp_path / "here", tmp_path / "there")


# Without a cluster.


def test_without_the_extra_one_line_says_what_to_install(archive: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rsitr.extras.has_package", lambda _package: False)
        with pytest.raises(ConfigError, match=r'needs ray, which is not installed: pip install "rsitr\[ray\]"$'):
            run_index([archive], IndexOptions(into=tmp_path / "index", engine="ray"), encoder=load())


@pytest.mark.parametrize("engine", ["spark", "ray:", "ray://", "ray://host", "ray://a b:1", "ray://host:port"])
def test_engines_that_there_are_not(engine: str, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no engine"):
        run_index([archive], IndexOptions(into=tmp_path / "index", engine=engine))


@pytest.mark.parametrize(("option", "value"), [("device", "cuda"), ("onnx", Path("export")), ("compiled", True)])
def test_what_only_the_local_engine_can(option: str, value: Any, archive: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--\w+ is for the local engine"):
        run_index([archive], IndexOptions(into=tmp_path / "index", engine="ray", **{option: value}))


def test_an_address_where_nobody_answers(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # a connection of other tests would be kept
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConfigError, match=rf"the Ray cluster at 127\.0\.0\.1:{port} cannot be used: .*refused"):
        ingest([archive], into=tmp_path / "i", encoder=load, cluster=Cluster(load=load, address=f"127.0.0.1:{port}"))
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize("said", ["", "soon", "0", "-3", "inf"])
def test_impossible_times_to_wait(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSITR_RAY_WAIT_S", said)
    with pytest.raises(ConfigError, match="RSITR_RAY_WAIT_S is how many seconds"):
        Cluster(load=load)


def jobs_of(*paths: Path) -> pa.Table:
    jobs = [Job(path.name, Source(path), 1, 1) for path in paths]
    return pa.table({"job": pa.array([pickle.dumps(job) for job in jobs], pa.binary())})


def manifest_of(folder: Path) -> Manifest:
    return Manifest.create(folder / "index", encoder=load(), settings=Settings(), root=folder)


class Picky(ColourEncoder):
    """Fails with a picture that is yellow all over."""

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        if any((image == COLOURS["yellow"]).all() for image in images):
            raise RuntimeError("no yellow\nplease")
        return super().encode_images(images, batch_size=batch_size)


def test_what_cannot_be_encoded_troubles_its_own_scene_only(tmp_path: Path) -> None:
    good = write_utm(tmp_path / "good.tif")
    bad = write_utm(tmp_path / "bad.tif", quadrants(names=("red", "yellow", "red", "red")))
    process = EncoderProcess(load=partial(Picky, image_size_px=64), coder=None, batch_size=8, threads=1)
    (read,) = read_jobs(jobs_of(bad, good), manifest=manifest_of(tmp_path))
    events = list(tell_events(process(read)))
    assert [event.tile.scene for event in events if isinstance(event, TileEncoded)] == ["good.tif"] * 4
    assert {event.entry.scene for event in events if isinstance(event, SceneRead)} == {"bad.tif", "good.tif"}
    (trouble,) = [event for event in events if isinstance(event, SceneTroubled)]
    assert (trouble.scene, trouble.reason.partition(" (node")[0]) == ("bad.tif", "RuntimeError: no yellow")


def test_a_scene_that_a_node_does_not_see_is_no_damaged_scene(tmp_path: Path) -> None:
    """Another node may see it; of one that is damaged all nodes would say the same."""
    process = EncoderProcess(load=load, coder=None, batch_size=8, threads=1)
    paths = (tmp_path / "elsewhere.tif", write_corrupt(tmp_path / "corrupt.tif"), write_bgra16(tmp_path / "bgra16.tif"))
    (read,) = read_jobs(jobs_of(*paths), manifest=manifest_of(tmp_path))
    events = list(tell_events(process(read)))
    (trouble,) = [event for event in events if isinstance(event, SceneTroubled)]
    assert trouble.scene == "elsewhere.tif"
    assert trouble.reason.startswith("there is no such file on node ")
    (failed,) = [event for event in events if isinstance(event, SceneFailed)]
    assert failed.scene == "corrupt.tif"
    assert [event.scene for event in events if isinstance(event, TileSkipped)] == ["bgra16.tif"] * 2
    encoded = [event for event in events if isinstance(event, TileEncoded) and event.tile.scene == "bgra16.tif"]
    assert [event.done for event in encoded] == [0.5, 1.0]
