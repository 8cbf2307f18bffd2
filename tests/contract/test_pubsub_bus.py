"""What only Pub/Sub can get wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.errors import NotFound, StoreUnavailable
from shared.ports import Message
from tests.support.bus_bench import TOPOLOGY, fresh_project

if TYPE_CHECKING:
    from tests.support.pubsub_emulator import PubSubEmulator


class TestPubSub:
    """What only Pub/Sub can get wrong."""

    def test_a_topic_absent_from_the_project_is_not_found(self, pubsub_emulator: PubSubEmulator) -> None:
        """A project that was never laid out answers NotFound, not an empty subscription."""
        from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415

        bus = PubSubBus(fresh_project(), TOPOLOGY, emulator_host=pubsub_emulator.host)
        with pytest.raises(NotFound):
            bus.publish("jobs", [Message(b"x")])
        with pytest.raises(NotFound):
            bus.pull("work", 1)
        bus.close()

    def test_an_unreachable_server_is_unavailable(self) -> None:
        """Nobody listening is StoreUnavailable for a pull too, never an empty answer."""
        from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415

        bus = PubSubBus("p", TOPOLOGY, emulator_host="127.0.0.1:1", request_timeout_s=0.5)
        for ask in (lambda: bus.publish("jobs", [Message(b"x")]), lambda: bus.pull("work", 1)):
            with pytest.raises(StoreUnavailable):
                ask()
        bus.close()

    def test_the_topology_may_be_laid_out_twice(self, pubsub_emulator: PubSubEmulator) -> None:
        """What is there already is left as it is, with the messages in it."""
        from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415

        bus = PubSubBus(fresh_project(), TOPOLOGY, emulator_host=pubsub_emulator.host)
        bus.ensure_topology()
        bus.publish("jobs", [Message(b"x")])
        bus.ensure_topology()
        assert [each.message.data for each in bus.pull("work", 1)] == [b"x"]
        bus.close()

    def test_more_than_one_request_holds_is_published_in_order(self, pubsub_emulator: PubSubEmulator) -> None:
        """Twelve megabytes and more than a thousand messages are split; every message has its id."""
        from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415

        bus = PubSubBus(fresh_project(), TOPOLOGY, emulator_host=pubsub_emulator.host)
        bus.ensure_topology()
        messages = [Message(b"z" * 4_000_000)] * 3 + [Message(str(i).encode()) for i in range(1001)]
        ids = bus.publish("jobs", messages)
        assert len(set(ids)) == 1004
        bus.close()
