"""The data sets of a config, and the pictures in them that a run looks at."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rsitr.config import TrainConfig
from rsitr.data import CaptionDataset, CaptionedImage, load_dataset, require_images
from rsitr.data.duplicates import hash_images
from rsitr.data.merge import merge_training
from rsitr.data.pictures import require_readable
from rsitr.errors import ConfigError, DataError

__all__ = ["DATA_ROOTS", "RunPictures", "find_data_root", "find_pictures", "load_sets", "look_through"]

DATA_ROOTS = ("data", "../shared/data")


def find_data_root(given: Path | None) -> Path | None:
    """The folder of data sets: as given, else $RSITR_DATA, else `data` or `../shared/data` where they exist."""
    if given is not None:
        return given
    named = os.environ.get("RSITR_DATA")
    if named:
        return Path(named)
    return next((Path(root) for root in DATA_ROOTS if Path(root).is_dir()), None)


def load_sets(config: TrainConfig, *, specs: Sequence[str], root: Path | None) -> list[CaptionDataset]:
    """The config's data sets, each from `specs` (`NAME:FOLDER`) or from the folder of its name under `root`.

    Raises:
        DataError: one is not there.
        ConfigError: a spec names a set that the config doesn't train on.
    """
    given = {spec.partition(":")[0]: spec for spec in specs}
    unknown = given.keys() - set(config.data.sets)
    if unknown:
        raise ConfigError(f"{config.name} trains on {', '.join(config.data.sets)}, not on {', '.join(sorted(unknown))}")
    sets = []
    for name in config.data.sets:
        if name not in given and root is None:
            raise DataError(f"where is data set {name}? give --data {name}:FOLDER, or --data-root with folders by name")
        sets.append(load_dataset(given.get(name) or f"{name}:{cast('Path', root) / name}"))
    return sets


@dataclass(frozen=True, kw_only=True)
class RunPictures:
    """What a run looks at: training pictures, and those of the validation splits by the name of their data set."""

    sets: Sequence[CaptionDataset]
    training: list[CaptionedImage]
    validation: dict[str, list[CaptionedImage]]

    @property
    def everything(self) -> list[CaptionedImage]:
        """The training pictures, then those of the validation splits."""
        return [*self.training, *(image for images in self.validation.values() for image in images)]


def find_pictures(config: TrainConfig, *, specs: Sequence[str], root: Path | None) -> RunPictures:
    """The pictures of the config's data sets, all of which are there; what is held out anywhere is not trained on."""
    sets = load_sets(config, specs=specs, root=root)
    held_out = {image.path for dataset in sets for image in dataset.images if image.split != "train"}
    found = RunPictures(
        sets=sets,
        training=[image for dataset in sets for image in dataset.split("train") if image.path not in held_out],
        validation={dataset.name: list(dataset.split("val")) for dataset in sets},
    )
    require_images(found.everything)
    return found


def look_through(pictures: RunPictures, config: TrainConfig, *, on_hash: Callable[[int, int], None]) -> RunPictures:
    """The pictures, of which each can be read; without those that are there twice, where the config says so."""
    if config.data.duplicates == "drop":
        unique = _without_duplicates(pictures.training, sets=pictures.sets, on_hash=on_hash)
        return dataclasses.replace(pictures, training=unique)
    everything, done = pictures.everything, itertools.count(1)
    require_readable(everything, on_picture=lambda: on_hash(next(done), len(everything)))
    return pictures


def _without_duplicates(
    training: Sequence[CaptionedImage], *, sets: Sequence[CaptionDataset], on_hash: Callable[[int, int], None]
) -> list[CaptionedImage]:
    """The training pictures that occur once, and in no held-out split of any of the sets."""
    total, done = sum(len(dataset.images) for dataset in sets), itertools.count(1)
    hashed = hash_images(sets, on_picture=lambda: on_hash(next(done), total))
    if hashed.unreadable:
        first = hashed.unreadable[0]
        raise DataError(
            f"{len(hashed.unreadable):,} pictures cannot be read, the first is {first.image.path}: {first.fault}; "
            "`rsitr data check` lists them"
        )
    kept = {entry.image.image_id for entry in merge_training(hashed).kept}
    return [image for image in training if image.image_id in kept]
