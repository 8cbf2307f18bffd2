"""The Metrics port on prometheus_client: figures kept in this process, told as text when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shared.domain.metrics import COUNTER, HISTOGRAM, METRICS

if TYPE_CHECKING:
    from shared.domain.metrics import Metric


class PrometheusMetrics:
    """Every figure of the table, in a registry of its own; KeyError for a name that is not in it."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in METRICS.values():
            self._declare(metric)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self._counters[name].labels(**labels).inc(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a figure that goes up and down."""
        self._gauges[name].labels(**labels).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one observation to a distribution."""
        self._histograms[name].labels(**labels).observe(value)

    def exposition(self) -> bytes:
        """Return all of it in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)

    def _declare(self, metric: Metric) -> None:
        name, meaning, labels = metric.name, metric.meaning, metric.labels
        if metric.kind == COUNTER:
            self._counters[name] = Counter(name, meaning, labels, registry=self._registry)
        elif metric.kind == HISTOGRAM:
            self._histograms[name] = Histogram(
                name, meaning, labels, buckets=metric.buckets, registry=self._registry
            )
        else:
            self._gauges[name] = Gauge(name, meaning, labels, registry=self._registry)
