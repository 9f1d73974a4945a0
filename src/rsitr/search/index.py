"""The index as a person or program searches it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsitr.errors import ModelError, QueryError, SceneError
from rsitr.geo import read_picture, read_window
from rsitr.index import IndexFolder, IndexSummary, open_index, summarise
from rsitr.search.bank import load_bank
from rsitr.search.detectors import Detector, apply_detector, list_detectors, load_detector, save_detector
from rsitr.search.feedback import BACKGROUND_TILES, Mark, learn_detector
from rsitr.search.places import Place, merge_hits
from rsitr.search.query import Part, Query, make_query
from rsitr.search.ranking import CandidateRanker, EncodedPart, HitStage, RankingSettings, explain_stages
from rsitr.search.relevance import THRESHOLD, Background, estimate_relevance, mix_references
from rsitr.types import BBox, Encoder, FloatArray, Hit, ImageArray, SceneEntry, Stretch, Tile, TileFilter

__all__ = ["Index", "SearchResult"]

COLLECTION_TILES = 50_000
"""Tiles, evenly spread, that stand for the collection when relevance is estimated."""
REFERENCE_TILES = 500


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to a query. Iterating over it gives the hits.

    Attributes:
        query: what was asked.
        hits: best first.
        n_tiles: tiles that passed the filter; the hits are the best of these.
        index: name of the index.
        model: name of the model.
        threshold: relevance below which nothing is said to match.
        stages: how the hits were ranked.
    """

    query: Query
    hits: tuple[Hit, ...]
    n_tiles: int
    index: str
    model: str
    threshold: float = THRESHOLD
    stages: tuple[HitStage, ...] = ()

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    @property
    def relevance(self) -> float | None:
        """How surely what was asked for is there at all: the best hit's relevance; None where it is not known."""
        return max((hit.relevance for hit in self.hits if hit.relevance is not None), default=None)

    def places(self, *, merge: bool = True) -> tuple[Place, ...]:
        """The hits as places on the ground; without `merge`, each hit is one."""
        return merge_hits(self.hits, merge=merge)

    @property
    def matches(self) -> bool:
        """False where nothing here matches: no hits, or none whose relevance reaches the threshold."""
        return bool(self.hits) and (self.relevance is None or self.relevance >= self.threshold)


class Index:
    """An index that can be searched with words, pictures, or both. Made by `Index.open`."""

    def __init__(
        self,
        folder: IndexFolder,
        *,
        encoder: Encoder | None = None,
        model: str | None = None,
        device: str | None = None,
    ) -> None:
        if encoder is not None:
            folder.manifest.check_encoder(encoder, folder=folder.path)
        self._folder = folder
        self._encoder = encoder
        self._model = model or folder.manifest.model.name
        self._device = device
        self._stretches: dict[str, Stretch | None] | None = None
        self._backgrounds: dict[tuple[object, ...], Background] = {}

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        encoder: Encoder | None = None,
        model: str | None = None,
        device: str | None = None,
        root: str | Path | None = None,
    ) -> Index:
        """Open an index.

        Args:
            path: the folder of the index.
            encoder: the model that made it; None loads it when the first query needs it.
            model: what to load then, where the recorded name no longer leads to it, e.g. a checkpoint that has moved.
            device: where it then runs, e.g. `cpu`, `cuda`.
            root: where the scenes lie, if that is not where the index expects them; only pictures of hits need them.

        Raises:
            StoreError: the folder is missing, no index, damaged, or was made by another model than `encoder`.
        """
        folder = open_index(Path(path), root=Path(root) if root else None)
        return cls(folder, encoder=encoder, model=model, device=device)

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self._folder.store)

    @property
    def encoder(self) -> Encoder:
        """The model that made the index.

        Raises:
            ModelError: it cannot be loaded.
            StoreError: what its name stands for now is another model.
        """
        if self._encoder is None:
            from rsitr.models.zoo import load_model

            try:
                loaded: Encoder = load_model(self._model, device=self._device)
            except ModelError as error:
                made_by = self._folder.manifest.model.name
                raise ModelError(f"{self._folder.path}: made by the model {made_by!r}; {error}") from error
            self._folder.manifest.check_encoder(loaded, folder=self._folder.path)
            self._encoder = loaded
        return self._encoder

    def search(
        self,
        text: str | None = None,
        *,
        image: str | Path | ImageArray | None = None,
        like: str | Sequence[str] | None = None,
        minus: str | Sequence[str] | None = None,
        parts: Sequence[Part] = (),
        bbox: BBox | None = None,
        since: datetime.date | None = None,
        until: datetime.date | None = None,
        sensor: str | None = None,
        where: TileFilter | None = None,
        k: int = 10,
        ranking: RankingSettings | None = None,
        threshold: float = THRESHOLD,
    ) -> SearchResult:
        """Find the tiles that fit words, an example picture, a tile found before, or a mixture of them.

        Candidates are the tiles with the highest cosine of the query's and the tile's global vector; they are then
        ranked as `ranking` says. The query's vector is the weighted sum of its parts' unit vectors. Filters are applied
        before ranking: the k hits are the best of all tiles that pass.

        Args:
            text: what to look for.
            image: an example: a file that can be read as an image, or an array (height, width, 3) of uint8.
            like: ids of tiles of this index that are examples.
            minus: words for what is not wanted.
            parts: further parts with weights of their own.
            bbox: only tiles whose footprint meets this box (west, south, east, north).
            since: only tiles known to be taken on this day or later.
            until: only tiles known to be taken on this day or earlier.
            sensor: only tiles of this sensor.
            where: a filter to start from; what is given beside it takes the place of its own.
            k: at most so many hits.
            ranking: stages after the first.
            threshold: relevance below which nothing is said to match.

        Raises:
            QueryError: the query asks for nothing, or for what cannot be.
            SceneError: the example cannot be read.
            StoreError: a tile of `like` is not in the index.
        """
        query = make_query(
            text=text, image=image, like=like, minus=minus, parts=parts, k=k,
            where=where, bbox=bbox, since=since, until=until, sensor=sensor,
        )  # fmt: skip
        return self.answer(query, ranking=ranking, threshold=threshold)

    def answer(
        self, query: Query, *, ranking: RankingSettings | None = None, threshold: float = THRESHOLD
    ) -> SearchResult:
        """Answer a query that was made by `make_query`; as `search`, with its errors."""
        settings = ranking or RankingSettings()
        parts = [self._encode_part(part, with_tokens=self._needs_tokens(settings)) for part in query.parts]
        vector = _mix(parts)
        store = self._folder.store
        candidates = store.search(vector, k=max(query.k, settings.n_candidates), where=query.where)
        ranked = CandidateRanker(
            candidates,
            parts=parts,
            references=lambda: self._background(query).references,
            vectors=store.vectors,
            picture=self._picture_for_model,
            encoder=lambda: self.encoder,
        ).rank(settings, mixture=self.encoder.mixture)
        order = ranked.order[: query.k]
        chosen = [candidates[position] for position in order]
        relevance = self._relevance(query, vector, chosen)
        return SearchResult(
            query=query,
            hits=tuple(
                Hit(tile=hit.tile, score=float(ranked.scores[position]), rank=rank, relevance=found)
                for rank, (position, hit, found) in enumerate(zip(order, chosen, relevance, strict=True), start=1)
            ),
            n_tiles=store.count(query.where),
            index=self._folder.path.resolve().name,
            model=self._folder.manifest.model.name,
            threshold=threshold,
            stages=explain_stages(ranked, order=order),
        )

    def detect(
        self,
        detector: str | Detector,
        *,
        where: TileFilter | None = None,
        k: int = 10,
        threshold: float = THRESHOLD,
    ) -> SearchResult:
        """The tiles that a detector calls most relevant; needs no model.

        Raises:
            QueryError: there is no detector of this name, or k or the filter makes no sense.
            StoreError: it was learned with another model.
        """
        found = detector if isinstance(detector, Detector) else load_detector(self._folder.path, detector)
        query = make_query(parts=[Part("detector", found.name)], k=k, where=where)
        return SearchResult(
            query=query,
            hits=tuple(apply_detector(self._folder, found, k=k, where=query.where)),
            n_tiles=self._folder.store.count(query.where),
            index=self._folder.path.resolve().name,
            model=self._folder.manifest.model.name,
            threshold=threshold,
        )

    def learn(self, name: str, *, query: Query, marks: Sequence[Mark]) -> Detector:
        """Learn a detector from marks and keep it with the index; marks of one of the same name are added to.

        Raises:
            QueryError: no tile is marked right, or the name cannot be one.
            StoreError: a marked tile is not in the index, or the detector cannot be written.
        """
        folder = self._folder
        if name in list_detectors(folder.path):
            known = load_detector(folder.path, name)
            before = [*((tile, True) for tile in known.right), *((tile, False) for tile in known.wrong)]
            marks = [*(Mark(tile, right) for tile, right in before), *marks]
        learned = learn_detector(
            name,
            query=query.describe(),
            start=self.encode(query),
            marks=marks,
            vectors=folder.store.vectors([mark.tile for mark in marks]),
            background=folder.store.sample(BACKGROUND_TILES),
            fingerprint=folder.manifest.model.fingerprint,
        )
        save_detector(folder.path, learned)
        return learned

    def encode(self, query: Query) -> FloatArray:
        """The unit vector (dim,) that a query is searched with.

        Raises:
            SceneError, StoreError: an example cannot be read, or a tile is not in the index.
        """
        return _mix([self._encode_part(part, with_tokens=False) for part in query.parts])

    def picture(self, tile: Tile, *, max_px: int = 256) -> ImageArray:
        """The picture of a tile, read from its scene, with the contrast that the scene was indexed with.

        Raises:
            SceneError: the scene is not where the index expects it, cannot be read, or has changed its size.
        """
        if self._stretches is None:
            self._stretches = {entry.scene: entry.stretch for entry in self.scenes()}
        path = self._folder.scene_path(tile.scene)
        return read_window(
            path,
            tile.window_px,
            max_px=max_px,
            stretch=self._stretches.get(tile.scene),
            bands=self._folder.manifest.settings.bands,
        )

    def scenes(self) -> list[SceneEntry]:
        """The scenes in the index, sorted by name."""
        return self._folder.store.scenes()

    def summary(self) -> IndexSummary:
        """What the index holds, in numbers."""
        return summarise(self._folder)

    def _needs_tokens(self, settings: RankingSettings) -> bool:
        return settings.local and bool(self.encoder.mixture.beta)

    def _encode_part(self, part: Part, *, with_tokens: bool) -> EncodedPart:
        if part.kind == "words":
            texts = self.encoder.encode_texts([part.value])
            return EncodedPart(part.weight, True, texts.global_emb[0], texts.tokens, texts.token_mask)
        if part.kind == "picture":
            images = self.encoder.encode_images([self._example(part)])
            return EncodedPart(part.weight, False, images.global_emb[0], images.tokens, None)
        vector = self._folder.store.vectors([part.value])[0]
        tokens = self._tile_tokens(part.value, vector) if with_tokens else None
        return EncodedPart(part.weight, False, vector, tokens, None)

    def _example(self, part: Part) -> ImageArray:
        if isinstance(part.picture, np.ndarray):
            return part.picture
        return read_picture(Path(part.picture or part.value), max_px=self._model_max_px)

    def _tile_tokens(self, tile: str, vector: FloatArray) -> FloatArray | None:
        """Patches of a tile; None where its picture cannot be read: its vector then has to do."""
        found = next((hit.tile for hit in self._folder.store.search(vector, k=16) if hit.tile.tile == tile), None)
        try:
            return None if found is None else self.encoder.encode_images([self._picture_for_model(found)]).tokens
        except SceneError:
            return None

    @property
    def _model_max_px(self) -> int:
        # The encoder reduces it further; twice its size is more than it can see.
        return 2 * self._folder.manifest.model.image_size_px

    def _picture_for_model(self, tile: Tile) -> ImageArray:
        return self.picture(tile, max_px=self._model_max_px)

    def _relevance(self, query: Query, vector: FloatArray, hits: Sequence[Hit]) -> Sequence[float | None]:
        if not hits:
            return []
        vectors = self._folder.store.vectors([hit.tile.tile for hit in hits])
        found = estimate_relevance(vector, tiles=vectors, background=self._background(query))
        return found if found is not None else [None] * len(hits)

    def _background(self, query: Query) -> Background:
        """What the collection is like for queries made as this one is; kept until the index grows."""
        recipe = (len(self), *((part.kind == "words", part.weight) for part in query.parts))
        if recipe not in self._backgrounds:
            sample = self._folder.store.sample(COLLECTION_TILES)
            is_text = all(part.kind == "words" for part in query.parts)
            # A tile as a reference would find itself in the collection: one half asks, the other answers.
            references = sample[::2][:REFERENCE_TILES]
            collection = sample if is_text else sample[1::2]
            banks = [
                load_bank(self._folder.path, self.encoder) if part.kind == "words" else references
                for part in query.parts
            ]
            mixed = mix_references(banks, weights=[part.weight for part in query.parts])
            self._backgrounds = {recipe: Background.measure(mixed, collection=collection)}
        return self._backgrounds[recipe]


def _mix(parts: Sequence[EncodedPart]) -> FloatArray:
    mixed = np.sum([part.weight * part.global_emb for part in parts], axis=0)
    length = float(np.linalg.norm(mixed))
    if length < 1e-6:
        raise QueryError("the parts of the query say the exact opposite of each other: search for one of them")
    return np.asarray(mixed / length, dtype=np.float32)
