"""How many small files a second go into an index, and how much of it is not the model.

    python benchmarks/many_files.py [--files 5000 --side 224]

Writes so many GeoTIFFs of one tile, indexes them with an encoder that costs next to nothing and with the default model,
and runs both again over the unchanged files. Claim: reading and writing alone do at least 100 files a second, so that
the model sets the pace.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from rsitr import load_model
from rsitr.index import ingest
from rsitr.models.fast import accelerate
from rsitr.types import EncodedImages, ImageArray

CLAIM_PER_S = 100.0


class MeanColour:
    """Three numbers of each picture: what every encoder has to do, and nothing more."""

    name, fingerprint, dim, image_size_px = "mean-colour", "benchmark", 3, 224

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        """Unit vectors (n, 3)."""
        means = np.array([image[::8, ::8].reshape(-1, 3).mean(axis=0) + 1.0 for image in images], np.float32)
        unit = means / np.linalg.norm(means, axis=1, keepdims=True)
        return EncodedImages(unit, np.zeros((len(images), 0, 1), np.float32))


def write_files(folder: Path, *, n: int, side: int) -> None:
    """Noise, side by side in UTM."""
    rng = np.random.default_rng(0)
    for number in range(n):
        transform = Affine(1.0, 0.0, 500_000.0 + number % 100 * side, 0.0, -1.0, 5_000_000.0 - number // 100 * side)
        with rasterio.open(
            folder / f"{number:05d}.tif", "w", driver="GTiff", width=side, height=side, count=3, dtype="uint8",
            crs="EPSG:32633", transform=transform,
        ) as file:  # fmt: skip
            file.write(rng.integers(0, 255, (3, side, side), dtype=np.uint8))


def measure(folder: Path, into: Path, encoder: Any) -> float:
    """Index, and again over the same; returns files a second of the first run."""
    start = time.perf_counter()
    report = ingest([folder], into=into, encoder=encoder)
    first_s = time.perf_counter() - start
    start = time.perf_counter()
    again = ingest([folder], into=into, encoder=encoder)
    again_s = time.perf_counter() - start
    n = len(report.indexed)
    assert len(again.unchanged) == n
    print(f"{encoder.name}: {n / first_s:.0f} files/s ({first_s:.1f} s), unchanged {n / again_s:.0f} files/s")
    return n / first_s


def main() -> None:
    """Print both, and whether the claim holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--side", type=int, default=224)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "scenes"
        folder.mkdir()
        write_files(folder, n=options.files, side=options.side)
        alone = measure(folder, Path(name) / "cheap", MeanColour())
        encoder = load_model()
        accelerate(encoder)
        model = measure(folder, Path(name) / "model", encoder)
    print(f"reading and writing alone: {alone:.0f} files/s (claim: {CLAIM_PER_S:.0f}), with the model {model:.0f}")
    if alone < CLAIM_PER_S:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
