"""The Metrics port in memory."""

from __future__ import annotations

from collections import defaultdict

from shared.domain.metrics import METRICS


class MemoryMetrics:
    """Keeps every figure by (name, labels in order); KeyError for a name or label that is not declared."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, ...], float] = defaultdict(float)
        self.gauges: dict[tuple[str, ...], float] = {}
        self.observed: dict[tuple[str, ...], list[float]] = defaultdict(list)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self.counters[self._key(name, labels)] += amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a figure."""
        self.gauges[self._key(name, labels)] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add an observation."""
        self.observed[self._key(name, labels)].append(value)

    def _key(self, name: str, labels: dict[str, str]) -> tuple[str, ...]:
        if set(labels) != set(METRICS[name].labels):
            raise KeyError(f"{name} has labels {METRICS[name].labels}, not {tuple(labels)}")
        return (name, *(labels[label] for label in METRICS[name].labels))
