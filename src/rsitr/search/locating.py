"""Semantic localisation: where in a whole scene the words are true, as a map of scores over several scales.

The scene is cut into half-overlapping windows of several sizes; each window's cosine with the query is spread over its
ground, most in its middle, and the scales are averaged. The idea is that of SeLo (Yuan et al., "Learning to Evaluate
Performance of Multi-modal Semantic Localization", 2022); the weights and sizes are our own choice.

Whether the words are true anywhere is told as by a search (`rsitr.search.relevance`), window by window.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsitr import geo
from rsitr.calibration import Calibration
from rsitr.errors import QueryError, SceneError
from rsitr.formats import HeatMap, format_gsd
from rsitr.search.outcome import say_unknown
from rsitr.search.relevance import THRESHOLD, AskedPart, estimate_relevance
from rsitr.types import Encoder, FloatArray, Progress, Stretch, no_progress

if TYPE_CHECKING:
    from xarray import DataArray

__all__ = ["SCALES", "locate"]

SCALES = (0.5, 1.0, 2.0)
OVERLAP = 0.5
CELLS_PER_WINDOW = 8
LONGEST_CELLS = 4096
BATCH = 32
LEAST_VALID = 0.5
PICTURE_PX = 1600


def locate(
    scene: Path | str | DataArray,
    words: str,
    *,
    encoder: Encoder,
    scales: Sequence[float] = SCALES,
    tile_px: int | None = None,
    threshold: float = THRESHOLD,
    progress: Progress = no_progress,
    calibration: Calibration | None = None,
    stretch: Stretch | None = None,
    bands: Sequence[int] | None = None,
    page: int | None = None,
) -> HeatMap:
    """Score a whole scene against words.

    Args:
        scene: the file, or its address, or an array of xarray (`rsitr.geo.open_array`).
        words: what to look for.
        encoder: the model.
        scales: sides of the windows, as multiples of `tile_px`; windows larger than the scene are left out.
        tile_px: None: as scenes are cut for an index.
        threshold: relevance below which nothing here is said to match.
        progress: called with the windows done and their number.
        calibration: what makes cosines probabilities; None: the encoder's own.
        stretch: as `rsitr.geo.open_reader` takes it, like the next two.
        bands: the bands to show.
        page: of a file of several images.

    Raises:
        QueryError: the words are empty, or a scale makes no sense.
        SceneError: the scene cannot be read, or every pixel is nodata.
    """
    if not words.strip():
        raise QueryError("the words to look for are empty")
    if not scales or not all(0 < scale <= 64 for scale in scales):
        raise QueryError(f"scales are multiples of the tile's side, above 0 and at most 64, not {list(scales)}")
    query = encoder.encode_texts([words]).global_emb[0]
    calibration = calibration or getattr(encoder, "calibration", None)  # not every encoder is one of ours
    lexicon = getattr(encoder, "lexicon", None)
    doubt = None if lexicon is None else say_unknown(lexicon.unknown(words)) or None
    best: FloatArray | None = None  # relevance rises with the cosine: the nearest window's is the highest
    opened = (
        geo.open_array(scene)
        if geo.is_array(scene)
        else geo.open_reader(scene, stretch=stretch, bands=bands, page=page)
    )
    with opened as reader:
        found = reader.scene
        gsd_m = found.ground.gsd_m if found.ground else None
        if gsd_m is not None and gsd_m > geo.COARSEST_GSD_M:
            doubt = f"{format_gsd(gsd_m)} can show nothing to a model"
        base = tile_px or geo.choose_tile_px(model_px=encoder.image_size_px, gsd_m=gsd_m)
        sides = _sides(base, scales, short=min(found.width, found.height))
        windows = [
            (number, window)
            for number, side in enumerate(sides)
            for window in geo.cut_windows(found.width, found.height, tile_px=side, overlap=OVERLAP)
        ]
        shape = _grid(found.width, found.height, smallest=sides[0])
        canvas = _Canvas(shape, n_scales=len(sides), size_px=(found.width, found.height))
        n_encoded = 0
        for start in range(0, len(windows), BATCH):
            vectors = _score(reader, windows[start : start + BATCH], query=query, encoder=encoder, canvas=canvas)
            n_encoded += len(vectors)
            held = vectors if best is None else np.concatenate([best, vectors])
            best = held[np.argsort(-(held @ query), kind="stable")[:1]]
            progress(min(start + BATCH, len(windows)), len(windows))
        if best is None or not n_encoded:
            raise SceneError(f"{scene}: no window of it is at least half data")
        picture = reader.read(found.whole, max_px=PICTURE_PX)
    return HeatMap(
        path=scene if isinstance(scene, str | Path) else found.path,
        scene=found,
        query=" ".join(words.split()),
        scores=canvas.average(),
        cell_px=(found.width / shape[1], found.height / shape[0]),
        picture=picture.image,
        windows_px=sides,
        n_windows=n_encoded,
        relevance=None if calibration is None or doubt else max(_judge(query, best, calibration)),
        threshold=threshold,
        doubt=doubt,
    )


def _judge(query: FloatArray, windows: FloatArray, calibration: Calibration) -> list[float]:
    return estimate_relevance([AskedPart(query, is_text=True)], tiles=windows, calibration=calibration)


class _Canvas:
    """Sums of weighted scores per scale."""

    def __init__(self, shape: tuple[int, int], *, n_scales: int, size_px: tuple[int, int]) -> None:
        self._total = np.zeros((n_scales, *shape))
        self._weight = np.zeros((n_scales, *shape))
        self._cell_px = (size_px[0] / shape[1], size_px[1] / shape[0])

    def add(self, scale: int, window: geo.Window, score: float) -> None:
        """Spread a window's score over its cells, most in its middle."""
        col, row, width, height = window
        across = _span(col, width, self._cell_px[0], self._total.shape[2])
        down = _span(row, height, self._cell_px[1], self._total.shape[1])
        weight = np.outer(_hump(down, row, height, self._cell_px[1]), _hump(across, col, width, self._cell_px[0]))
        part = np.s_[scale, down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        self._total[part] += score * weight
        self._weight[part] += weight

    def average(self) -> FloatArray:
        """Mean over the scales that saw a cell; NaN where none did."""
        seen = self._weight > 0
        means = np.divide(self._total, self._weight, out=np.zeros_like(self._total), where=seen)
        count = seen.sum(axis=0)
        averages = np.divide(means.sum(axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
        return np.asarray(averages, dtype=np.float32)


def _score(
    reader: geo.SceneReader,
    windows: Sequence[tuple[int, geo.Window]],
    *,
    query: FloatArray,
    encoder: Encoder,
    canvas: _Canvas,
) -> FloatArray:
    """Encode some windows and add their scores; vectors (n, dim) of those that had data."""
    read = [(scale, window, reader.read(window, max_px=2 * encoder.image_size_px)) for scale, window in windows]
    kept = [(scale, window, pixels.image) for scale, window, pixels in read if pixels.valid_share >= LEAST_VALID]
    if not kept:
        return np.empty((0, len(query)), dtype=np.float32)
    vectors = encoder.encode_images([image for _, _, image in kept]).global_emb
    scores = vectors @ query
    for (scale, window, _), score in zip(kept, scores.tolist(), strict=True):
        canvas.add(scale, window, score)
    return vectors


def _sides(base: int, scales: Sequence[float], *, short: int) -> tuple[int, ...]:
    """Sides of the windows, each once; a scene smaller than all of them is one window."""
    sides = sorted({max(16, round(base * scale)) for scale in scales})
    return tuple(side for side in sides if side <= short) or (short,)


def _grid(width: int, height: int, *, smallest: int) -> tuple[int, int]:
    """Rows and columns of the map: eight cells to the smallest window's side, 4,096 at most."""
    cell = max(1.0, smallest / CELLS_PER_WINDOW, max(width, height) / LONGEST_CELLS)
    return max(1, round(height / cell)), max(1, round(width / cell))


def _span(start: int, length: int, cell_px: float, count: int) -> NDArray[np.int64]:
    """Cells whose middle lies in a window; one at least."""
    first = min(max(0, int(np.ceil(start / cell_px - 0.5))), count - 1)
    last = min(max(first, int(np.ceil((start + length) / cell_px - 0.5)) - 1), count - 1)
    return np.arange(first, last + 1)


def _hump(cells: NDArray[np.int64], start: int, length: int, cell_px: float) -> NDArray[np.float64]:
    """A raised cosine over the window, never quite 0, so that the scene's border counts too."""
    place = ((cells + 0.5) * cell_px - start) / length
    hump: NDArray[np.float64] = 0.05 + 0.95 * np.sin(np.pi * np.clip(place, 0.0, 1.0)) ** 2
    return hump
