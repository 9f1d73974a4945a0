"""What each process of a shared training does in a test; also the script that the second and further processes run.

python sharing.py FOLDER CONFIG
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsitr.config import EbaConfig, KerConfig, LossConfig, Phase
from rsitr.data import CaptionedImage
from rsitr.data.keywords import collect_keywords
from rsitr.models.compact import TRUNKS
from rsitr.training.ranks import Ranks, join_ranks
from rsitr.training.recipes.ebaker import EbakerRecipe
from rsitr.training.rows import RowTable
from rsitr.training.runs import build_run
from tiny import TinyTrunk, tiny_config, tiny_model

__all__ = ["take_steps"]

# The last pictures' captions hold no keyword: in the second batch, one rank of two has no masked word.
CAPTIONS = [(f"a {word} barn near a road", f"one {word} field") for word in ("red", "green", "blue", "white")]
CAPTIONS += [("it is", "there"), ("that is it", "over there")]
BATCHES = (np.array([0, 3, 5, 6, 2, 10]), np.array([0, 2, 4, 9, 8, 11]))


def take_steps(ranks: Ranks, *, scheme: str) -> dict[str, Any]:
    """Four optimizer steps of two batches, with elimination: losses and gradients of each, and the banks."""
    table = RowTable.of([CaptionedImage(str(n), Path(f"{n}.png"), c, "train") for n, c in enumerate(CAPTIONS)])
    model = tiny_model().train()
    config = tiny_config(
        loss=LossConfig(scale=14.0, learn_scale=True, local_weight=0.7, repeats="positive"),
        ker=KerConfig(layers=1, vocabulary="keywords"),
        eba=EbaConfig(drop_ratio=0.3, drop_epoch=1, scheme=scheme),  # type: ignore[arg-type]  # a Literal
    )
    keywords = collect_keywords({"set": [table.captions]})
    recipe = EbakerRecipe(config, table=table, keywords=keywords, dim=16, context_length=24, ranks=ranks)
    if not ranks.is_first:  # what differs at first does not stay so
        with torch.no_grad():
            model.text.projection.weight.add_(1.0)
    ranks.agree(model, recipe)
    named = [*model.named_parameters(), *recipe.named_parameters()]
    optimizer = torch.optim.SGD([parameter for _, parameter in named], lr=1e-2)
    pictures = torch.randn(len(CAPTIONS), 3, 32, 32, generator=torch.Generator().manual_seed(1))
    steps = []
    for rows in (*BATCHES, *BATCHES):
        own = table.row_image[rows[ranks.own(len(rows))]]
        images = model.image_features(pictures[torch.from_numpy(own)])
        result = recipe.step(model, images=images, rows=rows, epoch=0, device=torch.device("cpu"))
        optimizer.zero_grad(set_to_none=True)
        result.loss.total.backward()
        ranks.add_gradients(parameter for _, parameter in named)
        loss = result.loss
        parts = torch.stack([loss.total, loss.global_align, loss.local_align, loss.mlm]).detach()
        gradients = {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}
        steps.append({"loss": parts, "dropped": torch.tensor(result.dropped), **gradients})
        optimizer.step()
        if len(steps) == len(BATCHES):
            recipe.end_epoch(0)
    return {
        "steps": steps,
        "global": recipe.global_bank.values,
        "local": recipe.local_bank.values,
        "thresholds": torch.tensor([recipe.global_threshold or 0.0, recipe.local_threshold or 0.0]),
    }


def train_phases(ranks: Ranks, *, folder: Path) -> dict[str, torch.Tensor]:
    """The weights after two phases of training, averaged, the first epoch of each being the best."""
    common: dict[str, Any] = {"epochs": 2, "batch_size": 6, "lr": 1e-2, "warmup_steps": 1, "average": 0.5}
    config = tiny_config(phases=(Phase(**common), Phase(trunk_lr=1e-2, **common)))
    run = build_run(config, root=Path("data"), folder=folder, device="cpu", provenance={}, ranks=ranks)
    results = iter((2.0, 1.0, 2.0, 1.0))
    run.trainer.validate = lambda _frozen: {"mR": next(results)}
    run.trainer.on_best = lambda _position: None
    run.trainer.run(resume=False)
    return run.trainer.model.state_dict()


def main(folder: Path, config: Path) -> None:
    """Steps of both schemes and a training's weights into `folder`, then a whole training by the command line."""
    from rsitr.cli.app import main as rsitr

    TRUNKS["mobilenetv2"] = TinyTrunk
    torch.set_num_threads(1)
    with join_ranks("cpu") as (ranks, _):
        alone, everywhere = (ranks.any(flag, device=torch.device("cpu")) for flag in (ranks.is_first, False))
        assert (alone, everywhere) == (True, False)
        found = {scheme: take_steps(ranks, scheme=scheme) for scheme in ("joint", "split")}
        torch.save(found, folder / f"rank-{ranks.rank}.pt")
        torch.save(train_phases(ranks, folder=folder / "phases"), folder / f"weights-{ranks.rank}.pt")
        ranks.wait()
    os.environ["MASTER_PORT"] = os.environ["NEXT_PORT"]
    sys.argv = ["rsitr", "train", str(config), "--data-root", "data", "--out", str(folder / "run"), "--device", "cpu"]
    rsitr()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
