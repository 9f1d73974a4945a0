"""What stands in for a model that is not at hand: an index is then searched by what is in it, and not by words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from rsitr.errors import QueryError
from rsitr.index import IndexFolder
from rsitr.types import GLOBAL_ONLY, EncodedImages, EncodedTexts, ImageArray, Mixture

__all__ = ["WordlessEncoder"]


class WordlessEncoder:
    """An :class:`rsitr.types.Encoder` that encodes nothing, and says so: searches by tiles, marks and detectors go on.

    Args:
        folder: of the index.
        why: the model that made it is not at hand.
    """

    def __init__(self, folder: IndexFolder, *, why: str) -> None:
        self._folder = folder
        self._why = why

    @property
    def name(self) -> str:
        """Of the model that made the index."""
        return self._folder.manifest.model.name

    @property
    def fingerprint(self) -> str:
        """Of that model, as the index has it."""
        return self._folder.manifest.model.fingerprint

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        return self._folder.manifest.model.dim

    @property
    def image_size_px(self) -> int:
        """Side of the picture that the model sees; 0 where that is not known."""
        return self._folder.manifest.model.image_size_px

    @property
    def mixture(self) -> Mixture:
        """Vectors alone: there are no local features."""
        return GLOBAL_ONLY

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        """Raises QueryError."""
        self._refuse()

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
        """Raises QueryError."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise QueryError(
            f"this index knows no words and no pictures from elsewhere: {self._why}; search by a tile of it "
            "(--like ID), by marks, or with a detector"
        )
