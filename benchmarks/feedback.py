"""How much do ten marks help? Precision at 20 with a detector from 5 right and 5 wrong hits, beside words alone.

    python benchmarks/feedback.py [--data-root DATA] [--model compact] [--cache FOLDER]

For every class of RSICD validation (file names carry it) the images are ranked by the class's name. Going down that
list, the first five right and the first five wrong images are marked. Both rankings, by words and by the detector, are
then measured on the same images, in three ways:

- new finds: all but the five that were marked right, which would count in the detector's favour. Those marked wrong
  stay in: words alone would go on showing them. This is the gain that is asked for.
- unmarked: all but the ten. Here words alone profit from the marks, too: their five worst mistakes are taken away.
- everything, as a person sees it who marks nothing out of the list.

Prints the mean precision at 20 over classes with a bootstrap interval of the gain, and each class's new finds. The
detector's settings were chosen on training images. Pictures are encoded once and kept in `--cache`. Exits with 1 below
a gain of 10 points, 2 without data.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rsitr.data import load_dataset
from rsitr.data.collection import find_data_root
from rsitr.errors import RsitrError
from rsitr.evaluation import encode_embeddings, read_embeddings, write_embeddings
from rsitr.models import load_model
from rsitr.search import fit_head
from rsitr.search.feedback import BACKGROUND_TILES
from rsitr.types import FloatArray

WANTED_GAIN = 10.0
MARKS = 5
DEPTH = 20
AMONG = ("new finds", "unmarked", "everything")
SEED = 0


def precision(weights: FloatArray, tiles: FloatArray, right: NDArray[np.bool_]) -> float:
    """Percent of right tiles among the best 20."""
    best = np.argsort(-(tiles @ weights), kind="stable")[:DEPTH]
    return 100.0 * float(right[best].mean())


def try_class(words: FloatArray, tiles: FloatArray, right: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Precision at 20 by words and by the detector: among new finds, among unmarked tiles, among all."""
    order = np.argsort(-(tiles @ words), kind="stable")
    yes, no = order[right[order]][:MARKS], order[~right[order]][:MARKS]
    background = tiles[:: max(1, -(-len(tiles) // BACKGROUND_TILES))]  # as an index samples it
    learned, _ = fit_head(words, right=tiles[yes], wrong=tiles[no], background=background)
    everything = np.arange(len(tiles))
    parts = (np.setdiff1d(everything, yes), np.setdiff1d(everything, np.concatenate([yes, no])), everything)
    return [
        (precision(words, tiles[part], right[part]), precision(learned, tiles[part], right[part])) for part in parts
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--cache", type=Path, help="folder for the encoded pictures; a temporary one otherwise")
    arguments = parser.parse_args()
    root = find_data_root(arguments.data_root)
    if root is None or not (root / "rsicd").is_dir():
        print("needs RSICD: --data-root DATA, with rsicd/")
        return 2
    encoder = load_model(arguments.model)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, commit {commit[:12]}, "
        f"model {encoder.name} {encoder.fingerprint[:12]}"
    )
    data = f"rsicd:{root / 'rsicd'}"
    with tempfile.TemporaryDirectory() as scratch:
        cache = arguments.cache or Path(scratch)
        cache.mkdir(parents=True, exist_ok=True)
        kept = cache / f"rsicd-val-{encoder.fingerprint[:12]}.parquet"
        if not kept.is_file():
            write_embeddings(kept, encode_embeddings(encoder, data=data), tokens=False, provenance={})
        found = read_embeddings(kept)
    label_of = {image.image_id: image.label for image in load_dataset(data).split("val")}
    labels = np.array([label_of[image] for image in found.image_ids])
    names = sorted({str(label) for label in labels if label is not None})
    words = encoder.encode_texts(names).global_emb
    tiles = found.split.images.global_emb
    results = np.array([try_class(word, tiles, labels == name) for name, word in zip(names, words, strict=True)])
    for name, ((before, after), *_) in zip(names, results, strict=True):
        print(f"  {name:20} words {before:5.1f}, with {MARKS} + {MARKS} marks {after:5.1f}")
    chance = np.random.default_rng(SEED)
    for number, among in enumerate(AMONG):
        before, after = results[:, number].mean(axis=0)
        gains = results[:, number, 1] - results[:, number, 0]
        low, high = np.percentile(chance.choice(gains, (10_000, len(gains))).mean(axis=1), [2.5, 97.5])
        print(
            f"precision at {DEPTH} over {len(names)} classes, {among}: words {before:.1f}, "
            f"with {MARKS} + {MARKS} marks {after:.1f}; gain {gains.mean():.1f} points [{low:.1f}, {high:.1f}]"
        )
    return int((results[:, 0, 1] - results[:, 0, 0]).mean() < WANTED_GAIN)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RsitrError as error:
        sys.exit(f"{error}")
