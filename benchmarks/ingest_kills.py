"""Claim: ingest that is killed (SIGKILL) at any moment and started again ends with the same table as if undisturbed.

    python benchmarks/ingest_kills.py [--kills 20]

Makes scenes, indexes them in one go, then again into another index with a process that is killed at random moments and
started anew, and compares the two tables row for row. Status 1 if a row is lost, twice there, or different.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine

from rsitr.index import LanceStore, Settings, ingest, open_index, writing
from rsitr.types import EncodedImages, ImageArray

DIM = 16
TILE_PX = 32
BATCH = 16
BATCH_S = 0.05


class SlowEncoder:
    """Random projections of mean colours, at a speed that leaves time to be killed; it counts what it encodes."""

    name, fingerprint, dim, image_size_px = "slow", "510e" * 16, DIM, TILE_PX

    def __init__(self, log: Path) -> None:
        self.log = log
        self.maps = np.random.default_rng(0).normal(size=(3 * 16, DIM)).astype(np.float32)

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        """Slowly."""
        time.sleep(BATCH_S)
        cells = np.stack([image[::8, ::8].astype(np.float32).ravel()[:48] for image in images]) @ self.maps
        with self.log.open("a") as file:
            file.write(f"{len(images)}\n")
        unit = cells / np.linalg.norm(cells, axis=1, keepdims=True)
        return EncodedImages(global_emb=unit, tokens=np.zeros((len(images), 0, DIM), np.float32))


def write_scenes(folder: Path, *, seed: int) -> None:
    """One scene of 1,024 tiles, a third of them nodata, and 30 small ones."""
    rng = np.random.default_rng(seed)
    for number, side in enumerate([32 * TILE_PX] + [2 * TILE_PX] * 30):
        bands = rng.integers(1, 255, (3, side, side), dtype=np.uint8)
        if number == 0:
            bands[:, : side // 3] = 0
        transform = Affine(1.0, 0.0, 500_000.0 + 2000 * number, 0.0, -1.0, 5_200_000.0)
        profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": side, "height": side, "nodata": 0}
        with rasterio.open(folder / f"{number:02d}.tif", "w", crs="EPSG:32614", transform=transform, **profile) as file:
            file.write(bands)


def index(scenes: Path, into: Path, log: Path, begun: Connection | None = None) -> None:
    writing.COMMIT_TILES = 64  # many commits: many moments between two of them
    if begun is not None:
        import lancedb  # noqa: F401 - before the clock starts

        begun.send(True)
    ingest([scenes], into=into, encoder=SlowEncoder(log), settings=Settings(tile_px=TILE_PX), batch_size=BATCH)


def rows(index_folder: Path) -> dict[str, Any]:
    """All rows by tile id; a tile that is there twice stops the comparison."""
    matrix = LanceStore(index_folder, dim=DIM).load()
    found = {row["tile"]: (row, vector) for row, vector in zip(matrix.rows.to_pylist(), matrix.vectors, strict=True)}
    if len(found) != len(matrix):
        raise SystemExit(f"{len(matrix) - len(found)} rows are there twice")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["rsitr.index", "rasterio", "shapely", "pyarrow.compute"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scenes").mkdir()
        write_scenes(folder / "scenes", seed=options.seed)
        started = time.perf_counter()
        index(folder / "scenes", folder / "whole", folder / "whole.log")
        undisturbed_s = time.perf_counter() - started
        for _ in range(options.kills):
            told, tell = processes.Pipe(duplex=False)
            child = processes.Process(target=index, args=(folder / "scenes", folder / "killed", folder / "log", tell))
            child.start()
            told.recv()
            child.join(rng.uniform(0.0, 1.6 * undisturbed_s / options.kills))
            child.kill()
            child.join()
        index(folder / "scenes", folder / "killed", folder / "log")
        whole, killed = rows(folder / "whole"), rows(folder / "killed")
        same_scenes = open_index(folder / "whole").store.scenes() == open_index(folder / "killed").store.scenes()
        different = [
            tile
            for tile in whole.keys() & killed.keys()
            if whole[tile][0] != killed[tile][0] or np.abs(whole[tile][1] - killed[tile][1]).max() > 1e-5
        ]
        encoded = sum(int(line) for line in (folder / "log").read_text().split())
        left_behind = sorted(path.name for path in (folder / "killed").glob(".journal/*"))
        print(
            f"{options.kills} kills, seed {options.seed}: {len(whole)} rows; lost {len(whole.keys() - killed.keys())}, "
            f"too many {len(killed.keys() - whole.keys())}, different {len(different)}, same list of scenes: "
            f"{same_scenes}; tiles encoded again: {encoded - len(whole)} (a batch is {BATCH}); "
            f"files left in the journal: {len(left_behind)}"
        )
        if whole.keys() != killed.keys() or different or not same_scenes or left_behind:
            sys.exit(1)


if __name__ == "__main__":
    main()
