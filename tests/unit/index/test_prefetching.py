from __future__ import annotations

import threading
import time
from collections.abc import Generator

import pytest

from rsitr.index.prefetching import Prefetched


def test_items_come_in_order_and_from_another_thread() -> None:
    seen: set[str] = set()

    def numbers() -> Generator[int, None, None]:
        for number in range(50):
            seen.add(threading.current_thread().name)
            yield number

    with Prefetched(numbers(), depth=3) as items:
        assert list(items) == list(range(50))
    assert seen == {"rsitr-reader"}


def test_it_runs_ahead_but_not_further_than_allowed() -> None:
    made: list[int] = []

    def numbers() -> Generator[int, None, None]:
        for number in range(50):
            made.append(number)
            yield number

    with Prefetched(numbers(), depth=4) as items:
        taken = iter(items)
        assert next(taken) == 0
        deadline = time.monotonic() + 10
        while len(made) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert len(made) == 6  # one taken, four waiting, one in the thread's hands


def test_an_error_is_raised_where_items_are_taken() -> None:
    def failing() -> Generator[int, None, None]:
        yield 1
        raise ValueError("broken")

    with Prefetched(failing(), depth=2) as items:
        taken = iter(items)
        assert next(taken) == 1
        with pytest.raises(ValueError, match="broken"):
            next(taken)


def test_leaving_early_ends_the_thread_and_closes_the_generator() -> None:
    closed = threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    with Prefetched(endless(), depth=1) as items:
        next(iter(items))
    assert closed.is_set()
    assert "rsitr-reader" not in {thread.name for thread in threading.enumerate()}
