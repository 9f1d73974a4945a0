"""A training run: what a config says, put together by its recipe and ready to start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rsitr.config import TrainConfig, load_config
from rsitr.data import CaptionDataset
from rsitr.data.collection import Collection, find_data_root, load_collection
from rsitr.errors import ConfigError
from rsitr.evaluation.protocol import SplitResult
from rsitr.models import choose_device
from rsitr.registry import Registry
from rsitr.rerank import METHODS, Reranker
from rsitr.training.loop import Trainer
from rsitr.training.place import Place, Report
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.rows import RowTable
from rsitr.types import Mixture
from rsitr.version import __version__

__all__ = ["RECIPES", "Asked", "Build", "Run", "Trained", "build_run", "identify", "train"]

Asked = tuple[Mixture, Reranker | None]
"""A way to measure vectors: how similarities are mixed, and what sorts again."""


@dataclass(frozen=True)
class Run:
    """A training run ready to start; its best weights go to `folder / "best"`.

    `measure_validation` measures every validation split, by name, with the model as it is at that moment, in each of
    the ways asked. A fusion model scores pairs: it has no vectors to mix or to sort again, and refuses to.
    """

    config: TrainConfig
    trainer: Trainer
    table: RowTable
    sets: Sequence[CaptionDataset]
    folder: Path
    measure_validation: Callable[[Sequence[Asked]], list[dict[str, SplitResult]]]


Build = Callable[[TrainConfig, Collection, Place], Run]
"""Assembles a run: a recipe's own function."""

RECIPES: Registry[Build] = Registry("recipe", group="recipes")
"""By the name that a config gives as `recipe`."""
RECIPES.register("ebaker", "rsitr.training.recipes.ebaker:build")
RECIPES.register("lookout", "rsitr.training.recipes.lookout:build")
RECIPES.register("mtgfe", "rsitr.training.recipes.mtgfe:build")


def build_run(
    config: TrainConfig,
    *,
    specs: Sequence[str] = (),
    root: Path | None = None,
    folder: Path,
    device: str,
    provenance: Mapping[str, str],
    ranks: Ranks = ALONE,
    cache_folder: Path | None = None,
    on_cache: Callable[[int, int], None] = lambda _done, _total: None,
    on_hash: Callable[[int, int], None] = lambda _done, _total: None,
    on_note: Callable[[str], None] = lambda _note: None,
    report: Report = lambda _position, _steps, _loss: None,
) -> Run:
    """Assemble a run.

    Args:
        config: what to train.
        specs: data sets as `NAME:FOLDER`; others are looked for under `root`.
        root: folder of data sets and of `init/`.
        folder: of the run.
        device: where to train.
        provenance: goes into the checkpoint as it is (commit, command).
        ranks: the processes that train together.
        cache_folder: of the frozen trunk's features, which runs may share; the run's own when None.
        on_cache: progress of the feature cache: done, total.
        on_hash: progress of the look at every picture, which finds what is damaged or there twice: done, total.
        on_note: what there is to say about the data and the model before training.
        report: progress of training.

    Raises:
        ConfigError, DataError, ModelError: something the run needs is missing or wrong; nothing has been written.
    """
    build = RECIPES[config.recipe]
    if config.rerank is not None and config.rerank not in METHODS:
        raise ConfigError(f"rerank is {config.rerank!r}; it may be {', '.join(METHODS)}, or null")
    pictures = load_collection(config.data.sets, given=specs, root=root, user=config.name, splits=config.data.splits)
    for note in pictures.notes:
        on_note(note)
    place = Place(
        folder=folder,
        cache_folder=cache_folder or folder,
        root=root,
        device=device,
        provenance=provenance,
        ranks=ranks,
        on_cache=on_cache,
        on_hash=on_hash,
        on_note=on_note,
        report=report,
    )
    torch.manual_seed(config.seed)
    return build(config, pictures, place)


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of a training.

    Attributes:
        model: folder of the best model, for `rsitr.load_model`.
        best_mR: its mean recall on validation, in percent, over all data sets.
        best_epoch: counted from 1.
        history: loss and validation results of each epoch.
    """

    model: Path
    best_mR: float  # the field's name for it
    best_epoch: int
    history: tuple[dict[str, float], ...]


def train(
    config: str | TrainConfig,
    *,
    data: Sequence[str] = (),
    data_root: Path | None = None,
    out: Path | None = None,
    device: str | None = None,
    resume: bool = True,
    report: Report = lambda _position, _steps, _loss: None,
) -> Trained:
    """Train a model, as `rsitr train` does; where an earlier call was interrupted, it goes on there.

    Args:
        config: a packaged one by name, a YAML file, or a record.
        data: where data sets of the config are, `NAME:FOLDER`.
        data_root: folder of data sets and of `init/` by name; None: `$RSITR_DATA`, else `data` where that is.
        out: folder of the run; None: `runs/NAME`.
        device: e.g. `cpu`, `cuda`; a GPU if there is one when it is None.
        resume: go on from the state in `out`, if there is one; otherwise start over.
        report: called after each step with the position, steps of the epoch, and the loss.

    Raises:
        ConfigError, DataError, ModelError: something that the run needs is missing or wrong; nothing has been written.
        Interrupted: the process was asked to stop; the state is saved.

    Example:
        `train("compact-rsicd-ucm", data_root=Path("data")).best_mR`
    """
    settings = load_config(config) if isinstance(config, str) else config
    folder = out or Path("runs") / settings.name
    run = build_run(
        settings,
        specs=data,
        root=find_data_root(data_root),
        folder=folder,
        device=str(choose_device(device)),
        provenance={"version": __version__},
        report=report,
    )
    position = run.trainer.run(resume=resume)
    return Trained(
        model=folder / "best",
        best_mR=position.best,
        best_epoch=position.best_epoch + 1,
        history=tuple(dict(entry) for entry in position.history),
    )


def identify(config: TrainConfig, table: RowTable, *more: str) -> str:
    """Digest of all that a run's result depends on; with how many workers its pictures are read is no part of that.

    Args:
        config: of the run.
        table: its training rows.
        more: what else it depends on, such as the words of a keyword file.
    """
    listed = f" {' '.join(more)}" if more else ""
    return hashlib.sha256(f"{config.identity()} {table.rows_sha256}{listed}".encode()).hexdigest()
