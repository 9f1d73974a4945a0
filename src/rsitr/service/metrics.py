"""What is counted, for Prometheus. Each application counts for itself."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["Metrics"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
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
        self.in_flight = Gauge("rsitr_in_flight", "Work that waits or runs.", ["queue"], registry=self.registry)
        self.tiles = Gauge("rsitr_index_tiles", "Tiles in the index.", registry=self.registry)
        self.ready = Gauge("rsitr_ready", "1 once the model is loaded.", registry=self.registry)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
