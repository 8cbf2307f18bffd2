"""Whose turn it is among the endpoints of one chain."""

from __future__ import annotations

import logging
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

from shared.adapters.endpoint_standing import Standing
from shared.adapters.ethereum_shapes import read_header, read_hex
from shared.adapters.json_rpc_failures import NotThere, WrongChain
from shared.errors import ChainUnavailable, ConfigError, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shared.adapters.json_rpc import JsonRpcEndpoint

_LOG: Final = logging.getLogger(__name__)
_LOOK_EVERY_S: Final = 0.5
_FIRST_PROBE_S: Final = 3.0
_PROBE_AGAIN_S: Final = 2.0  # while the current one stalls, or the probed one recovers
_CLEARLY_BETTER: Final = 0.3
_NEARLY_AS_GOOD: Final = 0.15
_POOR: Final = 0.5
_HEAD_IS_NEWS_S: Final = 60.0
_BEHIND_S: Final = 2.0
_FAR_BEHIND_S: Final = 1.5
_VERIFIED_S: Final = 60.0


def in_thread(work: Callable[[], None], name: str = "endpoint-probe") -> None:
    """Do it in a thread of its own that holds up no exit."""
    Thread(target=work, daemon=True, name=name).start()


class EndpointRota:
    """The standings of the endpoints, and which of them is ``current``.

    One that failed is avoided for a growing time; then it is probed in the ``background``, so that one that
    is dead holds up no read, and has its turn again if it stands earlier in the order or does clearly better.
    ``rotations`` counts the changes. Safe to share between threads. Raises ConfigError for no endpoints.
    """

    def __init__(
        self,
        chain_id: int,
        endpoints: Iterable[JsonRpcEndpoint],
        *,
        monotonic: Callable[[], float],
        random: Callable[[], float],
        background: Callable[[Callable[[], None]], None],
        probe_s: float,
        max_lag: int,
    ) -> None:
        self.standings = [Standing(endpoint, at, monotonic) for at, endpoint in enumerate(endpoints)]
        if not self.standings:
            raise ConfigError(f"no endpoint is configured for chain {chain_id}")
        self.current = self.standings[0]
        self.alone = len(self.standings) == 1
        self.rotations = 0
        self.max_lag = max_lag
        self._chain_id = chain_id
        self._monotonic = monotonic
        self._random = random
        self._background = background
        self._probe_s = probe_s
        self._look_at: float | None = None
        self._lock = Lock()

    def usable(self, now: float) -> list[Standing]:
        """Return those that nothing speaks against."""
        return [each for each in self.standings if each.usable(now)]

    def verify(self, standing: Standing, now: float) -> None:
        """Make sure that it serves our chain; WrongChain where it does not.

        Believed of the current one as long as that is current, of others for a minute.
        """
        at = standing.verified_at
        if at is not None and (standing is self.current or now - at < _VERIFIED_S):
            return
        remote = read_hex(standing.endpoint.call("eth_chainId"), "chainId")
        if remote != self._chain_id:
            raise WrongChain(standing.endpoint.name, remote, self._chain_id)
        standing.verified_at = now

    def avoid(self, standing: Standing, error: ChainUnavailable, since: float) -> None:
        """Avoid it for a while; what several threads met at once, ``since`` a moment, counts once."""
        pause_s = error.retry_after_s if isinstance(error, RateLimited) else None
        with self._lock:
            if not standing.failed_since(since):
                standing.failed(error, self._monotonic(), self._random(), pause_s)

    def switch(self, to: Standing, reason: str) -> None:
        """Give it its turn."""
        with self._lock:
            before = self.current
            if to is before:
                return
            self.current = to
            self.rotations += 1
        _LOG.warning(
            "chain %s: reads go from %s to %s: %s",
            self._chain_id, before.endpoint.name, to.endpoint.name, reason,
        )  # fmt: skip

    def settle(self, now: float) -> None:
        """Change to the best one if the current one is avoided."""
        current = self.current
        best = self.best(self.standings, now)
        if best is not current and not current.usable(now):
            best.verified_at = None
            self.switch(best, str(current.failure))

    def best(self, among: Iterable[Standing], now: float) -> Standing:
        """Return the first in order that is usable, unless another does clearly better.

        Where none is usable: one that was not tried since its time is over, else the one whose time is over
        first.
        """
        found = min(
            among,
            key=lambda each: (
                each.recovering,
                max(0.0, each.avoid_until - now),
                each.order,
            ),
        )
        if not found.usable(now):
            return found
        score = found.score(now, self.max_lag)
        for other in self.usable(now):
            if other.score(now, self.max_lag) > score + _CLEARLY_BETTER:
                found, score = other, other.score(now, self.max_lag)
        return found

    def saw_head(self, standing: Standing, number: int, took_s: float) -> None:
        """Take note of a head that it told, and how long it took; NotThere where it lags behind another's.

        More than ``max_lag`` blocks for 1.5 s, or any lag for 2 s. Heights are compared with what others told
        before, so that one which was merely asked earlier is not taken to lag.
        """
        now = self._monotonic()
        standing.saw_head(number, now, took_s, self._best_head(standing, now))
        if standing.behind is None or standing.lag is None:
            return
        if now - standing.behind[1] > (_FAR_BEHIND_S if standing.lag > self.max_lag else _BEHIND_S):
            raise NotThere(f"{standing.endpoint.name} lags {standing.lag} blocks behind")

    def look_around(self, now: float) -> None:
        """Probe the others where it is time, and change to an earlier or better one."""
        if self._look_at is None:
            for each in self.standings:
                each.probe_at = now + _FIRST_PROBE_S
            self._look_at = now
        if now < self._look_at or self.alone:
            return
        self._look_at = now + _LOOK_EVERY_S
        current = self.current
        poor = current.stalls(now) or current.score(now, self.max_lag) < _POOR
        for each in self.standings:
            if each is current or each.probing or each.avoid_until > now:
                continue
            if each.probe_at <= now or (poor and now - each.probed_at > _PROBE_AGAIN_S):
                each.probing = True
                self._background(lambda each=each: self._probe(each))  # type: ignore[misc]
        self._change_for_better(now)

    def _change_for_better(self, now: float) -> None:
        current = self.current
        best = self.best(self.standings, now)
        if best is current or not best.usable(now) or best.head is None:
            return
        gain = best.score(now, self.max_lag) - current.score(now, self.max_lag)
        earlier = best.order < current.order and gain > -_NEARLY_AS_GOOD
        if earlier or gain > _CLEARLY_BETTER:
            best.verified_at = None
            self.switch(best, "it serves again" if earlier else "it does better")

    def _best_head(self, but: Standing, now: float) -> int | None:
        heads = (
            each.head
            for each in self.standings
            if each is not but
            and each.head is not None
            and each.usable(now)
            and now - each.head_at < _HEAD_IS_NEWS_S
        )
        return max(heads, default=None)

    def _probe(self, standing: Standing) -> None:
        started = self._monotonic()
        try:
            self.verify(standing, started)
            asked = self._monotonic()
            header = read_header(standing.endpoint.call("eth_getBlockByNumber", ["latest", False]))
            if header is None:
                raise NotThere(f"{standing.endpoint.name} has no latest block")
            self.saw_head(standing, header.number, self._monotonic() - asked)
        except ChainUnavailable as error:
            self.avoid(standing, error, started)
        else:
            standing.served()
            standing.probe_at = self._monotonic() + (self._probe_s if standing.steady else _PROBE_AGAIN_S)
        finally:
            standing.probed_at = self._monotonic()
            standing.probing = False
