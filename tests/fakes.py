"""Stand-ins that are quick, exact and need no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from rsitr.calibration import Calibration, RelevanceFit
from rsitr.types import EncodedImages, EncodedTexts, FloatArray, ImageArray, Mixture

__all__ = ["COLOURS", "ColourEncoder", "FewWords", "replace_models"]

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "dark": (0, 0, 0),
}


class ColourEncoder:
    """An encoder whose space is the colour circle of each part of a picture: words for colours find pictures of them.

    A picture becomes its mean colour in each cell of a 2 x 2 grid, a text the colour that it names (grey if it names
    none) in every cell. Every colour is coded by how near it is to each of seven colours, so that dark and grey have
    directions of their own. Four patches, one token per word.
    """

    mixture = Mixture(alpha=1.0, beta=0.0)
    GRID = 2

    def __init__(self, *, name: str = "colour", fingerprint: str = "c0104r" * 8, image_size_px: int = 32) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.image_size_px = image_size_px
        self.dim = self.GRID**2 * len(COLOURS)
        self.batches: list[int] = []
        # A picture whose four cells have the colour asked for has a cosine of 1; with three of them it matches, too.
        fit = RelevanceFit(intercept=-12.0, by_score=15.0, by_place=0.1)
        scattered = np.random.default_rng(0).integers(0, 256, (50, self.GRID**2, 3)).astype(float)
        self.calibration = Calibration(references=self._unit(scattered), words=fit, pictures=fit)

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        for image in images:
            assert image.dtype == np.uint8
            assert image.ndim == 3
            assert image.shape[2] == 3
        self.batches.append(len(images))
        cells = np.stack([self._cells(image) for image in images])
        return EncodedImages(global_emb=self._unit(cells), tokens=self._tokens(cells))

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
        colours = [
            next((rgb for name, rgb in COLOURS.items() if name in text.lower()), COLOURS["grey"]) for text in texts
        ]
        cells = np.stack([np.tile(np.array(rgb, float), (self.GRID**2, 1)) for rgb in colours])
        tokens = self._tokens(cells)
        return EncodedTexts(
            global_emb=self._unit(cells), tokens=tokens, token_mask=np.ones(tokens.shape[:2], dtype=bool)
        )

    def _cells(self, image: ImageArray) -> np.ndarray:
        rows = np.array_split(np.arange(image.shape[0]), min(self.GRID, image.shape[0]))
        cols = np.array_split(np.arange(image.shape[1]), min(self.GRID, image.shape[1]))
        cells = [image[np.ix_(row, col)].mean(axis=(0, 1)) for row in rows for col in cols]
        return np.stack((cells * self.GRID**2)[: self.GRID**2])

    def _nearness(self, cells: np.ndarray) -> np.ndarray:
        """(n, cells, 3) colours to (n, cells, 7): 1 for the very colour, falling off with distance."""
        palette = np.array(list(COLOURS.values()), float)
        distance = np.linalg.norm(cells[:, :, None] - palette, axis=-1)
        return np.exp(-((distance / 120.0) ** 2))

    def _unit(self, cells: np.ndarray) -> FloatArray:
        flat = self._nearness(cells).reshape(len(cells), -1)
        return (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)

    def _tokens(self, cells: np.ndarray) -> FloatArray:
        near = self._nearness(cells)
        placed = np.zeros((len(cells), self.GRID**2, self.GRID**2, len(COLOURS)), dtype=np.float32)
        for i in range(self.GRID**2):
            placed[:, i, i] = near[:, i]
        return placed.reshape(len(cells), self.GRID**2, -1)


class FewWords:
    """A lexicon of some words, as `rsitr.models.lexicon` has one of many."""

    def __init__(self, *known: str) -> None:
        self._known = known

    def unknown(self, text: str) -> dict[str, tuple[str, ...]]:
        return {word: self._known[:1] for word in text.split() if word not in self._known}

    def is_foreign(self, text: str) -> bool:
        return not set(text.split()) & set(self._known)


def replace_models(monkeypatch: pytest.MonkeyPatch, load: Callable[[str, str | None], Any]) -> None:
    """Let names of models load what `load` gives for the name and the device, whatever engine is asked for."""

    def loaded(name: str = "lookout", *, device: str | None = None, bulk: bool = False) -> Any:
        return load(name, device)

    for function in ("load_model", "load_encoder"):
        monkeypatch.setattr(f"rsitr.models.zoo.{function}", loaded)
