"""Topics and subscriptions as a table, and what a message may be; the same for every bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.domain.topics import CHAIN_LOGS, CHAIN_LOGS_DEAD, HANDLE_CHAIN_EVENT
from shared.errors import ConfigError, InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ports import Message

# Google's limits for Pub/Sub, kept by every adapter so that a laptop refuses what the cloud refuses.
MAX_MESSAGE_BYTES: Final = 10_000_000
MAX_ATTRIBUTES: Final = 100
MAX_ATTRIBUTE_KEY_BYTES: Final = 256
MAX_ATTRIBUTE_VALUE_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Subscription:
    """A durable subscription of a topic; all times in seconds.

    A refused message comes again after ``min_backoff_s`` doubled at each further attempt up to
    ``max_backoff_s``. After ``max_attempts`` deliveries it moves to ``dead_letter_topic``; both None
    means that it comes for ever. Pub/Sub wants 10 to 600 s, at most 600 s, and 5 to 100 attempts.
    """

    name: str
    topic: str
    ack_deadline_s: int = 60
    min_backoff_s: float = 0.0
    max_backoff_s: float = 0.0
    max_attempts: int | None = None
    dead_letter_topic: str | None = None

    def __post_init__(self) -> None:
        if (self.max_attempts is None) != (self.dead_letter_topic is None):
            raise ConfigError(f"subscription {self.name}: max_attempts and dead_letter_topic go together")

    def backoff_s(self, attempt: int) -> float:
        """Return the pause after the delivery number ``attempt`` (from 1) was refused, in seconds."""
        doublings = min(attempt - 1, 60)
        return min(self.max_backoff_s, self.min_backoff_s * 2.0**doublings)

    def burial_topic(self, attempt: int) -> str | None:
        """Return where a message goes that ``attempt`` deliveries did not settle; None: it comes again."""
        if self.max_attempts is None or attempt < self.max_attempts:
            return None
        return self.dead_letter_topic


TOPOLOGY: Final = (
    # 100 attempts up to 10 minutes apart outlast a store that is down overnight; what can never be
    # understood does not wait for that, the handler dead-letters it at once.
    Subscription(
        HANDLE_CHAIN_EVENT,
        CHAIN_LOGS,
        min_backoff_s=1.0,
        max_backoff_s=600.0,
        max_attempts=100,
        dead_letter_topic=CHAIN_LOGS_DEAD,
    ),
    Subscription(CHAIN_LOGS_DEAD, CHAIN_LOGS_DEAD),
)


class Topology:
    """The table, looked up by name."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self.subscriptions = {each.name: each for each in subscriptions}
        self._of_topic: dict[str, list[Subscription]] = {}
        for each in subscriptions:
            self._of_topic.setdefault(each.topic, []).append(each)
            if each.dead_letter_topic is not None:
                self._of_topic.setdefault(each.dead_letter_topic, [])

    @property
    def topics(self) -> list[str]:
        """Return every topic that is subscribed to or takes dead letters."""
        return list(self._of_topic)

    def subscription(self, name: str) -> Subscription:
        """Return the subscription; NotFound where the table does not have it."""
        try:
            return self.subscriptions[name]
        except KeyError:
            raise NotFound(f"no subscription {name!r}") from None

    def subscribers(self, topic: str) -> list[Subscription]:
        """Return the subscriptions of a topic; NotFound where the table does not have it."""
        try:
            return self._of_topic[topic]
        except KeyError:
            raise NotFound(f"no topic {topic!r}") from None


def check_message(message: Message) -> int:
    """Return the message's size in bytes; InvalidInput where no bus takes it.

    A message has at most 10 MB in all, something in it, and at most 100 attributes of 1 to 256 bytes of
    name and up to 1024 bytes of value.
    """
    if not message.data and not message.attributes:
        raise InvalidInput("message has neither data nor attributes")
    if len(message.attributes) > MAX_ATTRIBUTES:
        raise InvalidInput(f"message has {len(message.attributes)} attributes, more than {MAX_ATTRIBUTES}")
    size = len(message.data)
    for key, value in message.attributes.items():
        try:
            key_bytes, value_bytes = len(key.encode()), len(value.encode())
        except UnicodeEncodeError as error:
            raise InvalidInput(f"message attribute {key!r} is not text that UTF-8 can hold") from error
        if not 1 <= key_bytes <= MAX_ATTRIBUTE_KEY_BYTES:
            raise InvalidInput(
                f"message attribute name has {key_bytes} bytes, not 1 to {MAX_ATTRIBUTE_KEY_BYTES}"
            )
        if key.startswith("goog"):
            raise InvalidInput(f"message attribute {key!r}: names that begin with goog are Google's")
        if value_bytes > MAX_ATTRIBUTE_VALUE_BYTES:
            raise InvalidInput(f"message attribute {key!r} has more than {MAX_ATTRIBUTE_VALUE_BYTES} bytes")
        size += key_bytes + value_bytes
    if size > MAX_MESSAGE_BYTES:
        raise InvalidInput(f"message has {size} bytes, more than {MAX_MESSAGE_BYTES}")
    return size
