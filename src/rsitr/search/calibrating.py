"""Fit what makes a model's scores probabilities, on labelled pictures that it was not trained on."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rsitr.calibration import Calibration, RelevanceFit
from rsitr.data import CaptionedImage
from rsitr.errors import DataError
from rsitr.pictures import read_picture
from rsitr.search.logistic import fit_logistic
from rsitr.search.relevance import relevance_evidence
from rsitr.types import Encoder, FloatArray, ImageArray, Progress, no_progress

__all__ = ["CHANGES", "REFERENCES", "calibrate", "read_words"]

REFERENCES = 1000
"""Reference tiles that are kept, evenly spread over what is given."""
FRAMES = ("{}", "a satellite image of {}")
BATCH = 64
LEAST_CLASSES = 5
SEEN = 2
"""Captions of how many pictures must hold a word for the model to know it."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "agricultural": ("farmland", "crop fields"),
    "chaparral": ("chaparral", "bushes"),
    "airplane": ("airplane", "planes"),
    "dense residential": ("dense residential area", "dense houses"),
    "forest": ("forest", "trees"),
    "freeway": ("freeway", "highway"),
    "harbor": ("harbor", "boats"),
    "intersection": ("road intersection",),
    "medium residential": ("residential area", "houses"),
    "mobile home park": ("mobile homes",),
    "parking lot": ("parking lot", "cars"),
    "sparse residential": ("sparse residential area", "a house among trees"),
}
"""How people ask for some classes of UCM; others are asked for by their own names."""
BESIDE: Mapping[str, str] = {
    "buildings": "dense residential|medium residential|sparse residential|mobile home park|tennis court|parking lot|"
    "storage tanks",
    "dense residential": "medium residential|mobile home park|buildings",
    "medium residential": "dense residential|sparse residential|mobile home park|buildings",
    "sparse residential": "medium residential|forest",
    "mobile home park": "dense residential|medium residential",
    "forest": "sparse residential|river|golf course|medium residential|chaparral|tennis court",
    "freeway": "overpass|intersection|runway",
    "overpass": "freeway|intersection",
    "intersection": "overpass|freeway|dense residential|medium residential|buildings",
    "parking lot": "buildings|mobile home park|dense residential|medium residential|intersection|freeway|overpass|"
    "harbor|tennis court",
    "airplane": "runway",
    "runway": "airplane|freeway",
    "beach": "river",
    "river": "beach",
    "chaparral": "forest|sparse residential",
}
"""Classes of UCM whose pictures may show what another one is called by: these pairs say nothing, and are left out."""


def _reduced(picture: ImageArray, by: int) -> ImageArray:
    height, width = picture.shape[:2]
    small = Image.fromarray(picture).resize((max(8, width // by), max(8, height // by)), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def _middle(picture: ImageArray) -> ImageArray:
    height, width = picture.shape[:2]
    middle: ImageArray = picture[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return middle


def _coloured(picture: ImageArray, by: tuple[float, float, float], *, haze: float = 0.0) -> ImageArray:
    mixed = picture * np.array(by) * (1 - haze) + haze * np.array((200.0, 205.0, 215.0))
    coloured: ImageArray = np.clip(mixed, 0, 255).astype(np.uint8)
    return coloured


def _compressed(picture: ImageArray) -> ImageArray:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=20)
    return np.array(Image.open(file), dtype=np.uint8)


CHANGES: Mapping[str, Callable[[ImageArray], ImageArray]] = {
    "as it is": lambda picture: picture,
    "twice as coarse": lambda picture: _reduced(picture, 2),
    "four times as coarse": lambda picture: _reduced(picture, 4),
    "twice as fine": _middle,
    "hazy": lambda picture: _coloured(picture, (1.0, 1.0, 1.0), haze=0.4),
    "flat": lambda picture: np.clip((picture - picture.mean()) * 0.5 + picture.mean(), 0, 255).astype(np.uint8),
    "dark": lambda picture: _coloured(picture, (0.6, 0.6, 0.6)),
    "yellowish": lambda picture: _coloured(picture, (1.15, 1.0, 0.75)),
    "bluish": lambda picture: _coloured(picture, (0.8, 1.05, 1.1)),
    "compressed": _compressed,
    "turned": np.rot90,
}
"""What another sensor, another day or another file may make of a picture."""


@dataclass(frozen=True, eq=False)
class _Labelled:
    """Vectors (n, dim) of labelled pictures in every change, and their classes."""

    by_change: list[FloatArray]
    classes: NDArray[np.str_]


def calibrate(
    encoder: Encoder,
    *,
    labelled: Sequence[CaptionedImage],
    references: Sequence[CaptionedImage],
    known: Iterable[str] = (),
    about: str = "",
    progress: Progress = no_progress,
) -> Calibration:
    """Fit a model's calibration.

    Args:
        encoder: the model.
        labelled: pictures with classes that it was not trained on, e.g. a validation split.
        references: pictures of many kinds, whose vectors travel with the model.
        known: words that it has read; see :func:`read_words`.
        about: what the data are called.
        progress: called with the pictures done and their number.

    Raises:
        DataError: a picture cannot be read, or there are too few classes.
    """
    labelled = [image for image in labelled if image.label]
    classes = np.array([image.label for image in labelled])
    if len(set(classes)) < LEAST_CLASSES:
        raise DataError(
            f"calibration needs pictures of {LEAST_CLASSES} classes or more, and these are of {len(set(classes))}"
        )
    kept = [references[place] for place in np.unique(np.linspace(0, len(references) - 1, REFERENCES).astype(int))]
    total = len(labelled) * len(CHANGES) + len(kept)
    done = 0

    def encode(images: Sequence[CaptionedImage], change: Callable[[ImageArray], ImageArray]) -> FloatArray:
        nonlocal done
        rows = []
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            pictures = [np.ascontiguousarray(change(read_picture(image.path))) for image in part]
            rows.append(encoder.encode_images(pictures).global_emb)
            done += len(part)
            progress(done, total)
        return np.concatenate(rows)

    vectors = encode(kept, CHANGES["as it is"])
    seen = _Labelled([encode(labelled, change) for change in CHANGES.values()], classes)
    words, auc_words = _fit(*_ask_words(encoder, seen, vectors))
    pictures, auc_pictures = _fit(*_ask_pictures(seen, vectors))
    told = {"data": about, "auc_words": f"{auc_words:.4f}", "auc_pictures": f"{auc_pictures:.4f}"}
    return Calibration(references=vectors, words=words, pictures=pictures, known=tuple(sorted(set(known))), about=told)


def read_words(images: Iterable[CaptionedImage]) -> set[str]:
    """The words that a model trained on these captions has read often enough to know."""
    counts: dict[str, int] = {}
    for image in images:
        for word in {word for caption in image.captions for word in re.findall(r"[a-z]+", caption.lower())}:
            counts[word] = counts.get(word, 0) + 1
    return {word for word, count in counts.items() if count >= SEEN}


def _ask_words(encoder: Encoder, seen: _Labelled, references: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    evidence, right = [], []
    for name in sorted(set(seen.classes)):
        told = ~np.isin(seen.classes, BESIDE.get(name, "").split("|"))
        asked = [frame.format(word) for word in NAMES.get(name, (name,)) for frame in FRAMES]
        for query in encoder.encode_texts(asked).global_emb:
            for vectors in seen.by_change:
                evidence.append(relevance_evidence(query, tiles=vectors[told], references=references))
                right.append(seen.classes[told] == name)
    return np.concatenate(evidence), np.concatenate(right)


def _ask_pictures(seen: _Labelled, references: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Every picture as it is asks for its like, among the others in another change each."""
    evidence, right = [], []
    for number, (query, name) in enumerate(zip(seen.by_change[0], seen.classes, strict=True)):
        told = ~np.isin(seen.classes, BESIDE.get(name, "").split("|"))
        told[number] = False
        tiles = seen.by_change[number % len(seen.by_change)][told]
        evidence.append(relevance_evidence(query, tiles=tiles, references=references))
        right.append(seen.classes[told] == name)
    return np.concatenate(evidence), np.concatenate(right)


def _fit(evidence: FloatArray, right: NDArray[np.bool_]) -> tuple[RelevanceFit, float]:
    """The fit, and the area under the ROC curve on its own data."""
    found = fit_logistic(evidence, right)
    by_score, by_place = found.weights.tolist()
    fit = RelevanceFit(intercept=found.intercept, by_score=by_score, by_place=by_place)
    return fit, _auc(found.log_odds(evidence), right)


def _auc(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The share of pairs of a right and a wrong row in which the right one scores higher; ties count half."""
    ordered = np.sort(scores[~right])
    below, upto = (np.searchsorted(ordered, scores[right], side=side) for side in ("left", "right"))
    return float((below + upto).mean() / (2 * len(ordered)))
