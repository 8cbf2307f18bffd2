"""How many entries of one JSON-RPC batch an endpoint takes at once, learned from what it refuses."""

from __future__ import annotations

from typing import Final

_GOOD: Final = 8
"""Batches served whole until twice as many entries are asked for."""


class BatchSize:
    """The entries to ask for in one batch: ``now``, at most ``most``.

    Endpoints that count entries serve as many as their limit has room for and refuse the rest: it is asked
    for no more than that at once then, and for more again by and by. What it refuses for their number alone
    it refuses for good.
    """

    def __init__(self, most: int) -> None:
        self.now = most
        self._most = most
        self._good = 0

    def served(self, entries: int) -> None:
        """Take note that a batch of so many was answered whole."""
        if entries < self.now or self.now == self._most:
            return
        self._good += 1
        if self._good >= _GOOD:
            self.now, self._good = min(2 * self.now, self._most), 0

    def limited(self, served: int) -> None:
        """Take note that for the number of requests only so many of a batch were answered."""
        self.now, self._good = max(1, min(served, self.now)), 0

    def forget(self) -> None:
        """Ask for as many as if no limit of their number had been met."""
        self.now, self._good = self._most, 0

    def refused(self, entries: int) -> None:
        """Take note that a batch of so many was refused for its size."""
        self._most = self.now = max(1, entries // 2)
        self._good = 0
