"""Does "words minus words" take away what is not wanted, and nothing else?

    python benchmarks/unwanted.py [--data-root DATA] [--model lookout]

On RSICD validation: for words that answer several classes (e.g. "buildings", of which some stand in industrial areas)
one class is not wanted. Prints, for plain search, for vectors subtracted, and for what the product does, the share of
unwanted pictures among the best 20, and how many of the others that plain search found among its best 20 are still
there. Exits with 1 where the product leaves more than 5 % unwanted or loses more than 20 % of the others (some of which
show what is not wanted, too), 2 without data.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from relevance import read_tiles
from rsitr.data.collection import find_data_root
from rsitr.defaults import DEFAULT_MODEL
from rsitr.models import load_model
from rsitr.search import AskedPart, estimate_relevance

PAIRS = (
    ("many green trees", "park", "forest", "forest"),
    ("a large body of water", "pond", "beach", "beach"),
    ("many buildings", "commercial", "industrial area", "industrial"),
    ("houses", "medium residential", "dense residential area", "dense residential"),
    ("a large open area", "airport", "desert", "desert"),
    ("a road with cars", "viaduct", "parking lot", "parking"),
    ("bare ground", "bare land", "desert", "desert"),
    ("a field", "playground", "farmland", "farmland"),
)
"""Words, a class that they should keep, words that are not wanted, and the class of these."""
TOP, SUBTRACTED = 20, 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    root = find_data_root(arguments.data_root)
    if root is None or not (root / "rsicd").is_dir():
        print("needs rsicd/ under --data-root", file=sys.stderr)
        return 2
    encoder = load_model(arguments.model)
    if encoder.calibration is None:
        print(f"{encoder.name} is not calibrated: rsitr calibrate", file=sys.stderr)
        return 2
    _, labels, tiles = read_tiles(encoder, root)
    rows = []
    for words, keep, unwanted, leave in PAIRS:
        ask, avoid = encoder.encode_texts([words, unwanted]).global_emb
        parts = [AskedPart(ask, True), AskedPart(avoid, True, -SUBTRACTED)]
        relevance = np.array(estimate_relevance(parts, tiles=tiles, calibration=encoder.calibration))
        plain = np.argsort(-(tiles @ ask), kind="stable")[:TOP]
        orders = [
            plain,
            np.argsort(-(tiles @ (ask - SUBTRACTED * avoid)), kind="stable")[:TOP],
            np.lexsort((-(tiles @ ask), -relevance))[:TOP],
        ]
        others = plain[labels[plain] != leave]
        rows.append(
            [
                ((labels[order] == leave).mean(), float(np.isin(others, order).mean()) if len(others) else 1.0)
                for order in orders
            ]
        )
        told = "; ".join(f"{left:.0%} unwanted, {kept:.0%} of the others stay" for left, kept in rows[-1])
        print(f"{words!r} without {unwanted!r} (e.g. {keep}): {told}")
    means = np.array(rows).mean(axis=0)
    for name, (left, kept) in zip(("plain", "subtracted", "product"), means, strict=True):
        print(f"{name}: {left:.1%} of the best {TOP} unwanted; {kept:.1%} of the others of plain search stay")
    return int(means[2][0] > 0.05 or means[2][1] < 0.8)


if __name__ == "__main__":
    sys.exit(main())
