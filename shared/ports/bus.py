"""The bus of messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Message:
    """What is published: bytes, and string attributes."""

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message from ``Bus.pull``; ``attempt`` counts from 1, ``ack_id`` is good until the deadline."""

    message_id: str
    ack_id: str
    message: Message
    attempt: int
    published_at: datetime


class Bus(Protocol):
    """Topics with durable subscriptions of at-least-once delivery.

    A message that is refused ``max_attempts`` times moves to the subscription's dead-letter topic.
    Every method raises StoreUnavailable where the bus cannot be used, NotFound for an unknown name.
    """

    def publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
        """Publish all; returns their ids once every one of them is durable."""

    def pull(self, subscription: str, limit: int) -> list[Delivery]:
        """Lease up to ``limit`` messages that are due; at once, and an empty list if there are none."""

    def ack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Take delivered messages off the subscription."""

    def nack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Refuse: they come again after the subscription's back-off."""

    def hold(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Lease for so many seconds (0 to 600) from now, in place of what the subscription says."""

    def release(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Hand back unread (a look, not a refusal): due again at once."""

    def close(self) -> None:
        """Give back connections and files."""
