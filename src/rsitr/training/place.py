"""Where a training takes place, and whom it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rsitr.config import TrainConfig
from rsitr.data.collection import Collection, look_through
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.state import Position

__all__ = ["Place", "Report"]

Report = Callable[[Position, int, float], None]
"""Called after each step with the position, steps of the epoch, and the loss."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where, and whom to tell.

    Attributes:
        folder: of the run.
        cache_folder: of a frozen trunk's features, which runs may share.
        root: folder of data sets and of `init/`.
        device: where to train.
        provenance: goes into the checkpoint as it is (commit, command).
        ranks: the processes that train together.
        on_cache: progress of the feature cache: done, total.
        on_hash: progress of the look at every picture: done, total.
        on_note: what there is to say about the data and the model before training.
        report: progress of training.
    """

    folder: Path
    cache_folder: Path
    root: Path | None
    device: str
    provenance: Mapping[str, str]
    ranks: Ranks = ALONE
    on_cache: Callable[[int, int], None] = lambda _done, _total: None
    on_hash: Callable[[int, int], None] = lambda _done, _total: None
    on_note: Callable[[str], None] = lambda _note: None
    report: Report = lambda _position, _steps, _loss: None

    def look_through(self, pictures: Collection, *, config: TrainConfig) -> Collection:
        """The pictures that are trained on, each of which can be read, without duplicates if the config says so.

        Raises:
            DataError: a picture cannot be read.
        """
        return look_through(pictures, duplicates=config.data.duplicates, progress=self.on_hash)
