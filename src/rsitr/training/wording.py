"""What can be said of the pictures: each one's captions, names of its class, and what of a batch's texts fits which."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsitr.data.labels import spell_label
from rsitr.training.rows import RowTable

__all__ = ["FRAMES", "Wording", "read_names"]

FRAMES = (
    *("{}", "a satellite image of {}", "an aerial photograph of {}", "{} seen from above"),
    *("there is {} in the picture", "a {}", "many {}", "some {}"),
)
"""Sentences that names are put into."""
NAMES_FILE = Path(__file__).parent / "recipes" / "lookout_names.json"
UNKNOWN, NO_NAME = -1, -2
Numbers = NDArray[np.int64]


def read_names() -> dict[str, list[str]]:
    """Names of classes and synonyms of them, by the label as data sets are loaded with it.

    >>> read_names()["bare land"][:2]
    ['bare land', 'bare ground']
    """
    table = json.loads(NAMES_FILE.read_text(encoding="utf-8"))
    return {spell_label(label): list(names) for label, names in table.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Wording:
    """Texts by number: the distinct captions, then the names of classes in every frame.

    Captions are one where they differ in capitals or in a full stop.

    Attributes:
        texts: as they are read.
        owned: (n_images, widest) numbers of each picture's captions, distinct and in order, filled up with -1.
        named: numbers of the names of a class, by its number.
        classes: (n_images,) class numbers, in the order of the labels; -1 where a picture has none.
        n_classes: how many there are.
        class_of: (n_texts,) the class that a text names, -2 for other texts.
    """

    texts: tuple[str, ...]
    owned: Numbers
    named: dict[int, Numbers]
    classes: Numbers
    n_classes: int
    class_of: Numbers

    @classmethod
    def of(cls, table: RowTable) -> Wording:
        """What can be said of a table's pictures."""
        numbers: dict[str, int] = {}
        texts: list[str] = []

        def number(text: str) -> int:
            key = text.lower().strip(" .")
            if key not in numbers:
                numbers[key] = len(texts)
                texts.append(text)
            return numbers[key]

        own = [sorted({number(caption) for caption in image.captions}) for image in table.images]
        owned = np.full((len(own), max(map(len, own))), UNKNOWN, dtype=np.int64)
        for place, known in enumerate(own):
            owned[place, : len(known)] = known
        labels = [None if image.label is None else spell_label(image.label) for image in table.images]
        order = sorted({label for label in labels if label is not None})
        named = {
            order.index(label): np.array([number(frame.format(name)) for name in names for frame in FRAMES])
            for label, names in read_names().items()
            if label in order
        }
        class_of = np.full(len(texts), NO_NAME, dtype=np.int64)
        for place, known_as in named.items():
            class_of[known_as] = place
        return cls(
            texts=tuple(texts),
            owned=owned,
            named=named,
            classes=np.array([UNKNOWN if label is None else order.index(label) for label in labels]),
            n_classes=len(order),
            class_of=class_of,
        )

    @property
    def sha256(self) -> str:
        """Digest of the texts and of the pictures' classes."""
        digest = hashlib.sha256("\n".join(self.texts).encode())
        for numbers in (self.owned, self.classes, self.class_of):
            digest.update(numbers.tobytes())
        return digest.hexdigest()

    def draw(self, images: Numbers, *, count: int, named: float, rng: np.random.Generator) -> Numbers:
        """Texts for pictures (B,) -> (B * count,), picture after picture.

        Args:
            images: by number.
            count: captions of a picture, each once where it has so many.
            named: share of the pictures whose last text is a name of their class.
            rng: what draws.
        """
        drawn: list[int] = []
        for image in images:
            own = self.owned[image]
            own = own[own >= 0]
            some = rng.choice(own, count, replace=len(own) < count).tolist()
            names = self.named.get(int(self.classes[image]))
            if names is not None and rng.random() < named:
                some[-1] = int(rng.choice(names))
            drawn += some
        return np.array(drawn)

    def fits(self, images: Numbers, texts: Numbers) -> NDArray[np.bool_]:
        """(B,) pictures and (T,) texts -> (B, T): is it a caption of the picture, or a name of its class?"""
        caption = (texts[None, :, None] == self.owned[images][:, None]).any(axis=-1)
        return np.asarray(caption | (self.classes[images][:, None] == self.class_of[texts][None]))
