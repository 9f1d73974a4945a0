"""An index while it is searched: its tiles, their pictures, and the models, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsitr.index import IndexFolder
from rsitr.search.backgrounds import Backgrounds
from rsitr.search.codes import LocalCoder, load_coder
from rsitr.search.loading import Models
from rsitr.search.query import Query
from rsitr.search.references import References
from rsitr.search.relevance import Background, estimate_relevance, fit_of
from rsitr.search.scenery import Scenery
from rsitr.types import Encoder, FloatArray, Hit, ImageArray, Tile

if TYPE_CHECKING:
    from rsitr.models.fusion import PairScorer

__all__ = ["Collection"]


class Collection:
    """What the steps of a search ask an index for. Safe for many threads.

    Args:
        folder: of the index.
        models: that its searches need.

    Attributes:
        folder: of the index.
        scenery: pictures of its scenes.
        references: the reference captions with their local features.
    """

    def __init__(self, folder: IndexFolder, models: Models) -> None:
        self.folder = folder
        self.scenery = Scenery(folder)
        self.references = References(encoder=models.encoder, coder=lambda: self.coder)
        self._models = models
        self._backgrounds = Backgrounds(folder)

    @property
    def encoder(self) -> Encoder:
        """The model that made the index; raises as `Models.encoder`."""
        return self._models.encoder()

    def reader(self, checkpoint: str) -> PairScorer:
        """A fusion model by the name of its checkpoint; raises as `Models.reader`."""
        return self._models.reader(checkpoint)

    @cached_property
    def coder(self) -> LocalCoder | None:
        """What made the codes that the index keeps of its tiles, if it keeps any and says how they were made."""
        recorded = self.folder.manifest.code
        found = None if recorded is None else load_coder(self.folder.path)
        return found if found is not None and recorded and found.fingerprint == recorded.fingerprint else None

    @property
    def model_max_px(self) -> int:
        """The longer side of a picture that is to be encoded: the encoder reduces it further, and sees no more."""
        return 2 * self.folder.manifest.model.image_size_px

    def tile(self, tile: str) -> Tile:
        """A tile by its id.

        Raises:
            MissingError: it is not in the index.
        """
        return self.folder.store.tiles([tile])[0]

    def vectors(self, tiles: Sequence[str]) -> FloatArray:
        """Unit vectors (n, dim) of tiles by their ids; MissingError for one that is not in the index."""
        return self.folder.store.vectors(tiles)

    def codes(self, tiles: Sequence[str]) -> NDArray[np.float16] | None:
        """Codes (n, length) of tiles by their ids; None where the index keeps none."""
        return self.folder.store.codes(tiles)

    def view(self, tile: Tile) -> ImageArray:
        """The picture of a tile as large as the model can see it; SceneError where its scene cannot be read."""
        return self.scenery.picture(tile, max_px=self.model_max_px)

    def background(self, query: Query) -> Background:
        """What the collection is like for queries made as this one is."""
        return self._backgrounds.find(query, encoder=self.encoder)

    def reference_vectors(self, query: Query) -> FloatArray:
        """Vectors (n_reference, dim) of the references, mixed as this query is."""
        return self.background(query).references

    def relevance(self, query: Query, vector: FloatArray, hits: Sequence[Hit]) -> Sequence[float | None]:
        """How surely hits are what was asked for, the query encoded as `vector`; None where that cannot be said."""
        if not hits:
            return []
        vectors = self.vectors([hit.tile.tile for hit in hits])
        found = estimate_relevance(vector, tiles=vectors, background=self.background(query), fit=fit_of(self.encoder))
        return found if found is not None else [None] * len(hits)
