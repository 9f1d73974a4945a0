"""Duplicate pictures: perceptual hashes (pHash), and the search for hashes that differ in a few bits (METHODS 1.10).

Two pictures are exact duplicates if their decoded pixels are equal, and near duplicates if their 64-bit hashes differ
in at most `max_distance` bits. A pHash says which of the 63 lowest frequencies of the picture, scaled to 32 x 32 grey
pixels, lie above their median: it survives compression and scaling, not mirroring or turning. In a picture with hardly
any structure (desert, open sea) it holds little, so that different pictures of this kind come close as well.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray

from rsitr.data.pictures import map_pictures
from rsitr.data.records import CaptionDataset, CaptionedImage
from rsitr.errors import ConfigError, DataError
from rsitr.pictures import describe_fault, open_picture
from rsitr.types import Progress, no_progress

__all__ = ["HashedImage", "HashedImages", "NearDuplicates", "UnreadableImage", "hash_images"]

MAX_DISTANCE = 16
"""Beyond, different pictures are as close as altered copies: two random hashes differ in 32 bits on average."""

_BITS = 64
_BLOCK = 1024
_BIT_COUNTS = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HashedImage:
    """A picture of a data set with what tells whether it is there twice.

    Attributes:
        image: the picture with its captions and its split.
        dataset: name of its data set, unique among those looked at.
        pixels: hex digest of size and decoded RGB pixels.
        phash: 64-bit perceptual hash.
    """

    image: CaptionedImage
    dataset: str
    pixels: str
    phash: int

    @property
    def group(self) -> tuple[str, str]:
        """Data set and split."""
        return self.dataset, self.image.split


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """A picture that could not be decoded, and why."""

    image: CaptionedImage
    dataset: str
    fault: str


@dataclass(frozen=True, slots=True)
class HashedImages:
    """The pictures of one or several data sets, in their order, and those that are of no use."""

    images: tuple[HashedImage, ...]
    unreadable: tuple[UnreadableImage, ...]


def hash_images(datasets: Sequence[CaptionDataset], *, progress: Progress = no_progress) -> HashedImages:
    """Decode every picture of all splits and hash it, several at a time.

    Args:
        datasets: of one name each, or they could not be told apart.
        progress: called after each picture, in the caller's thread.

    Raises:
        DataError: two data sets have one name, or no picture at all can be read.
    """
    names = [dataset.name for dataset in datasets]
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                f"two of the data sets are called {name}: name each once (a table is called as its file is)"
            )
    todo = [(dataset.name, image) for dataset in datasets for image in dataset.images]
    results = map_pictures(lambda entry: _hash_image(*entry), todo, progress=progress)
    images = [result for result in results if isinstance(result, HashedImage)]
    unreadable = [result for result in results if isinstance(result, UnreadableImage)]
    if not images:
        first = unreadable[0]
        raise DataError(
            f"none of the {len(unreadable):,} pictures can be read, the first is {first.image.path}: {first.fault}; "
            "put the image folder beside the annotation file"
        )
    return HashedImages(images=tuple(images), unreadable=tuple(unreadable))


def _hash_image(dataset: str, image: CaptionedImage) -> HashedImage | UnreadableImage:
    try:
        picture = open_picture(image.path)
    except Exception as error:  # decoders raise anything on damaged bytes (OSError, SyntaxError, struct.error, ...)
        return UnreadableImage(image=image, dataset=dataset, fault=describe_fault(error, image.path))
    digest = hashlib.sha256(f"{picture.width} {picture.height} ".encode() + picture.tobytes())
    return HashedImage(
        image=image, dataset=dataset, pixels=digest.hexdigest(), phash=int(str(imagehash.phash(picture)), base=16)
    )


class NearDuplicates:
    """Who is close to whom in a list of 64-bit hashes.

    Hashes that differ in at most d bits agree on at least one of d + 1 bands of bits, so only hashes that share a band
    are compared. Equal hashes are one entry of the search, however many pictures have them.
    """

    def __init__(self, hashes: Sequence[int], *, max_distance: int) -> None:
        """Search among all pairs.

        Args:
            hashes: 64-bit, as unsigned integers.
            max_distance: most bits in which two may differ (Hamming distance).

        Raises:
            ConfigError: `max_distance` is negative or so large that it means nothing.
        """
        if not 0 <= max_distance <= MAX_DISTANCE:
            raise ConfigError(f"the distance must be 0 to {MAX_DISTANCE} of 64 bits, got {max_distance}")
        unique, self._entry = np.unique(np.array(hashes, dtype=np.uint64), return_inverse=True)
        by_entry = np.argsort(self._entry, kind="stable")
        self._members = np.split(by_entry, np.searchsorted(self._entry[by_entry], np.arange(1, len(unique))))
        self._close: list[list[tuple[int, int]]] = [[(0, entry)] for entry in range(len(unique))]
        left, right, distance = _close_pairs(unique, max_distance=max_distance)
        for one, other, bits in zip(left.tolist(), right.tolist(), distance.tolist(), strict=True):
            self._close[one].append((bits, other))
            self._close[other].append((bits, one))

    def of(self, index: int) -> list[tuple[int, int]]:
        """(index of another hash, distance) of everything close to one, the closest first, then by index."""
        found = [
            (distance, int(member))
            for distance, entry in self._close[int(self._entry[index])]
            for member in self._members[entry]
            if member != index
        ]
        return [(member, distance) for distance, member in sorted(found)]


def _close_pairs(unique: NDArray[np.uint64], *, max_distance: int) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs left < right of different hashes within the distance, and the distances; each pair once."""
    n = len(unique)
    edges = np.linspace(0, _BITS, max_distance + 2).round().astype(np.uint64)
    codes: list[IntArray] = [np.zeros(0, dtype=np.int64)]
    for low, high in itertools.pairwise(edges):
        width = int(high - low)
        band = (unique >> low) & np.uint64((1 << width) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        codes.extend(
            _pairs_within(members, unique=unique, max_distance=max_distance)
            for members in np.split(order, starts)
            if len(members) > 1
        )
    code = np.unique(np.concatenate(codes))
    left, right = code // n, code % n
    return left, right, _distances(unique[left], unique[right])


def _pairs_within(members: IntArray, *, unique: NDArray[np.uint64], max_distance: int) -> IntArray:
    """Close pairs among the members of one bucket, coded as left * n + right; in blocks, for buckets can be large."""
    n = len(unique)
    members = np.sort(members)
    found = []
    for start in range(0, len(members), _BLOCK):
        rows = members[start : start + _BLOCK]
        columns = members[start:]
        close = _distances(unique[rows][:, None], unique[columns][None, :]) <= max_distance
        row, column = np.nonzero(np.triu(close, k=1))
        found.append(rows[row] * n + columns[column])
    return np.concatenate(found)


def _distances(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> IntArray:
    """Number of differing bits, with broadcasting; numpy has its own `bitwise_count` only from version 2.0 on."""
    different = np.ascontiguousarray(left ^ right)
    words = different.view(np.uint16).reshape(*different.shape, 4)
    counts: IntArray = _BIT_COUNTS[words].sum(axis=-1, dtype=np.int64)
    return counts
