"""Which pictures are in more than one place: between the splits of a data set, and between data sets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rsitr.data.duplicates import HashedImage, HashedImages, NearDuplicates
from rsitr.data.records import sort_splits

__all__ = ["Group", "GroupPair", "LeakageReport", "Match", "find_leakage"]

Group = tuple[str, str]
"""Data set and split."""


@dataclass(frozen=True, slots=True)
class Match:
    """A picture and its closest duplicate in another group, or elsewhere in its own.

    Attributes:
        left: the picture.
        right: the closest one there; among equally close ones an exact duplicate, then the first.
        distance: differing bits of the hashes.
        exact: whether the pixels are equal.
    """

    left: HashedImage
    right: HashedImage
    distance: int
    exact: bool


@dataclass(frozen=True, slots=True)
class GroupPair:
    """Two groups (or one with itself) that have pictures in common.

    Attributes:
        left, right: data set and split.
        forward: one match for each picture of `left` that has a duplicate in `right`.
        backward: the same for the pictures of `right`; empty where both are one group.
    """

    left: Group
    right: Group
    forward: tuple[Match, ...]
    backward: tuple[Match, ...]

    @property
    def leaks(self) -> bool:
        """Whether their splits differ, so that what is learned on one shows in what is measured on the other."""
        return self.left[1] != self.right[1]


@dataclass(frozen=True, slots=True)
class LeakageReport:
    """Everything that is there twice.

    Attributes:
        sizes: readable pictures of each group, by data set, then train, val, test.
        pairs: groups with common pictures, in the same order.
        max_distance: most bits in which hashes may differ.
    """

    sizes: dict[Group, int]
    pairs: tuple[GroupPair, ...]
    max_distance: int

    @property
    def leaks(self) -> tuple[GroupPair, ...]:
        """The pairs of groups that must have nothing in common, and do."""
        return tuple(pair for pair in self.pairs if pair.leaks)


def find_leakage(hashed: HashedImages, *, max_distance: int = 2) -> LeakageReport:
    """Look for exact and near duplicates among all pictures.

    Raises:
        ConfigError: an impossible distance.
    """
    images = hashed.images
    near = NearDuplicates([image.phash for image in images], max_distance=max_distance)
    matches: dict[tuple[Group, Group], list[Match]] = {}
    for index, image in enumerate(images):
        closest: dict[Group, tuple[int, bool, int]] = {}
        for other, distance in near.of(index):
            candidate = (distance, images[other].pixels != image.pixels, other)
            group = images[other].group
            closest[group] = min(closest.get(group, candidate), candidate)
        for group, (distance, differs, other) in closest.items():
            match = Match(left=image, right=images[other], distance=distance, exact=not differs)
            matches.setdefault((image.group, group), []).append(match)
    sizes = Counter(image.group for image in images)
    order = _order_groups(images)
    pairs = tuple(
        GroupPair(
            left=left,
            right=right,
            forward=tuple(matches[left, right]),
            backward=tuple(matches.get((right, left), ())) if left != right else (),
        )
        for place, left in enumerate(order)
        for right in order[place:]
        if (left, right) in matches
    )
    return LeakageReport(sizes={group: sizes[group] for group in order}, pairs=pairs, max_distance=max_distance)


def _order_groups(images: tuple[HashedImage, ...]) -> list[Group]:
    splits: dict[str, list[str]] = {}
    for image in images:
        splits.setdefault(image.dataset, []).append(image.image.split)
    return [(dataset, split) for dataset, names in splits.items() for split in sort_splits(names)]
