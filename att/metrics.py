"""The figures that `GET /metrics` tells, in a registry of their own.

The doors count what is asked of them; whoever has a figure of another kind (a running app, the length of a log) gives a
function that is asked when the figures are fetched, so that nothing is counted while nobody looks.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All figures of one daemon."""

    def __init__(self, version: str = "", release: str = "") -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "att_requests", "Requests answered.", ("operation", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "att_request_seconds",
            "Seconds until the answer was made; of a stream, until it began.",
            ("operation",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge("att_streams_open", "Streams that are being followed.", registry=self.registry)
        info = Gauge("att_info", "Which ATT this is.", ("version", "release"), registry=self.registry)
        info.labels(version, release).set(1)

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """A figure that is asked of `value` at each fetch; it must not wait."""
        Gauge(name, about, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class Counted:
    """The figures of one operation, with their labels looked up once."""

    def __init__(self, metrics: Metrics, operation: str) -> None:
        self._requests = metrics.requests
        self._operation = operation
        self._observe = metrics.seconds.labels(operation).observe
        self._by_status: dict[int, Callable[[], None]] = {}

    def __call__(self, status: int, seconds: float) -> None:
        count = self._by_status.get(status)
        if count is None:
            count = self._by_status[status] = self._requests.labels(self._operation, str(status)).inc
        count()
        self._observe(seconds)
