"""A training run: what a config says, put together by its recipe and ready to start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rsitr.config import TrainConfig
from rsitr.data import CaptionDataset
from rsitr.data.collection import Collection, load_collection
from rsitr.errors import ConfigError
from rsitr.evaluation.protocol import SplitResult
from rsitr.registry import Registry
from rsitr.rerank import METHODS, Reranker
from rsitr.training.loop import Trainer
from rsitr.training.place import Place, Report
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.rows import RowTable
from rsitr.types import Mixture

__all__ = ["RECIPES", "Asked", "Build", "Run", "build_run", "identify"]

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
    if config.rerank not in (None, *METHODS):
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


def identify(config: TrainConfig, table: RowTable, *more: str) -> str:
    """Digest of all that a run's result depends on; with how many workers its pictures are read is no part of that.

    Args:
        config: of the run.
        table: its training rows.
        more: what else it depends on, such as the words of a keyword file.
    """
    listed = f" {' '.join(more)}" if more else ""
    return hashlib.sha256(f"{config.identity()} {table.rows_sha256}{listed}".encode()).hexdigest()
