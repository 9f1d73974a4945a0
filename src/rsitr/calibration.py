"""What makes a model's scores probabilities, the file that it travels in, and what is said of an answer by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from rsitr.errors import ModelError
from rsitr.files import write_file
from rsitr.types import FloatArray

__all__ = [
    "CALIBRATION_FILE",
    "DENIED",
    "Calibration",
    "RelevanceFit",
    "State",
    "judge",
    "read_calibration",
    "write_calibration",
]

CALIBRATION_FILE = "calibration.safetensors"
DENIED = 0.2
"""Relevance below which it is said that nothing is there; between this and the threshold nothing is sure."""
STEPS = 127
"""Reference tiles are kept in eight bits: their cosines are right to a hundredth."""

State = Literal["matches", "unsure", "nothing"]


@dataclass(frozen=True, slots=True)
class RelevanceFit:
    """How evidence becomes relevance for one kind of query: see :mod:`rsitr.search.relevance`.

    Attributes:
        intercept: log-odds where both kinds of evidence are 0.
        by_score: weight of the cosine of query and tile.
        by_place: weight of how that cosine stands among those of the reference tiles.
    """

    intercept: float
    by_score: float
    by_place: float


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What makes a model's scores probabilities. It travels with the model, or with an index that it made.

    Attributes:
        references: (n, dim) unit vectors of tiles of many kinds.
        words: for queries of words.
        pictures: for example pictures and tiles.
        known: words that the model has read in captions, in lower case; empty where nobody has noted them.
        about: on what it was fitted, and how well it does there.
    """

    references: FloatArray
    words: RelevanceFit
    pictures: RelevanceFit
    known: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)


def judge(relevance: float | None, *, threshold: float) -> State | None:
    """What is said of an answer whose best relevance this is; None where it is not known.

    >>> [judge(value, threshold=0.5) for value in (0.7, 0.3, 0.1, None)]
    ['matches', 'unsure', 'nothing', None]
    """
    if relevance is None:
        return None
    if relevance >= threshold:
        return "matches"
    return "unsure" if relevance >= DENIED else "nothing"


def write_calibration(folder: Path, calibration: Calibration, *, fingerprint: str) -> Path:
    """Put a calibration into the folder of a checkpoint or an index; it appears whole or not at all.

    Args:
        folder: of the checkpoint, or of the index.
        calibration: of the model.
        fingerprint: of the model: it is read for no other one.

    Raises:
        ModelError: it cannot be written there.
    """
    from safetensors.numpy import save

    about = {
        "fingerprint": fingerprint,
        "words": asdict(calibration.words),
        "pictures": asdict(calibration.pictures),
        "known": sorted(calibration.known),
        "about": dict(calibration.about),
    }
    peaks = np.abs(calibration.references).max(axis=1, keepdims=True)
    stored = np.round(calibration.references / peaks * STEPS).astype(np.int8)  # the length does not matter
    path = folder / CALIBRATION_FILE
    write_file(path, save({"references": stored}, metadata={"calibration": json.dumps(about)}), error=ModelError)
    return path


def read_calibration(folder: Path, *, fingerprint: str) -> Calibration | None:
    """The calibration of a model from a folder; None where there is none, or that of another model.

    Raises:
        ModelError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            told = json.loads((file.metadata() or {})["calibration"])
            if told["fingerprint"] != fingerprint:
                return None
            stored = np.asarray(file.get_tensor("references"), dtype=np.float32)
        return Calibration(
            references=stored / np.linalg.norm(stored, axis=1, keepdims=True),
            words=RelevanceFit(**told["words"]),
            pictures=RelevanceFit(**told["pictures"]),
            known=tuple(told["known"]),
            about=dict(told["about"]),
        )
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path} is no calibration ({error}); remove it, or make it again: rsitr calibrate") from error
