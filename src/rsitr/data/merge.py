"""One training set out of several: no picture twice, and none that a measurement needs (METHODS 1.10)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from rsitr.data.duplicates import HashedImage, HashedImages, NearDuplicates

__all__ = ["DropReason", "DroppedImage", "MergedTraining", "merge_training"]

TRAIN = "train"


class DropReason(StrEnum):
    """Why a training picture is left out; the value is what a person reads."""

    HELD_OUT = "also in a validation or test split"
    DUPLICATE = "already in the training set"


@dataclass(frozen=True, slots=True)
class DroppedImage:
    """A training picture that is left out, with the picture on account of which it is.

    Attributes:
        hashed: what is left out.
        reason: why.
        twin: the held-out picture, or the training picture that is kept.
        distance: differing bits of their hashes.
        exact: whether their pixels are equal.
    """

    hashed: HashedImage
    reason: DropReason
    twin: HashedImage
    distance: int
    exact: bool


@dataclass(frozen=True, slots=True)
class MergedTraining:
    """Training pictures that are kept, in their order, and those that are not."""

    kept: tuple[HashedImage, ...]
    dropped: tuple[DroppedImage, ...]


def merge_training(
    hashed: HashedImages,
    *,
    trained: Callable[[str], bool] = lambda _: True,
    splits: Collection[str] = (TRAIN,),
    max_distance: int = 2,
) -> MergedTraining:
    """Choose the training pictures.

    One after the other, in the order of the data sets: a picture that is close to any held-out one is dropped, then one
    that is close to a picture already kept. So every dropped picture has its twin in the result or in a held-out split,
    and chains (A close to B, B to C, A not to C) don't pull in pictures that resemble nothing that is kept.

    Args:
        hashed: the pictures of all splits of all data sets; every split that is not trained on is held out.
        trained: by name of a data set, whether its training split takes part. Held-out splits always count.
        splits: the splits that are trained on.
        max_distance: most bits in which the hashes of duplicates differ.

    Raises:
        ConfigError: an impossible distance.
    """
    images = hashed.images
    near = NearDuplicates([image.phash for image in images], max_distance=max_distance)
    kept: dict[int, None] = {}
    dropped: list[DroppedImage] = []
    for index, image in enumerate(images):
        if image.image.split not in splits or not trained(image.dataset):
            continue
        close = near.of(index)
        held_out = [pair for pair in close if images[pair[0]].image.split not in splits]
        twins = held_out or [pair for pair in close if pair[0] in kept]
        if not twins:
            kept[index] = None
            continue
        twin, distance = min(twins, key=lambda pair: (pair[1], images[pair[0]].pixels != image.pixels))
        dropped.append(
            DroppedImage(
                hashed=image,
                reason=DropReason.HELD_OUT if held_out else DropReason.DUPLICATE,
                twin=images[twin],
                distance=distance,
                exact=images[twin].pixels == image.pixels,
            )
        )
    return MergedTraining(kept=tuple(images[index] for index in kept), dropped=tuple(dropped))
