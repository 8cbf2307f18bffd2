"""How one endpoint does: what it told, how fast, how often it failed, and until when it is avoided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.adapters.endpoint_limits import EndpointLimits
from shared.ports import EndpointHealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.errors import ChainUnavailable

_NEW: Final = 0.2  # weight of the newest sample in the averages
_UNKNOWN: Final = 0.75
_AVOIDED: Final = 0.2
_FIRST_AVOIDED_S: Final = 0.5
_LONGEST_AVOIDED_S: Final = 30.0
_QUIET_S: Final = 120.0  # without a failure for so long it starts anew with the shortest time
_SOONEST_SUSPECT_S: Final = 1.0
_SUSPECT_AFTER: Final = 1.25  # times what the last block took
_STEADY: Final = 0.1
_LAG_HALVES: Final = 4  # times the lag that is allowed


class Standing:
    """One endpoint of a pool; times are monotonic seconds.

    ``recovering``: it failed, and has not served since. ``behind``: a height that another endpoint was known
    to have before it, and since when. ``order``: its place in the configuration, 0 first.
    """

    def __init__(self, endpoint: JsonRpcEndpoint, order: int, monotonic: Callable[[], float]) -> None:
        self.endpoint = endpoint
        self.order = order
        self.limits = EndpointLimits(monotonic)
        self.errors = 0
        self.error_share = 0.0
        self.latency_s: float | None = None
        self.head: int | None = None
        self.head_at = 0.0
        self.lag: int | None = None
        self.behind: tuple[int, float] | None = None
        self.avoid_until = 0.0
        self.paused_until = 0.0
        self.recovering = False
        self.failure: ChainUnavailable | None = None
        self.verified_at: float | None = None
        self.probed_at = 0.0
        self.probe_at = 0.0
        self.probing = False
        self._streak = 0
        self._failed_at = 0.0
        self._advanced_at: float | None = None
        self._block_s = 0.0

    def usable(self, now: float) -> bool:
        """Say whether nothing speaks against it."""
        return not self.recovering and self.avoid_until <= now

    @property
    def steady(self) -> bool:
        """Say whether it failed seldom of late."""
        return self.error_share < _STEADY

    def served(self) -> None:
        """Take note of an answer."""
        if self.error_share:
            self.error_share *= 1 - _NEW
        if self.recovering:
            self.recovering, self.avoid_until, self.failure = False, 0.0, None

    def erred(self) -> None:
        """Count a failure that is no reason to avoid it."""
        self.errors += 1
        self.error_share += _NEW * (1 - self.error_share)

    def pause(self, now: float, pause_s: float | None) -> None:
        """Ask it nothing for as long as it wants, if it said so."""
        self.paused_until = now + (pause_s or 0.0)

    def failed(self, failure: ChainUnavailable, now: float, random: float, pause_s: float | None) -> None:
        """Take note of a failure: it is avoided for 0.5 s, 1 s, ... 30 s, or as long as it asked for."""
        self.erred()
        self._streak = self._streak + 1 if now - self._failed_at < _QUIET_S else 1
        self._failed_at = now
        longest = min(_FIRST_AVOIDED_S * 2.0 ** min(self._streak - 1, 10), _LONGEST_AVOIDED_S)
        pause = pause_s or 0.0
        self.avoid_until = self.probe_at = now + max(longest * (0.5 + random / 2), pause)
        self.paused_until = now + pause
        self.recovering = True
        self.failure = failure
        self.verified_at = None

    def failed_since(self, moment: float) -> bool:
        """Say whether a failure was noted at this moment or later."""
        return self.recovering and self._failed_at >= moment

    def saw_head(self, number: int, now: float, took_s: float, best: int | None) -> None:
        """Take note of a head that it told, and of the ``best`` that another had told before."""
        self.latency_s = (
            took_s if self.latency_s is None else self.latency_s + _NEW * (took_s - self.latency_s)
        )
        if self.head is None or number > self.head:
            if self._advanced_at is not None and self.head is not None:
                self._block_s = (now - self._advanced_at) / (number - self.head)
            self._advanced_at = now
        self.head, self.head_at = number, now
        self.lag = max(0, (best or number) - number)
        if not self.lag or best is None:
            self.behind = None
        elif self.behind is None or number >= self.behind[0]:
            self.behind = (best, now)

    def stalls(self, now: float) -> bool:
        """Say whether its head has not moved for longer than blocks here take."""
        usual_s = max(_SOONEST_SUSPECT_S, _SUSPECT_AFTER * self._block_s)
        return self._advanced_at is not None and now - self._advanced_at > usual_s

    def score(self, now: float, max_lag: int) -> float:
        """Return from 0 to 1 how well it does: by latency, errors and lag."""
        score = _UNKNOWN if self.latency_s is None else 1 / (1 + self.latency_s)
        score *= 1 - self.error_share
        if self.lag:
            score /= 1 + self.lag / (_LAG_HALVES * max_lag)
        return score if self.usable(now) else score * _AVOIDED

    def health(self, now: float, max_lag: int, *, current: bool) -> EndpointHealth:
        """Return how it stands."""
        rate = self.limits.rate.per_s
        return EndpointHealth(
            name=self.endpoint.name,
            current=current,
            score=round(self.score(now, max_lag), 3),
            latency_ms=None if self.latency_s is None else round(self.latency_s * 1000, 1),
            requests=self.endpoint.requests,
            errors=self.errors,
            head=self.head,
            lag=self.lag,
            range_blocks=self.limits.range.blocks,
            requests_per_s=None if rate is None else round(rate, 2),
            trouble=None if self.failure is None else str(self.failure),
        )
