"""Figures kept in this process until they are written somewhere: sums, last values and distributions."""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import TYPE_CHECKING

from shared.domain.metrics import COUNTER, GAUGE, HISTOGRAM, metric_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.domain.metrics import Metric

Key = tuple[str, ...]
"""A figure's name, then the values of its labels in the table's order."""


# Plain classes: a dataclass takes half a millisecond to be made, which every cold start would pay.
class Distribution:
    """Observations so far: how many, mean, sum of squared deviations, and how many in each bucket.

    Bucket i holds what is at least bound i - 1 and below bound i. Mean and deviations are updated one by
    one after Welford, which loses no precision to large sums.
    """

    __slots__ = ("buckets", "count", "deviation", "mean")

    def __init__(self, buckets: int) -> None:
        self.buckets = [0] * buckets
        self.count = 0
        self.mean = 0.0
        self.deviation = 0.0

    def add(self, value: float, times: int, bounds: tuple[float, ...]) -> None:
        """Take up an observation that was made so many times."""
        self.count += times
        step = value - self.mean
        self.mean += step * times / self.count
        self.deviation += step * (value - self.mean) * times
        self.buckets[bisect_right(bounds, value)] += times

    def copy(self) -> Distribution:
        """Return it as it is now."""
        copied = Distribution(0)
        copied.buckets = list(self.buckets)
        copied.count, copied.mean, copied.deviation = self.count, self.mean, self.deviation
        return copied


class Kept:
    """One figure as it stands: its labels, and a sum, a last value or a distribution."""

    __slots__ = ("key", "metric", "value")

    def __init__(self, metric: Metric, key: Key, value: float | Distribution) -> None:
        self.metric = metric
        self.key = key
        self.value = value

    @property
    def labels(self) -> dict[str, str]:
        """The values of its labels by their names."""
        return dict(zip(self.metric.labels, self.key[1:], strict=True))


class KeptFigures:
    """Keeps figures of the table; safe to share between threads. KeyError for what is not in the table."""

    def __init__(self) -> None:
        self._values: dict[Key, float | Distribution] = {}
        self._metrics: dict[Key, Metric] = {}
        self._changed: dict[Key, None] = {}
        self._lock = threading.Lock()

    def count(self, name: str, amount: float, labels: dict[str, str]) -> None:
        """Add to a counter."""
        metric, key = _key(name, COUNTER, labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount  # type: ignore[operator]
            self._note(metric, key)

    def gauge(self, name: str, value: float, labels: dict[str, str]) -> None:
        """Set a figure."""
        metric, key = _key(name, GAUGE, labels)
        with self._lock:
            self._values[key] = float(value)
            self._note(metric, key)

    def observe(self, name: str, value: float, times: int, labels: dict[str, str]) -> None:
        """Add an observation that was made so many times."""
        metric, key = _key(name, HISTOGRAM, labels)
        with self._lock:
            kept = self._values.setdefault(key, Distribution(len(metric.buckets) + 1))
            kept.add(value, times, metric.buckets)  # type: ignore[union-attr]
            self._note(metric, key)

    def take_changed(self) -> list[Kept]:
        """Return what changed since it was last taken, as it stands now."""
        with self._lock:
            changed, self._changed = self._changed, {}
            return [Kept(self._metrics[key], key, _now(self._values[key])) for key in changed]

    def hand_back(self, keys: Iterable[Key]) -> None:
        """Count these as changed again: they were taken and could not be written."""
        with self._lock:
            self._changed.update(dict.fromkeys(keys))

    @property
    def has_changed(self) -> bool:
        """Say whether there is anything to take."""
        return bool(self._changed)

    def _note(self, metric: Metric, key: Key) -> None:
        self._metrics[key] = metric
        self._changed[key] = None


def _key(name: str, kind: str, labels: dict[str, str]) -> tuple[Metric, Key]:
    metric = metric_of(name, kind, labels)
    return metric, (name, *(str(labels[label]) for label in metric.labels))


def _now(value: float | Distribution) -> float | Distribution:
    return value.copy() if isinstance(value, Distribution) else value
