"""Endpoints whose every answer the test decides, without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.adapters.endpoints import EndpointPool
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHAIN_ID = 1


class FakeEndpoint:
    """An endpoint of chain 1 that tells ``head``; while ``failure`` is set, that is raised instead.

    ``takes_s`` passes on the clock with each answer, ``fails_after_s`` with each failure (a time-out).
    ``log`` names the methods asked for; ``stuck``: its head does not grow.
    """

    def __init__(self, name: str, clock: FakeClock, head: int = 100) -> None:
        self.name = name
        self.key = name.replace(" ", "-")
        self.requests = 0
        self.head = head
        self.chain_id = CHAIN_ID
        self.failure: Exception | None = None
        self.takes_s = 0.01
        self.fails_after_s = 0.01
        self.log: list[str] = []
        self.answers: Callable[[str, Sequence[Any]], Any] | None = None
        self.stuck = False
        self._clock = clock

    def call(self, method: str, params: Sequence[Any] = ()) -> Any:
        """Answer."""
        self.requests += 1
        self.log.append(method)
        if self.failure is not None:
            self._clock.advance(self.fails_after_s)
            raise self.failure
        self._clock.advance(self.takes_s)
        if method == "eth_chainId":
            return hex(self.chain_id)
        if method == "eth_getBlockByNumber":
            return header_at(self.head)
        return self.answers(method, params) if self.answers else self.name

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Answer each."""
        return [self.call(method, params) for method, params in calls]

    def take_any_batch(self) -> None:
        """Know no limit of a batch."""

    def close(self) -> None:
        """Hold nothing."""


class Fleet:
    """A pool of fake endpoints on a clock that tests move; what it does in the background happens at once."""

    def __init__(self, count: int = 2, **settings: Any) -> None:
        self.clock = FakeClock()
        self.clock.advance(1000)
        self.all = [FakeEndpoint(f"endpoint {at}", self.clock) for at in range(1, count + 1)]
        self.pool = EndpointPool(
            CHAIN_ID,
            self.all,
            monotonic=self.clock.monotonic_s,
            random=lambda: 1.0,
            sleep=self.clock.sleep,
            **{"background": lambda work: work(), **settings},
        )

    def read(self) -> str:
        """Read through the pool: the name of the endpoint that answered."""
        return str(self.pool.run(lambda endpoint: endpoint.call("eth_call")))

    def look(self) -> int:
        """Read the head through the pool."""

        def read(endpoint: Any) -> int:
            started = self.clock.monotonic_s()
            number = int(endpoint.call("eth_getBlockByNumber", ["latest", False])["number"], 16)
            self.pool.saw_head(endpoint, number, self.clock.monotonic_s() - started)
            return number

        return self.pool.run(read)

    def pass_s(self, seconds: float, every_s: float = 0.5, *, block_s: float | None = None) -> list[int]:
        """Let time pass, looking at the head as a listener does; heads grow, but of those ``stuck``."""
        end = self.clock.monotonic_s() + seconds
        heads = []
        mined = self.clock.monotonic_s()
        while self.clock.monotonic_s() < end:
            while block_s and self.clock.monotonic_s() - mined >= block_s:
                mined += block_s
                for endpoint in self.all:
                    endpoint.head += 0 if endpoint.stuck else 1
            heads.append(self.look())
            self.clock.advance(every_s)
        return heads


def header_at(number: int) -> dict[str, str]:
    """Return a block as far as a header is read from it."""
    own, parent = (f"0x{n:064x}" for n in (number, max(0, number - 1)))
    return {
        "number": hex(number),
        "hash": own,
        "parentHash": parent,
        "timestamp": hex(1_700_000_000 + number),
    }
