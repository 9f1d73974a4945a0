"""Where in a picture words fit: pieces of it, each encoded by itself.

Patches of a picture are no evidence of what lies there: every one has seen the whole picture, and in `lookout` the
patches of one picture have a mean cosine above 0.9. A piece that is cut out has seen nothing but itself. Our own
choice: half-overlapping windows of two sizes, spread over the picture as `rsitr.search.locating` does with a scene.
`benchmarks/pointing.py` measures both ways.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import QueryError
from rsitr.types import Encoder, FloatArray, ImageArray

__all__ = ["map_words"]

GRID = 16
"""Cells of the map to a side."""
PIECES = ((0.5, 4), (0.34, 4))
"""Sides of the pieces as parts of the picture's, and how many to a side: 32 pieces."""


def map_words(encoder: Encoder, picture: ImageArray, words: str) -> FloatArray:
    """How well words fit the parts of a picture: (16, 16) mean cosines of the pieces over each cell.

    Args:
        encoder: the model.
        picture: (H, W, 3).
        words: what to look for.

    Raises:
        QueryError: the words are empty.
    """
    if not words.strip():
        raise QueryError("the words to explain a picture by are empty")
    query = encoder.encode_texts([words]).global_emb[0]
    height, width = picture.shape[:2]
    boxes = [
        (across * (1 - side) / (count - 1), down * (1 - side) / (count - 1), side)
        for side, count in PIECES
        for down in range(count)
        for across in range(count)
    ]
    pieces = [_cut(picture, left * width, top * height, side * width, side * height) for left, top, side in boxes]
    scores = encoder.encode_images(pieces).global_emb @ query
    middles = (np.arange(GRID) + 0.5) / GRID
    maps = []
    for size in dict.fromkeys(side for _, _, side in boxes):
        total, weight = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
        for (left, top, side), score in zip(boxes, scores.tolist(), strict=True):
            if side == size:
                share = np.outer(_hump((middles - top) / side), _hump((middles - left) / side))
                total += score * share
                weight += share
        maps.append(total / weight)
    return np.asarray(np.mean(maps, axis=0), dtype=np.float32)


def _cut(picture: ImageArray, left: float, top: float, width: float, height: float) -> ImageArray:
    rows = slice(round(top), max(round(top) + 1, round(top + height)))
    columns = slice(round(left), max(round(left) + 1, round(left + width)))
    return np.ascontiguousarray(picture[rows, columns])


def _hump(place: NDArray[np.floating[Any]]) -> FloatArray:
    """A raised cosine over a piece, 0 outside, never quite 0 within, so that the picture's border counts too."""
    inside = (place >= 0) & (place <= 1)
    return np.asarray(np.where(inside, 0.05 + 0.95 * np.sin(np.pi * np.clip(place, 0, 1)) ** 2, 0.0), np.float32)
