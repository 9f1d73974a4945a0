"""Does "nothing here matches" tell what is absent from what is there?

    python benchmarks/nothing_here.py [--data-root DATA] [--model lookout] [--cache FOLDER]

For every class of RSICD validation (file names carry it) two collections are searched for the class's name: all
images, and all but those of the class. The relevance of the answer should be high in the first case and low in the
second. Prints the area under the ROC curve (with a bootstrap interval over classes), and what the threshold decides.
The numbers of `rsitr.search.relevance` come from UCM-Captions validation alone: the same experiment there is fitted
here again and printed beside them. Pictures are encoded once and kept in `--cache`. Exits with 1 below an AUC of 0.8, 2
without data.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rsitr.data import load_dataset
from rsitr.data.collection import find_data_root
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import RsitrError
from rsitr.evaluation import encode_embeddings, read_embeddings, write_embeddings
from rsitr.models import load_model
from rsitr.search import THRESHOLD, Background, estimate_relevance
from rsitr.search.references import load_reference_vectors
from rsitr.search.relevance import fit_of, relevance_features
from rsitr.types import Encoder, FloatArray

WANTED_AUC = 0.8
FRAMES = ("{}", "a satellite image of {}")
HITS = 10
SEED = 0


@dataclass(frozen=True)
class Labelled:
    """Pictures as vectors (n, dim), and the class of each."""

    emb: FloatArray
    labels: NDArray[np.str_]


@dataclass(frozen=True)
class Trials:
    """One entry per search: whether the class was there, the answer's relevance, the best hit's features, the class."""

    present: NDArray[np.bool_]
    relevance: NDArray[np.float64]
    features: NDArray[np.float64]
    classes: NDArray[np.str_]


def encode(encoder: Encoder, *, name: str, root: Path, cache: Path) -> Labelled:
    """Encode a validation split, or take what an earlier run kept."""
    data = f"{name}:{root / name}"
    kept = cache / f"{name}-val-{encoder.fingerprint[:12]}.parquet"
    if not kept.is_file():
        write_embeddings(kept, encode_embeddings(encoder, data=data), tokens=False, provenance={})
    found = read_embeddings(kept)
    label_of = {image.image_id: image.label for image in load_dataset(data).split("val")}
    labels = np.array([label_of[image] or "" for image in found.image_ids])
    return Labelled(found.split.images.global_emb[labels != ""], labels[labels != ""])


def search_with_and_without(pictures: Labelled, *, encoder: Encoder, bank: FloatArray) -> Trials:
    """Each class's name, in a collection that has it and in one that has not."""
    names = sorted(set(pictures.labels))
    present, relevance, features, classes = [], [], [], []
    for name in names:
        for is_there in (True, False):
            tiles = pictures.emb if is_there else pictures.emb[pictures.labels != name]
            background = Background.measure(bank, collection=tiles)
            for query in encoder.encode_texts([frame.format(name) for frame in FRAMES]).global_emb:
                best = tiles[np.argsort(-(tiles @ query))[:HITS]]
                found = estimate_relevance(query, tiles=best, background=background, fit=fit_of(encoder))
                of_hits = relevance_features(query, tiles=best, background=background)
                assert found is not None
                assert of_hits is not None
                present.append(is_there)
                relevance.append(max(found))
                features.append(of_hits[int(np.argmax(found))])
                classes.append(name)
    return Trials(np.array(present), np.array(relevance), np.array(features), np.array(classes))


def auc(present: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """How often a class that is there scores higher than one that is not; ties count half."""
    there, absent = scores[present][:, None], scores[~present][None]
    return float((there > absent).mean() + 0.5 * (there == absent).mean())


def interval(trials: Trials) -> tuple[float, float]:
    """95 % of 1,000 draws of classes."""
    chance = np.random.default_rng(SEED)
    names = np.unique(trials.classes)
    rows = {name: np.flatnonzero(trials.classes == name) for name in names}
    values = []
    for _ in range(1000):
        drawn = np.concatenate([rows[name] for name in chance.choice(names, len(names))])
        values.append(auc(trials.present[drawn], trials.relevance[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def report(name: str, trials: Trials) -> float:
    value = auc(trials.present, trials.relevance)
    low, high = interval(trials)
    said = trials.relevance >= THRESHOLD
    print(
        f"{name}: AUC {value:.3f} [{low:.3f}, {high:.3f}] over {len(np.unique(trials.classes))} classes; at the "
        f"threshold {THRESHOLD} {said[trials.present].mean():.0%} of the present classes are found, and "
        f"{(~said[~trials.present]).mean():.0%} of the absent ones are said to be absent"
    )
    for frame_number, frame in enumerate(FRAMES):
        part = np.arange(len(said)) % len(FRAMES) == frame_number
        print(f"  asked as {frame!r}: AUC {auc(trials.present[part], trials.relevance[part]):.3f}")
    return value


def fit(trials: Trials) -> tuple[float, float, float]:
    """Intercept, weight by collection, weight by tile."""
    from sklearn.linear_model import LogisticRegression

    found = LogisticRegression(C=10.0).fit(trials.features, trials.present)
    by_collection, by_tile = found.coef_[0].tolist()
    return float(found.intercept_[0]), by_collection, by_tile


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--cache", type=Path, help="folder for the encoded pictures; a temporary one otherwise")
    arguments = parser.parse_args()
    root = find_data_root(arguments.data_root)
    if root is None or not all((root / name).is_dir() for name in ("rsicd", "ucm")):
        print("needs RSICD and UCM-Captions: --data-root DATA, with rsicd/ and ucm/")
        return 2
    encoder = load_model(arguments.model)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, commit {commit[:12]}, "
        f"seed {SEED}, model {encoder.name} {encoder.fingerprint[:12]}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        cache = arguments.cache or Path(scratch)
        cache.mkdir(parents=True, exist_ok=True)
        bank = load_reference_vectors(Path(scratch), encoder)
        trials = {
            name: search_with_and_without(
                encode(encoder, name=name, root=root, cache=cache), encoder=encoder, bank=bank
            )
            for name in ("ucm", "rsicd")
        }
    fitted = ", ".join(f"{value:.2f}" for value in fit(trials["ucm"]))
    used = ", ".join(f"{value:.2f}" for value in astuple(fit_of(encoder)))
    print(f"intercept, by collection, by tile: fitted on UCM val {fitted}; in use {used}")
    report("UCM-Captions val (fitted on it)", trials["ucm"])
    return int(report("RSICD val (no part in it)", trials["rsicd"]) < WANTED_AUC)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RsitrError as error:
        sys.exit(f"{error}")
