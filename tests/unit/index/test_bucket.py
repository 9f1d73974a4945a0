"""An index in a bucket: what other hosts see of it, who may write, and what it takes to read."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from fakes import ColourEncoder
from rasters import write_utm
from rsitr.errors import StoreError
from rsitr.index import LanceStore, describe_index, ingest, open_index, relink_index
from rsitr.index.address import address_of, cache_of, find_index, parse_address, spell
from rsitr.index.bucket import Bucket
from rsitr.index.folder import writing
from rsitr.index.home import elsewhere
from rsitr.index.lease import Owner
from rsitr.index.traffic import read_traffic
from rsitr.types import TileFilter
from storing import entry, tile

Host = Callable[[str], None]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Makes this process one on a host of some name: with a user's folders of its own."""

    def be(name: str) -> None:
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / name / "data"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name / "cache"))

    be("first")
    return be


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    for name in "ab":
        write_utm(tmp_path / "scenes" / f"{name}.tif")
    return tmp_path / "scenes"


def client() -> Any:
    return boto3.client("s3")


def keys(bucket: str) -> set[str]:
    return {found["Key"] for found in client().list_objects_v2(Bucket=bucket).get("Contents", ())}


def test_other_hosts_find_what_a_folder_would_tell(s3_place: str, host: Host, scenes: Path, tmp_path: Path) -> None:
    encoder = ColourEncoder()
    made = ingest([scenes], into=s3_place, encoder=encoder)
    assert len(made.indexed) == 2
    ingest([scenes], into=tmp_path / "local", encoder=encoder)
    local = open_index(tmp_path / "local").store
    host("second")
    there = open_index(s3_place)
    query = encoder.encode_texts(["red"]).global_emb[0]
    for where in (None, TileFilter(scene="a.tif")):
        assert there.store.search(query, k=9, where=where) == local.search(query, k=9, where=where)
    assert (there.root, there.manifest.model.name) == (scenes, "colour")
    summary = describe_index(find_index(s3_place))
    assert (summary.address, summary.n_scenes, summary.n_tiles) == (s3_place, 2, len(local))
    size = sum(found["Size"] for found in client().list_objects_v2(Bucket=s3_place.split("/")[2])["Contents"])
    assert summary.size_bytes == size
    # What this host writes, the first one sees, and knows its scenes again.
    write_utm(scenes / "c.tif")
    assert [one.scene for one in ingest([scenes], into=s3_place, encoder=encoder).indexed] == ["c.tif"]
    host("first")
    assert open_index(s3_place).store.scene_names() == ["a.tif", "b.tif", "c.tif"]
    assert ingest([scenes], into=s3_place, encoder=encoder).unchanged == ("a.tif", "b.tif", "c.tif")


def test_secrets_stand_nowhere(s3_place: str, host: Host, scenes: Path, tmp_path: Path) -> None:
    ingest([scenes], into=s3_place, encoder=ColourEncoder())
    bucket = s3_place.split("/")[2]
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    written += [client().get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys(bucket)]
    assert written
    assert not [content for content in written if b"testing" in content]
    for address in ("s3://key:hush@bucket/x", "milvus://root:hush@127.0.0.1:1/x", "s3:/key:hush@bucket/x"):
        with pytest.raises(StoreError, match="variables of the environment") as refused:
            find_index(address)
        assert "hush" not in str(refused.value)


def test_a_second_writer_is_refused_and_readers_go_on(s3_place: str, host: Host, scenes: Path) -> None:
    ingest([scenes], into=s3_place, encoder=ColourEncoder())
    bucket = s3_place.split("/")[2]
    with writing(find_index(s3_place)):
        assert "archive/of images/.lock" in keys(bucket)
        host("second")
        reader = open_index(s3_place).store
        assert len(reader.scene_names()) == 2
        with pytest.raises(StoreError, match=r"process \d+ on \S+ has been writing this index since 2\S+;") as refused:
            ingest([scenes], into=s3_place, encoder=ColourEncoder(), root=scenes)
        assert spell(str(refused.value)).startswith(f"{s3_place}: process")
        assert "\n" not in str(refused.value)
        with pytest.raises(StoreError, match="has been writing this index"):
            relink_index(find_index(s3_place), scenes)
    assert "archive/of images/.lock" not in keys(bucket)
    assert len(ingest([scenes], into=s3_place, encoder=ColourEncoder()).unchanged) == 2


def lock(place: str, owner: Owner) -> None:
    address = parse_address(place)
    assert address is not None
    client().put_object(Bucket=address.host, Key=f"{address.name}/.lock", Body=owner.spell())


def test_who_was_killed_is_taken_over_from(s3_place: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    address = address_of(find_index(s3_place))
    assert address is not None
    lock(s3_place, Owner(pid=ended.pid))  # on this system it is known to have ended
    with elsewhere(address).hold():
        pass
    lock(s3_place, Owner(pid=ended.pid, host="far", system="another"))
    with pytest.raises(StoreError, match=f"process {ended.pid} on far has been writing"):
        elsewhere(address).hold()
    monkeypatch.setattr("rsitr.index.bucket.STALE_S", -1.0)
    with elsewhere(address).hold():  # not renewed for so long
        (key,) = keys(address.host)
        held = json.loads(client().get_object(Bucket=address.host, Key=key)["Body"].read())
        assert held["host"] == socket.gethostname()
    assert not keys(address.host)
    client().put_object(Bucket=address.host, Key=f"{address.name}/.lock", Body=b"\x00 damaged")
    with elsewhere(address).hold():
        pass


def test_who_was_taken_over_from_stops(s3_place: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsitr.index.lease.RENEW_S", 0.05)
    address = address_of(find_index(s3_place))
    assert address is not None
    with elsewhere(address).hold() as lease:
        lock(s3_place, Owner(host="far"))
        lease._thread.join(timeout=30)
        with pytest.raises(StoreError, match="another may be writing now; run the same command again"):
            lease.require()
    held = client().get_object(Bucket=address.host, Key=f"{address.name}/.lock")["Body"].read()
    assert json.loads(held)["host"] == "far"  # it is not ours to take away


def test_a_run_that_stops_goes_on_from_there(s3_place: str, host: Host, scenes: Path) -> None:
    class Stopping(ColourEncoder):
        def encode_images(self, images: Any, *, batch_size: int = 64) -> Any:
            if len(self.batches) == 1:
                raise KeyboardInterrupt
            return super().encode_images(images, batch_size=batch_size)

    with pytest.raises(KeyboardInterrupt):
        ingest([scenes], into=s3_place, encoder=Stopping(), batch_size=8)
    assert not [key for key in keys(s3_place.split("/")[2]) if key.endswith(".lock")]
    report = ingest([scenes], into=s3_place, encoder=ColourEncoder(), batch_size=8)
    assert report.n_resumed == 8
    assert len(report.indexed) == 2


def test_what_comes_of_nothing_and_what_is_no_index(s3_place: str, buckets: str, host: Host, tmp_path: Path) -> None:
    (tmp_path / "broken.tif").write_bytes(b"nothing of the kind")
    report = ingest([tmp_path / "broken.tif"], into=s3_place, encoder=ColourEncoder())
    assert not report.indexed
    assert not keys(buckets)
    client().put_object(Bucket=buckets, Key="archive/of images/holiday.jpg", Body=b"mine")
    with pytest.raises(StoreError, match="something else than an index lies there"):
        ingest([write_utm(tmp_path / "a.tif")], into=s3_place, encoder=ColourEncoder())
    assert keys(buckets) == {"archive/of images/holiday.jpg"}


def test_an_index_that_was_made_anew_is_noticed(s3_place: str, host: Host, scenes: Path) -> None:
    ingest([scenes], into=s3_place, encoder=ColourEncoder())
    host("second")
    assert open_index(s3_place).manifest.model.fingerprint == "c0104r" * 8
    host("first")
    address = address_of(find_index(s3_place))
    assert address is not None
    Bucket(address).clear()
    with pytest.raises(StoreError, match="this is no index"):
        open_index(s3_place)
    ingest([scenes / "a.tif"], into=s3_place, encoder=ColourEncoder(fingerprint="0ther" * 8))
    host("second")
    again = open_index(s3_place)
    assert again.manifest.model.fingerprint == "0ther" * 8
    assert again.store.scene_names() == ["a.tif"]


class Proxy:
    """Hands everything on to a server, and counts what comes back."""

    def __init__(self, port: int) -> None:
        self.n_bytes = 0
        self._ends: list[socket.socket] = []
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            self._ends += [near, far]
            for ends, counts in (((near, far), False), ((far, near), True)):
                threading.Thread(target=self._pass, args=ends, kwargs={"counts": counts}, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, *, counts: bool) -> None:
        try:
            while content := source.recv(2**16):
                self.n_bytes += len(content) if counts else 0
                sink.sendall(content)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def proxy(buckets: str, bucket_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    made = Proxy(int(bucket_server.rpartition(":")[2]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.port}")
    yield made
    made.close()


def test_what_is_read_is_counted_and_read_once(s3_place: str, proxy: Proxy, host: Host) -> None:
    dim, n = 256, 3000
    rows = np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    LanceStore(find_index(s3_place), dim=dim).put([entry("a", n)], [tile("a", i) for i in range(n)], rows)
    host("second")
    home = find_index(s3_place)
    proxy.n_bytes = 0
    hits = LanceStore(home, dim=dim, must_exist=True).search(rows[7], k=3)
    assert hits[0].tile.tile == "a:7"
    counted, passed = read_traffic(cache_of(home)).read_bytes, proxy.n_bytes
    assert counted > 4 * n * dim
    assert 0.9 < counted / passed < 1.1  # columns are packed more tightly in a file, listings are not counted
    proxy.n_bytes = 0
    assert LanceStore(home, dim=dim, must_exist=True).search(rows[7], k=3) == hits
    assert read_traffic(cache_of(home)).read_bytes == counted
    assert proxy.n_bytes < 20_000
    host("first")
    LanceStore(find_index(s3_place), dim=dim).put([entry("b")], [tile("b", 0)], rows[:1])
    host("second")
    assert len(LanceStore(home, dim=dim, must_exist=True).search(rows[0], k=n + 9)) == n + 1
    assert read_traffic(cache_of(home)).read_bytes > 2 * counted - 1000  # another version is read anew
