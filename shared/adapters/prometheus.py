"""The Metrics port on prometheus_client: figures kept in this process, told as text when asked for.

Where PROMETHEUS_MULTIPROC_DIR names a directory (set before this is imported), processes keep their figures
there, and each of them tells those of all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from shared.domain.metrics import COUNTER, GAUGE, HISTOGRAM, METRICS, metric_of

if TYPE_CHECKING:
    from shared.domain.metrics import Metric

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client takes a directory, where several processes are one server."""


class PrometheusMetrics:
    """Every figure of the table, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._kept = {metric.name: self._declared(metric) for metric in METRICS.values()}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._of(name, COUNTER, labels).inc(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a figure that goes up and down."""
        self._of(name, GAUGE, labels).set(value)

    def observe(self, name: str, value: float, times: int = 1, **labels: str) -> None:
        """Add an observation, each time it was made: the library knows no other way."""
        distribution = self._of(name, HISTOGRAM, labels)
        for _ in range(times):
            distribution.observe(value)

    def flush(self, wait_s: float = 0.0, *, now: bool = False) -> None:
        """Do nothing: Prometheus comes and reads."""

    def close(self) -> None:
        """Do nothing: what was not read is lost with the process."""

    def exposition(self) -> bytes:
        """Return all of it in Prometheus' text format 0.0.4."""
        if DIRECTORY not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _of(self, name: str, kind: str, labels: dict[str, str]) -> Any:
        metric_of(name, kind, labels)
        return self._kept[name].labels(**labels) if labels else self._kept[name]

    def _declared(self, metric: Metric) -> Counter | Gauge | Histogram:
        name, meaning, labels = metric.name, metric.meaning, metric.labels
        if metric.kind == COUNTER:
            return Counter(name, meaning, labels, registry=self._registry)
        if metric.kind == HISTOGRAM:
            return Histogram(name, meaning, labels, buckets=metric.buckets, registry=self._registry)
        # Of several processes that set it, the last one's counts.
        return Gauge(name, meaning, labels, registry=self._registry, multiprocess_mode="mostrecent")
