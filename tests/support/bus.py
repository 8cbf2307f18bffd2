"""A Bus in memory, with the behaviour of the local one and nothing durable about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.adapters.topology import TOPOLOGY, Subscription, Topology, check_message
from shared.domain.topics import DEAD_LETTER_SOURCE, DELIVERY_ATTEMPTS
from shared.errors import InvalidInput
from shared.ports import Delivery, Message
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.ports import Clock


@dataclass
class _Waiting:
    """A message on its way to one subscription."""

    message_id: str
    message: Message
    published_at: datetime
    due: datetime
    attempt: int = 0
    lease: int = 0

    @property
    def ack_id(self) -> str:
        return f"{self.message_id}.{self.lease}"


class MemoryBus:
    """Bus without a store. ``published`` keeps every message in order, as (topic, message).

    ``fail_at`` is called with ("publish", topic, message id) before each single message is out; what it
    raises stands for the death of the process: earlier messages are out, this one is not.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        topology: Sequence[Subscription] = TOPOLOGY,
        fail_at: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self.fail_at = fail_at
        self.published: list[tuple[str, Message]] = []
        self._clock = clock or FakeClock()
        self._topology = Topology(topology)
        self._waiting: dict[str, list[_Waiting]] = {name: [] for name in self._topology.subscriptions}

    def publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
        """Publish all."""
        self._topology.subscribers(topic)
        for message in messages:
            check_message(message)
        return [self._publish(topic, message) for message in messages]

    def pull(self, subscription: str, limit: int) -> list[Delivery]:
        """Lease up to ``limit`` messages that are due."""
        known = self._topology.subscription(subscription)
        now = self._clock.now()
        deliveries: list[Delivery] = []
        for each in sorted(self._waiting[known.name], key=lambda waiting: waiting.due):
            if each.due > now or len(deliveries) == limit:
                break
            if grave := known.burial_topic(each.attempt):
                self._bury(known, each, grave)
                continue
            each.attempt += 1
            each.lease += 1
            each.due = now + timedelta(seconds=known.ack_deadline_s)
            deliveries.append(
                Delivery(each.message_id, each.ack_id, each.message, each.attempt, each.published_at)
            )
        return deliveries

    def ack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Take delivered messages off."""
        for each in self._leased(subscription, ack_ids):
            self._waiting[subscription].remove(each)

    def nack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Refuse."""
        known = self._topology.subscription(subscription)
        for each in self._leased(subscription, ack_ids):
            if grave := known.burial_topic(each.attempt):
                self._bury(known, each, grave)
            else:
                each.lease += 1
                each.due = self._clock.now() + timedelta(seconds=known.backoff_s(each.attempt))

    def hold(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Lease for so many seconds from now."""
        for each in self._leased(subscription, ack_ids):
            each.due = self._clock.now() + timedelta(seconds=seconds)

    def release(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Hand back unread."""
        for each in self._leased(subscription, ack_ids):
            each.lease += 1
            each.attempt -= 1
            each.due = each.published_at

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _publish(self, topic: str, message: Message) -> str:
        kept = Message(bytes(message.data), dict(message.attributes))
        message_id = str(len(self.published) + 1)
        if self.fail_at:
            self.fail_at("publish", topic, message_id)
        self.published.append((topic, kept))
        now = self._clock.now()
        for each in self._topology.subscribers(topic):
            self._waiting[each.name].append(_Waiting(message_id, kept, now, now))
        return message_id

    def _leased(self, subscription: str, ack_ids: Sequence[str]) -> list[_Waiting]:
        self._topology.subscription(subscription)
        for ack_id in ack_ids:
            if not ack_id.replace(".", "", 1).isdigit():
                raise InvalidInput(f"ack id {ack_id!r} is not one that pull gave out")
        wanted = set(ack_ids)
        return [each for each in self._waiting[subscription] if each.ack_id in wanted]

    def _bury(self, known: Subscription, each: _Waiting, grave: str) -> None:
        why = {DEAD_LETTER_SOURCE: known.topic, DELIVERY_ATTEMPTS: str(each.attempt)}
        self._publish(grave, Message(each.message.data, {**each.message.attributes, **why}))
        self._waiting[known.name].remove(each)
