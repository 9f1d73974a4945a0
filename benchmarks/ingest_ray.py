"""Claim: two encoder processes on two cores encode at least 1.6 times the tiles a second of one pinned to one core.

    python benchmarks/ingest_ray.py [--scenes 24] [--rounds 1]

Scenes of 64 tiles are indexed with the packaged model: by the local engine in a process that may use one core alone,
and by `--engine ray` on two, where the cluster's own processes, reading and writing take place, too; in turns, each in
a process of its own. Tiles a second are counted from the first quarter of the tiles to the last one, without what it
takes to start, which is printed beside them. All vectors have to be the same within 1e-5. Status 1 if a claim is
missed. On a busy machine the ratio is what its other work leaves: tiles for each second of a processor are printed as
well.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # a process on one core computes with one thread

import argparse
import multiprocessing
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from rsitr.index import Cluster, IngestProgress, LanceStore, Settings, ingest
from rsitr.models.zoo import load_encoder

ACROSS = 8
LEAST_RATIO = 1.6
BATCH = 16
load = partial(load_encoder, "lookout", device="cpu")


@dataclass(frozen=True)
class Run:
    """Tiles a second of the last three quarters, the same by processor time, and seconds until the first tiles."""

    tiles_per_s: float
    tiles_per_cpu_s: float
    start_s: float


def used_s() -> float:
    """Processor time of this process and of all below it that run."""
    parents, times_s = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
            times_s[int(entry.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    own = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(times_s[process] for process in own)


def write_scenes(folder: Path, *, scenes: int, tile_px: int, seed: int) -> None:
    """Compressed scenes of textures."""
    rng = np.random.default_rng(seed)
    side = ACROSS * tile_px
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": side, "height": side, "tiled": True}
    for number in range(scenes):
        coarse = rng.integers(1, 255, (3, side // 8, side // 8), dtype=np.uint8)
        transform = Affine(0.5, 0.0, 500_000.0 + number * side, 0.0, -0.5, 5_200_000.0)
        path = folder / f"{number:03d}.tif"
        with rasterio.open(path, "w", crs="EPSG:32614", transform=transform, compress="deflate", **profile) as file:
            file.write(coarse.repeat(8, axis=1).repeat(8, axis=2))


def index(scenes: Path, into: Path, *, tile_px: int, cores: tuple[int, ...], on_ray: bool) -> Run:
    """Index all scenes on some cores."""
    os.sched_setaffinity(0, cores)
    begun = time.perf_counter()
    seen: list[tuple[float, float, int]] = []

    def note(now: IngestProgress) -> None:
        if not seen or now.n_tiles > seen[-1][2]:
            seen.append((time.perf_counter(), used_s(), now.n_tiles))

    ingest(
        [scenes],
        into=into,
        encoder=load,
        settings=Settings(tile_px=tile_px),
        batch_size=BATCH,
        cluster=Cluster(load=load) if on_ray else None,
        progress=note,
    )
    # What is under way when the first tiles are seen would be counted as if it had taken no time.
    since = next(one for one in seen if one[2] >= seen[-1][2] / 4)
    time_s, processor_s, tiles = (last - first for first, last in zip(since, seen[-1], strict=True))
    return Run(tiles / time_s, tiles / processor_s, seen[0][0] - begun)


def compare(one: Path, other: Path) -> float:
    """The largest difference of a number in a vector; tiles that only one has stop the comparison."""
    found = []
    for folder in (one, other):
        matrix = LanceStore(folder, dim=load().dim).load()
        found.append(dict(zip(matrix.rows["tile"].to_pylist(), matrix.vectors, strict=True)))
    if found[0].keys() != found[1].keys():
        raise SystemExit("the two indexes have different tiles")
    return max(float(np.abs(vector - found[1][tile]).max()) for tile, vector in found[0].items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cores = tuple(sorted(os.sched_getaffinity(0)))[:2]
    if len(cores) < 2:
        raise SystemExit("this takes two cores")
    tile_px = load().image_size_px
    runs: dict[bool, list[Run]] = {False: [], True: []}
    difference = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scenes").mkdir()
        write_scenes(folder / "scenes", scenes=options.scenes, tile_px=tile_px, seed=options.seed)
        for number in range(options.rounds):
            into = {on_ray: folder / f"{'ray' if on_ray else 'local'}-{number}" for on_ray in (False, True)}
            for on_ray, own in into.items():
                work = partial(
                    index, folder / "scenes", own, tile_px=tile_px, cores=cores if on_ray else cores[:1], on_ray=on_ray
                )
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    runs[on_ray].append(pool.apply(work))
            difference = max(difference, compare(into[False], into[True]))
    one, two = (sum(run.tiles_per_s for run in runs[on_ray]) / options.rounds for on_ray in (False, True))
    cpu_one, cpu_two = (sum(run.tiles_per_cpu_s for run in runs[on_ray]) / options.rounds for on_ray in (False, True))
    print(
        f"{options.scenes * ACROSS**2:,} tiles of {tile_px} px, {options.rounds} rounds, seed {options.seed}, load "
        f"{os.getloadavg()[0]:.1f}: one process on one core {one:.1f} tiles/s, two encoders on two cores {two:.1f}: "
        f"{two / one:.2f} times; for each second of a processor {cpu_one:.1f} and {cpu_two:.1f}; first tiles after "
        f"{runs[False][0].start_s:.1f} and {runs[True][0].start_s:.1f} s; largest difference of a vector "
        f"{difference:.1e}"
    )
    sys.exit(0 if two >= LEAST_RATIO * one and difference <= 1e-5 else 1)


if __name__ == "__main__":
    main()
