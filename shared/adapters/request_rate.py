"""How many requests a second an endpoint takes, learned from what it refuses."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MEASURED_S: Final = 5
_LEAST: Final = 1.5  # requests a second; slower than this a pause that is asked for does better
_CUT_EVERY_S: Final = 2.0
_AGAIN_S: Final = 10.0
_MOST_CUTS: Final = 4
_RISEN: Final = 2.0
_IN_VAIN_S: Final = 60.0
_LONGEST_WAIT_S: Final = 2.0
# Without a refusal for so long the pace doubles every second; where that is refused, it takes twice as long.
_CALM_S: Final = 2.0
_LONGEST_CALM_S: Final = 64.0
# The curve of CUBIC (RFC 9438): back near the rate that was refused within a minute, carefully past it, and
# then faster and faster, until there is no limit any more.
_SLOPE_S: Final = 60.0
_HALF_AT: Final = 0.5 ** (1 / 3)
_FREE_AT: Final = 4.0
_DOUBLED: Final = 10.0  # times at most, by which it is free


class RequestRate:
    """The pace of requests to one endpoint: ``per_s``, None where no limit was met.

    A refusal is answered by a pause, which is the caller's. Refused again soon after it has served, the
    endpoint has a limit: the pace is half of what it served over the last seconds, and half of that where
    it still refuses; then it rises again: soon, for the trouble may have been a passing one, and later the
    oftener that was refused. Where cutting does not help, what is refused is not the rate (a server that
    fails at random says 429, too), and there is no limit for a minute.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.per_s: float | None = None
        self._met = 0.0
        self._cut_at = 0.0
        self._cuts = 0
        self._refused_at = float("-inf")
        self._in_vain_until = float("-inf")
        self._free_at = 0.0
        self._calm_s = _CALM_S
        self._risen_at = float("-inf")
        self._answered = True
        self._serves_since = 0.0
        self._seconds: deque[list[int]] = deque(maxlen=_MEASURED_S + 1)

    @property
    def in_vain(self) -> bool:
        """Say whether of late no slower pace helped: what is refused is not the number of requests."""
        return self._monotonic() < self._in_vain_until

    def wait_s(self, now: float) -> float:
        """Return the seconds to wait before the next request."""
        if self.per_s is None:
            return 0.0
        self._rise(now)
        return min(max(0.0, self._free_at - now), _LONGEST_WAIT_S)

    def spent(self, requests: int, now: float, *, answered: bool) -> None:
        """Count requests made, and whether they were ``answered``."""
        if answered:
            if not self._answered:
                self._answered, self._serves_since = True, now
            second = int(now)
            if self._seconds and self._seconds[-1][0] == second:
                self._seconds[-1][1] += requests
            else:
                self._seconds.append([second, requests])
        if self.per_s is not None:
            self._free_at = max(self._free_at, now) + requests / self.per_s

    def refused(self) -> None:
        """Take note that the endpoint refused for the number of requests."""
        now = self._monotonic()
        if not self._answered:
            return  # one refusal, told to several requests
        soon, in_a_hurry = now - self._refused_at < _AGAIN_S, now - self._risen_at < _AGAIN_S
        if in_a_hurry or (self.per_s is not None and self._quiet_s(now) > self._calm_s):
            self._calm_s = min(2 * self._calm_s, _LONGEST_CALM_S)
            self._risen_at = float("-inf")  # once a rise
        elif not soon and self.per_s is None:
            self._calm_s = _CALM_S
        self._answered, self._refused_at = False, now
        if not soon and self.per_s is None:
            self._cuts = 0
        elif now >= max(self._in_vain_until, self._cut_at + _CUT_EVERY_S):
            self._cut(now, soon=soon)

    def learn(self, per_s: Any) -> None:
        """Take up a rate learned before; what is no rate is left out."""
        if (
            isinstance(per_s, int | float)
            and not isinstance(per_s, bool)
            and self.per_s is None
            and per_s > 0
        ):
            self.per_s = max(float(per_s), _LEAST)
            self._met = 2 * self.per_s
            self._cut_at = self._monotonic()

    def _cut(self, now: float, *, soon: bool) -> None:
        # Refused at a pace that it had risen to: the cut before was not in vain.
        risen = self.per_s is not None and self.per_s > _RISEN * self._met / 2
        self._cuts = self._cuts + 1 if soon and not risen else 1
        self._met = max(self._served(now), _LEAST) if self.per_s is None else self.per_s
        if self._cuts > _MOST_CUTS:
            self._cuts, self._in_vain_until = 0, now + _IN_VAIN_S
            self.per_s = None
            return
        self.per_s = self._met / 2 if self._met / 2 >= _LEAST else None
        self._cut_at = self._free_at = now

    def _served(self, now: float) -> float:
        since = [second for second in self._seconds if second[0] > now - _MEASURED_S - 1]
        if not since:
            return 0.0
        return sum(count for _, count in since) / max(1.0, now - since[0][0])

    def _rise(self, now: float) -> None:
        past = (now - self._cut_at) / _SLOPE_S - _HALF_AT
        rate = self._met * (1 + past**3)
        self.per_s = rate * 2.0 ** min(max(0.0, self._quiet_s(now) - self._calm_s), _DOUBLED)
        if self.per_s >= _FREE_AT * self._met:
            self.per_s, self._cuts, self._risen_at = None, 0, now

    def _quiet_s(self, now: float) -> float:
        """Return for how long it has served without a refusal, at the pace that it was cut to."""
        return now - max(self._serves_since, self._cut_at) if self._answered else 0.0
