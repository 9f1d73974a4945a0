"""The models that searches of one index need, each loaded when it is first asked for. Safe for many threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rsitr.errors import ModelError, StoreError
from rsitr.index import IndexFolder
from rsitr.search.wordless import WordlessEncoder
from rsitr.types import Encoder

if TYPE_CHECKING:
    from rsitr.models.fusion import PairScorer

__all__ = ["Models"]


class Models:
    """The model that made an index, and a fusion model that re-ranks.

    Raises:
        StoreError: the index was made by another model than `encoder`.
    """

    def __init__(self, folder: IndexFolder, *, encoder: Encoder | None, model: str | None, device: str | None) -> None:
        if encoder is not None:
            folder.manifest.check_encoder(encoder, folder=folder.path)
        self._folder = folder
        self._encoder = encoder
        self._named = model
        self._device = device
        self._readers: dict[str, PairScorer] = {}
        self._loading = threading.Lock()

    def take_over(self, other: Models) -> None:
        """Begin with the model that another one has loaded, if both were asked for the same."""
        is_same = (self._named, self._device) == (other._named, other._device)
        fingerprint = self._folder.manifest.model.fingerprint
        loaded = other._encoder
        if is_same and loaded is not None and not isinstance(loaded, WordlessEncoder):
            self._encoder = loaded if loaded.fingerprint == fingerprint else self._encoder

    def encoder(self) -> Encoder:
        """The model that made the index.

        Raises:
            ModelError: it cannot be loaded.
            StoreError: what its name stands for now is another model.
        """
        with self._loading:
            if self._encoder is None:
                self._encoder = self._load_encoder()
            return self._encoder

    def reader(self, checkpoint: str) -> PairScorer:
        """A fusion model that re-ranks; kept for the next query. Raises ModelError where it cannot be loaded."""
        from rsitr.models.fusion import load_fusion

        with self._loading:
            if checkpoint not in self._readers:
                self._readers = {checkpoint: load_fusion(checkpoint, device=self._device)}
            return self._readers[checkpoint]

    def _load_encoder(self) -> Encoder:
        """The model; for an index of embeddings whose model is not at hand, what does without."""
        manifest = self._folder.manifest
        if self._named is not None or manifest.made_of == "scenes":
            return self._load(self._named or manifest.model.name)
        if manifest.model.is_foreign:
            why = f"its vectors were made by {manifest.model.name!r}, which is not known here"
            return WordlessEncoder(self._folder, why=why)
        try:
            return self._load(manifest.model.name)
        except (ModelError, StoreError) as error:
            return WordlessEncoder(self._folder, why=str(error).removeprefix(f"{self._folder.path}: "))

    def _load(self, name: str) -> Encoder:
        from rsitr.models.zoo import load_encoder

        try:
            loaded = load_encoder(name, device=self._device)
        except ModelError as error:
            made_by = self._folder.manifest.model.name
            raise ModelError(f"{self._folder.path}: made by the model {made_by!r}; {error}") from error
        self._folder.manifest.check_encoder(loaded, folder=self._folder.path)
        return loaded
