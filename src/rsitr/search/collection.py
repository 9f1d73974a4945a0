"""An index while it is searched: its tiles, their pictures, and the models, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rsitr.calibration import Calibration, read_calibration
from rsitr.formats import find_unsuitable
from rsitr.index import IndexFolder
from rsitr.search.codes import LocalCoder, load_coder
from rsitr.search.loading import Models
from rsitr.search.mixing import ReferenceMixes
from rsitr.search.query import Query
from rsitr.search.references import References
from rsitr.search.relevance import AskedPart, estimate_relevance
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
        self._mixes = ReferenceMixes(folder)

    def take_over(self, other: Collection) -> None:
        """Begin with the model that another one of the same index has loaded, if it is the one asked for here."""
        self._models.take_over(other._models)

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

    def reference_vectors(self, query: Query) -> FloatArray:
        """Vectors (n_reference, dim) of the references, mixed as this query is."""
        return self._mixes.find(query, encoder=self.encoder)

    @cached_property
    def calibration(self) -> Calibration | None:
        """What makes the model's scores probabilities: of this index, else the model's own; None where neither is.

        Raises:
            ModelError: the index's file of it is damaged.
        """
        encoder = self.encoder
        own: Calibration | None = getattr(encoder, "calibration", None)  # not every encoder is one of ours
        return read_calibration(self.folder.path, fingerprint=encoder.fingerprint) or own

    def relevance(self, query: Query, asked: Sequence[AskedPart], hits: Sequence[Hit]) -> Sequence[float | None]:
        """How surely hits are what was asked for.

        None where the model is not calibrated or knows none of the words, and for tiles whose pixels can show nothing.
        """
        if not hits or self.calibration is None or self.is_foreign(query):
            return [None] * len(hits)
        vectors = self.vectors([hit.tile.tile for hit in hits])
        found = estimate_relevance(asked, tiles=vectors, calibration=self.calibration)
        return [None if find_unsuitable(hit.tile) else value for hit, value in zip(hits, found, strict=True)]

    def unknown_words(self, query: Query) -> dict[str, tuple[str, ...]]:
        """The words of a query that its model does not know, each with the nearest that it knows."""
        lexicon = getattr(self.encoder, "lexicon", None)
        if lexicon is None:
            return {}
        texts = [part.value for part in query.parts if part.kind == "words"]
        return {word: near for text in texts for word, near in lexicon.unknown(text).items()}

    def has_unknown(self, query: Query) -> bool:
        """Whether a word of what is wanted is unknown to the model, and there is no example beside the words.

        Then no hit is sure to be what was asked for.
        """
        wanted = [part for part in query.parts if part.weight > 0]
        lexicon = getattr(self.encoder, "lexicon", None)
        if lexicon is None or any(part.kind != "words" for part in wanted):
            return False
        return any(lexicon.unknown(part.value) for part in wanted)

    def is_foreign(self, query: Query) -> bool:
        """Whether the model knows none of the words, and there is no example beside them."""
        wanted = [part for part in query.parts if part.weight > 0]
        lexicon = getattr(self.encoder, "lexicon", None)
        if lexicon is None or not wanted or any(part.kind != "words" for part in wanted):
            return False
        return all(lexicon.is_foreign(part.value) for part in wanted)
