"""What every store does, wherever it keeps its tiles: add, filter, search, delete, reopen, readers, a killed writer."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsitr.errors import MissingError, StoreError
from rsitr.index import STORES
from rsitr.index.address import find_index
from rsitr.types import BBox, Store, Tile, TileFilter
from storing import DIM, entry, tile, vectors

KINDS = {"lance": "lance", "s3": "lance", "milvus": "milvus"}


@dataclass(frozen=True)
class Place:
    """Where a test's store lies."""

    engine: str
    name: str

    def open(self, *, dim: int = DIM, code_length: int = 0, must_exist: bool = False) -> Store:
        folder = find_index(self.name)
        folder.mkdir(parents=True, exist_ok=True)
        return STORES[self.engine](folder, dim=dim, code_length=code_length, must_exist=must_exist)


@pytest.fixture(params=KINDS)
def new_place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Where nothing is yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kind = request.param
    if kind == "lance":
        return Place("lance", str(tmp_path / "index"))
    return Place(KINDS[kind], request.getfixturevalue(f"{kind}_place"))


@pytest.fixture
def place(new_place: Place, request: pytest.FixtureRequest) -> Place:
    """Where no tiles are; with Milvus, others have been there, as it takes seconds to make a collection."""
    if new_place.engine != "milvus":
        return new_place
    used = Place("milvus", request.getfixturevalue("used_milvus_place"))
    left = used.open()
    left.remove(left.scene_names())
    return used


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()


def test_records_come_back_as_they_were(store: Store) -> None:
    known = {"date": datetime.date(1968, 5, 1), "gsd_m": 5.002, "sensor": "Sensor Ä"}
    rich = tile("über/a b.tif", 1, (179.0, 1.0, -179.5, 2.0), **known)
    poor = tile("über/a b.tif", 2)
    scene = entry("über/a b.tif", 2, crs="EPSG:1", stretch=((1.5, 2.5), (3.0, 4.0), (5.0, 6.0)), **known)
    store.put([scene, entry("b")], [rich, poor, tile("b", 1)], np.eye(3, DIM, dtype=np.float32))
    assert [hit.tile for hit in store.search(np.eye(1, DIM, dtype=np.float32)[0], k=1)] == [rich]
    assert [hit.tile for hit in store.search(np.eye(3, DIM, dtype=np.float32)[1], k=1)] == [poor]
    assert store.scenes() == [entry("b"), scene]
    assert len(store) == 3


def test_search_is_exact(store: Store) -> None:
    rows, query = vectors(500), vectors(1, seed=1)[0]
    store.put([entry("a", 500)], [tile("a", i) for i in range(500)], rows)
    scores = rows @ query
    expected = np.argsort(-scores)
    hits = store.search(query, k=20)
    assert [hit.tile.window_px[0] for hit in hits] == expected[:20].tolist()
    assert [hit.score for hit in hits] == pytest.approx(scores[expected[:20]].tolist())
    assert [hit.rank for hit in hits] == list(range(1, 21))
    assert len(store.search(query, k=1000)) == 500


def test_equal_scores_are_ordered_by_tile_id(store: Store) -> None:
    same = np.repeat(np.eye(1, DIM, dtype=np.float32), 30, axis=0)
    order = np.random.default_rng(3).permutation(30)
    store.put([entry("a", 30)], [tile("a", int(i)) for i in order], same)
    found = [hit.tile.tile for hit in store.search(same[0], k=7)]
    assert found == sorted(f"a:{i}" for i in range(30))[:7]


def test_an_empty_store_finds_nothing(store: Store) -> None:
    assert store.search(vectors(1)[0], k=3) == []
    assert store.search(vectors(1)[0], k=3, where=TileFilter(bbox=(0, 0, 1, 1), sensor="x")) == []
    assert store.scenes() == []


PLACES: dict[str, BBox | None] = {
    "alps": (7.0, 45.0, 8.0, 46.0),
    "fiji west": (178.0, -18.0, 179.0, -17.0),
    "fiji across": (179.5, -18.0, -179.5, -17.0),
    "fiji east": (-179.0, -18.0, -178.0, -17.0),
    "nowhere": None,
}

BOXES: list[tuple[BBox, set[str]]] = [
    ((0.0, 40.0, 10.0, 50.0), {"alps"}),
    ((7.9, 45.9, 7.95, 45.95), {"alps"}),  # inside the tile
    ((8.0, 46.0, 9.0, 47.0), {"alps"}),  # touching its corner
    ((8.1, 45.0, 9.0, 46.0), set()),
    ((-180.0, -90.0, 180.0, 90.0), {"alps", "fiji west", "fiji across", "fiji east"}),
    ((178.5, -20.0, -178.5, -10.0), {"fiji west", "fiji across", "fiji east"}),
    ((179.9, -20.0, -179.9, -10.0), {"fiji across"}),
    ((179.2, -20.0, 180.0, -10.0), {"fiji across"}),
    ((-180.0, -20.0, -179.2, -10.0), {"fiji across"}),
    ((179.2, -16.0, -179.2, -10.0), set()),
]


def test_boxes_filter_across_the_antimeridian_too(store: Store) -> None:
    tiles = [tile(name, 0, place) for name, place in PLACES.items()]
    store.put([entry(name) for name in PLACES], tiles, vectors(len(tiles)))
    for bbox, found in BOXES:
        where = TileFilter(bbox=bbox)
        assert {hit.tile.scene for hit in store.search(vectors(1)[0], k=10, where=where)} == found
        assert store.count(where) == len(found)


def test_filters_come_before_ranking(store: Store) -> None:
    """The only tile in the box is the worst of 200, and is found although only one hit is wanted."""
    query = vectors(1, seed=9)[0]
    rows = vectors(200)
    worst = int(np.argmin(rows @ query))
    tiles = [tile("a", i, (50.0, 50.0, 51.0, 51.0) if i == worst else (0.0, 0.0, 1.0, 1.0)) for i in range(200)]
    store.put([entry("a", 200)], tiles, rows)
    (hit,) = store.search(query, k=1, where=TileFilter(bbox=(49.0, 49.0, 52.0, 52.0)))
    assert hit.tile.window_px[0] == worst


def test_an_outline_decides_where_its_box_would_mislead(store: Store) -> None:
    diamond = ((0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
    turned = Tile("a:0", "a", (0, 0, 8, 8), footprint=diamond, bbox=(-1.0, -1.0, 1.0, 1.0))
    store.put([entry("a")], [turned], vectors(1))
    for bbox, meets in (((0.8, 0.8, 2.0, 2.0), False), ((0.4, 0.4, 2.0, 2.0), True), ((-2.0, -2.0, 2.0, 2.0), True)):
        assert len(store.search(vectors(1)[0], k=1, where=TileFilter(bbox=bbox))) == meets


def test_sizes_of_pixels_filter_and_what_is_unknown_fails(store: Store) -> None:
    sizes = {"a": 0.1, "b": 5.0, "c": 30.0, "d": None}
    store.put(
        [entry(name, 1) for name in sizes],
        [tile(name, 0, gsd_m=gsd_m) for name, gsd_m in sizes.items()],
        vectors(len(sizes)),
    )

    def found(finest: float, coarsest: float) -> set[str]:
        where = TileFilter(gsd_m=(finest, coarsest))
        hits = store.search(vectors(1)[0], k=9, where=where)
        assert store.count(where) == len(hits)
        return {hit.tile.scene for hit in hits}

    assert found(0.1, 5.0) == {"a", "b"}
    assert found(5.0, 5.0) == {"b"}
    assert found(0.0, 1000.0) == {"a", "b", "c"}
    assert found(6.0, 7.0) == set()


def test_days_and_sensors_filter_and_what_is_unknown_fails(store: Store) -> None:
    days = {"a": datetime.date(2010, 6, 29), "b": datetime.date(2016, 8, 16), "c": None}
    tiles = [tile(name, 0, date=day, sensor=None if name == "c" else f"NAIP-{name}") for name, day in days.items()]
    store.put([entry(name) for name in days], tiles, vectors(3))

    def found(**limits: object) -> set[str]:
        where = TileFilter(**limits)  # type: ignore[arg-type]
        return {hit.tile.scene for hit in store.search(vectors(1)[0], k=5, where=where)}

    assert found() == {"a", "b", "c"}
    assert found(since=datetime.date(2010, 6, 29)) == {"a", "b"}
    assert found(since=datetime.date(2010, 6, 30)) == {"b"}
    assert found(until=datetime.date(2010, 6, 29)) == {"a"}
    assert found(since=datetime.date(2011, 1, 1), until=datetime.date(2012, 1, 1)) == set()
    assert found(sensor="naip-B") == {"b"}
    assert found(sensor="naip-B", until=datetime.date(2012, 1, 1)) == set()


def test_areas_filter_by_outline(store: Store) -> None:
    tiles = [tile(name, 0, place) for name, place in PLACES.items()]
    store.put([entry(name) for name in PLACES], tiles, vectors(len(tiles)))
    south = ((0.0, 40.0), (9.0, 40.0), (9.0, 44.0), (7.5, 45.5), (0.0, 44.0), (0.0, 40.0))  # a tip reaches the alps
    hole = ((6.0, 44.0), (9.0, 44.0), (9.0, 47.0), (6.0, 47.0), (6.0, 44.0))
    around = ((0.0, 40.0), (20.0, 40.0), (20.0, 50.0), (0.0, 50.0), (0.0, 40.0))
    pacific = ((179.7, -20.0), (181.5, -20.0), (181.5, -10.0), (179.7, -10.0), (179.7, -20.0))
    for area, found in (
        (((south,),), {"alps"}),
        (((around,),), {"alps"}),
        (((around, hole),), set()),  # the tile lies in the hole
        (((pacific,),), {"fiji across", "fiji east"}),
        (((south,), (pacific,)), {"alps", "fiji across", "fiji east"}),
    ):
        where = TileFilter(area=area)
        assert {hit.tile.scene for hit in store.search(vectors(1)[0], k=9, where=where)} == found
        assert store.count(where) == len(found)
    both = TileFilter(area=((south,), (pacific,)), bbox=(0.0, 0.0, 90.0, 90.0))
    assert [hit.tile.scene for hit in store.search(vectors(1)[0], k=9, where=both)] == ["alps"]


def test_scenes_filter_by_pattern(store: Store) -> None:
    names = ["2016/a.tif", "2016/deep/b.tif", "2020/A.tif"]
    store.put([entry(name) for name in names], [tile(name, 0) for name in names], vectors(3))
    for pattern, found in (
        ("2016/*", names[:2]),
        ("*.tif", names),
        ("20?0/[A-Z].tif", names[2:]),
        ("a.tif", []),
        ("*/a.tif", names[:1]),
    ):
        hits = store.search(vectors(1)[0], k=9, where=TileFilter(scene=pattern))
        assert sorted(hit.tile.scene for hit in hits) == found


def test_a_scene_is_found_by_its_own_name_whatever_it_holds(store: Store) -> None:
    names = ["glob[1].tif", "glob1.tif", "a*.tif", "ab.tif"]
    store.put([entry(name) for name in names], [tile(name, 0) for name in names], vectors(4))
    for name in names:
        hits = store.search(vectors(1)[0], k=9, where=TileFilter(scene=name))
        assert [hit.tile.scene for hit in hits] == [name]
    assert store.count(TileFilter(scene="glob[0-9].tif")) == 1


def test_a_writer_looks_at_what_another_has_written(place: Place) -> None:
    first, second = place.open(), place.open()
    for store in (first, second, first):
        store.put([entry("a", 3)], [tile("a", i) for i in range(3)], vectors(3))
        assert (len(first), len(second)) == (3, 3)


def test_vectors_that_cannot_be(store: Store) -> None:
    with pytest.raises(StoreError, match=r"1 tiles of width 8, but vectors \(1, 4\)"):
        store.put([entry("a")], [tile("a", 0)], np.ones((1, 4), np.float32))
    with pytest.raises(StoreError, match="not of unit length"):
        store.put([entry("a")], [tile("a", 0)], np.ones((1, DIM), np.float32))
    with pytest.raises(StoreError, match="NaN or infinity"):
        store.put([entry("a")], [tile("a", 0)], np.full((1, DIM), np.nan, np.float32))
    assert len(store) == 0


def test_a_store_of_another_width_is_refused(store: Store, place: Place) -> None:
    with pytest.raises(StoreError, match="has other columns"):
        place.open(dim=DIM + 1)


def test_tiles_are_leafed_through_without_a_search(store: Store) -> None:
    tiles = [tile("a.tif", n, (float(n), 0.0, n + 0.5, 1.0)) for n in range(10)]
    store.put([entry("a.tif", 10)], tiles, vectors(10))
    pages = [store.browse(start=start, n=4) for start in (0, 4, 8, 12)]
    assert [len(page) for page in pages] == [4, 4, 2, 0]
    assert {found.tile for page in pages for found in page} == {found.tile for found in tiles}
    where = TileFilter(bbox=(2.1, 0.0, 5.2, 1.0))
    assert {found.tile for found in store.browse(where, start=0, n=100)} == {f"a.tif:{n}" for n in (2, 3, 4, 5)}
    assert store.browse(where, start=0, n=100)[1:3] == store.browse(where, start=1, n=2)
    assert store.browse(where, start=4, n=1) == []


def test_scenes_go_with_their_tiles(store: Store, place: Place) -> None:
    names = ["a'b", 'c"d', "e"]
    store.put([entry(name, 2) for name in names], [tile(name, i) for name in names for i in range(2)], vectors(6))
    store.remove(["a'b", 'c"d', "never there"])
    for seen in (store, place.open(must_exist=True)):
        assert (seen.scene_names(), len(seen)) == (["e"], 2)
        assert {hit.tile.tile for hit in seen.search(vectors(1)[0], k=9)} == {"e:0", "e:1"}
    store.remove(["e"])
    assert (store.scenes(), len(store), store.search(vectors(1)[0], k=9)) == ([], 0, [])
    store.put([entry("e")], [tile("e", 5)], vectors(1))
    assert [hit.tile.tile for hit in store.search(vectors(1)[0], k=9)] == ["e:5"]


def test_a_scene_takes_the_place_of_its_earlier_state(store: Store) -> None:
    store.put(
        [entry("a'b", 3), entry("c", 2)],
        [tile("a'b", i) for i in range(3)] + [tile("c", i) for i in range(2)],
        vectors(5),
    )
    before = store.version
    store.put([entry("a'b", 2)], [tile("a'b", 2), tile("a'b", 7)], np.eye(2, DIM, dtype=np.float32))
    assert store.version != before
    found = {hit.tile.tile: hit.score for hit in store.search(np.eye(1, DIM, dtype=np.float32)[0], k=10)}
    assert set(found) == {"a'b:2", "a'b:7", "c:0", "c:1"}
    assert found["a'b:2"] == 1.0
    assert [scene.n_tiles for scene in store.scenes()] == [2, 2]


def test_a_reader_sees_what_was_written_since_it_opened(store: Store, place: Place) -> None:
    reader = place.open(must_exist=True)
    assert reader.search(vectors(1)[0], k=1) == []
    assert (len(reader), reader.scenes(), reader.sample(5).shape) == (0, [], (0, DIM))
    for n in (1, 2):
        store.put([entry(f"s{n}")], [tile(f"s{n}", 0)], vectors(1))
        assert len(reader.search(vectors(1)[0], k=9)) == n
        assert (len(reader), len(reader.scenes()), reader.version) == (n, n, store.version)


def test_tiles_vectors_and_codes_by_their_ids(new_place: Place) -> None:
    store = new_place.open(code_length=3)
    rows, codes = vectors(6), np.arange(18, dtype=np.float16).reshape(6, 3) / np.float16(3)
    tiles = [tile("a", i, (float(i), 0.0, i + 1.0, 1.0)) for i in range(6)]
    store.put([entry("a", 6)], tiles, rows, codes=codes)
    for seen in (store, new_place.open(code_length=3, must_exist=True)):
        asked = ["a:4", "a:0", "a:4"]
        assert seen.tiles(asked) == [tiles[4], tiles[0], tiles[4]]
        assert seen.vectors(asked).tolist() == rows[[4, 0, 4]].tolist()
        found = seen.codes(asked)
        assert found is not None
        assert found.dtype == np.float16
        assert found.tolist() == codes[[4, 0, 4]].tolist()
        with pytest.raises(MissingError, match="there is no tile 'a:9' in this index"):
            seen.vectors(["a:0", "a:9"])
        assert sorted(seen.sample(100).tolist()) == sorted(rows.tolist())
        assert seen.sample(3).shape == (3, DIM)
        assert seen.sample(3).tolist() == seen.sample(3).tolist()
    with pytest.raises(StoreError, match="codes of 3 numbers are kept here, and no others"):
        store.put([entry("b")], [tile("b", 0)], vectors(1))


def test_tidying_changes_nothing_that_is_seen(store: Store, place: Place) -> None:
    for i in range(9):
        store.put([entry(f"s{i}")], [tile(f"s{i}", 0)], vectors(1, seed=i))
    before = store.search(vectors(1)[0], k=10)
    store.tidy()
    for seen in (store, place.open(must_exist=True)):
        assert seen.search(vectors(1)[0], k=10) == before
        assert len(seen.scenes()) == 9


def test_a_store_that_is_not_there_is_not_made(new_place: Place) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match="is missing"):
            new_place.open(must_exist=True)


WRITER = """
import sys
import numpy as np
sys.path[:0] = sys.argv[3:4]
from rsitr.index import STORES
from rsitr.index.address import find_index
from storing import DIM, entry, tile
store = STORES[sys.argv[1]](find_index(sys.argv[2]), dim=DIM)
for n in range(1, 10_000):
    rows = np.zeros((40, DIM), np.float32)
    rows[:, n % DIM] = 1.0
    store.put([entry("a", 40)], [tile("a", 100 * n + i) for i in range(40)], rows)
    print(n, flush=True)
"""


@pytest.fixture
def writer(place: Place) -> Iterator[Any]:
    """A process that writes one scene again and again, each time with other tiles, which are all alike."""
    place.open()
    command = [sys.executable, "-c", WRITER, place.engine, place.name, str(Path(__file__).parents[2])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_reader_sees_whole_scenes_and_a_killed_writer_leaves_whole_ones(place: Place, writer: Any) -> None:
    def states(seen: Store) -> set[int]:
        hits = seen.search(np.full(DIM, DIM**-0.5, np.float32), k=99)
        assert len(hits) in {0, 40}
        return {int(hit.tile.tile.partition(":")[2]) // 100 for hit in hits}

    assert writer.stdout.readline() == "1\n"
    reader = place.open(must_exist=True)
    seen, until = [states(reader)], time.monotonic() + 60
    while len(seen) < 8 or (len(set(map(min, seen))) < 3 and time.monotonic() < until):
        seen.append(states(reader))
    assert {len(one) for one in seen} == {1}
    assert len(set(map(min, seen))) >= 3, "nothing was written meanwhile"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    after = place.open()
    (last,) = states(after)
    assert last >= max(min(one) for one in seen)
    assert [scene.n_tiles for scene in after.scenes()] == [40]
    assert len(after) == 40
    after.put([entry("a", 2), entry("b", 1)], [tile("a", 0), tile("a", 1), tile("b", 0)], vectors(3))
    for again in (after, reader, place.open(must_exist=True)):
        assert {hit.tile.tile for hit in again.search(vectors(1)[0], k=99)} == {"a:0", "a:1", "b:0"}
        assert again.scene_names() == ["a", "b"]
