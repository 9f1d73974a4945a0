"""What only the files of LanceDB's tables do; what every store does is in test_stores.py."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsitr.errors import ConfigError, StoreError
from rsitr.index import LanceStore
from rsitr.index.budget import find_budget
from rsitr.index.matrix import TileMatrix, best_rows
from rsitr.index.nearest import NearestTiles
from rsitr.index.state import newest_version, read_check
from rsitr.types import BBox, TileFilter
from storing import DIM, entry, tile, vectors


@pytest.fixture
def store(tmp_path: Path) -> LanceStore:
    return LanceStore(tmp_path / "index", dim=DIM)


@given(st.integers(0, 10_000))
def testboxes_agree_with_walking_over_longitudes(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Boxes on a grid of whole degrees, against the sets of degree cells that they hold."""
    rng = np.random.default_rng(seed)

    def draw() -> BBox:
        west, east = (int(x) for x in rng.integers(-180, 180, 2))
        return (west + 0.25, -0.5, east + 0.75, 0.5)

    def cells(bbox: BBox) -> set[int]:
        first, last = round(bbox[0] - 0.25), round(bbox[2] - 0.75)
        around = (last - first) % 360 if bbox[0] > bbox[2] else last - first
        return {(first + i + 180) % 360 for i in range(around + 1)}

    from rsitr.index.filtering import boxes_inside, boxes_meet

    box, other = draw(), draw()
    row = np.array([other]).T
    assert bool(boxes_meet(row, box)[0]) == bool(cells(box) & cells(other))
    if boxes_inside(row, box)[0]:
        assert cells(other) <= cells(box)


def test_a_full_disk_is_no_damage(store: LanceStore) -> None:
    def fail() -> None:
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28), writer.rs:258:9")

    with pytest.raises(StoreError, match=r"the disk is full: free some space, or write elsewhere$"):
        store._guard(fail)


def test_half_precision_ranks_like_full(store: LanceStore) -> None:
    rows, query = vectors(2000), vectors(1, seed=1)[0]
    store.put([entry("a", 2000)], [tile("a", i, sensor="x" if i % 3 else None) for i in range(2000)], rows)
    full = store.load()
    half = dataclasses.replace(full, vectors=full.vectors.astype(np.float16), exact=full.take)
    for where in (None, TileFilter(sensor="X"), TileFilter(scene="b")):
        assert half.search(query, k=50, where=where) == full.search(query, k=50, where=where)


def test_tiles_are_read_from_files_of_their_own(tmp_path: Path) -> None:
    """Whatever the budget: the same hits; the files are made once, and made anew after a change."""
    rows, query = vectors(600), vectors(1, seed=1)[0]
    tiles = [tile("a", i, (0.0, 0.0, 1.0, 1.0) if i % 50 == 0 else None) for i in range(600)]
    LanceStore(tmp_path / "index", dim=DIM).put([entry("a", 500)], tiles[:500], rows[:500])
    filters = (None, TileFilter(bbox=(0.5, 0.5, 2.0, 2.0)), TileFilter(scene="a"))
    expected = [list(np.argsort(-(rows[:500] @ query))[:20]), None, None]
    for precision, memory_bytes in (("float32", 10**6), ("float16", 2 * 600 * DIM)):
        store = LanceStore(tmp_path / "index", dim=DIM, memory_bytes=memory_bytes)
        hits = [store.search(query, k=20, where=where) for where in filters]
        assert [hit.tile.window_px[0] for hit in hits[0]] == expected[0]
        assert [hit.score for hit in hits[0]] == pytest.approx((rows[expected[0]] @ query).tolist(), abs=1e-6)
        assert sorted(hit.tile.window_px[0] for hit in hits[1]) == list(range(0, 500, 50))
        assert hits[2] == hits[0]
        assert store.load().vectors.dtype == precision
        (place,) = (tmp_path / "index" / ".cache").glob("*/")
        assert place.name.endswith(precision)
        changed = place.stat().st_mtime_ns
        again = LanceStore(tmp_path / "index", dim=DIM, memory_bytes=memory_bytes)
        assert again.search(query, k=20) == hits[0]
        assert place.stat().st_mtime_ns == changed
    store.put([entry("b", 100)], [tile("b", i) for i in range(100)], rows[500:])
    assert len(store.search(query, k=1000)) == 600
    assert len(list((tmp_path / "index" / ".cache").glob("*/"))) == 1


@pytest.mark.parametrize(("precision", "memory_bytes"), [("float32", 10**6), ("float16", 2 * 50 * DIM)])
def test_an_index_that_may_only_be_read_is_searched_too(tmp_path: Path, precision: str, memory_bytes: int) -> None:
    """Within its budget of memory."""
    store = LanceStore(tmp_path / "index", dim=DIM)
    store.put([entry("a", 50)], [tile("a", i) for i in range(50)], vectors(50))
    (tmp_path / "index" / ".cache").write_text("in the way")  # nothing can be written there
    limited = LanceStore(tmp_path / "index", dim=DIM, memory_bytes=memory_bytes)
    assert limited.load().vectors.dtype == precision
    assert limited.search(vectors(1)[0], k=99) == store.search(vectors(1)[0], k=99)


@pytest.mark.parametrize("name", ["rows.arrow", "vectors.npy"])
def test_damaged_files_are_made_anew(tmp_path: Path, name: str) -> None:
    store = LanceStore(tmp_path / "index", dim=DIM)
    store.put([entry("a", 50)], [tile("a", i) for i in range(50)], vectors(50))
    hits = store.search(vectors(1)[0], k=50)
    (file,) = (tmp_path / "index" / ".cache").glob(f"*/{name}")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert LanceStore(tmp_path / "index", dim=DIM).search(vectors(1)[0], k=50) == hits
    assert file.read_bytes() == whole


def test_a_version_is_told_by_the_names_of_files(tmp_path: Path) -> None:
    """And where these are none that we know, LanceDB is asked."""
    store = LanceStore(tmp_path / "index", dim=DIM)
    for n in (3, 4, 5):
        store.put([entry("a", n)], [tile("a", i) for i in range(n)], vectors(n))
        assert newest_version(tmp_path / "index" / "tiles.lance") == store._tiles.version == store.version
    assert newest_version(tmp_path / "elsewhere") is None
    (tmp_path / "index" / "tiles.lance" / "_versions" / "17.manifest").touch()
    assert newest_version(tmp_path / "index" / "tiles.lance") is None


def test_what_is_known_of_scenes_is_kept_until_something_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    store = LanceStore(folder, dim=DIM)
    store.put([entry("a", 3)], [tile("a", i) for i in range(3)], vectors(3))
    assert (store.scene_names(), len(store)) == (["a"], 3)
    reader = LanceStore(folder, dim=DIM, must_exist=True)
    assert (reader.scenes(), len(reader)) == (store.scenes(), 3)
    store.put([entry("b", 4)], [tile("b", i) for i in range(4)], vectors(4))
    assert (reader.scene_names(), len(reader)) == (["a", "b"], 7)
    file = folder / ".cache" / "scenes.arrow"
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * len(whole)):
        file.write_bytes(damaged)
        assert LanceStore(folder, dim=DIM, must_exist=True).scenes() == store.scenes()
        assert file.read_bytes() == whole
    with pytest.raises(StoreError, match="has other columns"):
        LanceStore(folder, dim=DIM + 1, must_exist=True)


def test_what_killed_processes_left_is_cleared_and_what_runs_is_not(tmp_path: Path) -> None:
    store = LanceStore(tmp_path / "index", dim=DIM)
    store.put([entry("a", 50)], [tile("a", i) for i in range(50)], vectors(50))
    left, running = (tmp_path / "index" / ".cache" / name for name in (".3-float32.left", ".3-float32.running"))
    for folder in (left, running):
        folder.mkdir(parents=True)
    os.utime(left, (0, 0))
    store.load()
    assert (left.exists(), running.exists()) == (False, True)


def test_codes_are_those_of_the_tiles_asked_for_while_another_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def codes(n: int, first: int) -> NDArray[np.float16]:
        return np.repeat(np.arange(first, first + n, dtype=np.float16)[:, None], 3, axis=1)

    store, other = (LanceStore(tmp_path / "index", dim=DIM, code_length=3) for _ in range(2))
    names = ("b", "c")
    for number, name in enumerate(names):
        store.put([entry(name, 2)], [tile(name, i) for i in range(2)], vectors(2), codes=codes(2, 10 * number))
    find = store._rows

    def find_then_write(matrix: TileMatrix, tiles: Sequence[str]) -> NDArray[np.int64]:
        rows = find(matrix, tiles)
        other.remove(["b"])
        assert len(store) == 2
        return rows

    monkeypatch.setattr(store, "_rows", find_then_write)
    found = store.codes(["c:1", "b:1"])
    assert found is not None
    assert found.tolist() == [[11.0] * 3, [1.0] * 3]


def test_beyond_memory_and_without_an_ivf_index_all_vectors_are_passed_over_on_disk(tmp_path: Path) -> None:
    rows, query = vectors(3000), vectors(1, seed=1)[0]
    store = LanceStore(tmp_path / "index", dim=DIM, memory_bytes=8 * DIM * 100)
    store.put([entry("a", 3000)], [tile("a", i) for i in range(3000)], rows)
    hits = store.search(query, k=50)
    assert [hit.tile.window_px[0] for hit in hits] == np.argsort(-(rows @ query))[:50].tolist()
    assert store.load().vectors.size == 0


def test_a_container_limits_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / name for name in ("max", "v1", "none")]
    files[0].write_text("max\n")
    files[1].write_text(f"{2 * 10**6}\n")
    monkeypatch.delenv("RSITR_MEMORY_GB", raising=False)
    monkeypatch.setattr("rsitr.index.budget.CONTAINER_LIMITS", files)
    assert find_budget() == 10**6
    files[1].unlink()
    assert find_budget() > 10**8


@pytest.mark.parametrize("k", [1, 7, 100, 3000])
@pytest.mark.parametrize("margin", [0.0, 0.01])
def test_the_best_of_many_scores_are_those_of_a_sort(k: int, margin: float) -> None:
    scores = np.random.default_rng(k).normal(size=20_501).round(2).astype(np.float32)  # with many equal ones
    least = np.sort(scores)[-k]
    assert best_rows(scores, k=k, margin=margin).tolist() == np.flatnonzero(scores >= least - margin).tolist()


def test_beyond_memory_an_ivf_index_is_searched(tmp_path: Path) -> None:
    rows, query = vectors(3000), vectors(1, seed=1)[0]
    tiles = [tile("a", i, (0.0, 0.0, 1.0, 1.0) if i % 100 == 7 else None, sensor="xy"[i % 2]) for i in range(3000)]
    store = LanceStore(tmp_path / "index", dim=DIM, memory_bytes=8 * DIM * 100)
    store.put([entry("a", 3000)], tiles, rows)
    store.tidy()
    check = read_check(tmp_path / "index")
    assert check is not None
    assert check.recall >= 0.95
    assert 1 <= check.probes <= check.partitions
    assert isinstance(store.load(), NearestTiles)
    scores = rows @ query
    true = set(np.argsort(-scores)[:50].tolist())
    hits = store.search(query, k=50)
    assert len({hit.tile.window_px[0] for hit in hits} & true) >= 40
    assert [hit.score for hit in hits] == pytest.approx(sorted((hit.score for hit in hits), reverse=True))
    # A selective filter is answered exactly; one that leaves half of all tiles still fills the list.
    few = store.search(query, k=50, where=TileFilter(bbox=(0.0, 0.0, 1.0, 1.0)))
    assert [hit.tile.window_px[0] for hit in few] == sorted(range(7, 3000, 100), key=lambda i: -scores[i])
    half = store.search(query, k=50, where=TileFilter(sensor="y"))
    assert len(half) == 50
    assert {hit.tile.sensor for hit in half} == {"y"}
    assert store.count(TileFilter(sensor="y")) == 1500
    assert store.vectors(["a:5"])[0] == pytest.approx(rows[5])


def test_a_scene_is_replaced_in_one_commit(store: LanceStore, tmp_path: Path) -> None:
    store.put(
        [entry("a'b", 3), entry("c", 2)],
        [tile("a'b", i) for i in range(3)] + [tile("c", i) for i in range(2)],
        vectors(5),
    )
    before = store._tiles.version
    store.put([entry("a'b", 2)], [tile("a'b", 2), tile("a'b", 7)], np.eye(2, DIM, dtype=np.float32))
    assert store._tiles.version == before + 1
    found = {hit.tile.tile: hit.score for hit in store.search(np.eye(1, DIM, dtype=np.float32)[0], k=10)}
    assert set(found) == {"a'b:2", "a'b:7", "c:0", "c:1"}
    assert found["a'b:2"] == 1.0
    assert [scene.n_tiles for scene in store.scenes()] == [2, 2]


def test_another_reader_sees_what_was_written_since(store: LanceStore, tmp_path: Path) -> None:
    reader = LanceStore(tmp_path / "index", dim=DIM)
    assert reader.search(vectors(1)[0], k=1) == []
    store.put([entry("a")], [tile("a", 0)], vectors(1))
    assert len(reader.search(vectors(1)[0], k=1)) == 1
    assert len(reader) == 1
    assert len(reader.scenes()) == 1
    matrix = reader.load()
    assert reader.load() is matrix  # nothing new, nothing read again


@pytest.mark.parametrize(("n", "joined"), [(7, False), (9, True)])
def test_tidying_changes_nothing_that_can_be_seen(store: LanceStore, tmp_path: Path, n: int, *, joined: bool) -> None:
    """Few pieces stay as they are; many are joined, whoever has left them."""

    def pieces() -> int:
        return int(LanceStore(tmp_path / "index", dim=DIM)._tiles.stats()["fragment_stats"]["num_fragments"])

    for i in range(n):
        store.put([entry(f"s{i}")], [tile(f"s{i}", 0)], vectors(1, seed=i))
    before = store.search(vectors(1)[0], k=10)
    assert pieces() == n
    LanceStore(tmp_path / "index", dim=DIM).tidy()
    assert pieces() == (1 if joined else n)
    assert store.search(vectors(1)[0], k=10) == before
    assert len(store.scenes()) == n


def test_damage_is_said_in_one_line(store: LanceStore, tmp_path: Path) -> None:
    store.put([entry("a")], [tile("a", 0)], vectors(1))
    for file in (tmp_path / "index" / "tiles.lance").rglob("*.lance"):
        file.write_bytes(b"nothing of the kind")
    reader = LanceStore(tmp_path / "index", dim=DIM)
    with pytest.raises(
        StoreError, match=r"cannot be read or written .*delete the folder and make the index again"
    ) as caught:
        reader.search(vectors(1)[0], k=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["tiles", "scenes"])
def test_a_table_that_is_missing_is_damage_and_not_made_anew(store: LanceStore, tmp_path: Path, name: str) -> None:
    store.put([entry("a")], [tile("a", 0)], vectors(1))
    shutil.rmtree(tmp_path / "index" / f"{name}.lance")
    with pytest.raises(StoreError, match=f"its table of {name} is missing"):
        LanceStore(tmp_path / "index", dim=DIM, must_exist=True)
    assert not (tmp_path / "index" / f"{name}.lance").exists()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 7e28, 0.0])
@pytest.mark.parametrize("memory_bytes", [10**6, 2 * 50 * DIM])
def test_vectors_that_were_overwritten_are_found(tmp_path: Path, wrong: float, memory_bytes: int) -> None:
    """In the table, before files are made of it."""
    rows = vectors(50)
    LanceStore(tmp_path / "index", dim=DIM).put([entry("a", 50)], [tile("a", i) for i in range(50)], rows)
    (file,) = (tmp_path / "index" / "tiles.lance").rglob("data/*.lance")
    damaged = np.full(DIM, wrong, np.float32).tobytes()
    file.write_bytes(file.read_bytes().replace(rows[20].tobytes(), damaged))
    reader = LanceStore(tmp_path / "index", dim=DIM, memory_bytes=memory_bytes)
    with pytest.raises(StoreError, match="vectors in it are not of unit length"):
        reader.search(vectors(1)[0], k=50)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 7e28])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_files_beside_the_table_that_were_overwritten_are_made_anew(
    tmp_path: Path, wrong: float, precision: str
) -> None:
    memory_bytes = 10**6 if precision == "float32" else 2 * 50 * DIM
    query = vectors(1)[0]
    store = LanceStore(tmp_path / "index", dim=DIM, memory_bytes=memory_bytes)
    store.put([entry("a", 50)], [tile("a", i) for i in range(50)], vectors(50))
    assert len(store.search(query, k=5)) == 5
    (file,) = (tmp_path / "index" / ".cache").glob("*/vectors.npy")
    held = np.load(file)
    with np.errstate(all="ignore"):
        held[20] = np.where(query > 0, wrong, -wrong)
    np.save(file, held)
    again = LanceStore(tmp_path / "index", dim=DIM, memory_bytes=memory_bytes)
    assert again.search(query, k=5) == store.search(query, k=5)


def test_the_budget_of_memory_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSITR_MEMORY_GB", "0.000001")
    store = LanceStore(tmp_path / "small", dim=DIM)
    store.put([entry("a", 300)], [tile("a", i) for i in range(300)], vectors(300))
    store.tidy()
    assert read_check(tmp_path / "small") is not None  # more than a kilobyte of vectors: an IVF index
    for wrong in ("much", "0", "nan"):
        monkeypatch.setenv("RSITR_MEMORY_GB", wrong)
        with pytest.raises(ConfigError, match="RSITR_MEMORY_GB is the memory for vectors in GB"):
            LanceStore(tmp_path / "other", dim=DIM)
