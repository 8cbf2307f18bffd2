"""How long to wait for an answer."""

from __future__ import annotations

from typing import Final

_TIMES_USUAL: Final = 10.0
_FORGETS: Final = 0.8
_MISSED_BEFORE_LONGER: Final = 3
_LONGER: Final = 1.5


class Patience:
    """The time-out of requests of one kind to one endpoint, in seconds: ``wait_s``.

    Ten times what answers usually take, never below ``least_s`` nor above ``most_s``: so a stall is noticed
    soon, and a request that is heavy for its node has its time. From the third time-out in a row it grows:
    the node may be slow rather than gone.
    """

    def __init__(self, least_s: float, most_s: float) -> None:
        self._most_s = most_s
        self._least_s = min(least_s, most_s)
        self._usual_s = 0.0
        self._missed = 0
        self.wait_s = self._least_s

    def answered(self, after_s: float) -> None:
        """Take note of an answer and how long it took."""
        self._usual_s = max(after_s, _FORGETS * self._usual_s + (1 - _FORGETS) * after_s)
        self._missed = 0
        self.wait_s = min(max(_TIMES_USUAL * self._usual_s, self._least_s), self._most_s)

    def timed_out(self) -> None:
        """Take note that no answer came in time."""
        self._missed += 1
        if self._missed >= _MISSED_BEFORE_LONGER:
            self.wait_s = min(self.wait_s * _LONGER, self._most_s)
