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
from rsitr.data.records import CaptionDataset, CaptionedImage, require_images
from rsitr.data.sources import load_dataset
from rsitr.errors import ConfigError, DataError
from rsitr.types import Progress, no_progress

__all__ = ["DATA_ROOTS", "Collection", "find_data_root", "load_collection", "load_sets", "look_through"]

DATA_ROOTS = ("data", "../shared/data")


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
    """What a training looks at: training pictures, and those of the validation splits by the name of their data set."""

    sets: Sequence[CaptionDataset]
    training: list[CaptionedImage]
    validation: dict[str, list[CaptionedImage]]

    @property
    def everything(self) -> list[CaptionedImage]:
        """The training pictures, then those of the validation splits."""
        return [*self.training, *(image for images in self.validation.values() for image in images)]

    @property
    def captions_by_set(self) -> dict[str, Sequence[str]]:
        """The captions of each data set's training split, left-out pictures included."""
        return {
            dataset.name: [caption for image in dataset.split("train") for caption in image.captions]
            for dataset in self.sets
        }

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
        raise ConfigError(f"{user} trains on {', '.join(names)}, not on {', '.join(sorted(unknown))}")
    sets = []
    for name in names:
        own = by_name.get(name)
        if own is None and root is None:
            raise DataError(f"where is data set {name}? give --data {name}:FOLDER, or --data-root with folders by name")
        sets.append(own if isinstance(own, CaptionDataset) else load_dataset(own or f"{name}:{root}/{name}"))
    return sets


def load_collection(
    names: Sequence[str], *, given: Sequence[str | CaptionDataset] = (), root: Path | None, user: str
) -> Collection:
    """The pictures of data sets, all of which are there; what is held out anywhere is not trained on.

    Args:
        names: of the data sets.
        given: `NAME:FOLDER`, or loaded data sets.
        root: folder of the others.
        user: what trains on them, for messages.

    Raises:
        DataError: a data set, a split of it, or a picture is not there.
        ConfigError: a data set is given that is not named.
    """
    sets = load_sets(names, given=given, root=root, user=user)
    held_out = {image.path for dataset in sets for image in dataset.images if image.split != "train"}
    found = Collection(
        sets=sets,
        training=[image for dataset in sets for image in dataset.split("train") if image.path not in held_out],
        validation={dataset.name: list(dataset.split("val")) for dataset in sets},
    )
    require_images(found.everything)
    return found


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
    kept = {entry.image.image_id for entry in merge_training(hashed).kept}
    return [image for image in collection.training if image.image_id in kept]
