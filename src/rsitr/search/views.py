"""The pictures of candidates, read and encoded as stages of ranking ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import SceneError
from rsitr.types import Encoder, FloatArray, Hit, ImageArray, Tile

__all__ = ["Viewed", "Views"]


class Viewed(Protocol):
    """Has pictures of tiles, and the model that encodes them."""

    @property
    def encoder(self) -> Encoder:
        """The index's model."""

    def view(self, tile: Tile) -> ImageArray:
        """The picture of a tile; SceneError where its scene cannot be read."""


class Views:
    """Pictures of the candidates of one query. What cannot be read is passed over, and a scene not tried again.

    Attributes:
        unread: why a candidate could not be looked at, by its position.
    """

    def __init__(self, candidates: Sequence[Hit], source: Viewed) -> None:
        self.unread: dict[int, SceneError] = {}
        self._candidates = candidates
        self._source = source
        self._tokens: dict[int, FloatArray] = {}
        self._trouble: dict[str, SceneError] = {}

    def pictures(self, positions: Iterable[int]) -> dict[int, ImageArray]:
        """By position, of the candidates that can be read."""
        found: dict[int, ImageArray] = {}
        for position in map(int, positions):
            tile = self._candidates[position].tile
            trouble = self._trouble.get(tile.scene)
            if trouble is None:
                try:
                    found[position] = self._source.view(tile)
                    continue
                except SceneError as error:
                    trouble = self._trouble[tile.scene] = error
            self.unread[position] = trouble
        return found

    def tokens(self, positions: NDArray[np.int64]) -> FloatArray:
        """Tokens (n_seen, N, D) of the candidates that can be looked at; each is encoded once."""
        new = self.pictures(position for position in positions.tolist() if position not in self._tokens)
        if new:
            encoded = self._source.encoder.encode_images(list(new.values())).tokens
            self._tokens.update(zip(new, encoded, strict=True))
        seen = [self._tokens[position] for position in positions.tolist() if position in self._tokens]
        return np.stack(seen) if seen else np.empty((0, 0, 0), np.float32)

    def seen(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of them have been encoded."""
        return np.array([position in self._tokens for position in positions.tolist()], dtype=bool)
