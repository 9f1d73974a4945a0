"""The index as a person or program searches it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from rsitr.errors import MissingError, QueryError, SceneError
from rsitr.geo import WindowPixels, read_picture
from rsitr.index import IndexFolder, IndexSummary, ModelRecord, open_index, summarise
from rsitr.search.bank import Bank
from rsitr.search.codes import LocalCoder, load_coder
from rsitr.search.collection import Backgrounds
from rsitr.search.detectors import (
    Detector,
    apply_detector,
    changing,
    list_detectors,
    load_detector,
    save_detector,
)
from rsitr.search.feedback import BACKGROUND_TILES, Mark, last_marks, learn_detector, push_away
from rsitr.search.loading import Models
from rsitr.search.query import Part, Query, check_threshold, make_query
from rsitr.search.ranking import CandidateRanker, EncodedPart, RankingSettings, explain_stages
from rsitr.search.relevance import JUDGED, THRESHOLD, Background, estimate_relevance
from rsitr.search.result import SearchResult
from rsitr.search.scenery import Corners, Scenery
from rsitr.types import BBox, Encoder, FloatArray, Hit, ImageArray, SceneEntry, Tile, TileFilter

__all__ = ["Index"]


class Index:
    """An index that can be searched with words, pictures, or both. Made by `Index.open`; safe for many threads."""

    def __init__(
        self,
        folder: IndexFolder,
        *,
        encoder: Encoder | None = None,
        model: str | None = None,
        device: str | None = None,
    ) -> None:
        self._folder = folder
        self._models = Models(folder, encoder=encoder, model=model, device=device)
        self._scenery = Scenery(folder)
        self._backgrounds = Backgrounds(folder)
        self._bank = Bank(encoder=lambda: self.encoder, coder=lambda: self._coder)

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
        return self._models.encoder()

    @cached_property
    def _coder(self) -> LocalCoder | None:
        """What made the codes that the index keeps of its tiles, if it keeps any and says how they were made."""
        recorded = self._folder.manifest.code
        found = None if recorded is None else load_coder(self._folder.path)
        return found if found is not None and recorded and found.fingerprint == recorded.fingerprint else None

    @property
    def path(self) -> Path:
        """The folder of the index."""
        return self._folder.path

    @property
    def name(self) -> str:
        """The name of that folder."""
        return self._folder.path.resolve().name

    @property
    def root(self) -> Path:
        """The folder that scenes are relative to."""
        return self._folder.root

    @property
    def model(self) -> ModelRecord:
        """What is recorded of the model that made the index; nothing is loaded for it."""
        return self._folder.manifest.model

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
        self,
        query: Query,
        *,
        marks: Sequence[Mark] = (),
        ranking: RankingSettings | None = None,
        threshold: float = THRESHOLD,
    ) -> SearchResult:
        """Answer a query that was made by `make_query`; as `search`, with its errors.

        A query for a detector is answered as `detect` does, one with marks as `refine` does.
        """
        if query.detector is not None:
            return self.detect(query.detector, where=query.where, k=query.k, threshold=threshold)
        if marks:
            return self.refine(query, marks, threshold=threshold)
        settings = ranking or RankingSettings()
        parts = [self._encode_part(part, with_tokens=self._needs_tokens(settings)) for part in query.parts]
        vector = _mix(parts)
        store = self._folder.store
        begun = time.perf_counter()
        candidates = store.search(vector, k=max(query.k, settings.n_candidates), where=query.where)
        ranked = CandidateRanker(
            candidates,
            found_s=time.perf_counter() - begun,
            parts=parts,
            words=[(part.weight, part.value) for part in query.parts if part.kind == "words"],
            references=lambda: self._background(query).references,
            bank=self._bank,
            vectors=store.vectors,
            picture=self._picture_for_model,
            encoder=lambda: self.encoder,
            reader=self._models.reader,
            coder=self._coder,
            codes=store.codes,
        ).rank(settings, mixture=self.encoder.mixture)
        # However many hits are asked for, the answer is judged by the same tiles.
        order = ranked.order[: max(query.k, JUDGED)]
        chosen = [candidates[position] for position in order]
        relevance = self._relevance(query, vector, chosen)
        hits = [
            Hit(tile=hit.tile, score=float(ranked.scores[position]), rank=rank, relevance=found)
            for rank, (position, hit, found) in enumerate(zip(order, chosen, relevance, strict=True), start=1)
        ]
        return SearchResult(
            query=query,
            hits=tuple(hits[: query.k]),
            n_tiles=store.count(query.where),
            index=self.name,
            model=self.model.name,
            threshold=check_threshold(threshold),
            stages=explain_stages(ranked, order=order[: query.k]),
            judged=tuple(hits[:JUDGED]),
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
        hits = tuple(apply_detector(self._folder, found, k=max(k, JUDGED), where=query.where))
        return SearchResult(
            query=query,
            hits=hits[:k],
            n_tiles=self._folder.store.count(query.where),
            index=self.name,
            model=self.model.name,
            threshold=check_threshold(threshold),
            judged=hits[:JUDGED],
        )

    def learn(self, name: str, *, query: Query, marks: Sequence[Mark]) -> Detector:
        """Learn a detector from marks and keep it with the index; marks of one of the same name are added to.

        Of these, the marks on tiles that have left the index since are let go; the detector's `gone` names them.

        Raises:
            QueryError: no tile is marked right, or the name cannot be one.
            StoreError: a marked tile is not in the index, or the detector cannot be written.
        """
        folder, start = self._folder, self.encode(query)
        with changing(folder.path):
            earlier = load_detector(folder.path, name).marks if name in list_detectors(folder.path) else ()
            there = self._there([tile for tile, _ in earlier])
            every = [*(Mark(tile, right) for tile, right in earlier if tile in there), *marks]
            learned = learn_detector(
                name,
                query=query.describe(),
                start=start,
                marks=every,
                vectors=folder.store.vectors([mark.tile for mark in every]),
                background=folder.store.sample(BACKGROUND_TILES),
                fingerprint=folder.manifest.model.fingerprint,
                gone=[tile for tile, _ in earlier if tile not in there],
            )
            save_detector(folder.path, learned)
        return learned

    def _there(self, tiles: Sequence[str]) -> set[str]:
        """Which of the tiles are in the index."""
        try:
            return {tile.tile for tile in self._folder.store.tiles(tiles)}
        except MissingError:
            if len(tiles) == 1:
                return set()
            half = len(tiles) // 2
            return self._there(tiles[:half]) | self._there(tiles[half:])

    def refine(self, query: Query, marks: Sequence[Mark], *, threshold: float = THRESHOLD) -> SearchResult:
        """Answer a query again, moved towards tiles marked right and away from those marked wrong; nothing is kept.

        With a tile marked right, it is answered by the same head as a detector's (`rsitr.search.feedback`), and
        relevance is the head's. With wrong ones alone, which say only what was not meant, the query's vector is pushed
        away from them, and relevance is estimated as for any query.

        Raises:
            QueryError: nothing is marked.
            MissingError: a marked tile is not in the index.
            SceneError: an example of the query cannot be read.
        """
        if not marks:
            raise QueryError("nothing is marked right or wrong: mark a hit to refine the search")
        store, start = self._folder.store, self.encode(query)
        vectors = store.vectors([mark.tile for mark in marks])
        background, n_wanted = store.sample(BACKGROUND_TILES), max(query.k, JUDGED)
        if any(marks[row].right for row in last_marks(marks)):
            learned = learn_detector(
                "refined", query=query.describe(), start=start, marks=marks, vectors=vectors, background=background,
                fingerprint=self.model.fingerprint,
            )  # fmt: skip
            hits = tuple(apply_detector(self._folder, learned, k=n_wanted, where=query.where))
        else:
            vector = push_away(start, wrong=vectors, background=background)
            found = store.search(vector, k=n_wanted, where=query.where)
            relevance = self._relevance(query, vector, found)
            hits = tuple(replace(hit, relevance=seen) for hit, seen in zip(found, relevance, strict=True))
        return SearchResult(
            query=query,
            hits=hits[: query.k],
            n_tiles=store.count(query.where),
            index=self.name,
            model=self.model.name,
            threshold=check_threshold(threshold),
            judged=hits[:JUDGED],
        )

    def encode(self, query: Query) -> FloatArray:
        """The unit vector (dim,) that a query is searched with.

        Raises:
            SceneError, StoreError: an example cannot be read, or a tile is not in the index.
        """
        return _mix([self._encode_part(part, with_tokens=False) for part in query.parts])

    def picture(self, tile: Tile, *, max_px: int = 256, context: float = 1.0) -> ImageArray:
        """The picture of a tile, read from its scene, with the contrast that the scene was indexed with.

        With a `context` of 2, twice the tile's window is shown, as far as the scene reaches.

        Raises:
            SceneError: the scene is not where the index expects it, cannot be read, or has changed its size.
        """
        return self._scenery.picture(tile, max_px=max_px, context=context)

    def overview(self, scene: str, *, max_px: int = 1024) -> WindowPixels:
        """A whole scene as a picture, and where it has data; its longer side is at most `max_px`.

        Raises:
            MissingError: it is not in the index.
            SceneError: it is not where the index expects it, or cannot be read.
        """
        return self._scenery.overview(scene, max_px=max_px)

    def corners(self, scene: str) -> Corners | None:
        """Longitude and latitude of a scene's corners, clockwise from its first pixel; None where they aren't known.

        Raises:
            MissingError: it is not in the index.
        """
        return self._scenery.corners(scene)

    def tile(self, tile: str) -> Tile:
        """A tile by its id.

        Raises:
            MissingError: it is not in the index.
        """
        return self._folder.store.tiles([tile])[0]

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
        tokens = self._tile_tokens(part.value) if with_tokens else None
        return EncodedPart(part.weight, False, vector, tokens, None)

    def _example(self, part: Part) -> ImageArray:
        if isinstance(part.picture, np.ndarray):
            return part.picture
        return read_picture(Path(part.picture or part.value), max_px=self._model_max_px)

    def _tile_tokens(self, tile: str) -> FloatArray | None:
        """Patches of a tile; None where its picture cannot be read: its vector then has to do."""
        try:
            return self.encoder.encode_images([self._picture_for_model(self.tile(tile))]).tokens
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
        """What the collection is like for queries made as this one is."""
        return self._backgrounds.find(query, encoder=self.encoder)


def _mix(parts: Sequence[EncodedPart]) -> FloatArray:
    mixed = np.sum([part.weight * part.global_emb for part in parts], axis=0)
    length = float(np.linalg.norm(mixed))
    if length < 1e-6:
        raise QueryError("the parts of the query say the exact opposite of each other: search for one of them")
    return np.asarray(mixed / length, dtype=np.float32)
