"""Bus in the embedded SQLite file: durable, at least once, safe with several processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import orjson

from shared.adapters.sqlite_file import SqliteFile
from shared.adapters.system_clock import SystemClock
from shared.adapters.topology import TOPOLOGY, Subscription, Topology, check_message
from shared.domain.topics import DEAD_LETTER_SOURCE, DELIVERY_ATTEMPTS
from shared.errors import InvalidInput
from shared.ports import Delivery, Message

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from shared.ports import Clock

# A delivery is a small row apart from its message, so that leasing it never rewrites a megabyte of data.
# ``lease`` counts up each time it changes hands: an acknowledgement under an old lease finds nothing.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS bus_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, published_us INTEGER NOT NULL,
    attributes BLOB NOT NULL, data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS bus_deliveries (
    subscription TEXT NOT NULL, message_id INTEGER NOT NULL, due_us INTEGER NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0, lease INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (subscription, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bus_deliveries_due ON bus_deliveries (subscription, due_us, message_id);
CREATE INDEX IF NOT EXISTS bus_deliveries_message ON bus_deliveries (message_id);
"""
_ANY_DUE: Final = "SELECT 1 FROM bus_deliveries WHERE subscription = ? AND due_us <= ? LIMIT 1"
_DUE: Final = """
SELECT message_id, attempt, lease FROM bus_deliveries WHERE subscription = ? AND due_us <= ?
ORDER BY due_us, message_id LIMIT ?
"""
_HAND_OUT: Final = """
UPDATE bus_deliveries SET due_us = ?, attempt = attempt + 1, lease = lease + 1
WHERE subscription = ? AND message_id = ?
"""
_ACK: Final = "DELETE FROM bus_deliveries WHERE subscription = ? AND message_id = ? AND lease = ?"
_HELD: Final = "SELECT attempt FROM bus_deliveries WHERE subscription = ? AND message_id = ? AND lease = ?"
_POSTPONE: Final = """
UPDATE bus_deliveries SET due_us = ?, lease = lease + 1 WHERE subscription = ? AND message_id = ?
"""
_HOLD: Final = """
UPDATE bus_deliveries SET due_us = ? WHERE subscription = ? AND message_id = ? AND lease = ?
"""
_RELEASE: Final = """
UPDATE bus_deliveries SET attempt = attempt - 1, lease = lease + 1,
    due_us = (SELECT published_us FROM bus_messages WHERE id = message_id)
WHERE subscription = ? AND message_id = ? AND lease = ?
"""
_FORGET: Final = """
DELETE FROM bus_messages
WHERE id = ? AND NOT EXISTS (SELECT 1 FROM bus_deliveries WHERE message_id = bus_messages.id)
"""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LocalBus:
    """The Bus of one machine, in the same file as the documents.

    ``clock`` decides when messages are due; processes that share a file share its notion of time. An
    expired lease comes again at once and counts as an attempt, as a refusal does; ``release`` does not.
    """

    def __init__(
        self,
        path: str | Path,
        clock: Clock | None = None,
        topology: Sequence[Subscription] = TOPOLOGY,
    ) -> None:
        self._file = SqliteFile(path, _SCHEMA)
        self._clock = clock or SystemClock()
        self._topology = Topology(topology)

    def publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
        """Publish all or none, in one commit; InvalidInput where Pub/Sub would refuse a message."""
        self._topology.subscribers(topic)
        for message in messages:
            check_message(message)
        now_us = self._now_us()
        with self._file.writing() as connection:
            return [
                str(self._insert(connection, topic, now_us, orjson.dumps(dict(each.attributes)), each.data))
                for each in messages
            ]

    def pull(self, subscription: str, limit: int) -> list[Delivery]:
        """Lease up to ``limit`` due messages, longest due first; those out of attempts are buried."""
        known = self._topology.subscription(subscription)
        now_us = self._now_us()
        with self._file.reading() as connection:  # an idle poll never asks for the write lock
            if connection.execute(_ANY_DUE, (known.name, now_us)).fetchone() is None:
                return []
        leased: list[tuple[int, int, int]] = []
        with self._file.writing() as connection:
            while len(leased) < limit:
                rows = connection.execute(_DUE, (known.name, now_us, limit - len(leased))).fetchall()
                if not rows:
                    break
                for message_id, attempt, lease in rows:
                    if grave := known.burial_topic(attempt):
                        self._bury(connection, known, message_id, attempt, grave)
                        continue
                    until_us = now_us + known.ack_deadline_s * 1_000_000
                    connection.execute(_HAND_OUT, (until_us, known.name, message_id))
                    leased.append((message_id, attempt + 1, lease + 1))
            return [_delivery(connection, *each) for each in leased]

    def ack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Take messages off; an id whose lease has passed to somebody else does nothing."""
        known = self._topology.subscription(subscription)
        leases = [_lease(each) for each in ack_ids]
        with self._file.writing() as connection:
            for message_id, lease in leases:
                if connection.execute(_ACK, (known.name, message_id, lease)).rowcount:
                    connection.execute(_FORGET, (message_id,))

    def nack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Refuse: due again after the back-off, or buried after the last attempt."""
        known = self._topology.subscription(subscription)
        leases = [_lease(each) for each in ack_ids]
        now_us = self._now_us()
        with self._file.writing() as connection:
            for message_id, lease in leases:
                held = connection.execute(_HELD, (known.name, message_id, lease)).fetchone()
                if held is None:
                    continue
                attempt = held[0]
                if grave := known.burial_topic(attempt):
                    self._bury(connection, known, message_id, attempt, grave)
                else:
                    due_us = now_us + round(known.backoff_s(attempt) * 1e6)
                    connection.execute(_POSTPONE, (due_us, known.name, message_id))

    def hold(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Lease for so many seconds from now; an id whose lease has passed to somebody else does nothing."""
        known = self._topology.subscription(subscription)
        leases = [_lease(each) for each in ack_ids]
        until_us = self._now_us() + seconds * 1_000_000
        with self._file.writing() as connection:
            connection.executemany(_HOLD, [(until_us, known.name, *each) for each in leases])

    def release(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Hand back as if never delivered: due now, in its old place, the attempt not counted."""
        known = self._topology.subscription(subscription)
        leases = [_lease(each) for each in ack_ids]
        with self._file.writing() as connection:
            connection.executemany(_RELEASE, [(known.name, *each) for each in leases])

    def close(self) -> None:
        """Give back connections and files."""
        self._file.close()

    def _now_us(self) -> int:
        return (self._clock.now() - _EPOCH) // timedelta(microseconds=1)

    def _insert(
        self, connection: sqlite3.Connection, topic: str, now_us: int, attributes: bytes, data: bytes
    ) -> int:
        """Store a message with a delivery for each subscription; without any, only its id is used up."""
        connection.execute(
            "INSERT INTO bus_messages (topic, published_us, attributes, data) VALUES (?, ?, ?, ?)",
            (topic, now_us, attributes, data),
        )
        message_id: int = connection.execute("SELECT last_insert_rowid()").fetchone()[0]
        subscribers = self._topology.subscribers(topic)
        connection.executemany(
            "INSERT INTO bus_deliveries (subscription, message_id, due_us) VALUES (?, ?, ?)",
            [(each.name, message_id, now_us) for each in subscribers],
        )
        if not subscribers:
            connection.execute(_FORGET, (message_id,))
        return message_id

    def _bury(
        self, connection: sqlite3.Connection, known: Subscription, message_id: int, attempt: int, grave: str
    ) -> None:
        """Move a message to the dead-letter topic, within the caller's transaction."""
        attributes, data = connection.execute(
            "SELECT attributes, data FROM bus_messages WHERE id = ?", (message_id,)
        ).fetchone()
        why = {DEAD_LETTER_SOURCE: known.topic, DELIVERY_ATTEMPTS: str(attempt)}
        self._insert(connection, grave, self._now_us(), orjson.dumps(orjson.loads(attributes) | why), data)
        connection.execute(
            "DELETE FROM bus_deliveries WHERE subscription = ? AND message_id = ?", (known.name, message_id)
        )
        connection.execute(_FORGET, (message_id,))


def _delivery(connection: sqlite3.Connection, message_id: int, attempt: int, lease: int) -> Delivery:
    published_us, attributes, data = connection.execute(
        "SELECT published_us, attributes, data FROM bus_messages WHERE id = ?", (message_id,)
    ).fetchone()
    return Delivery(
        message_id=str(message_id),
        ack_id=f"{message_id}.{lease}",
        message=Message(data, orjson.loads(attributes)),
        attempt=attempt,
        published_at=_EPOCH + timedelta(microseconds=published_us),
    )


def _lease(ack_id: str) -> tuple[int, int]:
    message_id, _, lease = ack_id.partition(".")
    try:
        return int(message_id), int(lease)
    except ValueError as error:
        raise InvalidInput(f"ack id {ack_id!r} is not one that pull gave out") from error
