"""What a batch of 4,096 takes in chunks, beside a batch of 256 at once: peak resident memory, on the CPU.

    python benchmarks/gradient_cache.py [--size-px 128 --batch 4096 --small 256 --chunk 128 --seed 0]

One training step each, in a process of its own, with all terms of EBAKER's loss and elimination in force: both encoders
of the compact model (MobileNetV2 trunk, trained, too), forward and backward, gradient norm, AdamW, in single precision,
on random pictures and made-up captions. What is measured is the most memory that the process ever held (`ru_maxrss`),
and beside it what it held before the step: Python, torch, the model. A batch of 256 is also taken both ways, for the
time that the second pass takes. Exits with 1 when the large batch in chunks takes more than 1.2 times the small one's
memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rsitr.config import DataConfig, EbaConfig, KerConfig, ModelConfig, Phase, TrainConfig
from rsitr.data import CaptionedImage
from rsitr.data.keywords import collect_keywords
from rsitr.models.dual import Features
from rsitr.models.kinds import build_model
from rsitr.training.chunks import encode_in_chunks
from rsitr.training.optim import build_optimizer
from rsitr.training.recipes.ebaker import EbakerRecipe
from rsitr.training.rows import RowTable

CLAIM = 1.2
WORDS = (
    ("red", "green", "white", "grey", "dark", "bright", "narrow", "wide"),
    ("roofs", "fields", "trees", "ponds", "roads", "tanks", "planes", "boats"),
    ("a river", "a road", "a runway", "a harbour", "a school", "a park", "a bridge", "the sea"),
)


def peak_mb() -> float:
    """The most resident memory so far; Linux counts in kB, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def make_rows(count: int, *, rng: np.random.Generator) -> RowTable:
    """As many pictures, which are never read, with a caption each."""
    drawn = [[words[place] for place in rng.integers(len(words), size=2)] for _ in range(count) for words in WORDS]
    images = []
    for number in range(count):
        colours, things, places = drawn[3 * number : 3 * number + 3]
        caption = (
            f"{number + 1} {colours[0]} {things[0]} and some {colours[1]} {things[1]} lie between "
            f"{places[0]} and {places[1]}"
        )
        images.append(CaptionedImage(f"made/{number}", Path(f"{number}.png"), (caption,), "train"))
    return RowTable.of(images)


def take_step(*, size_px: int, batch_size: int, chunk_size: int | None, seed: int) -> dict[str, float]:
    """A step in this process: its peak memory and its seconds."""
    config = TrainConfig(
        name="made",
        recipe="ebaker",
        data=DataConfig(sets=("made",)),
        model=ModelConfig(kind="compact", settings={"trunk": "mobilenetv2", "image_size_px": size_px}),
        ker=KerConfig(layers=2),
        eba=EbaConfig(drop_ratio=0.1, drop_epoch=1),
        phases=(Phase(batch_size=batch_size, trunk_lr=1e-4),),
        chunk_size=chunk_size,
        seed=seed,
    )
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = build_model(config.model, root=None)
    table = make_rows(batch_size, rng=rng)
    keywords = collect_keywords({"made": [[caption] for caption in table.captions]})
    recipe = EbakerRecipe(
        config, table=table, keywords=keywords, dim=model.token_dim, context_length=model.context_length
    )
    recipe.global_threshold = 0.0  # some pairs of random weights lie above it, some below
    optimizer = build_optimizer([([*model.parameters(), *recipe.parameters()], 1e-4)], weight_decay=0.7, beta2=0.999)
    model.train()
    pictures = torch.randint(0, 256, (batch_size, 3, size_px, size_px), dtype=torch.uint8)
    before = peak_mb()
    start = time.perf_counter()

    def look(chunk: Tensor) -> Features:
        return model.image_features(chunk.float() / 255)

    images = encode_in_chunks(look, pictures, chunk_size=chunk_size)
    result = recipe.step(model, images=images, rows=rng.permutation(batch_size), epoch=1, device=torch.device("cpu"))
    result.loss.total.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_([*model.parameters(), *recipe.parameters()], 50.0)
    optimizer.step()
    return {
        "peak": peak_mb(),
        "before": before,
        "seconds": time.perf_counter() - start,
        "loss": result.loss.total.item(),
        "dropped": result.dropped,
    }


def measure(options: argparse.Namespace, *, batch_size: int, chunk_size: int | None) -> dict[str, float]:
    """The same in a process of its own, whose peak is of this step alone."""
    command = [sys.executable, __file__, "--one", f"{batch_size},{chunk_size or 0}"]
    command += ["--size-px", str(options.size_px), "--seed", str(options.seed)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    how = "at once" if chunk_size is None else f"in chunks of {chunk_size}"
    print(
        f"batch {batch_size:,} {how}: peak {found['peak']:,.0f} MB, of which {found['before']:,.0f} before the step; "
        f"{found['seconds']:.1f} s; loss {found['loss']:.6f}, {found['dropped']:,.0f} pairs dropped",
        flush=True,
    )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-px", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--small", type=int, default=256)
    parser.add_argument("--chunk", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        batch_size, chunk_size = map(int, options.one.split(","))
        found = take_step(
            size_px=options.size_px, batch_size=batch_size, chunk_size=chunk_size or None, seed=options.seed
        )
        print(json.dumps(found))
        return 0
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    print(
        f"compact model, MobileNetV2 at {options.size_px} px; seed {options.seed}, commit {commit.stdout.strip()}; "
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, load average "
        f"{os.getloadavg()[0]:.1f} at the start"
    )
    small = measure(options, batch_size=options.small, chunk_size=None)
    same = measure(options, batch_size=options.small, chunk_size=options.chunk)
    large = measure(options, batch_size=options.batch, chunk_size=options.chunk)
    ratio = large["peak"] / small["peak"]
    print(
        f"the same batch in chunks: {same['seconds'] / small['seconds']:.2f} times as long, loss equal to a relative "
        f"{abs(same['loss'] / small['loss'] - 1):.0e}"
    )
    print(
        f"{options.batch:,} pairs in chunks of {options.chunk} take {ratio:.2f} times the memory of {options.small:,} "
        f"at once (claim: at most {CLAIM:g})"
    )
    return int(ratio > CLAIM)


if __name__ == "__main__":
    sys.exit(main())
