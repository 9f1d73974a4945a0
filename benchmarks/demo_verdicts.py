"""Does the demo say of its own things that they are there, and of others that they are not?

    python benchmarks/demo_verdicts.py [--seeds 10] [--model lookout]

Draws the demo's scene from each seed, indexes it, and asks for all that is drawn, in the demo's words, and for things
that are not drawn. Prints for each query in how many scenes it matches, is unsure, or is said not to be there, and how
often its best hit is right. Exits with 1 if something that is drawn is denied in more than one scene of ten, or
something that is not is confirmed in more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rsitr.defaults import DEFAULT_MODEL
from rsitr.demo.exploring import explore
from rsitr.models import load_model

ABSENT = (
    *("a volcano", "glaciers", "a big ship on the open sea", "a railway station", "a viaduct with many cars"),
    *("snow mountains", "a church with a tower", "wind turbines", "an elephant", "a golf course", "asdfghjkl"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    arguments = parser.parse_args()
    encoder = load_model(arguments.model)
    drawn: dict[str, Counter[str]] = {}
    absent: dict[str, Counter[str]] = {}
    asked = 0
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(arguments.seeds):
            folder = Path(scratch) / str(seed)
            folder.mkdir()
            found = explore(folder=folder, encoder=encoder, seed=seed)
            asked += len(found.answers)
            for answer in found.answers:
                counts = drawn.setdefault(answer.title, Counter())
                text = answer.query.text
                if text is not None:
                    counts[found.index.search(text).state or "not judged"] += 1
                counts["right"] += answer.first_right == 1
            for text in ABSENT:
                absent.setdefault(text, Counter())[found.index.search(text).state or "not judged"] += 1
    kept = True
    for name, table, wrong in (("drawn", drawn, "nothing"), ("not drawn", absent, "matches")):
        print(f"{name}, in {arguments.seeds} scenes:")
        for text, counts in table.items():
            is_bad = counts[wrong] > arguments.seeds / 10
            kept &= not is_bad
            print(f"{'! ' if is_bad else '  '}{text}: {', '.join(f'{key} {counts[key]}' for key in sorted(counts))}")
    right = sum(counts["right"] for counts in drawn.values())
    print(f"the best hit is right for {right} of {asked} queries")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
