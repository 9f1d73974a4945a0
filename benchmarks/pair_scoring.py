"""What is saved by computing keys, values and the first self-attention once per item: every pair, with and without.

    python benchmarks/pair_scoring.py [--images 4 --texts 256 --batch 64 --repeats 2 --seed 0]

Random weights, so nothing is needed but the package. Both ways start from cached unimodal features, take the same texts
in the same blocks of the same length, and compute in fp32. Prints, at 49 and at 197 image vectors, the seconds of
processor time of both, which other programs hardly touch, their ratio, and the largest difference of the probabilities.
The best of several repeats counts.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from rsitr.models.dual import Features
from rsitr.models.fusion import BpeVocabulary, FusionConfig, FusionModel, PairScorer, TextStates, match_score

PROMISED = {49: 1.3, 197: 1.8}
WIDTH, HEADS, LAYERS = 768, 12, 6


def build_scorer(*, batch: int, seed: int) -> PairScorer:
    """The paper's fusion encoder; its sides are as small as can be, since they take no part."""
    torch.manual_seed(seed)
    config = FusionConfig(
        image_width=WIDTH, image_layers=1, text_layers=0, vocabulary_size=10, width=WIDTH, heads=HEADS,
        fusion_layers=LAYERS, mlp_width=4 * WIDTH,
    )  # fmt: skip
    vocabulary = BpeVocabulary(context_length=config.context_length)
    return PairScorer(
        FusionModel(config).eval(), vocabulary=vocabulary, name="random", fingerprint="", device="cpu",
        batch_size=batch, half=False,
    )  # fmt: skip


def make_features(*, images: int, texts: int, vectors: int, seed: int) -> tuple[TextStates, Features]:
    """Random features; texts have the lengths of captions (9 to 22 tokens, special ones included)."""
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(9, 23, (texts, 1), generator=generator)
    states = TextStates(torch.randn(texts, 22, WIDTH, generator=generator), torch.arange(22) < length)
    sequence = torch.randn(images, vectors, WIDTH, generator=generator)
    return states, Features(sequence[:, 0], sequence[:, 1:])


@torch.inference_mode()
def score_without_reuse(scorer: PairScorer, texts: TextStates, images: Features) -> Tensor:
    """Every pair through the whole fusion encoder, in the blocks that the scorer uses."""
    lengths = texts.mask.sum(dim=1)
    scores = torch.empty(len(texts.tokens), len(images.tokens))
    for block in scorer.blocks(lengths):
        longest = int(lengths[block].max())
        part = TextStates(texts.tokens[block, :longest], texts.mask[block, :longest])
        for column in range(len(images.tokens)):
            same = Features(
                images.global_emb[[column]].expand(len(block), -1), images.tokens[[column]].expand(len(block), -1, -1)
            )
            scores[block, column] = match_score(scorer.model.match(scorer.model.fuse(part, same)))
    return scores


def time_best(function: Callable[[], Tensor], *, repeats: int) -> tuple[float, Tensor]:
    """Seconds of processor time of the fastest of several runs, and its result."""
    best, result = float("inf"), torch.empty(0)
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return best, result


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
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        f"{options.texts} texts x {options.images} images, batch {options.batch}, seed {options.seed}, "
        f"commit {commit()}; {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__} "
        f"with {torch.get_num_threads()} threads, load average {os.getloadavg()[0]:.1f} at the start"
    )
    scorer = build_scorer(batch=options.batch, seed=options.seed)
    for vectors, promised in PROMISED.items():
        texts, images = make_features(images=options.images, texts=options.texts, vectors=vectors, seed=options.seed)
        slow, expected = time_best(lambda: score_without_reuse(scorer, texts, images), repeats=options.repeats)  # noqa: B023
        fast, found = time_best(lambda: scorer.score_all(texts, images), repeats=options.repeats)  # noqa: B023
        difference = float((found.sigmoid() - expected.sigmoid()).abs().max())
        print(
            f"{vectors} image vectors: without reuse {slow:.2f} s, with {fast:.2f} s, {slow / fast:.2f} times faster "
            f"(promised {promised}); probabilities differ by at most {difference:.1e}"
        )


if __name__ == "__main__":
    main()
