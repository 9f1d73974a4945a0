"""What only the store in Milvus does: versions in rows, files in rows, and filters in the words of Milvus."""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsitr.errors import StoreError
from rsitr.index import LanceStore
from rsitr.index.address import Address, find_index, parse_address
from rsitr.index.collection import STATE, TILE, Collection
from rsitr.index.condition import condition_of
from rsitr.index.lease import Owner
from rsitr.index.milvus import MilvusStore
from rsitr.index.ranking import EXACT_ROWS
from rsitr.index.versions import State
from rsitr.types import TileFilter
from storing import DIM, entry, tile, vectors


@pytest.fixture
def address(used_milvus_place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Address:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = parse_address(used_milvus_place)
    assert found is not None
    return found


@pytest.fixture
def store(address: Address) -> MilvusStore:
    made = MilvusStore(find_index(str(address)), dim=DIM)
    made.remove(made.scene_names())
    return made


def again(address: Address) -> MilvusStore:
    return MilvusStore(find_index(str(address)), dim=DIM, must_exist=True)


@pytest.fixture
def collection(address: Address) -> Iterator[Collection]:
    made = Collection(address)
    yield made
    for name in (f"{address.name}_lock",):
        made.client.drop_collection(name)


PACIFIC = ((179.0, -20.0), (181.5, -20.0), (181.5, -10.0), (179.0, -10.0), (179.0, -20.0))
SLOPE = ((0.0, 0.0), (9.0, 0.0), (0.0, 9.0), (0.0, 0.0))
FILTERS = [
    TileFilter(),
    TileFilter(sensor="S-ä"),
    TileFilter(sensor="none of that name"),
    TileFilter(since=datetime.date(2020, 1, 5)),
    TileFilter(until=datetime.date(2020, 1, 5)),
    TileFilter(gsd_m=(0.0, 1e9)),
    TileFilter(gsd_m=(0.1, 0.3)),
    TileFilter(is_suitable=True),
    TileFilter(scene="a*"),
    TileFilter(scene=("b'\"\\", "c")),
    TileFilter(scene="nothing"),
    TileFilter(bbox=(2.0, 2.0, 5.0, 5.0)),
    TileFilter(bbox=(179.2, -90.0, -179.7, 90.0)),
    TileFilter(bbox=(-180.0, -90.0, 180.0, 90.0)),
    TileFilter(area=((SLOPE,), (PACIFIC,))),
    TileFilter(scene="a*", since=datetime.date(2020, 1, 3), bbox=(0.0, 0.0, 20.0, 20.0), is_suitable=True),
]


def test_filters_and_ranking_are_those_of_lancedb(store: MilvusStore, tmp_path: Path) -> None:
    """More tiles than are scored one by one, many of them alike; every filter in Milvus leaves out none that passes."""
    n = 3 * EXACT_ROWS
    rng = np.random.default_rng(5)
    rows = vectors(n)
    rows[rng.integers(0, n, n // 2)] = rows[0]  # equal scores beyond any spare ones
    names = ["a1", "a2", "b'\"\\", "c"]
    tiles = []
    for i in range(n):
        west = float(rng.uniform(-180, 180)) if i % 3 else float(rng.uniform(0, 10))
        south, width = float(rng.uniform(-20, 20)), float(rng.uniform(0.1, 2))
        east = west + width if west + width <= 180 else west + width - 360
        one = tile(
            names[i % 4],
            i,
            None if i % 11 == 0 else (west, south, east, south + 1.0),
            date=None if i % 7 == 0 else datetime.date(2020, 1, 1 + i % 9),
            gsd_m=(None, 0.1, 0.3, 5.0, 400.0)[i % 5],
            sensor=(None, "S-Ä", "s-ä", "other")[i % 4],
        )
        tiles.append(dataclasses.replace(one, window_px=(i, 0, (0, 4, 64)[i % 3], 64)))
    scenes = [entry(name, n // 4) for name in names]
    local = LanceStore(tmp_path / "local", dim=DIM)
    for one in (store, local):
        one.put(scenes, tiles, rows)
    matrix = store.load()
    assert matrix.state is not None
    exact = ("bbox", "area")
    for where in FILTERS:
        passed = matrix.columns.passing(where)
        wanted = set(range(n)) if passed is None else set(passed.tolist())
        said = " and ".join([f"kind == {TILE}", matrix.state.seen(), *condition_of(where, matrix.columns)])
        told = {row["number"] for row in store._collection.query(said, ["number"])}
        found = {i for i, number in enumerate(matrix.ids.tolist()) if number in told}
        assert found >= wanted
        if not any(getattr(where, name) for name in exact):
            assert found == wanted
        for k in (5, 40):
            hits, others = (one.search(rows[0], k=k, where=where) for one in (store, local))
            assert [hit.tile for hit in hits] == [hit.tile for hit in others]
            assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in others], abs=1e-6)
        assert store.count(where) == local.count(where)
    assert [hit.tile for hit in store.search(rows[1], k=n)] == [hit.tile for hit in local.search(rows[1], k=n)]
    kept = list((tmp_path / "cache").rglob("*.arrow"))
    assert len(kept) == 1
    assert again(store._collection.address).search(rows[1], k=9) == store.search(rows[1], k=9)


def test_what_is_replaced_stays_for_readers_and_then_goes(
    store: MilvusStore, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put([entry("a", 3)], [tile("a", i) for i in range(3)], vectors(3))
    before = collection.state()
    store.put([entry("a", 2)], [tile("a", 10 + i) for i in range(2)], vectors(2))
    earlier = collection.query(f"kind == {TILE} and {before.seen()}", ["about"])
    assert {json.loads(row["about"])[0] for row in earlier} == {"a:0", "a:1", "a:2"}
    assert collection.state().is_kept(before)
    monkeypatch.setattr("rsitr.index.versions.KEEP_S", -1.0)
    for i in range(2):
        store.put([entry(f"b{i}")], [tile(f"b{i}", 0)], vectors(1))
    assert not collection.state().is_kept(before)
    assert collection.count(f"kind == {TILE}") == len(store) == 4
    assert collection.count(f"kind == {STATE}") <= 3
    assert {hit.tile.tile for hit in store.search(vectors(1)[0], k=9)} == {"a:10", "a:11", "b0:0", "b1:0"}


@pytest.mark.parametrize("stage", ["before", "after"])
def test_a_writer_that_ends_in_the_middle(
    store: MilvusStore, address: Address, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    store.put([entry("a", 2), entry("z")], [tile("a", 0), tile("a", 1), tile("z", 0)], vectors(3))
    reader = again(address)
    commit = Collection.commit

    def die(self: Collection, state: State, **dimensions: int) -> None:
        if stage == "after":
            commit(self, state, **dimensions)
        raise KeyboardInterrupt

    monkeypatch.setattr(Collection, "commit", die)
    with pytest.raises(KeyboardInterrupt):
        store.put([entry("a", 2)], [tile("a", 5), tile("a", 6)], vectors(2))
    monkeypatch.undo()
    seen = {"a:5", "a:6", "z:0"} if stage == "after" else {"a:0", "a:1", "z:0"}
    assert {hit.tile.tile for hit in reader.search(vectors(1)[0], k=9)} == seen
    assert len(reader) == 3
    for one in (again(address), store):
        one.put([entry("a", 1)], [tile("a", 7)], vectors(1))
        assert {hit.tile.tile for hit in reader.search(vectors(1)[0], k=9)} == {"a:7", "z:0"}
        assert (len(reader), reader.scene_names()) == (2, ["a", "z"])


def test_names_that_are_too_many_for_one_version(store: MilvusStore) -> None:
    names = [f"{'long' * 200} {i}" for i in range(60)]
    for n in (1, 2):
        store.put([entry(name) for name in names], [tile(name, n) for name in names], vectors(60))
    assert len(store) == 60
    assert {hit.tile.window_px[0] for hit in store.search(vectors(1)[0], k=99)} == {2}
    store.remove(names[:59])
    assert store.scene_names() == names[59:]


def test_files_of_any_length_are_kept_whole(store: MilvusStore, collection: Collection) -> None:
    name = "scene-notes.jsonl"
    for content in (b"", b"\x00short", np.random.default_rng(0).bytes(200_000), b"shorter again"):
        before = collection.list_files().get(name)
        collection.write(name, content)
        assert collection.list_files()[name] != before
        assert collection.read(name) == content
    # What a killed writer has begun is not seen.
    stamp = int(collection.list_files()[name]) + 1000
    half = collection.row(-stamp, 3, dim=DIM, code_length=0, scene=name, about="AAAA", side_px=0, day=2)
    collection.insert([half], dim=DIM)
    assert collection.read(name) == b"shorter again"


def test_one_writes_at_a_time(store: MilvusStore, collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = f"{collection.address.name}_lock"

    def lay(owner: Owner) -> None:
        from pymilvus import DataType

        schema = collection.client.create_schema(description=owner.spell())
        schema.add_field("number", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
        collection.client.create_collection(lock, schema=schema)

    monkeypatch.setattr("rsitr.index.lease.RENEW_S", 0.1)
    with collection.hold() as lease:
        with pytest.raises(StoreError, match=r"process \d+ on \S+ has been writing this index since"):
            collection.hold()
        renewed: Any = None
        while not renewed:
            renewed = collection.client.describe_collection(lock).get("properties", {}).get("rsitr.renewed")
        lease.require()
    assert not collection.client.has_collection(lock)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    lay(Owner(pid=ended.pid))
    with collection.hold():
        pass
    lay(Owner(pid=ended.pid, host="far", system="another"))
    with pytest.raises(StoreError, match="on far has been writing"):
        collection.hold()
    monkeypatch.setattr("rsitr.index.collection.STALE_S", -1.0)
    with collection.hold() as lease:
        collection.client.drop_collection(lock)  # another has judged it to be stale
        lay(Owner(host="far"))
        lease._thread.join(timeout=30)
        with pytest.raises(StoreError, match="another may be writing now"):
            lease.require()
    assert "far" in collection.client.describe_collection(lock)["description"]


def test_what_is_no_index_is_left_alone(collection: Collection, milvus_place: str) -> None:
    address = parse_address(milvus_place)
    assert address is not None
    other = Collection(address)
    assert not other.is_other()
    collection.client.create_collection(address.name, dimension=4)
    assert other.is_other()
    assert other.list_files() == {}
    with pytest.raises(StoreError, match="has other columns"):
        MilvusStore(find_index(milvus_place), dim=DIM)
    collection.client.drop_collection(address.name)
