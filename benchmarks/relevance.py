"""Is what a search says of its answers true?

    python benchmarks/relevance.py [--data-root DATA] [--model lookout] [--figure FILE.png]

On RSICD validation, of which the fit of the packaged calibrations has seen nothing (the kind of evidence was chosen
with it in view), by class (30 names, as people say them):

(a) every class is asked for among all pictures, and among all but its own: the best hit's relevance should be high
    in the first case and low in the second (area under the ROC curve);
(b) collections of one class alone, asked for that class and for all others: share of tiles that match, and of answers;
(c) collections of 1, 4 and 16 tiles of one class, asked for it;
(d) mosaics of 16 pictures of 16 classes: `rsitr locate` is asked for one of them; its picture should fit best, and the
    verdict be that it matches;
(e) twenty queries without sense: random letters, other languages, names of people. None may match;
(f) pictures as queries, five of each class, alone and together with the name of their class: area under the ROC curve
    of tiles, and share of tiles that match, of the same class and of others.

Then the labelled windows of real scenes (`real_scenes.csv`): which things that are there are denied, and which windows
are said to show what they don't. Last, how far relevance is a probability: Brier score and expected calibration error
over all pairs of a class and a picture; `--figure` draws the reliability diagram. Exits with 1 where a bound that the
guide states is not kept, 2 without data.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from real_scenes import read_windows
from rsitr.calibration import Calibration, judge
from rsitr.data import CaptionedImage, load_dataset
from rsitr.data.collection import find_data_root
from rsitr.defaults import DEFAULT_MODEL
from rsitr.models import load_model
from rsitr.pictures import read_picture
from rsitr.search import locate
from rsitr.search.relevance import JUDGED, THRESHOLD, AskedPart, estimate_relevance
from rsitr.types import Encoder, FloatArray

NAMES = {
    "bare land": "bare land",
    "center": "a large central building",
    "commercial": "commercial area",
    "dense residential": "dense residential area",
    "industrial": "industrial area",
    "medium residential": "medium residential area",
    "parking": "parking lot",
    "sparse residential": "sparse residential area",
}
"""What classes are asked for by, where that is not their label."""
NONSENSE = (
    *("asdfghjkl", "qwertyuiop", "xkcdzz", "zxcv bnm", "blorptang", "lorem ipsum", "john smith", "maria garcia"),
    *("angela merkel", "wolfgang amadeus mozart", "flughafen", "aeropuerto", "der hund", "la maison", "bonjour"),
    *("hello world", "happiness", "thursday", "quantum mechanics", "jealousy"),
)
MOSAICS, SIDE = 30, 4
EXAMPLES = 5
BINS = 10


class Judge:
    """Answers as the product gives them, over vectors."""

    def __init__(self, encoder: Encoder, calibration: Calibration) -> None:
        self.encoder, self.calibration = encoder, calibration

    def ask(self, words: str) -> FloatArray:
        """The vector of a query."""
        vector: FloatArray = self.encoder.encode_texts([words]).global_emb[0]
        return vector

    def relevance(self, query: FloatArray, tiles: FloatArray) -> FloatArray:
        """Of all tiles."""
        return np.array(estimate_relevance([AskedPart(query, True)], tiles=tiles, calibration=self.calibration))

    def best(self, query: FloatArray, tiles: FloatArray) -> float:
        """Of the best hits, as a search judges its answer."""
        hits = tiles[np.argsort(-(tiles @ query), kind="stable")[:JUDGED]]
        return float(self.relevance(query, hits).max())


def read_tiles(encoder: Encoder, root: Path) -> tuple[list[CaptionedImage], NDArray[np.str_], FloatArray]:
    """The labelled pictures of RSICD validation: themselves, their classes (n,), their vectors (n, dim)."""
    images = [image for image in load_dataset(f"rsicd:{root / 'rsicd'}").split("val") if image.label]
    batches = [images[at : at + 64] for at in range(0, len(images), 64)]
    vectors = [encoder.encode_images([read_picture(image.path) for image in batch]).global_emb for batch in batches]
    return images, np.array([image.label for image in images]), np.concatenate(vectors)


def auc(high: FloatArray, low: FloatArray) -> float:
    """How often one of the first is above one of the second; ties count half."""
    return float((high[:, None] > low[None]).mean() + 0.5 * (high[:, None] == low[None]).mean())


def mosaics(paths: list[Path], labels: NDArray[np.str_], judge_: Judge, scratch: Path) -> tuple[float, float]:
    """Share of the mosaics' pictures that fit best where they are, and whose class is said to be there."""
    chance = np.random.default_rng(0)
    placed = told = asked = 0
    names = sorted(set(labels))
    for _ in range(MOSAICS):
        classes = chance.choice(names, SIDE * SIDE, replace=False)
        cells = [paths[int(chance.choice(np.flatnonzero(labels == name)))] for name in classes]
        pictures = [np.asarray(Image.fromarray(read_picture(path)).resize((224, 224))) for path in cells]
        rows = [np.concatenate(pictures[at * SIDE : (at + 1) * SIDE], axis=1) for at in range(SIDE)]
        file = scratch / "mosaic.png"
        Image.fromarray(np.concatenate(rows)).save(file)
        place = int(chance.integers(SIDE * SIDE))  # one question a mosaic: each encodes 100 windows
        heat = locate(file, NAMES.get(classes[place], classes[place]), encoder=judge_.encoder, scales=[1.0])
        col, row = heat.best_px
        asked += 1
        placed += int(row // 224) * SIDE + int(col // 224) == place
        told += heat.matches
    return placed / asked, told / asked


def main() -> int:  # noqa: PLR0915 - one experiment after the other
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    root = find_data_root(arguments.data_root)
    if root is None or not (root / "rsicd").is_dir():
        print("needs rsicd/ under --data-root", file=sys.stderr)
        return 2
    encoder = load_model(arguments.model)
    if encoder.calibration is None:
        print(f"{encoder.name} is not calibrated: rsitr calibrate", file=sys.stderr)
        return 2
    product = Judge(encoder, encoder.calibration)
    images, labels, tiles = read_tiles(encoder, root)
    names = sorted(set(labels))
    queries = {name: product.ask(NAMES.get(name, name)) for name in names}
    wrong: list[str] = []

    def report(text: str, *, kept: bool) -> None:
        print(("  " if kept else "! ") + text)
        if not kept:
            wrong.append(text)

    there = np.array([product.best(queries[name], tiles) for name in names])
    absent = np.array([product.best(queries[name], tiles[labels != name]) for name in names])
    report(
        f"(a) among all pictures, with and without the class: AUC {auc(there, absent):.3f}",
        kept=auc(there, absent) >= 0.95,
    )
    every = {name: product.relevance(queries[name], tiles) for name in names}
    own = np.mean([(every[name][labels == name] >= THRESHOLD).mean() for name in names])
    report(f"(b) of tiles in pure collections {own:.1%} match", kept=own >= 0.9)
    pairs = [(asked, held) for asked in names for held in names if asked != held]
    denied = np.mean([product.best(queries[asked], tiles[labels == held]) < THRESHOLD for asked, held in pairs])
    false = np.mean([(every[asked][labels == held] >= THRESHOLD).mean() for asked, held in pairs])
    report(f"    asked for other classes, {denied:.1%} of answers are unsure or nothing", kept=denied >= 0.9)
    print(f"      (of single tiles {false:.2%} match what they are not)")
    chance = np.random.default_rng(0)
    for size in (1, 4, 16):
        draws = [
            product.best(queries[name], tiles[chance.choice(np.flatnonzero(labels == name), size, replace=False)])
            for name in names
            for _ in range(20)
            if (labels == name).sum() >= size
        ]
        share = float((np.array(draws) >= THRESHOLD).mean())
        report(f"(c) collections of {size}: {share:.1%} match", kept=share >= own - 0.05)
    with tempfile.TemporaryDirectory() as scratch:
        placed, told = mosaics([image.path for image in images], labels, product, Path(scratch))
    report(f"(d) in mosaics of {SIDE * SIDE} the right picture fits best in {placed:.0%}", kept=placed >= 0.8)
    report(f"    and is said to be there in {told:.0%}", kept=told >= 0.8)
    lexicon = encoder.lexicon
    matching = [
        words
        for words in NONSENSE
        if product.best(product.ask(words), tiles) >= THRESHOLD and not (lexicon and lexicon.is_foreign(words))
    ]
    report(f"(e) of {len(NONSENSE)} queries without sense {len(matching)} match {matching}", kept=not matching)
    if lexicon is not None:
        known = sum(not lexicon.is_foreign(words) for words in NONSENSE)
        print(f"      ({known} of them have a word that the model takes for known)")
    _examples(product, labels, tiles, {name: NAMES.get(name, name) for name in names}, report)
    if (root / "geotiff").is_dir():
        _real_scenes(product, root / "geotiff", report)
    predicted = np.concatenate([every[name] for name in names])
    right = np.concatenate([labels == name for name in names])
    place = np.minimum((predicted * BINS).astype(int), BINS - 1)
    gaps = [
        (float(predicted[place == number].mean()), float(right[place == number].mean()), int((place == number).sum()))
        for number in range(BINS)
        if (place == number).any()
    ]
    error = sum(abs(said - true) * count for said, true, count in gaps) / len(predicted)
    report(
        f"expected calibration error {error:.3f}, Brier score {((predicted - right) ** 2).mean():.4f}",
        kept=error <= 0.1,
    )
    print("      said, true, pairs: " + "; ".join(f"{said:.2f}, {true:.2f}, {count}" for said, true, count in gaps))
    if arguments.figure:
        _draw(arguments.figure, gaps)
    return int(bool(wrong))


def _examples(
    product: Judge, labels: NDArray[np.str_], tiles: FloatArray, words: dict[str, str], report: Callable[..., None]
) -> None:
    """A picture as the query, alone and with the name of its class: of each class five, asked for among all others."""
    chance = np.random.default_rng(1)
    for kind in ("a picture", "a picture and its class"):
        high, low, confirmed, false = [], [], [], []
        for name, asked in words.items():
            places = np.flatnonzero(labels == name)
            for place in chance.choice(places, min(EXAMPLES, len(places)), replace=False):
                parts = [AskedPart(tiles[place], False)]
                parts += [AskedPart(product.ask(asked), True)] if kind != "a picture" else []
                relevance = np.array(estimate_relevance(parts, tiles=tiles, calibration=product.calibration))
                others = np.arange(len(tiles)) != place
                own, strange = relevance[(labels == name) & others], relevance[labels != name]
                if len(own):
                    high.append(own)
                    low.append(strange)
                    confirmed.append((own >= THRESHOLD).mean())
                    false.append((strange >= THRESHOLD).mean())
        area = np.mean([auc(one, other) for one, other in zip(high, low, strict=True)])
        report(
            f"(f) asked by {kind}: AUC of tiles {area:.3f}; of its class {np.mean(confirmed):.1%} match, "
            f"of others {np.mean(false):.2%}",
            kept=bool(area >= 0.9),
        )


def _real_scenes(product: Judge, folder: Path, report) -> None:  # type: ignore[no-untyped-def]
    windows = read_windows(folder)
    vectors = np.concatenate(
        [
            product.encoder.encode_images(windows.pictures[at : at + 64]).global_emb
            for at in range(0, len(windows.pictures), 64)
        ]
    )
    denied, unsure, false = [], [], []
    for number, thing in enumerate(windows.things):
        relevance = product.relevance(product.ask(thing), vectors)
        shows, hides = windows.shows[:, number], ~windows.shows[:, number] & ~windows.unsure[:, number]
        state = judge(float(relevance[shows].max()), threshold=THRESHOLD)
        denied += [thing] if state == "nothing" else []
        unsure += [thing] if state == "unsure" else []
        false.append(float((relevance[hides] >= THRESHOLD).mean()))
    text = f"real scenes: of {len(windows.things)} things that are there {len(denied)} are denied {denied}"
    report(f"{text}, {len(unsure)} unsure {unsure}", kept=len(denied) <= len(windows.things) / 10)
    report(f"    of windows {np.mean(false):.1%} are said to show what they don't", kept=np.mean(false) <= 0.1)


def _draw(path: Path, gaps: list[tuple[float, float, int]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="relevance", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    axes.plot([0, 1], [0, 1], color="0.7")
    axes.plot([said for said, _, _ in gaps], [true for _, true, _ in gaps], "o-", color="#1b6ca8")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main())
