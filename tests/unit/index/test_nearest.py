"""Tiles of which there are too many for memory: their columns in a file, their vectors in an IVF index on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rsitr.index import LanceStore
from rsitr.index.nearest import _order, _rows_at, build_nearest
from rsitr.index.state import NearestCheck, read_check
from rsitr.types import FloatArray, SceneEntry, Tile

DIM = 8
TIDY = """
import sys, pathlib
from rsitr.index import LanceStore
LanceStore(pathlib.Path(sys.argv[1]), dim=8, memory_bytes=64).tidy()
"""


def vectors(n: int, *, seed: int = 0) -> FloatArray:
    rows = np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def put(store: LanceStore, scene: str, rows: FloatArray) -> None:
    """A scene of as many tiles."""
    tiles = [Tile(f"{scene}:{i}", scene, (i, 0, 8, 8)) for i in range(len(rows))]
    store.put([SceneEntry(scene, 1000, 1, (80, 80), len(rows), 0)], tiles, rows)


def checked(folder: Path) -> NearestCheck:
    """What was found of the IVF index."""
    found = read_check(folder)
    assert found is not None
    return found


def beyond_memory(folder: Path, rows: FloatArray) -> LanceStore:
    """A store with vectors that do not fit into its memory, not tidied."""
    store = LanceStore(folder, dim=DIM, memory_bytes=8 * DIM * 100)
    put(store, "a", rows)
    return store


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def of_index(folder: Path) -> set[str]:
    """The IVF indexes that a table has had."""
    return {path.name for path in (folder / "tiles.lance" / "_indices").iterdir()}


def test_beyond_memory_what_is_known_of_tiles_is_mapped_from_a_file(tmp_path: Path) -> None:
    rows, query = vectors(3000), vectors(1, seed=1)[0]
    store = beyond_memory(tmp_path / "index", rows)
    hits = store.search(query, k=20)
    (file,) = (tmp_path / "index" / ".cache").glob("*/rows.arrow")
    assert hits == LanceStore(tmp_path / "index", dim=DIM).search(query, k=20)
    assert beyond_memory(tmp_path / "other", rows).search(query, k=20) == hits
    # A later version has a file of its own, and where none can be written they are read.
    put(store, "b", vectors(3, seed=2))
    assert len(store.browse(start=0, n=9999)) == 3003
    assert not file.exists()
    shutil.rmtree(tmp_path / "index" / ".cache")
    (tmp_path / "index" / ".cache").write_text("in the way")
    assert len(LanceStore(tmp_path / "index", dim=DIM, memory_bytes=8 * DIM * 100).search(query, k=20)) == 20


def test_an_ivf_index_grows_with_its_table_and_is_made_anew_when_it_is_much_larger(tmp_path: Path) -> None:
    folder, query = tmp_path / "index", vectors(1, seed=1)[0]
    store = beyond_memory(folder, vectors(2000))
    store.tidy()
    first, partitions = of_index(folder), checked(folder).partitions
    for number in range(8):
        put(store, f"b{number}", vectors(50, seed=9 + number))
    store.tidy()
    assert first < of_index(folder)  # something was added, and what was there is still of use
    assert checked(folder).partitions == partitions
    best = store.search(vectors(50, seed=16)[3], k=1)[0]
    assert (best.tile.tile, best.score) == ("b7:3", pytest.approx(1.0))
    assert len(store.search(query, k=2400)) == 2400
    many = vectors(16 * 2400, seed=3)
    put(store, "c", many)
    build_nearest(store._latest(store._tiles), folder=folder, n=len(store))
    assert checked(folder).partitions > 4 * partitions
    assert store.search(many[7], k=1)[0].tile.tile == "c:7"


def test_where_the_check_of_an_ivf_index_was_interrupted_the_index_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    store = beyond_memory(folder, vectors(2000))
    with monkeypatch.context() as patched:
        patched.setattr("rsitr.index.nearest._find_all", interrupt)
        with pytest.raises(KeyboardInterrupt):
            store.tidy()
    first = of_index(folder)
    rows, query = vectors(2000), vectors(1, seed=1)[0]
    assert [hit.tile.window_px[0] for hit in store.search(query, k=9)] == np.argsort(-(rows @ query))[:9].tolist()
    store.tidy()
    assert of_index(folder) == first
    assert checked(folder).recall >= 0.95


def test_a_process_that_is_killed_while_it_makes_an_ivf_index_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    folder, rows, query = tmp_path / "index", vectors(30_000), vectors(1, seed=1)[0]
    beyond_memory(folder, rows)
    process = subprocess.Popen([sys.executable, "-c", TIDY, os.fspath(folder)])
    while process.poll() is None and not (folder / "tiles.lance" / "_indices").exists():
        time.sleep(0.002)
    process.kill()
    assert process.wait() != 0, "it had ended before"
    store = LanceStore(folder, dim=DIM, memory_bytes=8 * DIM * 100, must_exist=True)
    true = np.argsort(-(rows @ query))[:9].tolist()
    assert [hit.tile.window_px[0] for hit in store.search(query, k=9)] == true
    store.tidy()
    assert checked(folder).recall >= 0.95


@pytest.mark.parametrize(
    ("addresses", "wanted", "rows"),
    [
        ([5, 6, 2**33, 2**33 + 1, 7], [7, 5, 2**33 + 1], [0, 3, 4]),
        (list(range(9)), [8, 2], [2, 8]),
        ([], [], []),
    ],
)
def test_rows_that_were_joined_in_another_order_are_found_by_their_numbers(
    addresses: list[int], wanted: list[int], rows: list[int]
) -> None:
    known = np.array(addresses, np.uint64)
    assert _rows_at(known, np.array(wanted, np.uint64), order=_order(known)).tolist() == rows
