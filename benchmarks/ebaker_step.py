"""What local alignment, keyword reasoning and elimination cost a training step, beside plain CLIP.

    python benchmarks/ebaker_step.py [--data-root DATA] [--batch-size 100 --rounds 3 --seed 0]

Steps of ViT-B/32 with random weights and random pictures, on captions of RSICD: both encoders forward and backward,
gradient norm, AdamW. Text is cut to the longest caption of the batch on both sides, `valid` tokens are local. The two
kinds of step alternate in one run on the same batches, each batch once to warm up; the median counts. Exits with 1 when
a step of EBAKER takes more than 1.7 times as long, 2 when RSICD is not there.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsitr.config import DataConfig, EbaConfig, KerConfig, LossConfig, ModelConfig, TrainConfig, load_config
from rsitr.data.collection import find_data_root
from rsitr.errors import RsitrError
from rsitr.models.encoder import DualModule
from rsitr.training.optim import build_optimizer
from rsitr.training.recipes.ebaker import EbakerRecipe
from rsitr.training.runs import build_run

CLAIM = 1.7
PAPER = "ebaker-vit-b-32"


def configs(batch_size: int) -> dict[str, TrainConfig]:
    """The paper's config on RSICD alone, with everything and with nothing of EBAKER."""
    paper = load_config(PAPER)
    whole = paper.replace(
        data=DataConfig(sets=("rsicd",)),
        model=ModelConfig(kind="open_clip", settings=paper.model.settings, local_tokens="valid"),
        ker=KerConfig(layers=4, vocabulary="full"),
        phases=(paper.phases[0].replace(batch_size=batch_size),),
    )
    plain = whole.replace(loss=LossConfig(local_weight=0.0), ker=KerConfig(weight=0.0), eba=EbaConfig(drop_ratio=0.0))
    return {"CLIP": plain, "EBAKER": whole}


def prepare(config: TrainConfig, *, root: Path, folder: Path) -> tuple[DualModule, EbakerRecipe, torch.dtype | None]:
    """Model, recipe and the precision that training would use on this machine."""
    trainer = build_run(config, root=root, folder=folder, device="cpu", provenance={}).trainer
    return trainer.model, trainer.recipe, trainer.autocast_dtype  # type: ignore[return-value]  # EBAKER's


def make_step(
    model: DualModule, recipe: EbakerRecipe, optimizer: torch.optim.Optimizer, *, dtype: torch.dtype | None
) -> Callable[[Tensor, NDArray[np.int64]], float]:
    """A training step as the loop makes it; returns its seconds."""
    parameters = [*model.parameters(), *recipe.parameters()]

    def step(pictures: Tensor, rows: NDArray[np.int64]) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            images = model.image_features(pictures.float() / 255)
            result = recipe.step(model, images=images, rows=rows, epoch=4, device=torch.device("cpu"))
        optimizer.zero_grad(set_to_none=True)
        result.loss.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 50.0)
        optimizer.step()
        return time.perf_counter() - start

    return step


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = find_data_root(options.data_root)
    if root is None or not (root / "rsicd").is_dir():
        print("needs RSICD for its captions: --data-root DATA, with rsicd/")
        return 2
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    recipes: dict[str, EbakerRecipe] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, config in configs(options.batch_size).items():
            model, recipes[name], dtype = prepare(config, root=root, folder=Path(folder))
    # One model and one optimizer serve both: what has no gradient is not stepped.
    optimizer = build_optimizer(
        [([*model.parameters(), *recipes["EBAKER"].parameters()], 1.5e-5)], weight_decay=0.7, beta2=0.999
    )
    print(
        f"ViT-B/32, batch {options.batch_size}, {dtype or torch.float32}; seed {options.seed}, commit "
        f"{commit.stdout.strip()}; {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__} with "
        f"{torch.get_num_threads()} threads, load average {os.getloadavg()[0]:.1f} at the start"
    )
    model.train()
    rng = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    steps = {name: make_step(model, recipe, optimizer, dtype=dtype) for name, recipe in recipes.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(1 + options.rounds):
        rows = rng.choice(len(recipes["CLIP"].table), size=options.batch_size, replace=False)
        pictures = torch.randint(0, 256, (options.batch_size, 3, 224, 224), dtype=torch.uint8)
        for name, step in steps.items():
            seconds = step(pictures, rows)
            if number:
                times[name].append(seconds)
        recipes["EBAKER"].end_epoch(4)  # from the first batch's similarities on, pairs are dropped
        if number:
            print(f"round {number}: " + ", ".join(f"{name} {each[-1]:.2f} s" for name, each in times.items()))
    plain, whole = (statistics.median(times[name]) for name in ("CLIP", "EBAKER"))
    ratio = whole / plain
    print(f"median step: CLIP {plain:.2f} s, EBAKER {whole:.2f} s: {ratio:.2f} times (claim: at most {CLAIM:g})")
    return int(ratio > CLAIM)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RsitrError as error:
        sys.exit(f"{error}")
