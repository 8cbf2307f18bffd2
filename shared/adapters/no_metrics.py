"""The Metrics port where nobody looks."""

from __future__ import annotations

from shared.domain.metrics import COUNTER, GAUGE, HISTOGRAM, metric_of


class NoMetrics:
    """Keeps nothing; a figure that is not in the table is a mistake all the same: KeyError."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None:  # noqa: ARG002 - the port's
        """Pass over a counter."""
        metric_of(name, COUNTER, labels)

    def gauge(self, name: str, value: float, **labels: str) -> None:  # noqa: ARG002 - the port's
        """Pass over a figure."""
        metric_of(name, GAUGE, labels)

    def observe(self, name: str, value: float, times: int = 1, **labels: str) -> None:  # noqa: ARG002
        """Pass over an observation."""
        metric_of(name, HISTOGRAM, labels)

    def flush(self, wait_s: float = 0.0, *, now: bool = False) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
