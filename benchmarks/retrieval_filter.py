"""How much faster a filtered search is than reading every pair, and what it costs in recall.

    python benchmarks/retrieval_filter.py CHECKPOINT --data rsicd:FOLDER --filter FILTER [--filter ...]
        [--every-caption] [--images 40 --texts 80 --top 128 --split val --seed 0]

A seeded sample of the queries of each direction is searched in full and with each filter, by the same scorer in the
run; unimodal features are cached for both. Prints milliseconds per query (of processor time, which other programs
hardly touch, and by the clock), the ratio of processor times, and the recall (the mean of R@1, R@5 and R@10) of the
same queries both ways; on a GPU the ratio is by the clock. Captions repeat, and rsitr reads each distinct one once;
`--every-caption` reads them as often as they occur, as the paper does, with and without the filter.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rsitr.data import load_dataset
from rsitr.evaluation.metrics import QueryRanks
from rsitr.evaluation.pairs import PairSplit, encode_pairs
from rsitr.models.dual import Features
from rsitr.models.fusion import PairScorer, load_fusion
from rsitr.models.fusion.filter import RetrievalFilter, load_filter
from rsitr.rerank.fusion import place_above, top_candidates

DIRECTIONS = ("text from image", "image from text")


def search_all(scorer: PairScorer, split: PairSplit, queries: Tensor, *, direction: str) -> Tensor:
    """(n_query, n_candidate) scores of every pair."""
    if direction == "text from image":
        images = Features(split.images.global_emb[queries], split.images.tokens[queries])
        return scorer.score_all(split.texts, images).T
    return scorer.score_all(split.texts.take(queries), split.images)


def search_filtered(
    scorer: PairScorer, split: PairSplit, queries: Tensor, *, direction: str, student: RetrievalFilter, top: int
) -> Tensor:
    """(n_query, n_candidate) scores: the filter's best are read, the rest stay in the filter's order."""
    texts, images = split.texts.tokens[:, 0], split.images.global_emb
    if direction == "text from image":
        first = student.score_all(texts=texts, images=images[queries], half=scorer.half).T.contiguous()
    else:
        first = student.score_all(texts=texts[queries], images=images, half=scorer.half)
    candidates = top_candidates(first.cpu(), top=top)
    of_query = queries[:, None].expand_as(candidates)
    text_index, image_index = (candidates, of_query) if direction == "text from image" else (of_query, candidates)
    values = scorer.score_pairs(
        split.texts, split.images, text_index=text_index.flatten(), image_index=image_index.flatten()
    )
    return place_above(first.cpu(), candidates=candidates, values=values.view_as(candidates))


def measure_recall(scores: Tensor, split: PairSplit, queries: Tensor, *, direction: str) -> float:
    """Mean of R@1, R@5 and R@10 in percent, in expectation over ties; candidates are captions or images."""
    captions = torch.from_numpy(split.caption_text)
    owner = torch.from_numpy(split.text_image)
    if direction == "text from image":
        scores = scores[:, captions]
        relevant = owner[None] == queries[:, None]
    else:
        relevant = torch.zeros(scores.shape, dtype=torch.bool)
        for row, text in enumerate(queries.tolist()):
            relevant[row, owner[captions == text]] = True
    best = scores.masked_fill(~relevant, -torch.inf).max(dim=1, keepdim=True).values
    equal = scores == best
    ranks = QueryRanks(
        better=(scores > best).sum(dim=1).numpy(),
        equal=equal.sum(dim=1).numpy(),
        relevant=(equal & relevant).sum(dim=1).numpy(),
    )
    return float(np.mean([100 * ranks.hits(k).mean() for k in (1, 5, 10)]))


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds per query, by the clock and of processor time."""

    clock_ms: float
    processor_ms: float

    def ratio(self, other: Timing, *, on_cpu: bool) -> float:
        """How many times longer this is than the other."""
        return self.processor_ms / other.processor_ms if on_cpu else self.clock_ms / other.clock_ms

    def __str__(self) -> str:
        return f"{self.processor_ms:.1f} ms of processor time per query ({self.clock_ms:.1f} by the clock)"


def timed(function: Callable[[], Tensor], *, queries: int) -> tuple[Timing, Tensor]:
    """How long it takes, and the result."""
    clock, processor = time.perf_counter(), time.process_time()
    result = function()
    taken = Timing(1000 * (time.perf_counter() - clock) / queries, 1000 * (time.process_time() - processor) / queries)
    return taken, result


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
    parser.add_argument("checkpoint", nargs="?")
    parser.add_argument("--data")
    parser.add_argument("--filter", action="append", default=[], dest="filters")
    parser.add_argument("--every-caption", action="store_true")
    parser.add_argument("--images", type=int, default=40, help="queries that are images")
    parser.add_argument("--texts", type=int, default=80, help="queries that are texts")
    parser.add_argument("--top", type=int, default=128)
    parser.add_argument("--split", default="val")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.checkpoint is None or options.data is None or not options.filters:
        print("nothing to measure: name a fusion model's checkpoint, --data and at least one --filter")
        return
    scorer = load_fusion(options.checkpoint)
    split = encode_pairs(scorer, load_dataset(options.data).split(options.split))
    n_distinct, n_texts = len(split.texts.tokens), len(split.caption_text)
    if options.every_caption:
        every = split.texts.take(torch.from_numpy(split.caption_text))
        split = dataclasses.replace(split, texts=every, caption_text=np.arange(n_texts))
    rng = np.random.default_rng(options.seed)
    print(
        f"{options.checkpoint} on {options.data}, {options.split}: {len(split.images.tokens)} images, "
        f"{n_texts} texts, {n_distinct} of them distinct, {'every one' if options.every_caption else 'these'} read; "
        f"{options.images} images and {options.texts} texts are queries, top {options.top}, seed {options.seed}, "
        f"commit {commit()}; "
        f"{platform.machine()}, {os.cpu_count()} cores, {'bf16' if scorer.half else 'fp32'} on {scorer.device}, "
        f"load average {os.getloadavg()[0]:.1f} at the start"
    )
    for direction in DIRECTIONS:
        by_image = direction == "text from image"
        of = len(split.images.tokens if by_image else split.texts.tokens)
        wanted = options.images if by_image else options.texts
        queries = torch.from_numpy(rng.choice(of, size=min(of, wanted), replace=False))
        slow, full = timed(lambda: search_all(scorer, split, queries, direction=direction), queries=len(queries))  # noqa: B023
        recall = measure_recall(full, split, queries, direction=direction)
        print(f"{direction}: every pair {slow}, recall {recall:.2f}", flush=True)
        for folder in options.filters:
            student = load_filter(Path(folder), teacher=scorer.fingerprint, device=scorer.device)
            fast, found = timed(
                lambda: search_filtered(scorer, split, queries, direction=direction, student=student, top=options.top),  # noqa: B023
                queries=len(queries),
            )
            print(
                f"  {folder} ({student.config.kind}): {fast}, "
                f"{slow.ratio(fast, on_cpu=scorer.device.type == 'cpu'):.1f} times faster, "
                f"recall {measure_recall(found, split, queries, direction=direction):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
