"""How long re-ranking takes at RSICD test's size, beside a plain loop over the queries.

    python benchmarks/rerank.py [--texts 5465 --images 1093 --k 20 --repeats 5 --seed 0]

Prints, for both directions, the seconds of `sort_after_reversed_retrieval` and of the loop (on a sample of the queries,
scaled), their ratio, and whether the two give the same order; then the other methods' seconds. The best of several
repeats counts. Scores are random, with repeated captions: equal rows, as real ones have.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from rsitr.rerank import METHODS, Direction, parse_rerank, sort_after_reversed_retrieval

SAMPLE = 100
"""Queries that the loop does; the time of all is scaled from it."""


def make_scores(*, texts: int, images: int, seed: int) -> Tensor:
    """(n_text, n_image) float32; 39 % of the texts are copies of others, as in RSICD's test split."""
    generator = torch.Generator().manual_seed(seed)
    distinct = torch.rand(round(texts * 0.61), images, generator=generator)
    return distinct[torch.randint(len(distinct), (texts,), generator=generator)]


def loop_over_queries(lists: Tensor, *, k: int, sample: range) -> list[list[int]]:
    """METHODS 2, one query and one candidate at a time: the top k of each sampled query, re-sorted."""
    result = []
    for query in sample:
        row = lists[query]
        values, order = row.sort(descending=True, stable=True)
        inside = [int(c) for c, value in zip(order[:k], values[:k], strict=True) if int((row >= value).sum()) <= k]
        ranks = {c: 1 + int((lists[:, c] > row[c]).sum()) for c in inside}
        result.append(sorted(inside, key=lambda c: (ranks[c], -float(row[c]))))
    return result


def time_best(function: Callable[[], object], *, repeats: int) -> float:
    """Seconds of the fastest of several runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def compare(scores: Tensor, *, direction: Direction, k: int, repeats: int) -> None:
    """One line: both ways' seconds, the ratio, and whether the orders agree."""
    lists = scores if direction == "text_to_image" else scores.T.contiguous()
    sample = range(0, len(lists), max(1, len(lists) // SAMPLE))
    new = sort_after_reversed_retrieval(scores, k=k, direction=direction)
    new = new if direction == "text_to_image" else new.T
    fast = time_best(lambda: sort_after_reversed_retrieval(scores, k=k, direction=direction), repeats=repeats)
    slow = time_best(lambda: loop_over_queries(lists, k=k, sample=sample), repeats=1) * len(lists) / len(sample)
    plain = loop_over_queries(lists, k=k, sample=sample)
    same = all(
        new[query].sort(descending=True).values[: len(order)].equal(new[query][order])
        for query, order in zip(sample, plain, strict=True)
    )
    print(f"sar:k={k} {direction}: {fast:.3f} s, loop {slow:.1f} s, {slow / fast:.0f} times; same order: {same}")


def commit() -> str:
    """The commit of the working tree, as git names it."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=5465)
    parser.add_argument("--images", type=int, default=1093)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    scores = make_scores(texts=options.texts, images=options.images, seed=options.seed)
    load = os.getloadavg()[0]
    print(
        f"{options.texts} texts x {options.images} images, seed {options.seed}, commit {commit()}; "
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__} with {torch.get_num_threads()} "
        f"threads, load average {load:.1f} at the start"
    )
    for direction in get_args(Direction):
        compare(scores, direction=direction, k=options.k, repeats=options.repeats)
    for name in METHODS:
        for direction in get_args(Direction):
            reranker = parse_rerank(name)
            seconds = time_best(lambda: reranker(scores, direction=direction), repeats=options.repeats)  # noqa: B023
            print(f"{reranker} {direction}: {seconds:.3f} s")


if __name__ == "__main__":
    main()
