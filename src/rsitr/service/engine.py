"""What stands behind the routes: the index, its model, the queues before them, and what is kept in memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from rsitr.catalogue import CATALOGUE
from rsitr.errors import MissingError, RsitrError, StoreError
from rsitr.formats import Place
from rsitr.index.manifest import MANIFEST
from rsitr.search import Index, Mark, SearchResult, WordlessEncoder
from rsitr.service.admission import Workers
from rsitr.service.asking import Asked
from rsitr.service.batching import RememberingEncoder, TextQueue
from rsitr.service.catalogue import Catalogue
from rsitr.service.errors import WarmingError
from rsitr.service.logs import LOG
from rsitr.service.metrics import Metrics
from rsitr.service.rendering import ByteCache
from rsitr.service.schemas import SearchBody
from rsitr.service.settings import ServiceSettings
from rsitr.service.shared_state import Common
from rsitr.service.uploads import MISSING
from rsitr.types import Encoder, ImageArray

__all__ = ["WARMING", "Engine", "Found", "wait_until_ready"]

Result = TypeVar("Result")

PICTURE_THREADS = 2
PICTURE_QUEUE = 256
LOOK_S = 1.0  # an index that was made anew is noticed so much later at most
WARM_WORDS = "an aerial picture"
EXAMPLES = 8  # tiles to begin with, where no words can be searched for
WARMING = "rsitr-warming"
"""Name of the thread that loads the model."""


@dataclass(frozen=True, slots=True)
class Found:
    """A search's result, its places (None if they were not asked for), and the seconds it took without waiting."""

    result: SearchResult
    places: tuple[Place, ...] | None
    took_s: float


class Engine:
    """Everything that lives as long as the service does."""

    def __init__(
        self, settings: ServiceSettings, *, index: Index, metrics: Metrics, common: Path | None = None
    ) -> None:
        self.settings = settings
        self.index = index
        self.metrics = metrics
        self.catalogue = Catalogue(index)
        self._manifest = _look_at(index)
        self._next_look = 0.0
        self.common = Common(settings, folder=common)
        self.rendered = ByteCache(settings.cache_bytes)
        self.status: Literal["ready", "warming", "failed"] = "warming"
        self.detail = "the model is being loaded"
        self.started = time.monotonic()
        self.is_draining = False  # told to stop: load balancers should look elsewhere
        self._texts: TextQueue | None = None
        self._searches = Workers("search", threads=settings.workers, limit=settings.queue_size, metrics=metrics)
        self._renders = Workers("pictures", threads=PICTURE_THREADS, limit=PICTURE_QUEUE, metrics=metrics)
        self._warming: threading.Thread | None = None
        self.suggestions = tuple(settings.suggestions)
        self.knows_words = True
        self.language: str | None = None
        self.examples: tuple[str, ...] = ()

    def start(self) -> None:
        """Load the model in a thread of its own; until it is there, searches are answered 503. Once is enough."""
        if self._warming is not None:
            return
        self._warming = threading.Thread(target=self._warm, name=WARMING, daemon=True)
        self._warming.start()

    def close(self) -> None:
        """Let what has begun finish."""
        if self._warming is not None:
            self._warming.join(timeout=self.settings.shutdown_s)
        for part in (self._texts, self._searches, self._renders):
            if part is not None:
                part.close()

    def require_ready(self) -> None:
        """Raises WarmingError unless searches can be answered."""
        if self.status != "ready":
            raise WarmingError(f"searches cannot be answered yet: {self.detail}")

    async def keep_up(self) -> None:
        """Take up an index that was made anew in the same folder, with its model if that is another one."""
        if self.status == "warming" or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        seen = await asyncio.to_thread(_look_at, self.index)
        if seen is not None and seen != self._manifest:
            self._manifest = seen
            await asyncio.to_thread(self._reopen)

    def _reopen(self) -> None:
        settings, known = self.settings, self.index
        try:
            found = Index.open(known.path, model=settings.model, device=settings.device, root=settings.root)
        except StoreError as error:  # until it is all there, what is in memory answers
            self._manifest = None
            LOG.warning("the index is being made anew", extra={"fields": {"detail": str(error)}})
            return
        is_same = self.status == "ready" and self.knows_words and found.model.fingerprint == known.model.fingerprint
        self.index = found.with_encoder(known.encoder) if is_same else found
        self.catalogue = Catalogue(self.index)
        LOG.info("the index was made anew", extra={"fields": {"tiles": len(found), "model": found.model.name}})
        if is_same:
            self.suggestions = self._offer(self.index)
        else:
            self.status, self.detail = "warming", "the model of an index that was made anew is being loaded"
            self.metrics.ready.set(0)
            self._warming = None
            self.start()

    async def pictures_of(self, body: SearchBody) -> Callable[[str], ImageArray]:
        """The uploaded pictures that a search names; what is given raises MissingError for one that is not there."""
        found = await self.common.find_pictures(body.picture_names)

        def give(name: str) -> ImageArray:
            if name not in found:
                raise MissingError(MISSING)
            return found[name]

        return give

    async def search(self, asked: Asked, show: Callable[[Found], Result]) -> Result:
        """Answer a search, and show the answer, in a worker.

        Raises:
            WarmingError, BusyError: not now.
            QueryError, StoreError: as `Index.answer`.
        """
        await self.keep_up()
        self.require_ready()
        with self._searches.admit():
            await self._prepare(asked.words)
            return await self._searches.run(lambda: show(self._answer(asked)))

    async def learn(self, words: Sequence[str], action: Callable[[Index], Result]) -> Result:
        """Do something with the index that needs the model, and texts encoded. Raises as `search`."""
        await self.keep_up()
        self.require_ready()
        with self._searches.admit():
            await self._prepare(words)
            return await self._searches.run(lambda: action(self.index))

    async def render(self, action: Callable[[], Result]) -> Result:
        """Do something that reads files or pictures, and needs no model.

        Raises:
            BusyError: too much waits.
        """
        await self.keep_up()
        with self._renders.admit():
            return await self._renders.run(action)

    async def _prepare(self, words: Sequence[str]) -> None:
        if self._texts is not None and words:
            await self._texts.prepare(words)

    def _answer(self, asked: Asked) -> Found:
        started = time.perf_counter()
        result = self.index.answer(asked.query, marks=asked.marks, ranking=asked.ranking, threshold=asked.threshold)
        places = result.places(timeline=asked.timeline) if asked.places else None
        took_s = time.perf_counter() - started
        self.metrics.search_seconds.observe(took_s)
        return Found(result, places, took_s)

    def _offer(self, index: Index) -> tuple[str, ...]:
        """Words to begin with: nothing is offered that this very index denies."""
        offered = self.settings.suggestions if self.knows_words else ()
        return tuple(words for words in offered if index.search(words, k=1).matches)

    def _warm(self) -> None:
        started = time.monotonic()
        try:
            loaded = self.index.encoder
            self.knows_words = not isinstance(loaded, WordlessEncoder)
            self.language = _find_language(loaded)
            encoder = RememberingEncoder(loaded)
            index = self.index.with_encoder(encoder)
            if not self.knows_words:
                self.examples = index.examples(EXAMPLES)
            if len(index):
                # Loads the vectors, what relevance is measured against, and what merging and learning import late.
                found = index.search(WARM_WORDS, k=1) if self.knows_words else index.search(like=self.examples[0], k=1)
                found.places()
                index.refine(found.query, [Mark(found.hits[0].tile.tile, True)])
            self.suggestions = self._offer(index)
        except RsitrError as error:
            self.status, self.detail = "failed", str(error)
            LOG.error("the model cannot be loaded", extra={"fields": {"detail": str(error)}})
            return
        except Exception:
            self.status, self.detail = "failed", "loading the model met a fault of rsitr; the log has more"
            LOG.exception("loading the model met a fault")
            return
        before = self._texts
        self._texts = TextQueue(encoder, batch=self.settings.encode_batch, metrics=self.metrics)
        if before is not None:
            before.close()
        self.index = index
        self.metrics.tiles.set(len(index))
        self.metrics.ready.set(1)
        self.status, self.detail = "ready", ""
        LOG.info("ready", extra={"fields": {"warming_s": round(time.monotonic() - started, 2), "tiles": len(index)}})


def _look_at(index: Index) -> tuple[int, int, int] | None:
    """What is another one once an index was made anew: of the file that records what it is made of."""
    try:
        about = (index.path / MANIFEST).stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


async def wait_until_ready(engine: Engine, *, timeout_s: float = 60.0) -> None:
    """Wait for the model, as tests and benchmarks do.

    Raises:
        WarmingError: it failed, or took too long.
    """
    deadline = time.monotonic() + timeout_s
    while engine.status == "warming" and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    engine.require_ready()


def _find_language(encoder: Encoder) -> str | None:
    """The language that a model's words are of (ISO 639); None where it understands several, or nobody knows."""
    if getattr(encoder, "lexicon", None) is not None:
        return "en"  # which the captions are that it has its words of
    known = CATALOGUE.get(encoder.name)
    return None if known is None else known.language
