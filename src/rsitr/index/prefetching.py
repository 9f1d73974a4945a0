"""A generator that runs ahead in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Generic, TypeVar

__all__ = ["Prefetched"]

Item = TypeVar("Item")


class Prefetched(Generic[Item]):
    """Runs a generator in a thread, up to `depth` items ahead. Leaving the `with` block ends the thread.

    An error of the generator is raised where the items are taken.
    """

    def __init__(self, items: Generator[Item, None, None], *, depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rsitr-reader", daemon=True)

    def __enter__(self) -> Prefetched[Item]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item, error = self._queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    def _run(self) -> None:
        try:
            with closing(self._items):
                for item in self._items:
                    if not self._hand_over(item, None):
                        return
        except BaseException as error:  # raised again where the items are taken
            self._hand_over(None, error)
        else:
            self._hand_over(None, None)

    def _hand_over(self, item: Item | None, error: BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put((item, error), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
