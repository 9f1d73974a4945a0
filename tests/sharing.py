"""What each process of a shared training does in a test, and how such processes are started.

They are forked from one that has imported all of this, which takes each of them seconds otherwise.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsitr.config import EbaConfig, KerConfig, LossConfig, ModelConfig, Phase, TrainConfig
from rsitr.data import CaptionedImage
from rsitr.data.keywords import collect_keywords
from rsitr.errors import ConfigError
from rsitr.losses import LOSSES
from rsitr.models.compact import TRUNKS
from rsitr.training.chunks import encode_in_chunks
from rsitr.training.interruption import Interrupted
from rsitr.training.ranks import Ranks, join_ranks
from rsitr.training.recipes.ebaker import EbakerRecipe
from rsitr.training.rows import RowTable
from rsitr.training.runs import Run, build_run
from tiny import SIZES, TinyTrunk, tiny_config, tiny_model

__all__ = [
    "SETTINGS",
    "Started",
    "assert_same_steps",
    "command",
    "go_on",
    "settings",
    "start",
    "take_steps",
    "triplet",
    "work",
]

# The last pictures' captions hold no keyword: in the second batch, one rank of two has no masked word.
CAPTIONS = [(f"a {word} barn near a road", f"one {word} field") for word in ("red", "green", "blue", "white")]
CAPTIONS += [("it is", "there"), ("that is it", "over there")]
STOP_AT = 9  # steps: in the middle of the second of four epochs, when pairs are being dropped
BATCHES = (np.array([0, 3, 5, 6, 2, 10]), np.array([0, 2, 4, 9, 8, 11]))


MANY = {"drop_ratio": 0.6}
COMMITTEE = {"kind": "compact", "settings": SIZES | {"members": 2}}
SETTINGS: dict[str, dict[str, Any]] = {
    "joint": {"loss": {"repeats": "positive"}},
    "split": {"loss": {"repeats": "ignore", "local_norm": "rms"}, "eba": {"scheme": "split"}},
    "soft": {"loss": {"soft_weight": 0.3, "local_weight": 1.0}, "ker": {"strategy": "random"}, "eba": MANY},
    "committee": {"model": COMMITTEE, "ker": {"strategy": "attribute", "padding": "full"}},
    "global": {"loss": {"local_weight": 0.0}, "ker": {"weight": 0.0}},
    "triplet": {"loss": {"align": "triplet"}, "eba": {"scheme": "split", **MANY}},
}
"""All that a step's loss is made of, each with elimination."""


def triplet(scores: Tensor, *, keep: Tensor | None = None, scale: float | Tensor = 1.0, **_: object) -> Tensor:
    """The hardest negative of the batch, with a margin, as one's own loss may be (VSE++)."""
    kept = torch.ones(len(scores), dtype=torch.bool) if keep is None else keep
    margins = (0.2 + scores - scores.diagonal()[:, None]).fill_diagonal_(0)
    backward = (0.2 + scores - scores.diagonal()[None]).fill_diagonal_(0)
    hardest = margins.amax(dim=1).clamp(min=0) + backward.amax(dim=0).clamp(min=0)
    return hardest[kept].mean() * scale


def settings(name: str, *, chunk_size: int | None = None) -> TrainConfig:
    """The config of a setting."""
    chosen = SETTINGS[name]
    return tiny_config(
        model=ModelConfig(**chosen.get("model", {"kind": "compact", "settings": SIZES})),
        loss=LossConfig(**{"scale": 14.0, "learn_scale": True, "local_weight": 0.7} | chosen.get("loss", {})),
        ker=KerConfig(**{"layers": 1, "vocabulary": "keywords"} | chosen.get("ker", {})),
        eba=EbaConfig(**{"drop_ratio": 0.3, "drop_epoch": 1} | chosen.get("eba", {})),
        chunk_size=chunk_size,
    )


def take_steps(ranks: Ranks, config: TrainConfig) -> dict[str, Any]:
    """Four optimizer steps of two batches, with elimination: losses and gradients of each, and the banks.

    In double precision, in which what is equal shows as equal.
    """
    table = RowTable.of([CaptionedImage(str(n), Path(f"{n}.png"), c, "train") for n, c in enumerate(CAPTIONS)])
    model = tiny_model(**config.model.settings).double().train()
    keywords = collect_keywords({"set": [table.captions]})
    recipe = EbakerRecipe(config, table=table, keywords=keywords, dim=16, context_length=24, ranks=ranks)
    if not ranks.is_first:  # what differs at first does not stay so
        with torch.no_grad():
            model.text.projection.weight.add_(1.0)
    recipe.double()
    ranks.agree(model, recipe)
    named = [*model.named_parameters(), *recipe.named_parameters()]
    optimizer = torch.optim.SGD([parameter for _, parameter in named], lr=1e-2)
    pictures = torch.randn(len(CAPTIONS), 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    steps = []
    for rows in (*BATCHES, *BATCHES):
        own = table.row_image[rows[ranks.own(len(rows))]]
        images = encode_in_chunks(model.image_features, pictures[torch.from_numpy(own)], chunk_size=config.chunk_size)
        result = recipe.step(model, images=images, rows=rows, epoch=0, device=torch.device("cpu"))
        optimizer.zero_grad(set_to_none=True)
        result.loss.total.backward()
        ranks.add_gradients(parameter for _, parameter in named)
        loss = result.loss
        parts = torch.stack([loss.total, loss.global_align, loss.local_align, loss.mlm]).detach()
        gradients = {name: of_words(parameter.grad) for name, parameter in named if parameter.grad is not None}
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


def of_words(gradient: Tensor) -> Tensor:
    """A gradient, without the many rows of words that did not occur."""
    if len(gradient.shape) < 2 or len(gradient) < 10_000:
        return gradient.clone()
    return gradient[gradient.count_nonzero(dim=1) > 0]


def assert_same_steps(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Losses, every parameter's gradient, what was dropped and the banks are equal to a relative 1e-7."""
    for step, right in zip(found["steps"], expected["steps"], strict=True):
        assert step.keys() == right.keys()
        for name, value in right.items():
            assert (step[name] - value).double().norm() <= 1e-7 * value.double().norm(), name
    for name in ("global", "local", "thresholds"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-6, equal_nan=True)


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


def build_shared(ranks: Ranks, *, folder: Path, root: Path, **changes: Any) -> Run:
    """A run without dropout, in single precision, whose batches 1, 2 and 3 processes can share."""
    changes = {"model": ModelConfig(kind="compact", settings=SIZES), "precision": "fp32", **changes}
    return build_run(tiny_config(**changes), root=root, folder=folder, device="cpu", provenance={}, ranks=ranks)


def train_shared(ranks: Ranks, *, folder: Path, root: Path, stop_at: int | None = None) -> dict[str, Any]:
    """Weights, optimizer, banks and position at the end of that run, or where its last process was asked to stop."""
    run = build_shared(ranks, folder=folder, root=root)
    step = run.trainer._step

    def stopping(*arguments: Any, **more: Any) -> Any:
        run.trainer._stop.made = run.trainer.position.total_step + 1 == stop_at and ranks.rank == ranks.size - 1
        return step(*arguments, **more)

    run.trainer._step = stopping  # type: ignore[method-assign]
    try:
        run.trainer.run(resume=True)
    except Interrupted:
        assert run.trainer.position.total_step == stop_at
    trainer = run.trainer
    moments = trainer.optimizer.state_dict()["state"]
    named = [*trainer.model.named_parameters(), *trainer.recipe.named_parameters()]
    state = trainer.optimizer.state
    return {
        "weights": {**trainer.model.state_dict(), **trainer.recipe.state_dict()},
        "moments": {f"{number} {name}": value for number, of in moments.items() for name, value in of.items()},
        # Adam makes whole steps of gradients that are rounding alone, such as those of keys' biases: where not so.
        "sure": {name: state[value]["exp_avg_sq"].sqrt() > 1e-5 for name, value in named if value in state},
        "banks": trainer.recipe.bank_state(),
        "losses": [entry["loss"] for entry in trainer.position.history],
    }


def disagree(ranks: Ranks, *, folder: Path, root: Path) -> list[str]:
    """What is said where ranks have different configs, or do not all see the state of `folder`."""
    said = []
    try:
        build_shared(ranks, folder=folder, root=root, seed=ranks.rank)
    except ConfigError as error:
        said.append(str(error))
    elsewhere = folder if ranks.is_first else folder / "elsewhere"
    try:
        build_shared(ranks, folder=elsewhere, root=root).trainer.run(resume=True)
    except ConfigError as error:
        said.append(str(error))
    return said


def take_unlike_steps(ranks: Ranks) -> dict[str, Any]:
    """Steps where the ranks compute similarities that differ by more than pairs do, as unlike machines might."""
    from rsitr.training.recipes import ebaker

    exact = ebaker.score_global
    ebaker.score_global = lambda **sides: exact(**sides) + ranks.rank * torch.linspace(-1, 1, 6).diag()  # type: ignore[assignment]
    found = take_steps(ranks, settings("soft"))
    ebaker.score_global = exact
    return {
        "global": found["global"],
        "thresholds": found["thresholds"],
        "dropped": torch.stack([step["dropped"] for step in found["steps"]]),
    }


@dataclass
class Started:
    """A process of several, as torchrun starts them; what it says to stderr goes into a file."""

    process: Any
    log: Path

    def end(self) -> str:
        """Wait for it, and give what it said; it must have gone well."""
        self.process.join(timeout=900)
        said = self.log.read_text(encoding="utf-8")
        assert self.process.exitcode == 0, said
        return said


def start(
    work: Callable[..., None], *arguments: Any, rank: int, size: int, port: int, folder: Path, **variables: str
) -> Started:
    """Start one of `size` processes, in a folder.

    Args:
        work: what it does; of a module, so that it can be found there.
        arguments: of that.
        rank: which one it is.
        size: how many there are.
        port: where they meet, on this machine.
        folder: where it works.
        variables: of its environment, besides torchrun's.
    """
    place = {"WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    log = folder / f"stderr of {rank} of {size}.txt"
    process = _forks().Process(target=_run, args=(work, arguments, {**place, **meet, **variables}, folder, log))
    process.start()
    return Started(process, log)


def _forks() -> Any:
    """The context of processes, whose server imports this module before it forks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # which the server does not look at
    try:
        multiprocessing.forkserver.ensure_running()  # type: ignore[attr-defined]
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


def _run(
    work: Callable[..., None], arguments: Sequence[Any], environment: dict[str, str], folder: Path, log: Path
) -> None:
    os.environ.update(environment)
    os.chdir(folder)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    work(*arguments)


def command(*arguments: str) -> None:
    """`rsitr` with arguments."""
    from rsitr.cli.app import main as rsitr

    sys.argv = ["rsitr", *arguments]
    rsitr()


def go_on(folder: Path) -> None:
    """The further processes of a run that fewer began."""
    TRUNKS["mobilenetv2"] = TinyTrunk
    with join_ranks("cpu") as (ranks, _):
        found = train_shared(ranks, folder=folder / "shared", root=Path("data"))
        steps = take_steps(ranks, settings("split", chunk_size=1))
        torch.save({"run": found, "steps": steps}, folder / f"third-{ranks.rank}.pt")


def work(folder: Path, config: Path) -> None:
    """Steps of all settings and a training's weights into `folder`, then a whole training by the command line."""
    LOSSES.register("triplet")(triplet)
    TRUNKS["mobilenetv2"] = TinyTrunk
    with join_ranks("cpu") as (ranks, _):
        alone, everywhere = (ranks.any(flag, device=torch.device("cpu")) for flag in (ranks.is_first, False))
        assert (alone, everywhere) == (True, False)
        found = {
            name: [take_steps(ranks, settings(name, chunk_size=chunk_size)) for chunk_size in (None, 2)]
            for name in SETTINGS
        }
        torch.save(found, folder / f"rank-{ranks.rank}.pt")
        shared = train_shared(ranks, folder=folder / "shared", root=Path("data"), stop_at=STOP_AT)
        said = disagree(ranks, folder=folder / "shared", root=Path("data"))
        unlike = take_unlike_steps(ranks)
        torch.save({"shared": shared, "said": said, "unlike": unlike}, folder / f"half-{ranks.rank}.pt")
        torch.save(train_phases(ranks, folder=folder / "phases"), folder / f"weights-{ranks.rank}.pt")
        ranks.wait()
    os.environ["MASTER_PORT"] = os.environ["NEXT_PORT"]
    command("train", str(config), "--data-root", "data", "--out", str(folder / "run"), "--device", "cpu")
