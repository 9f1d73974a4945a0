"""What is counted, for Prometheus.

An application counts for itself. The processes of one service count in files that they have in common (`VARIABLE`), and
each tells the sum of all: a request for the numbers comes to any of them, and numbers that were another process's each
time would be of no use. What a process had counted when it ended stays in the sum.
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

__all__ = ["VARIABLE", "Metrics", "forget_process"]

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder of the common files to the library, which reads it when it is imported."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one application, or of all processes of a service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        common = os.environ.get(VARIABLE)
        self._told = self.registry
        if common is None:
            ProcessCollector(registry=self.registry)
        else:
            self._told = CollectorRegistry()
            MultiProcessCollector(self._told, path=common)  # type: ignore[no-untyped-call]
        self.requests = Counter(
            "rsitr_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "rsitr_request_seconds", "From a request to its answer.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.search_seconds = Histogram(
            "rsitr_search_seconds", "Searches, without waiting.", buckets=SECONDS, registry=self.registry
        )
        self.encode_batch = Histogram(
            "rsitr_encode_batch_size",
            "Texts encoded together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.refused = Counter("rsitr_refused", "Requests refused.", ["reason"], registry=self.registry)
        self.in_flight = Gauge(
            "rsitr_in_flight",
            "Work that waits or runs.",
            ["queue"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.tiles = Gauge(
            "rsitr_index_tiles", "Tiles in the index.", registry=self.registry, multiprocess_mode="mostrecent"
        )
        self.ready = Gauge(
            "rsitr_ready",
            "Processes whose model is loaded; 1 where there is one.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._told)


def forget_process(folder: Path, pid: int) -> None:
    """What a process that has ended is no longer: at work, or ready. What it has counted stays."""
    mark_process_dead(pid, os.fspath(folder))  # type: ignore[no-untyped-call]
