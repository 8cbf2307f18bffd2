"""Buses of each kind for the contract suite, and how time passes for them."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.local_bus import LocalBus
from shared.adapters.topology import Subscription
from tests.support import parts
from tests.support.bus import MemoryBus
from tests.support.clock import FakeClock
from tests.support.pubsub_emulator import PubSubEmulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shared.ports import Bus, Delivery

# Pub/Sub's smallest values: 10 s to acknowledge, 5 attempts.
WORK = Subscription("work", "jobs", 10, 0.1, 0.4, max_attempts=5, dead_letter_topic="jobs-dead")
DEAD = Subscription("jobs-dead", "jobs-dead", 10)
TOPOLOGY = (WORK, DEAD, Subscription("first-reader", "news", 10), Subscription("second-reader", "news", 10))


@dataclass
class Bench:
    """A bus, and how time passes for it: by hand, or really where Pub/Sub's own clock decides."""

    bus: Bus
    clock: FakeClock | None
    expire: Callable[[str, list[Delivery]], None]

    def pull_until(self, subscription: str, count: int, within_s: float = 30.0) -> list[Delivery]:
        """Pull until ``count`` messages came, past any back-off."""
        got: list[Delivery] = []
        deadline = time.monotonic() + within_s
        while len(got) < count and time.monotonic() < deadline:
            if self.clock:
                self.clock.advance(WORK.max_backoff_s)
            got += self.bus.pull(subscription, count - len(got))
        return got

    def buried(self, within_s: float = 30.0) -> Delivery:
        """Return the one dead letter; the emulator moves it only when somebody pulls its old subscription."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            assert self.bus.pull("work", 1) == []
            if dead := self.bus.pull("jobs-dead", 1):
                return dead[0]
        raise AssertionError("nothing came to the dead letters")


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSubEmulator]:
    """One emulator for the whole run."""
    found = parts.require("pubsub_emulator").found
    assert found
    with PubSubEmulator(found, tmp_path_factory.mktemp("pubsub")) as running:
        yield running


@pytest.fixture(params=["memory", "local", "pubsub"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """One bus of each kind, empty."""
    if request.param == "pubsub":
        yield from _pubsub_bench(request.getfixturevalue("pubsub_emulator"))
        return
    clock = FakeClock()
    bus: Bus = (
        MemoryBus(clock, TOPOLOGY)
        if request.param == "memory"
        else LocalBus(tmp_path / "store.sqlite", clock, TOPOLOGY)
    )
    yield Bench(bus, clock, lambda _name, _held: clock.advance(WORK.ack_deadline_s))
    bus.close()


def fresh_project() -> str:
    """Name a project that nobody has used, on an emulator that may have run for days."""
    return f"p-{uuid.uuid4().hex[:20]}"


def _pubsub_bench(emulator: PubSubEmulator) -> Iterator[Bench]:
    from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415 - heavy, and only this bench needs it

    bus = PubSubBus(fresh_project(), TOPOLOGY, emulator_host=emulator.host, pull_wait_s=0.5)
    bus.ensure_topology()

    def expire(subscription: str, held: list[Delivery]) -> None:
        # A lease cannot be shorter than 10 s, but one that runs can be cut to a second.
        body: dict[str, Any] = {
            "subscription": bus._subscription_path(subscription),
            "ack_ids": [each.ack_id for each in held],
            "ack_deadline_seconds": 1,
        }
        bus._subscriber().modify_ack_deadline(request=body)

    yield Bench(bus, None, expire)
    bus.close()
