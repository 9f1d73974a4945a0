"""Texts that arrive together are encoded together, and those asked for again and again only once."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from cachetools import LRUCache

from rsitr.calibration import Calibration
from rsitr.service.metrics import Metrics
from rsitr.types import EncodedImages, EncodedTexts, Encoder, ImageArray, Mixture

__all__ = ["RememberingEncoder", "TextQueue"]

REMEMBERED = 256


class RememberingEncoder:
    """An Encoder that remembers single texts: what `TextQueue` has encoded in a batch, a search then finds here."""

    def __init__(self, encoder: Encoder, *, remembered: int = REMEMBERED) -> None:
        self._encoder = encoder
        self._texts: LRUCache[str, EncodedTexts] = LRUCache(remembered)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """As the encoder's own; so are the next ones."""
        return self._encoder.name

    @property
    def fingerprint(self) -> str:
        """Hex digest of weights and settings."""
        return self._encoder.fingerprint

    @property
    def dim(self) -> int:
        """Joint width D."""
        return self._encoder.dim

    @property
    def image_size_px(self) -> int:
        """Side of the square picture the image encoder sees."""
        return self._encoder.image_size_px

    @property
    def mixture(self) -> Mixture:
        """How global and local similarity are mixed for this model."""
        return self._encoder.mixture

    @property
    def calibration(self) -> Calibration | None:
        """What makes its scores probabilities."""
        found: Calibration | None = getattr(self._encoder, "calibration", None)  # not every encoder is one of ours
        return found

    @property
    def lexicon(self) -> Any:
        """Which words it can know."""
        return getattr(self._encoder, "lexicon", None)

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        """Encode pictures; nothing is remembered of them."""
        return self._encoder.encode_images(images, batch_size=batch_size)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> EncodedTexts:
        """Encode texts; a single one may be remembered."""
        if len(texts) == 1:
            found = self.recall(texts[0])
            if found is None:
                self.encode_batch(texts)
                found = self.recall(texts[0])
            if found is not None:
                return found
        return self._encoder.encode_texts(texts, batch_size=batch_size)

    def recall(self, text: str) -> EncodedTexts | None:
        """What is remembered of a text."""
        with self._lock:
            return self._texts.get(text)

    def encode_batch(self, texts: Sequence[str]) -> None:
        """Encode texts in one call, and remember each."""
        encoded = self._encoder.encode_texts(list(texts))
        with self._lock:
            for i, text in enumerate(texts):
                # Copies: a view would keep all of the batch in memory as long as one of it is remembered.
                mask = encoded.token_mask[i : i + 1]
                used = int(np.flatnonzero(mask[0])[-1]) + 1 if mask.any() else mask.shape[1]
                self._texts[text] = EncodedTexts(
                    encoded.global_emb[i : i + 1].copy(), encoded.tokens[i : i + 1, :used].copy(), mask[:, :used].copy()
                )


class TextQueue:
    """Encodes what has gathered while the last batch was encoded: a single client never waits for others to come."""

    def __init__(self, encoder: RememberingEncoder, *, batch: int, metrics: Metrics) -> None:
        self._encoder = encoder
        self._batch = batch
        self._sizes = metrics.encode_batch
        self._waiting: OrderedDict[str, asyncio.Future[None]] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rsitr-encode")
        self._task: asyncio.Task[None] | None = None

    async def prepare(self, texts: Sequence[str]) -> None:
        """Have texts encoded and remembered."""
        wanted = [text for text in dict.fromkeys(texts) if self._encoder.recall(text) is None]
        if not wanted:
            return
        loop = asyncio.get_running_loop()
        futures = [self._waiting.setdefault(text, loop.create_future()) for text in wanted]
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._work())
        await asyncio.gather(*(asyncio.shield(future) for future in futures))

    def close(self) -> None:
        """End the thread when it is done with its batch."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = dict([self._waiting.popitem(last=False) for _ in range(min(self._batch, len(self._waiting)))])
            try:
                await loop.run_in_executor(self._thread, self._encoder.encode_batch, list(batch))
            except Exception as error:  # whoever waits for it is told
                for future in batch.values():
                    future.set_exception(error)
                    future.exception()  # seen: nobody may be waiting any more
            else:
                self._sizes.observe(len(batch))
                for future in batch.values():
                    future.set_result(None)
