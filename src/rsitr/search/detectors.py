"""Named detectors: what was learned from marks, kept beside the index as JSON, applied to tiles without any model.

Numpy is imported where something is computed: who lists them does not wait for it.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rsitr.errors import QueryError, StoreError
from rsitr.files import locked, write_file

if TYPE_CHECKING:
    from rsitr.index import IndexFolder
    from rsitr.types import FloatArray, Hit

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

FOLDER = "detectors"
LOCK = ".lock"
FORMAT = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,63}")
# What Windows has devices of, whatever comes behind a dot: an index is to be readable there, too.
RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})
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

    def __post_init__(self) -> None:
        """Raises QueryError for a name that could not be a file's, or weights that say nothing."""
        if not NAME.fullmatch(self.name):
            raise QueryError(
                f"{self.name!r} cannot name a detector: use up to 64 letters, digits, blanks, _ and -, and begin "
                "with a letter or digit"
            )
        if not all(map(math.isfinite, self.weights)) or not math.hypot(*self.weights) > 0:
            raise QueryError(f"the detector {self.name} has no direction: mark other hits")

    @property
    def marks(self) -> tuple[tuple[str, bool], ...]:
        """The marked tiles, and whether each is right."""
        return (*((tile, True) for tile in self.right), *((tile, False) for tile in self.wrong))

    @property
    def direction(self) -> FloatArray:
        """The weights as a unit vector: tiles in its order are in the order of their relevance."""
        import numpy as np

        weights = np.array(self.weights, dtype=np.float32)
        return np.asarray(weights / np.linalg.norm(weights), dtype=np.float32)

    def relevance(self, cosines: FloatArray) -> list[float]:
        """Relevance of tiles from their cosines with `direction`."""
        import numpy as np

        logits = np.clip(np.linalg.norm(self.weights) * cosines + self.bias, -LARGEST_LOGIT, LARGEST_LOGIT)
        return [float(value) for value in 1.0 / (1.0 + np.exp(-logits))]


@dataclass(frozen=True, slots=True)
class Find:
    """A tile that a detector has found."""

    detector: str
    hit: Hit


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Hold an index's detectors from reading one to writing it again; whoever comes second, anywhere, waits.

    Raises:
        StoreError: the folder cannot be written.
    """
    with locked(_make_folder(folder) / LOCK, error=StoreError):
        yield


def save_detector(folder: Path, detector: Detector) -> Path:
    """Write a detector into an index's folder, whole or not at all, in place of one of the same name.

    Raises:
        QueryError: it is new, and would be the file of another one where the case of letters is nothing, or no file at
            all on Windows.
        StoreError: the folder cannot be written.
    """
    _check_new(folder, detector.name)
    return _write(folder, detector)


def load_detector(folder: Path, name: str) -> Detector:
    """Read a detector of an index.

    Raises:
        QueryError: there is none of this name.
        StoreError: its file is damaged.
    """
    from pydantic import TypeAdapter, ValidationError

    _require(folder, name)
    path = _path(folder, name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
            raise ValueError(f"this rsitr reads format {FORMAT}")
        return TypeAdapter(Detector).validate_python(content)
    except (OSError, ValueError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"{path}: cannot be read as a detector ({reason}); delete it: `rsitr feedback {folder} --delete {name!r}`"
        ) from error


def load_detectors(folder: Path, *, damaged: Callable[[str], None] = LOG.warning) -> list[Detector]:
    """All detectors of an index that can be read, by name; `damaged` is told of each of the others."""
    found = []
    for name in list_detectors(folder):
        try:
            found.append(load_detector(folder, name))
        except StoreError as error:
            damaged(str(error))
    return found


def list_detectors(folder: Path) -> list[str]:
    """Names of an index's detectors, sorted."""
    return sorted(path.stem for path in (folder / FOLDER).glob("*.json") if NAME.fullmatch(path.stem))


def delete_detector(folder: Path, name: str) -> None:
    """Remove a detector.

    Raises:
        QueryError: there is none of this name.
        StoreError: its file cannot be removed.
    """
    _require(folder, name)  # before the lock, which would make a folder for it
    with changing(folder):
        _require(folder, name)
        path = _path(folder, name)
        try:
            path.unlink()
        except OSError as error:
            raise StoreError(f"{path}: cannot be removed ({error.strerror or error})") from error


def rename_detector(folder: Path, name: str, new: str) -> Detector:
    """Give a detector another name.

    Raises:
        QueryError: there is none of this name, or one of the new name, or that cannot be one.
        StoreError: its file is damaged, or cannot be written.
    """
    _require(folder, name)
    with changing(folder):
        renamed = replace(load_detector(folder, name), name=new)
        if new in list_detectors(folder):
            raise QueryError(f"{folder}: there is a detector {new!r} already; delete it, or choose another name")
        if new.casefold() == name.casefold():  # one and the same file where the case of letters is nothing
            _path(folder, name).replace(_path(folder, new))
            _write(folder, renamed)
        else:
            save_detector(folder, renamed)
            _path(folder, name).unlink()
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
    import numpy as np

    from rsitr.types import TileFilter

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


def _require(folder: Path, name: str) -> None:
    if not NAME.fullmatch(name) or not _path(folder, name).is_file():
        there = ", ".join(list_detectors(folder)) or "none yet; `rsitr feedback` makes one"
        raise QueryError(f"{folder}: there is no detector {name!r}; there are: {there}")


def _write(folder: Path, detector: Detector) -> Path:
    path = _path(folder, detector.name)
    _make_folder(folder)
    write_file(path, json.dumps({"format": FORMAT, **asdict(detector)}) + "\n", error=StoreError)
    return path


def _check_new(folder: Path, name: str) -> None:
    there = list_detectors(folder)
    if name in there:
        return
    if name.strip().casefold() in RESERVED:
        raise QueryError(f"{name!r} cannot name a detector: no file has that name on Windows; choose another one")
    like = [other for other in there if other.casefold() == name.casefold()]
    if like:
        raise QueryError(
            f"{folder}: there is a detector {like[0]!r}, and on some systems {name!r} is the same file; "
            "write it as there, or choose another name"
        )


def _make_folder(folder: Path) -> Path:
    path = folder / FOLDER
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _path(folder: Path, name: str) -> Path:
    return folder / FOLDER / f"{name}.json"
