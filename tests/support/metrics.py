"""The Metrics port in memory."""

from __future__ import annotations

from collections import defaultdict

from shared.domain.metrics import COUNTER, GAUGE, HISTOGRAM, metric_of


class MemoryMetrics:
    """Keeps every figure by (name, labels in order); KeyError for a name or label that is not declared."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, ...], float] = defaultdict(float)
        self.gauges: dict[tuple[str, ...], float] = {}
        self.flushes: list[tuple[float, bool]] = []
        self.observed: dict[tuple[str, ...], list[float]] = defaultdict(list)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self.counters[self._key(name, COUNTER, labels)] += amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a figure."""
        self.gauges[self._key(name, GAUGE, labels)] = value

    def observe(self, name: str, value: float, times: int = 1, **labels: str) -> None:
        """Add an observation."""
        self.observed[self._key(name, HISTOGRAM, labels)] += [value] * times

    def flush(self, wait_s: float = 0.0, *, now: bool = False) -> None:
        """Count that it was asked for."""
        self.flushes.append((wait_s, now))

    def close(self) -> None:
        """Do nothing."""

    def _key(self, name: str, kind: str, labels: dict[str, str]) -> tuple[str, ...]:
        metric = metric_of(name, kind, labels)
        return (name, *(labels[label] for label in metric.labels))
