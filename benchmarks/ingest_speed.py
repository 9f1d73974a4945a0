"""Claim: ingest keeps the encoder busy: at least 85 % of its own throughput on batches that are in memory.

    python benchmarks/ingest_speed.py [--tiles 2016]

One generated GeoTIFF, the packaged model on the CPU by its fast path. Status 1 below 85 %.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine
from rasterio.windows import Window

from rsitr.geo import read_window
from rsitr.index import Settings, ingest
from rsitr.models.fast import accelerate
from rsitr.models.zoo import load_model

ACROSS = 48
BATCH = 64
MEMORY_BATCHES = 4


def write_scene(path: Path, *, tiles: int, tile_px: int, seed: int) -> None:
    """A tiled, compressed scene of textures, a band of tiles at a time."""
    rng = np.random.default_rng(seed)
    down = -(-tiles // ACROSS)
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": ACROSS * tile_px, "height": down * tile_px}
    layout = {"tiled": True, "compress": "deflate", "zlevel": 1, "crs": "EPSG:32614"}
    transform = Affine(0.5, 0.0, 500_000.0, 0.0, -0.5, 5_200_000.0)
    with rasterio.open(path, "w", transform=transform, **profile, **layout) as file:
        for row in range(down):
            coarse = rng.integers(0, 255, (3, tile_px // 8, ACROSS * tile_px // 8), dtype=np.uint8)
            band = coarse.repeat(8, axis=1).repeat(8, axis=2)
            file.write(band, window=Window(0, row * tile_px, ACROSS * tile_px, tile_px))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=2016)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    encoder = load_model("compact", device="cpu")
    path_taken = accelerate(encoder)
    side = encoder.image_size_px
    with tempfile.TemporaryDirectory() as name:
        scene = Path(name) / "scene.tif"
        write_scene(scene, tiles=options.tiles, tile_px=side, seed=options.seed)
        pictures = [read_window(scene, (side * i, 0, side, side), max_px=side) for i in range(ACROSS)]
        batch = [pictures[i % ACROSS] for i in range(BATCH)]
        encoder.encode_images(batch, batch_size=BATCH)
        begun = time.perf_counter()
        for _ in range(MEMORY_BATCHES):
            encoder.encode_images(batch, batch_size=BATCH)
        alone = BATCH * MEMORY_BATCHES / (time.perf_counter() - begun)
        report = ingest(
            [scene], into=Path(name) / "index", encoder=encoder, settings=Settings(tile_px=side), batch_size=BATCH
        )
    reached = report.n_tiles / report.time_s
    print(
        f"compact by {path_taken.name}, {report.n_tiles:,} tiles, seed {options.seed}, load {os.getloadavg()[0]:.1f}: "
        f"ingest {reached:.1f} tiles/s, encoder alone {alone:.1f}: {reached / alone:.0%}"
    )
    sys.exit(0 if reached >= 0.85 * alone else 1)


if __name__ == "__main__":
    main()
