"""Named detectors: what was learned from marks, kept beside the index as JSON, applied to tiles without any model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from rsitr.errors import QueryError, StoreError
from rsitr.index import IndexFolder
from rsitr.search.kept import KeptSearch
from rsitr.search.seen import drop_seen, move_seen
from rsitr.search.shelf import DETECTORS, require_name
from rsitr.types import FloatArray, Hit, TileFilter

__all__ = [
    "Detector",
    "Find",
    "changing",
    "delete_detector",
    "find_all",
    "find_in_scenes",
    "list_detectors",
    "load_detector",
    "load_detectors",
    "rename_detector",
    "require_same_model",
    "save_detector",
]

LOOK_AT = 256
LOG = logging.getLogger(__name__)
LARGEST_LOGIT = 30.0


@dataclass(frozen=True, slots=True)
class Detector:
    """A linear head on the vectors of tiles: relevance = 1 / (1 + exp(-(weights . x + bias))).

    Attributes:
        name: letters, digits, blanks, `_` and `-`.
        query: what it started from, in words.
        fingerprint: of the model whose vectors it reads.
        weights: (dim,).
        bias: so that relevance is 0.5 at the border between right and wrong.
        right: tiles that were marked right.
        wrong: tiles that were marked wrong.
        gone: tiles that were marked earlier, and had left the index when it last learned: their marks were let go.
        precision: share of right ones among the marked tiles that it finds without having learned from them; None where
            the marks are too few to say.
        search: what it started from, to go on with; None where that had a picture, or was not kept by the rsitr that
            made it.
    """

    name: str
    query: str
    fingerprint: str
    weights: tuple[float, ...]
    bias: float
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    precision: float | None = None
    search: KeptSearch | None = None

    def __post_init__(self) -> None:
        """Raises QueryError for a name that could not be a file's, or weights that say nothing."""
        require_name(self.name, kind="detector")
        if not np.isfinite(self.weights).all() or not np.linalg.norm(self.weights) > 0:
            raise QueryError(f"the detector {self.name} has no direction: mark other hits")

    @property
    def marks(self) -> tuple[tuple[str, bool], ...]:
        """The marked tiles, and whether each is right."""
        return (*((tile, True) for tile in self.right), *((tile, False) for tile in self.wrong))

    @property
    def direction(self) -> FloatArray:
        """The weights as a unit vector: tiles in its order are in the order of their relevance."""
        weights = np.array(self.weights, dtype=np.float32)
        return np.asarray(weights / np.linalg.norm(weights), dtype=np.float32)

    def relevance(self, cosines: FloatArray) -> list[float]:
        """Relevance of tiles from their cosines with `direction`."""
        logits = np.clip(np.linalg.norm(self.weights) * cosines + self.bias, -LARGEST_LOGIT, LARGEST_LOGIT)
        return [float(value) for value in 1.0 / (1.0 + np.exp(-logits))]


@dataclass(frozen=True, slots=True)
class Find:
    """A tile that a detector has found."""

    detector: str
    hit: Hit


def changing(folder: Path) -> AbstractContextManager[None]:
    """Hold an index's detectors from reading one to writing it again; whoever comes second, anywhere, waits.

    Raises:
        StoreError: the folder cannot be written.
    """
    return DETECTORS.changing(folder)


def save_detector(folder: Path, detector: Detector) -> Path:
    """Write a detector into an index's folder, whole or not at all, in place of one of the same name.

    Raises:
        QueryError: it is new, and would be the file of another one where the case of letters is nothing, or no file at
            all on Windows.
        StoreError: the folder cannot be written.
    """
    return DETECTORS.write(folder, detector.name, asdict(detector))


def load_detector(folder: Path, name: str) -> Detector:
    """Read a detector of an index.

    Raises:
        QueryError: there is none of this name.
        StoreError: its file is damaged.
    """
    return cast("Detector", DETECTORS.read(folder, name, Detector))


def load_detectors(folder: Path, *, damaged: Callable[[str], None] = LOG.warning) -> list[Detector]:
    """All detectors of an index that can be read, by name; `damaged` is told of each of the others."""
    return cast("list[Detector]", DETECTORS.read_all(folder, Detector, damaged=damaged))


def list_detectors(folder: Path) -> list[str]:
    """Names of an index's detectors, sorted."""
    return DETECTORS.names(folder)


def delete_detector(folder: Path, name: str) -> None:
    """Remove a detector.

    Raises:
        QueryError: there is none of this name.
        StoreError: its file cannot be removed.
    """
    DETECTORS.delete(folder, name)
    drop_seen(folder, DETECTORS.kind, name)


def rename_detector(folder: Path, name: str, new: str) -> Detector:
    """Give a detector another name.

    Raises:
        QueryError: there is none of this name, or one of the new name, or that cannot be one.
        StoreError: its file is damaged, or cannot be written.
    """
    DETECTORS.require(folder, name)
    with changing(folder):
        renamed = replace(load_detector(folder, name), name=new)
        DETECTORS.rename(folder, name, new, asdict(renamed))
        move_seen(folder, DETECTORS.kind, name, new)
    return renamed


def find_in_scenes(
    index: IndexFolder,
    scenes: Collection[str],
    *,
    threshold: float = 0.5,
    damaged: Callable[[str], None] = LOG.warning,
) -> list[Find]:
    """What an index's detectors find in some of its scenes, e.g. those that are new; no model is loaded for it.

    Detectors of another model are passed over: the index was made anew since. Those that cannot be read are, too, and
    `damaged` is told of each.
    """
    finds: list[Find] = []
    for detector in load_detectors(index.path, damaged=damaged) if scenes else []:
        if detector.fingerprint != index.manifest.model.fingerprint:
            continue
        of_scenes = (hit for hit in find_all(index, detector, threshold=threshold) if hit.tile.scene in scenes)
        finds += [Find(detector.name, hit) for hit in of_scenes]
    return finds


def find_all(index: IndexFolder, detector: Detector, *, threshold: float) -> list[Hit]:
    """All tiles whose relevance reaches the threshold but those that were marked wrong, best first.

    Raises:
        StoreError: the detector was learned with another model.
    """
    require_same_model(detector, index)
    wrong = set(detector.wrong)
    k = LOOK_AT
    while True:
        hits = index.store.search(detector.direction, k=k, where=TileFilter(is_suitable=True))
        relevance = detector.relevance(np.array([hit.score for hit in hits], dtype=np.float32))
        judged = [replace(hit, relevance=value) for hit, value in zip(hits, relevance, strict=True)]
        above = [hit for hit in judged if (hit.relevance or 0.0) >= threshold]
        if len(above) < len(hits) or len(hits) < k:
            return [hit for hit in above if hit.tile.tile not in wrong]
        k *= 4


def require_same_model(detector: Detector, index: IndexFolder) -> None:
    """Raises StoreError unless the detector was learned with the model that made the index."""
    made_by = index.manifest.model
    if detector.fingerprint != made_by.fingerprint or len(detector.weights) != made_by.dim:
        raise StoreError(
            f"{index.path}: the detector {detector.name!r} was learned with another model than the index's "
            f"{made_by.name!r}; mark hits again with `rsitr feedback`"
        )
