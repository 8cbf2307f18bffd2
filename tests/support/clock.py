"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Clock by hand: ``advance`` and ``sleep`` move it, nothing else does."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the time it was moved to."""
        return self._now

    def monotonic_s(self) -> float:
        """Return the seconds it was moved in all."""
        return self._elapsed_s

    def sleep(self, seconds: float) -> None:
        """Move on at once instead of waiting."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the time forward."""
        self._now += timedelta(seconds=seconds)
        self._elapsed_s += seconds
