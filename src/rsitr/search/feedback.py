"""Learning from marks: hits that a person called right or wrong move the query towards what was meant.

Our own choice of a small model: logistic regression on x . t (the similarity to the query's vector t, times KAPPA) and
on x itself. The penalty holds every coefficient near zero, and KAPPA makes that of x . t cheap: with few marks the head
is the query with a correction, with many the marks prevail. Tiles of the collection, marked by nobody, count together
three times as much as the wrong ones: most of them are wrong. The border, relevance 0.5, lies midway between right and
wrong marks. KAPPA, PENALTY and BACKGROUND were chosen on RSICD training images with noise added to their vectors;
`benchmarks/feedback.py` measures on validation.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsitr.errors import QueryError
from rsitr.search.detectors import Detector
from rsitr.search.logistic import fit_logistic
from rsitr.types import FloatArray

__all__ = [
    "Mark",
    "fit_head",
    "last_marks",
    "learn_detector",
    "measure_precision",
    "push_away",
    "read_marks",
    "say_precision",
]

KAPPA = 2.0
PENALTY = 1.0
BACKGROUND = 3.0
BACKGROUND_TILES = 400
MOST_FITS = 20
PUSH = 0.5
"""How far a query is moved away from what is wrong, as a part of its own length."""

RIGHT = {"1", "right", "yes", "y", "true", "+"}
WRONG = {"0", "wrong", "no", "n", "false", "-"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A person's word on a tile: whether it is what was looked for; `query` is empty where nobody said for which."""

    tile: str
    right: bool
    query: str = ""


def fit_head(
    start: FloatArray, *, right: FloatArray, wrong: FloatArray, background: FloatArray
) -> tuple[FloatArray, float]:
    """Fit the linear head.

    Args:
        start: (dim,) unit vector of the query.
        right: (n, dim) tiles that were marked right, n at least 1.
        wrong: (m, dim) tiles that were marked wrong.
        background: (b, dim) tiles of the collection; they count as wrong, together BACKGROUND times as much as `wrong`.

    Returns:
        Weights (dim,) and bias.
    """
    tiles = np.concatenate([right, wrong, background])
    labels = np.repeat([1, 0, 0], [len(right), len(wrong), len(background)])
    share = BACKGROUND * max(1, len(wrong)) / max(1, len(background))
    counts = np.repeat([1.0, 1.0, share], [len(right), len(wrong), len(background)])
    features = np.column_stack([KAPPA * (tiles @ start), tiles]).astype(np.float64)
    fitted = fit_logistic(features, labels, penalty=PENALTY, counts=counts)
    along, own = fitted.weights[0], fitted.weights[1:]
    weights = np.asarray(KAPPA * along * start + own, dtype=np.float32)
    # The intercept says how rare right tiles are in the fit; the border is wanted in the middle between the marks.
    border = (right @ weights).mean() + ((wrong if len(wrong) else background) @ weights).mean()
    return weights, -0.5 * float(border)


def learn_detector(
    name: str,
    *,
    query: str,
    start: FloatArray,
    marks: Sequence[Mark],
    vectors: FloatArray,
    background: FloatArray,
    fingerprint: str,
    gone: Sequence[str] = (),
    is_measured: bool = False,
) -> Detector:
    """A detector from marks.

    Args:
        name: of the detector.
        query: what was asked, in words.
        start: (dim,) unit vector of the query.
        marks: the last one of a tile counts.
        vectors: (len(marks), dim) of the marked tiles.
        background: (b, dim) tiles of the collection.
        fingerprint: of the model.
        gone: tiles whose earlier marks were let go, since they are no longer in the index.
        is_measured: estimate its precision (`measure_precision`), which takes as many fits as there are marks.

    Raises:
        QueryError: no tile is marked right, or the name cannot be one.
    """
    rows = last_marks(marks)
    right = [row for row in rows if marks[row].right]
    wrong = [row for row in rows if not marks[row].right]
    if not right:
        lost = f" (of those marked earlier, {len(gone)} left the index)" if gone else ""
        raise QueryError(
            f"no hit is marked right{lost}: a detector needs at least one; ask with other words to find some"
        )
    weights, bias = fit_head(start, right=vectors[right], wrong=vectors[wrong], background=background)
    return Detector(
        name=name,
        query=query,
        fingerprint=fingerprint,
        weights=tuple(weights.tolist()),
        bias=bias,
        right=tuple(marks[row].tile for row in right),
        wrong=tuple(marks[row].tile for row in wrong),
        gone=tuple(gone),
        precision=measure_precision(start, vectors[right], vectors[wrong], background) if is_measured else None,
    )


def measure_precision(start: FloatArray, right: FloatArray, wrong: FloatArray, background: FloatArray) -> float | None:
    """Share of right tiles among the marked ones that a head calls relevant which was fitted without them.

    Each mark is left out once, of many marks one part of MOST_FITS at a time. None where it takes more marks to tell:
    two right ones and a wrong one at least.

    Args:
        start: (dim,) unit vector of the query.
        right: (n, dim) tiles that were marked right.
        wrong: (m, dim) tiles that were marked wrong.
        background: (b, dim) tiles of the collection.
    """
    if len(right) < 2 or not len(wrong):
        return None
    tiles = np.concatenate([right, wrong])
    is_right = np.arange(len(tiles)) < len(right)
    part = np.arange(len(tiles)) % min(MOST_FITS, len(tiles))
    called = np.zeros(len(tiles), dtype=bool)
    for left_out in range(int(part.max()) + 1):
        kept, tested = part != left_out, part == left_out
        if not (kept & is_right).any():
            return None
        weights, bias = fit_head(
            start, right=tiles[kept & is_right], wrong=tiles[kept & ~is_right], background=background
        )
        called[tested] = tiles[tested] @ weights + bias >= 0
    return float((called & is_right).sum() / called.sum()) if called.any() else None


def say_precision(*, n_right: int, n_wrong: int, precision: float | None) -> str:
    """How well a detector does, and how that was estimated.

    >>> say_precision(n_right=3, n_wrong=2, precision=0.75)
    'Of 5 marked tiles, each was judged by what the others teach: of those called right, 75% are.'
    """
    n = n_right + n_wrong
    if precision is None and (n_right < 2 or not n_wrong):
        return "It takes two tiles marked right and a wrong one at least to estimate a precision."
    how = "each was judged by what the others teach"
    if n > MOST_FITS:
        how = f"a {MOST_FITS}th at a time was judged by what the rest teaches"
    called = "none is called right" if precision is None else f"of those called right, {precision:.0%} are"
    return f"Of {n} marked tiles, {how}: {called}."


def last_marks(marks: Sequence[Mark]) -> list[int]:
    """Positions of the marks that count: the last one of each tile.

    >>> last_marks([Mark("a", True), Mark("b", True), Mark("a", False)])
    [1, 2]
    """
    return sorted({mark.tile: number for number, mark in enumerate(marks)}.values())


def push_away(start: FloatArray, *, wrong: FloatArray, background: FloatArray) -> FloatArray:
    """A query moved away from wrong tiles, where no right one says in which direction to go instead.

    t' = unit(t - PUSH unit(mean of the wrong - mean of the collection)), our own choice: what all tiles share is left
    out of the difference, since it says nothing of what is wrong with these.

    Args:
        start: (dim,) unit vector t of the query.
        wrong: (m, dim) tiles that were marked wrong, m at least 1.
        background: (b, dim) tiles of the collection.

    Returns:
        (dim,) unit vector.
    """
    common = background.mean(axis=0) if len(background) else np.zeros_like(start)
    away = wrong.mean(axis=0) - common
    moved = start - PUSH * away / max(float(np.linalg.norm(away)), 1e-6)
    return np.asarray(moved / max(float(np.linalg.norm(moved)), 1e-6), dtype=np.float32)


def read_marks(path: Path) -> list[Mark]:
    """Marks from a CSV with the columns `tile` and `label` (right or wrong, 1 or 0, yes or no), and perhaps `query`.

    Lines without a label are passed over: the file may come from `rsitr search --format csv` with a column added.

    Raises:
        QueryError: the file cannot be read, lacks a column, or has a label that is neither.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"tile", "label"} - set(reader.fieldnames or ())
            if missing:
                raise QueryError(f"{path}: has no column {sorted(missing)[0]!r}; marks are a CSV with tile and label")
            return list(_marks(reader, path))
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise QueryError(f"{path}: is no CSV in UTF-8 ({error})") from error


def _marks(lines: Iterable[dict[str, str | None]], path: Path) -> Iterable[Mark]:
    for number, line in enumerate(lines, start=2):
        label = (line["label"] or "").strip().lower()
        if not label:
            continue
        if label not in RIGHT | WRONG:
            raise QueryError(f"{path}, line {number}: the label {label!r} is neither right nor wrong")
        yield Mark(tile=line["tile"] or "", right=label in RIGHT, query=(line.get("query") or "").strip())
