"""Who may come in: queues with a limit, so that too much is refused instead of piled up, and a rate for each client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from cachetools import LRUCache

from rsitr.service.errors import BusyError, RateError
from rsitr.service.metrics import Metrics

__all__ = ["RateLimit", "Workers", "too_often"]

Result = TypeVar("Result")

CLIENTS = 10_000
"""Clients that are remembered; who was not seen for longest is forgotten, and so begins anew."""


class Workers:
    """A few threads, and a limit to what waits for them. Called from one event loop."""

    def __init__(self, name: str, *, threads: int, limit: int, metrics: Metrics) -> None:
        self._name = name
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"rsitr-{name}")
        self._limit = limit
        self._admitted = 0
        self._metrics = metrics
        self._gauge = metrics.in_flight.labels(name)

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place in the queue.

        Raises:
            BusyError: there is none left.
        """
        if self._admitted >= self._limit:
            self._metrics.refused.labels("busy").inc()
            raise BusyError(f"{self._limit} requests are waiting already; try again in a moment")
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    async def run(self, action: Callable[[], Result]) -> Result:
        """Do something in one of the threads; who calls has been admitted.

        A client that goes away frees its place; what has begun is finished, and its thread is free only then.
        """
        future: Future[Result] = self._pool.submit(action)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let what has begun finish, and drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _change(self, by: int) -> None:
        self._admitted += by
        self._gauge.set(self._admitted)


class RateLimit:
    """A bucket of tokens for each client: it fills at `per_s`, holds `burst`, and a request takes one."""

    def __init__(self, *, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._clock = clock
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(CLIENTS)

    def check(self, client: str) -> None:
        """Take a token.

        Raises:
            RateError: there is none; its message says when there will be.
        """
        if self._per_s <= 0:
            return
        now = self._clock()
        tokens, since = self._buckets.get(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_s)
        if tokens < 1.0:
            raise too_often(self._per_s, wait_s=(1 - tokens) / self._per_s)
        self._buckets[client] = (tokens - 1.0, now)


def too_often(per_s: float, *, wait_s: float) -> RateError:
    """What a client is told that makes too many requests."""
    return RateError(f"more than {per_s:g} requests per second; try again in {wait_s:.1f} s")
