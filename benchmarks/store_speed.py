"""Claim: an index of a million tiles opens in seconds and answers about as fast as its vectors can be read once.

    python benchmarks/store_speed.py [--rows 1000000] [--dim 256]

Synthetic tiles of 1,000 scenes on a grid of the globe, random unit vectors, no local codes. Prints, from one run: rows
written per second; seconds to open for the first time and again; the medians of a text-like query without a filter and
with a box that holds 1 % of the tiles, as multiples of one numpy fp32 matrix-vector product; and the recall of both
against that product. Then, for an index of as many of these tiles as `--coded-rows` that keeps local codes of rank
`--code-rank`: bytes per tile with and without them, and the second stage's milliseconds for 100 candidates from codes,
read from disk and scored. Status 1 if a target is missed: 20,000 rows/s, 3 s, 1.3 times, 0.25 times, recall 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from rsitr.index import LanceStore
from rsitr.search import LocalCoder
from rsitr.similarity import LocalCode
from rsitr.types import EncodedTexts, FloatArray, SceneEntry, Tile, TileFilter

PUT_ROWS = 50_000
SCENE_TILES = 1_000
QUERIES = 15
CANDIDATES = 100
K = 10


def make_vectors(n: int, *, dim: int, seed: int) -> FloatArray:
    """(n, dim) unit rows."""
    rows = np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def make_tile(number: int, *, side: int) -> Tile:
    """A tile of 0.01 degrees: tiles fill a square grid of `side` times `side` over half the globe."""
    row, col = divmod(number, side)
    west, south = -90.0 + 180.0 * col / side, -60.0 + 120.0 * row / side
    east, north = west + 0.01, south + 0.01
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    scene = f"{number // SCENE_TILES:06d}.tif"
    window = (224 * (number % 32), 224 * (number % SCENE_TILES // 32), 224, 224)
    return Tile(f"{scene}:{window[0]},{window[1]}", scene, window, ring, (west, south, east, north), gsd_m=5.0)


def write(folder: Path, vectors: FloatArray, *, code_length: int = 0) -> float:
    """Rows per second of `put`, the making of the records not counted."""
    store = LanceStore(folder, dim=vectors.shape[1], code_length=code_length)
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(len(vectors))))
    spent_s = 0.0
    for start in range(0, len(vectors), PUT_ROWS):
        tiles = [make_tile(i, side=side) for i in range(start, min(len(vectors), start + PUT_ROWS))]
        scenes = dict.fromkeys(tile.scene for tile in tiles)
        entries = [SceneEntry(scene, 1, 1, (7168, 7168), SCENE_TILES, 0) for scene in scenes]
        begun = time.perf_counter()
        codes = rng.standard_normal((len(tiles), code_length), dtype=np.float32).astype(np.float16)
        begun = time.perf_counter()
        store.put(entries, tiles, vectors[start : start + len(tiles)], codes=codes if code_length else None)
        spent_s += time.perf_counter() - begun
    return len(vectors) / spent_s


def open_and_search(folder: Path, query: FloatArray) -> float:
    """Seconds from nothing to the first answer."""
    begun = time.perf_counter()
    LanceStore(folder, dim=len(query)).search(query, k=K)
    return time.perf_counter() - begun


def medians_s(actions: Sequence[Callable[[FloatArray], object]], queries: FloatArray) -> list[float]:
    """Of each action; they take turns, so that whatever else the machine does slows all of them alike."""
    times_s: list[list[float]] = [[] for _ in actions]
    for query in queries:
        for action, spent_s in zip(actions, times_s, strict=True):
            begun = time.perf_counter()
            action(query)
            spent_s.append(time.perf_counter() - begun)
    return [float(np.median(spent_s)) for spent_s in times_s]


def size_per_tile(folder: Path, rows: int) -> float:
    """Bytes on disk per tile, the search's own files included."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / rows


def measure_codes(folder: Path, vectors: FloatArray, *, rank: int) -> str:
    """What local codes cost, in a sentence."""
    n, dim = vectors.shape
    rng = np.random.default_rng(1)
    maps = (torch.from_numpy(rng.standard_normal((dim, rank), dtype=np.float32)) for _ in range(2))
    coder = LocalCoder(LocalCode(*maps))
    write(folder / "plain", vectors)
    write(folder / "coded", vectors, code_length=coder.length)
    store = LanceStore(folder / "coded", dim=dim, code_length=coder.length)
    names = store.load().rows["tile"]
    tokens = rng.standard_normal((1, 12, dim), dtype=np.float32)
    words = EncodedTexts(tokens[:, 0], tokens, np.ones((1, 12), bool))
    times_s = []
    for _ in range(QUERIES):
        candidates = names.take(rng.choice(n, min(CANDIDATES, n), replace=False)).to_pylist()
        begun = time.perf_counter()
        codes = store.codes(candidates)
        assert codes is not None
        coder.score(words, codes=codes)
        times_s.append(time.perf_counter() - begun)
    sizes = [size_per_tile(folder / name, n) for name in ("plain", "coded")]
    return (
        f"{n:,} of them, local codes of rank {rank} ({coder.length} numbers, {2 * coder.length:,} bytes): "
        f"{sizes[1]:,.0f} bytes on disk per tile, {sizes[0]:,.0f} without; second stage of {CANDIDATES} candidates "
        f"{np.median(times_s) * 1e3:.1f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--coded-rows", type=int, default=100_000)
    parser.add_argument("--code-rank", type=int, default=32)
    options = parser.parse_args()
    vectors = make_vectors(options.rows, dim=options.dim, seed=options.seed)
    queries = make_vectors(QUERIES, dim=options.dim, seed=options.seed + 1)
    # A tenth of the grid's rows and a tenth of its columns: 1 % of the tiles.
    where = TileFilter(bbox=(0.0, 0.0, 18.0, 12.0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "index"
        rows_per_s = write(folder, vectors)
        first_s, again_s = open_and_search(folder, queries[0]), open_and_search(folder, queries[0])
        store = LanceStore(folder, dim=options.dim)
        passing = store.load().columns.passing(where)
        assert passing is not None
        product_s, plain_s, boxed_s = medians_s(
            (
                lambda query: vectors @ query,
                lambda query: store.search(query, k=K),
                lambda query: store.search(query, k=K, where=where),
            ),
            queries,
        )
        found = {"unfiltered": 0, "box": 0}
        for query in queries:
            scores = vectors @ query
            for key, limit in (("unfiltered", None), ("box", where)):
                true = scores if limit is None else scores[passing]
                least = np.sort(true)[-K]
                found[key] += sum(hit.score >= least - 1e-6 for hit in store.search(query, k=K, where=limit))
        per_tile = size_per_tile(folder, options.rows)
        shutil.rmtree(folder)
        coded = measure_codes(Path(name), vectors[: options.coded_rows], rank=options.code_rank)
    recalls = {key: number / (K * QUERIES) for key, number in found.items()}
    print(
        f"{options.rows:,} tiles of width {options.dim}, seed {options.seed}, load {os.getloadavg()[0]:.1f}: "
        f"{rows_per_s:,.0f} rows/s written; opened in {first_s:.2f} s, again in {again_s:.2f} s; product "
        f"{product_s * 1e3:.1f} ms, search {plain_s / product_s:.2f} times, box of {len(passing) / options.rows:.1%} "
        f"{boxed_s / product_s:.2f} times; recall {recalls['unfiltered']:.3f} and {recalls['box']:.3f}; "
        f"{per_tile:,.0f} bytes on disk per tile"
    )
    print(coded)
    reached = rows_per_s >= 20_000 and again_s < 3 and plain_s <= 1.3 * product_s and boxed_s <= 0.25 * product_s
    sys.exit(0 if reached and set(recalls.values()) == {1.0} else 1)


if __name__ == "__main__":
    main()
