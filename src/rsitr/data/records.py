"""The records of a caption data set: pictures, the sentences that describe them, and the split each belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rsitr.errors import DataError

__all__ = ["CaptionDataset", "CaptionedImage", "canonical_split", "require_images", "sort_splits"]

_SPLIT_SPELLINGS = {"validation": "val", "valid": "val", "dev": "val", "training": "train", "testing": "test"}
_SPLIT_ORDER = ("train", "val", "test")
_MISSING_NAMED = 3


@dataclass(frozen=True, slots=True)
class CaptionedImage:
    """One picture with its captions.

    Attributes:
        image_id: unique in its set, `<set>/<file name as the annotations write it>`.
        path: the picture's resolved file. A file that is absent has the path where it was expected: see
            `require_images`.
        captions: at least one, none blank, white space collapsed, in the file's order; they may repeat.
        split: canonical spelling (`canonical_split`).
        label: class of the picture in words, where the data set tells one.
    """

    image_id: str
    path: Path
    captions: tuple[str, ...]
    split: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class CaptionDataset:
    """A caption data set as loaded from one annotation file.

    Attributes:
        name: `rsicd`, `ucm`, ...; for a table, the file's stem.
        images: in the annotation file's order, image_ids unique.
        sha256: hex digest of the annotation file's bytes.
    """

    name: str
    images: tuple[CaptionedImage, ...]
    sha256: str

    @property
    def splits(self) -> dict[str, int]:
        """Number of images of each split there is; train, val, test first."""
        counts = Counter(image.split for image in self.images)
        return {name: counts[name] for name in sort_splits(counts)}

    def split(self, name: str) -> tuple[CaptionedImage, ...]:
        """The images of one split, in the file's order.

        Raises:
            DataError: there is no image in a split of this name.
        """
        wanted = canonical_split(name)
        chosen = tuple(image for image in self.images if image.split == wanted)
        if not chosen:
            there = ", ".join(f"{split} ({count:,} images)" for split, count in self.splits.items()) or "none"
            raise DataError(f"{self.name} has no split {name!r}; the splits there are: {there}")
        return chosen


def canonical_split(name: str) -> str:
    """Lower case; `validation`, `valid` and `dev` are `val`.

    >>> canonical_split("Validation")
    'val'
    """
    name = name.strip().lower()
    return _SPLIT_SPELLINGS.get(name, name)


def sort_splits(names: Iterable[str]) -> list[str]:
    """Train, val, test, then the others by name."""
    known = {name: place for place, name in enumerate(_SPLIT_ORDER)}
    return sorted(set(names), key=lambda name: (known.get(name, len(known)), name))


def require_images(images: Iterable[CaptionedImage]) -> None:
    """Make sure that every picture's file exists, before work starts that would need it halfway.

    Raises:
        DataError: some are missing; the message names the first few and says how many.
    """
    chosen = tuple(images)
    missing = [image for image in chosen if not image.path.is_file()]
    if not missing:
        return
    named = ", ".join(str(image.path) for image in missing[:_MISSING_NAMED])
    more = f" and {len(missing) - _MISSING_NAMED:,} more" if len(missing) > _MISSING_NAMED else ""
    raise DataError(
        f"{len(missing):,} of {len(chosen):,} pictures are missing: {named}{more}; "
        "put the data set's image folder beside its annotation file (`rsitr data check` lists what is missing)"
    )
