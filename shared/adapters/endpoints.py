"""Several endpoints of one chain as one: reads go where they are served."""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING, Final, TypeVar

from shared.adapters.endpoint_rota import EndpointRota, in_thread
from shared.adapters.insistence import LONGEST_PAUSE_S, insist
from shared.adapters.json_rpc_failures import CallRefused, NotThere, PartlyLimited, WrongChain
from shared.errors import ChainUnavailable, DoubtfulAnswer, RangeRefused, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from shared.adapters.endpoint_limits import EndpointLimits
    from shared.adapters.endpoint_standing import Standing
    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.ports import Document, EndpointHealth

T = TypeVar("T")
U = TypeVar("U")
# A refusal may be the question's fault: it is held against an endpoint where another one answers.
_SOFT: Final = (CallRefused, NotThere, RangeRefused)


class EndpointPool:
    """Reads go to the ``current`` endpoint as long as it serves, within the same call to the next if not.

    One alone is asked again within the call, a few times, where what failed may pass.

    Each endpoint's chain id is verified before it is first read from, and at each change to it.
    ``probe_s``: how often the others are asked for their heads; ``max_lag``: how many blocks a head may be
    behind another's for longer than 1.5 s (any lag may last 2 s). Safe to share between threads.
    """

    def __init__(
        self,
        chain_id: int,
        endpoints: Iterable[JsonRpcEndpoint],
        *,
        monotonic: Callable[[], float],
        random: Callable[[], float],
        sleep: Callable[[float], None],
        background: Callable[[Callable[[], None]], None] = in_thread,
        probe_s: float = 15.0,
        max_lag: int = 5,
    ) -> None:
        self._rota = EndpointRota(
            chain_id,
            endpoints,
            monotonic=monotonic,
            random=random,
            background=background,
            probe_s=probe_s,
            max_lag=max_lag,
        )
        self._monotonic = monotonic
        self._random = random
        self._sleep = sleep
        self._standings = {standing.endpoint: standing for standing in self._rota.standings}
        self._thread = local()

    @property
    def current(self) -> JsonRpcEndpoint:
        """The endpoint that reads go to now."""
        return self._rota.current.endpoint

    @property
    def rotations(self) -> int:
        """Changes from one endpoint to another so far."""
        return self._rota.rotations

    @property
    def requests(self) -> int:
        """Requests made so far, every entry of a JSON-RPC batch counted."""
        return sum(endpoint.requests for endpoint in self._standings)

    def limits(self, endpoint: JsonRpcEndpoint) -> EndpointLimits:
        """Return what is learned of the endpoint's limits."""
        return self._standings[endpoint].limits

    def run(self, read: Callable[[JsonRpcEndpoint], T]) -> T:
        """Return what the current endpoint gives; where it fails, what the next one does.

        Raises RangeRefused at once, which the caller can do something about; where every endpoint fails, the
        most telling error: RateLimited first, with its pause.
        """
        rota = self._rota
        now = self._monotonic()
        if not rota.alone:
            rota.look_around(now)
            if rota.current.avoid_until > now:
                rota.settle(now)
        first = rota.current
        try:
            return self._ask(first, read, now)
        except RangeRefused:
            raise
        except ChainUnavailable as error:
            return self._elsewhere(read, first, error, now)

    def run_other(self, read: Callable[[JsonRpcEndpoint], T], other_than: str) -> T:
        """Return what the best endpoint but one gives, so that it bears witness; else what that one does."""
        now = self._monotonic()
        others = [each for each in self._rota.usable(now) if each.endpoint.name != other_than]
        for standing in sorted(others, key=lambda each: -each.score(now, self._rota.max_lag)):
            try:
                return self._ask(standing, read, now)
            except ChainUnavailable as error:
                self._blame(standing, error, now)
        return self.run(read)

    def each(self, read: Callable[[JsonRpcEndpoint], T]) -> list[T]:
        """Return what each endpoint gives, those left out that fail, or are avoided while others are not."""
        now = self._monotonic()
        given: list[T] = []
        failures: list[ChainUnavailable] = []
        for standing in self._rota.usable(now) or self._rota.standings:
            try:
                given.append(self._ask(standing, read, now))
            except ChainUnavailable as error:
                failures.append(error)
                self._blame(standing, error, now)
        if failures and not given:
            raise _most_telling(failures)
        return given

    def saw_head(self, endpoint: JsonRpcEndpoint, number: int, took_s: float) -> None:
        """Take note of a head that an endpoint told, and how long it took; NotThere where it lags."""
        self._rota.saw_head(self._standings[endpoint], number, took_s)

    def doubt(self, reason: str) -> None:
        """Avoid for a while the endpoint that this thread last read from."""
        now = self._monotonic()
        standing, asked_at = getattr(self._thread, "last", (self._rota.current, now))
        self._rota.avoid(standing, DoubtfulAnswer(reason), asked_at)
        self._rota.settle(now)

    def health(self) -> list[EndpointHealth]:
        """Return how each endpoint stands, in the order configured."""
        now, current, max_lag = self._monotonic(), self._rota.current, self._rota.max_lag
        return [each.health(now, max_lag, current=each is current) for each in self._rota.standings]

    def learned(self) -> Document:
        """Return what was learned of the endpoints' limits, each under its key."""
        known = ((each.endpoint.key, each.limits.learned()) for each in self._rota.standings)
        return {key: document for key, document in known if document}

    def learn(self, document: Document) -> None:
        """Take up what was learned before; endpoints that are not configured any more are left out."""
        for standing in self._rota.standings:
            standing.limits.learn(document.get(standing.endpoint.key))

    def close(self) -> None:
        """Give back connections."""
        for endpoint in self._standings:
            endpoint.close()

    def _ask(self, standing: Standing, read: Callable[[JsonRpcEndpoint], T], now: float) -> T:
        endpoint = standing.endpoint
        if (pause_s := round(standing.paused_until - now, 3)) > 0:
            if not self._rota.alone or pause_s > LONGEST_PAUSE_S:
                raise _NotAsked(f"{endpoint.name} asked for a pause of {pause_s:g} s more", pause_s)
            self._sleep(pause_s)
            now += pause_s
        if (wait_s := standing.limits.rate.wait_s(now)) > 0:
            self._sleep(wait_s)
            now += wait_s
        self._thread.last = (standing, now)
        rate, counted, answered = standing.limits.rate, endpoint.requests, False

        def limited(error: RateLimited) -> float:
            # Each try by itself: of what was refused nothing was served, and its pace is what is looked for.
            nonlocal counted
            made, counted = endpoint.requests - counted, endpoint.requests
            served = min(made, error.served) if isinstance(error, PartlyLimited) else 0
            if served:
                rate.spent(served, self._monotonic(), answered=True)
            rate.spent(made - served, self._monotonic(), answered=False)
            if not served:
                rate.refused()
            if rate.in_vain:
                endpoint.take_any_batch()
            standing.pause(self._monotonic(), error.retry_after_s)
            return rate.wait_s(self._monotonic())

        try:
            self._patiently(lambda: self._rota.verify(standing, now), limited)
            result = self._patiently(lambda: read(endpoint), limited)
            answered = True
        except PartlyLimited:
            rate.refused()  # by and by it would have been whole: it is asked for less at once
            raise
        finally:
            rate.spent(endpoint.requests - counted, now, answered=answered)
        standing.served()
        return result

    def _patiently(self, read: Callable[[], U], limited: Callable[[RateLimited], float]) -> U:
        if self._rota.alone:
            return insist(
                read, monotonic=self._monotonic, random=self._random, sleep=self._sleep, limited=limited
            )
        try:
            return read()
        except RateLimited as error:
            limited(error)
            raise

    def _elsewhere(
        self, read: Callable[[JsonRpcEndpoint], T], first: Standing, error: ChainUnavailable, since: float
    ) -> T:
        failures = {first: error}
        self._blame(first, error, since)
        for standing in self._next(first):
            standing.verified_at = None
            try:
                result = self._ask(standing, read, self._monotonic())
            except RangeRefused:
                self._rota.switch(standing, str(error))
                raise
            except ChainUnavailable as failure:
                failures[standing] = failure
                self._blame(standing, failure, since)
                continue
            for each, refusal in failures.items():
                self._hold_against(each, refusal, since)
            self._rota.switch(standing, str(error))
            return result
        for standing in self._rota.standings:  # avoided since long, and yet why nobody else is there
            if isinstance(standing.failure, WrongChain):
                failures.setdefault(standing, standing.failure)
        for standing, refusal in failures.items():
            if isinstance(refusal, _SOFT):
                standing.erred()
        raise _most_telling(list(failures.values()))

    def _next(self, first: Standing) -> list[Standing]:
        """Return who may answer in its place: the usable ones, and one that was not tried since its time."""
        now = self._monotonic()
        due = [s for s in self._rota.standings if s is not first and s.avoid_until <= now]
        fit = sorted((s for s in due if not s.recovering), key=lambda s: -s.score(now, self._rota.max_lag))
        return fit + [s for s in due if s.recovering][:1]

    def _blame(self, standing: Standing, error: ChainUnavailable, since: float) -> None:
        if not isinstance(error, _SOFT):
            self._hold_against(standing, error, since)

    def _hold_against(self, standing: Standing, error: ChainUnavailable, since: float) -> None:
        if isinstance(error, _NotAsked):
            return
        self._rota.avoid(standing, error, since)


class _NotAsked(RateLimited):
    """The pause that the endpoint asked for is not over."""


def _most_telling(failures: Sequence[ChainUnavailable]) -> ChainUnavailable:
    # A rate limit says when to come again, which is more than that nobody is there.
    for telling in (RateLimited, WrongChain):
        for error in failures:
            if isinstance(error, telling):
                return error
    return failures[0]
