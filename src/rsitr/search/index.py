"""The index as a person or program searches it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from rsitr.errors import QueryError
from rsitr.index import IndexFolder, IndexSummary, LanceStore, ModelRecord, open_index, summarise
from rsitr.registry import import_named
from rsitr.search.answering import Answering, Found
from rsitr.search.collection import Collection
from rsitr.search.detectors import Detector, load_detector
from rsitr.search.encoding import encode_query
from rsitr.search.feedback import Mark
from rsitr.search.learning import find_known, learn_from_marks
from rsitr.search.limits import Limits, check_filter
from rsitr.search.loading import Models
from rsitr.search.locating import SCALES, locate
from rsitr.search.outcome import say_left_out, say_limits, say_outcome
from rsitr.search.query import Part, Query, check_threshold, make_query
from rsitr.search.ranking import RankingSettings
from rsitr.search.relevance import JUDGED, THRESHOLD
from rsitr.search.result import SearchResult
from rsitr.search.scenery import Corners
from rsitr.search.spots import Glimpse, find_days, find_tiles, find_touched
from rsitr.search.spread import MOST_TILES, Spread, narrow, spread_hits
from rsitr.types import BBox, Encoder, FloatArray, ImageArray, Progress, SceneEntry, Tile, TileFilter, no_progress

if TYPE_CHECKING:
    from xarray import DataArray

    from rsitr.formats import HeatMap
    from rsitr.geo import WindowPixels

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
        self._device = device
        self._collection = Collection(folder, Models(folder, encoder=encoder, model=model, device=device))
        self._answering = Answering(folder, self._collection)

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
            path: the folder of the index, or its address (`s3://bucket/prefix`, `milvus://host:19530/collection`).
            encoder: the model that made it; None loads it when the first query needs it.
            model: what to load then, where the recorded name no longer leads to it, e.g. a checkpoint that has moved.
            device: where it then runs, e.g. `cpu`, `cuda`.
            root: where the scenes lie, if that is not where the index expects them; only pictures of hits need them.

        Raises:
            StoreError: the folder is missing, no index, damaged, or was made by another model than `encoder`.
        """
        folder = open_index(path, root=Path(root) if root else None)
        return cls(folder, encoder=encoder, model=model, device=device)

    def take_over(self, other: Index) -> None:
        """Begin with what another `Index` of the same folder has in memory: its tiles, and its model if it is ours.

        Answers, and what is said of errors, are as without; what was written since is noticed as ever.
        """
        self._collection.take_over(other._collection)
        ours, theirs = self._folder.store, other._folder.store
        if isinstance(ours, LanceStore) and isinstance(theirs, LanceStore):
            ours.take_over(theirs)

    def with_encoder(self, encoder: Encoder) -> Index:
        """The same index, searched with an encoder of one's own.

        Raises:
            StoreError: it was made by another model.
        """
        return Index(self._folder, encoder=encoder, device=self._device)

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
        return self._collection.encoder

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

    @property
    def version(self) -> int:
        """Another number after every change of its tiles."""
        return self._folder.store.version

    @property
    def cut(self) -> str:
        """How scenes are cut into tiles: with the same, a tile's id means the same."""
        return self._folder.manifest.settings.model_dump_json()

    def search(
        self,
        text: str | None = None,
        *,
        image: str | Path | ImageArray | DataArray | None = None,
        like: str | Sequence[str] | None = None,
        minus: str | Sequence[str] | None = None,
        parts: Sequence[Part] = (),
        where: TileFilter | None = None,
        k: int = 10,
        every: bool = False,
        ranking: RankingSettings | None = None,
        threshold: float = THRESHOLD,
        **limits: Unpack[Limits],
    ) -> SearchResult:
        """Find the tiles that fit words, an example picture, a tile found before, or a mixture of them.

        Candidates are the tiles with the highest cosine of the query's and the tile's global vector; they are then
        ranked as `ranking` says. The query's vector is the weighted sum of its parts' unit vectors; what is unwanted
        lowers what shows it (`rsitr.search.unwanted`), unless a re-ranking is asked for. Filters are applied
        before ranking: the k hits are the best of all tiles that pass.

        Args:
            text: what to look for.
            image: an example: a file that can be read as an image, an array (height, width, 3) of uint8,
                or one of xarray (`rsitr.geo.open_array`).
            like: ids of tiles of this index that are examples.
            minus: words for what is not wanted.
            parts: further parts with weights of their own.
            where: which tiles may answer.
            k: at most so many hits.
            every: also tiles whose pixels can show nothing to a model, and every file of the same ground and day; else
                these are left out, and counted (`SearchResult.n_hopeless`, `n_copies`).
            ranking: stages after the first.
            threshold: relevance below which nothing is said to match.
            limits: of `where`, given apart; they take the place of its own. `bbox`: only tiles whose footprint meets
                this box (west, south, east, north). `since`, `until`: only tiles known to be taken on this day or
                later, or earlier. `sensor`: only tiles of this sensor.

        Raises:
            QueryError: the query asks for nothing, or for what cannot be.
            SceneError: the example cannot be read.
            StoreError: a tile of `like` is not in the index.
        """
        query = make_query(
            text=text, image=image, like=like, minus=minus, parts=parts, k=k, where=where, every=every, **limits
        )
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
            return self._result(
                query, self._answering.by_detector(query, self._detector(query.detector)), threshold=threshold
            )  # fmt: skip
        if marks:
            return self.refine(query, marks, threshold=threshold)
        return self._result(query, self._answering.by_query(query, ranking or RankingSettings()), threshold=threshold)

    def detect(
        self,
        detector: str | Detector,
        *,
        where: TileFilter | None = None,
        k: int = 10,
        every: bool = False,
        threshold: float = THRESHOLD,
    ) -> SearchResult:
        """The tiles that a detector calls most relevant; needs no model. What was marked wrong is none, right is first.

        Raises:
            QueryError: there is no detector of this name, or k or the filter makes no sense.
            StoreError: it was learned with another model.
        """
        found = detector if isinstance(detector, Detector) else self._detector(detector)
        query = make_query(parts=[Part("detector", found.name)], k=k, where=where, every=every)
        return self._result(query, self._answering.by_detector(query, found), threshold=threshold)

    def _detector(self, name: str) -> Detector:
        return load_detector(self._folder.path, name)

    def learn(self, name: str, *, query: Query, marks: Sequence[Mark], afresh: bool = False) -> Detector:
        """Learn a detector from marks and keep it with the index; marks of one of the same name are added to.

        Of these, the marks on tiles that have left the index since are let go; the detector's `gone` names them. With
        `afresh`, those of the same name give way to these.

        Raises:
            QueryError: no tile is marked right, or the name cannot be one.
            StoreError: a marked tile is not in the index, or the detector cannot be written.
        """
        return learn_from_marks(self._folder, name, query=query, start=self.encode(query), marks=marks, afresh=afresh)

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
        return self._result(query, self._answering.by_marks(query, marks), threshold=threshold)

    def encode(self, query: Query) -> FloatArray:
        """The unit vector (dim,) that a query is searched with.

        Raises:
            SceneError, StoreError: an example cannot be read, or a tile is not in the index.
        """
        return encode_query(query, self._collection).vector

    def picture(self, tile: Tile, *, max_px: int = 256, context: float = 1.0) -> ImageArray:
        """The picture of a tile, read from its scene, with the contrast that the scene was indexed with.

        With a `context` of 2, twice the tile's window is shown, as far as the scene reaches.

        Raises:
            SceneError: the scene is not where the index expects it, cannot be read, or has changed its size.
        """
        return self._collection.scenery.picture(tile, max_px=max_px, context=context)

    def write_chip(self, tile: Tile, stem: Path) -> Path:
        """Write a tile as a file of its own with the scene's own pixels: a GeoTIFF, or a PNG where it has no place.

        Args:
            tile: of this index.
            stem: the file, without its ending.

        Raises:
            SceneError: the scene is not where the index expects it, or cannot be read; or the file cannot be written.
        """
        return self._collection.scenery.write_chip(tile, stem)

    def overview(self, scene: str, *, max_px: int = 1024) -> WindowPixels:
        """A whole scene as a picture, and where it has data; its longer side is at most `max_px`.

        Raises:
            MissingError: it is not in the index.
            SceneError: it is not where the index expects it, or cannot be read.
        """
        return self._collection.scenery.overview(scene, max_px=max_px)

    def web_tile(self, scene: str, *, zoom: int, x: int, y: int) -> WindowPixels | None:
        """A scene on one square of web maps' grid (`rsitr.geo.draw_web_tile`); None where it shows nothing there.

        Raises:
            MissingError: it is not in the index.
            SceneError: it is not where the index expects it, or cannot be read.
        """
        return self._collection.scenery.web_tile(scene, zoom=zoom, x=x, y=y)

    def corners(self, scene: str) -> Corners | None:
        """Longitude and latitude of a scene's corners, clockwise from its first pixel; None where they aren't known.

        Raises:
            MissingError: it is not in the index.
        """
        return self._collection.scenery.corners(scene)

    def locate(
        self,
        scene: str,
        words: str,
        *,
        scales: Sequence[float] = SCALES,
        threshold: float = THRESHOLD,
        progress: Progress = no_progress,
    ) -> HeatMap:
        """Where in a scene of the index words are true (`rsitr.search.locate`), with the bands that it is indexed with.

        Raises:
            MissingError: it is not in the index.
            SceneError: it is not where the index expects it, or cannot be read.
            QueryError: the words are empty, or a scale makes no sense.
        """
        scenery, shown = self._collection.scenery, self._folder.manifest.settings
        return locate(
            scenery.path(scene),
            words,
            encoder=self.encoder,
            scales=scales,
            threshold=check_threshold(threshold),
            progress=progress,
            calibration=self._collection.calibration,
            stretch=scenery.entry(scene).stretch,
            bands=shown.bands,
            page=shown.page,
        )

    def tile(self, tile: str) -> Tile:
        """A tile by its id.

        Raises:
            MissingError: it is not in the index.
        """
        return self._collection.tile(tile)

    def known(self, tiles: Sequence[str]) -> list[Tile]:
        """Those of the tiles that are in the index, in their order."""
        return find_known(self._folder, tiles)

    def browse(self, where: TileFilter | None = None, *, start: int = 0, n: int = 100) -> list[Tile]:
        """Tiles without a search: up to n of those that pass a filter, after the first `start`."""
        return self._folder.store.browse(where, start=start, n=n)

    def count(self, where: TileFilter | None = None) -> int:
        """How many tiles pass a filter."""
        return self._folder.store.count(where)

    def examples(self, n: int) -> tuple[str, ...]:
        """Ids of up to n tiles, spread over the index: to begin with where nobody has an example at hand."""
        store = self._folder.store
        found = [store.search(vector, k=1) for vector in store.sample(n)]
        return tuple(dict.fromkeys(hit.tile.tile for hits in found for hit in hits))

    def tiles_at(self, *, lon: float, lat: float) -> list[Tile]:
        """The tiles under a point, one of each scene, the latest first; none where the index holds nothing there."""
        return find_tiles(self._folder, lon=lon, lat=lat)

    def tiles_along(self, way: Sequence[tuple[float, float]], *, radius_m: float) -> list[Tile]:
        """The tiles that a brush touches which is drawn along a way, up to 4,000 of them.

        Args:
            way: positions (longitude, latitude) in degrees, one or several.
            radius_m: of the brush; a tile whose middle it does not reach is touched where the way crosses it.
        """
        return find_touched(self._folder, way, radius_m=radius_m)

    def days(self, tile: Tile) -> list[Glimpse]:
        """The ground of a tile through all scenes that show at least half of it, the earliest first."""
        return find_days(self._folder, self._collection.scenery, tile)

    def spread(self, result: SearchResult, *, view: BBox, zoom: float) -> Spread:
        """How well every tile in a view fits what was asked, for a map (`rsitr.search.spread`).

        Args:
            result: of a search of this index.
            view: west, south, east, north; west > east crosses the antimeridian.
            zoom: of the map, by which it is chosen whether tiles are shown by themselves or joined.

        Raises:
            QueryError: the view is no box.
            ValueError: the result is not one of a search.
        """
        if result.found is None:
            raise ValueError("this result was not made by a search")
        where = check_filter(narrow(result.query.limits, view=view))
        if where.area == ():  # two limits that have nothing in common
            return Spread((), n_tiles=0, n_shown=0, joined=False)
        hits = result.found.look(where, MOST_TILES)
        return spread_hits(hits, n_tiles=self._folder.store.count(where), zoom=zoom)

    def explore(self, text: str | None = None, **options: Any) -> Any:
        """The page of this index, shown in a notebook or served on this machine: `rsitr.explore`, which see."""
        return import_named("rsitr.service.explore:explore")(self, text, **options)  # by name: a room further up

    def scenes(self) -> list[SceneEntry]:
        """The scenes in the index, sorted by name."""
        return self._folder.store.scenes()

    def say_limits(self, where: TileFilter) -> str:
        """Of limits that no tile meets, which leaves none, and what there is instead."""
        return say_limits(where, count=self._folder.store.count, scenes=self.scenes())

    def say_result(self, result: SearchResult) -> str:
        """What a person should be told beside the hits; empty where something matches and nothing was left out."""
        said = say_outcome(result, n_all=len(self))
        if not result.hits and not result.n_hopeless and len(self):
            said += f": {self.say_limits(result.query.where)}"
        return "; ".join(filter(None, [said, say_left_out(result)]))

    def summary(self) -> IndexSummary:
        """What the index holds, in numbers."""
        return summarise(self._folder)

    def _result(self, query: Query, found: Found, *, threshold: float) -> SearchResult:
        """The answer, whose hits may be more than were asked for: it is judged by the best."""
        is_detector = query.detector is not None  # which needs no model
        n_tiles = self._folder.store.count(query.limits)
        return SearchResult(
            query=query,
            hits=found.hits[: query.k],
            n_tiles=n_tiles,
            index=self.name,
            model=self.model.name,
            threshold=check_threshold(threshold),
            stages=found.stages,
            judged=found.hits[:JUDGED],
            unknown={} if is_detector else self._collection.unknown_words(query),
            has_unknown=not is_detector and self._collection.has_unknown(query),
            is_foreign=not is_detector and self._collection.is_foreign(query),
            is_wordless=self.model.is_foreign,
            n_hopeless=0 if query.every else self._folder.store.count(query.where) - n_tiles,
            found=found,
        )
