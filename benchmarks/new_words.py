"""Does a model find what words mean that no training caption holds?

    python benchmarks/new_words.py [--data-root DATA] [--model lookout]

DATA/newwords.json lists words, none of them in a caption of RSICD or UCM-Captions train, with the RSICD classes that
answer each. Each word is asked in three frames, whose vectors are averaged, over the pictures of RSICD val. Prints
precision@10 by word, its mean, and chance. For measuring alone: nothing is ever trained on these words. Exits with 1
below a mean of 0.7, 2 without data.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np

from rsitr.data import load_dataset
from rsitr.data.collection import find_data_root
from rsitr.defaults import DEFAULT_MODEL
from rsitr.models import load_model
from rsitr.pictures import read_picture

FRAMES = ("{}", "a satellite image of {}", "there is a {} in the picture")
TOP = 10
WANTED = 0.7


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    root = find_data_root(arguments.data_root)
    if root is None or not (root / "newwords.json").is_file():
        print("needs rsicd/ and newwords.json under --data-root", file=sys.stderr)
        return 2
    words: dict[str, list[str]] = json.loads((root / "newwords.json").read_text(encoding="utf-8"))
    model = load_model(arguments.model)
    pictures = load_dataset(f"rsicd:{root / 'rsicd'}").split("val")
    classes = [re.split(r"[_0-9]", picture.path.stem)[0] for picture in pictures]
    vectors = np.concatenate(
        [
            model.encode_images([read_picture(picture.path) for picture in pictures[start : start + 64]]).global_emb
            for start in range(0, len(pictures), 64)
        ]
    )
    found, chance = [], []
    for word, answers in words.items():
        query = model.encode_texts([frame.format(word) for frame in FRAMES]).global_emb.mean(axis=0)
        right = np.isin(classes, answers)
        best = np.argsort(-(vectors @ query), kind="stable")[:TOP]
        found.append(float(right[best].mean()))
        chance.append(float(right.mean()))
        print(f"{word:20s} {found[-1]:.2f} (chance {chance[-1]:.2f}): {', '.join(answers)}")
    print(f"{model.name}: mean precision@{TOP} {np.mean(found):.3f}, chance {np.mean(chance):.3f}")
    return int(np.mean(found) < WANTED)


if __name__ == "__main__":
    sys.exit(main())
