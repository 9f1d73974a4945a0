"""The data sets that a training takes together, and the pictures in them that it looks at."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rsitr.data.duplicates import hash_images
from rsitr.data.merge import merge_training
from rsitr.data.pictures import require_readable
from rsitr.data.records import CaptionDataset, CaptionedImage, canonical_split, require_images
from rsitr.data.sources import load_dataset
from rsitr.errors import ConfigError, DataError
from rsitr.types import Progress, no_progress

__all__ = ["DATA_ROOTS", "Collection", "find_data_root", "load_collection", "load_sets", "look_through"]

DATA_ROOTS = ("data", "../shared/data")
TRAINED = ("train",)
MEASURED = ("val", "test")
"""Splits that no training may see."""


def find_data_root(given: Path | None) -> Path | None:
    """The folder of data sets: as given, else $RSITR_DATA, else `data` or `../shared/data` where they exist."""
    if given is not None:
        return given
    named = os.environ.get("RSITR_DATA")
    if named:
        return Path(named)
    return next((Path(root) for root in DATA_ROOTS if Path(root).is_dir()), None)


@dataclass(frozen=True, kw_only=True)
class Collection:
    """What a training looks at: training pictures, and those of the validation splits by the name of their data set.

    Attributes:
        sets: the data sets.
        training: pictures of the splits that are trained on.
        validation: pictures of `val`, by data set.
        splits: the splits that are trained on.
    """

    sets: Sequence[CaptionDataset]
    training: list[CaptionedImage]
    validation: dict[str, list[CaptionedImage]]
    splits: tuple[str, ...] = TRAINED

    @property
    def everything(self) -> list[CaptionedImage]:
        """The training pictures, then those of the validation splits."""
        return [*self.training, *(image for images in self.validation.values() for image in images)]

    @property
    def captions_by_set(self) -> dict[str, list[tuple[str, ...]]]:
        """The captions of each picture of each data set's training splits, left-out pictures included."""
        return {
            dataset.name: [tuple(image.captions) for image in _trained(dataset, self.splits)] for dataset in self.sets
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Which splits are neither trained on nor the usual ones for measuring, and how to train on them."""
        idle = [
            (dataset.name, split, count)
            for dataset in self.sets
            for split, count in dataset.splits.items()
            if split not in (*self.splits, *MEASURED)
        ]
        return tuple(
            f"{name}: {count:,} images of the split {split} are not used; --splits {','.join((*self.splits, split))} "
            "trains on them"
            for name, split, count in idle
        )

    @property
    def data_sha256(self) -> dict[str, str]:
        """Of each data set's annotation file."""
        return {dataset.name: dataset.sha256 for dataset in self.sets}


def load_sets(
    names: Sequence[str], *, given: Sequence[str | CaptionDataset] = (), root: Path | None, user: str
) -> list[CaptionDataset]:
    """Data sets by their names, each as it is given, or from the folder of its name under `root`.

    Args:
        names: in the order of the result.
        given: `NAME:FOLDER`, or loaded data sets.
        root: folder of data sets.
        user: what trains on them, for messages.

    Raises:
        DataError: one is not there.
        ConfigError: a data set is given that is not named.
    """
    by_name = {one.name if isinstance(one, CaptionDataset) else one.partition(":")[0]: one for one in given}
    unknown = by_name.keys() - set(names)
    if unknown:
        raise ConfigError(
            f"{user} trains on {', '.join(names)}, not on {', '.join(sorted(unknown))}; "
            f"--set data.sets=[{','.join(sorted(by_name))}] has it train on what is given"
        )
    sets = []
    for name in names:
        own = by_name.get(name)
        if own is None and root is None:
            raise DataError(f"where is data set {name}? give --data {name}:FOLDER, or --data-root with folders by name")
        sets.append(own if isinstance(own, CaptionDataset) else load_dataset(own or f"{name}:{root}/{name}"))
    return sets


def load_collection(
    names: Sequence[str],
    *,
    given: Sequence[str | CaptionDataset] = (),
    root: Path | None,
    user: str,
    splits: Sequence[str] = TRAINED,
) -> Collection:
    """The pictures of data sets, all of which are there; what is held out anywhere is not trained on.

    Args:
        names: of the data sets.
        given: `NAME:FOLDER`, or loaded data sets.
        root: folder of the others.
        user: what trains on them, for messages.
        splits: what is trained on: of each data set those that it has, in the data set's order.

    Raises:
        DataError: a data set, a split of it, or a picture is not there; no data set has one of the splits.
        ConfigError: a data set is given that is not named, or a split that measures is to be trained on.
    """
    trained = tuple(dict.fromkeys(map(canonical_split, splits)))
    for split in trained:
        if split in MEASURED:
            raise ConfigError(f"the split {split} is for measuring: a model that has seen it measures nothing there")
    sets = load_sets(names, given=given, root=root, user=user)
    for split in trained:
        if not any(split in dataset.splits for dataset in sets):
            there = dict.fromkeys(name for dataset in sets for name in dataset.splits)
            raise DataError(f"{', '.join(names)}: no data set has a split {split!r}; there are {', '.join(there)}")
    held_out = {image.path for dataset in sets for image in dataset.images if image.split not in trained}
    found = Collection(
        sets=sets,
        training=[image for dataset in sets for image in _trained(dataset, trained) if image.path not in held_out],
        validation={dataset.name: list(dataset.split("val")) for dataset in sets},
        splits=trained,
    )
    require_images(found.everything)
    return found


def _trained(dataset: CaptionDataset, splits: Sequence[str]) -> list[CaptionedImage]:
    """A data set's training pictures, in its order.

    Raises:
        DataError: it has none.
    """
    found = [image for image in dataset.images if image.split in splits]
    return found or list(dataset.split(splits[0]))  # which says what splits there are


def look_through(
    collection: Collection, *, duplicates: Literal["keep", "drop"], progress: Progress = no_progress
) -> Collection:
    """The collection, of which each picture can be read.

    Args:
        collection: whose pictures are there.
        duplicates: `drop` the training pictures that occur twice, or in a held-out split of any of the sets.
        progress: called after each picture.

    Raises:
        DataError: a picture cannot be read.
    """
    if duplicates == "drop":
        unique = _without_duplicates(collection, progress=progress)
        return dataclasses.replace(collection, training=unique)
    require_readable(collection.everything, progress=progress)
    return collection


def _without_duplicates(collection: Collection, *, progress: Progress) -> list[CaptionedImage]:
    hashed = hash_images(collection.sets, progress=progress)
    if hashed.unreadable:
        first = hashed.unreadable[0]
        raise DataError(
            f"{len(hashed.unreadable):,} pictures cannot be read, the first is {first.image.path}: {first.fault}; "
            "`rsitr data check` lists them"
        )
    merged = merge_training(hashed, splits=collection.splits)
    kept = {entry.image.image_id for entry in merged.kept}
    return [image for image in collection.training if image.image_id in kept]
