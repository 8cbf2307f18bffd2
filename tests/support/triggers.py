"""What brings work to the functions: CloudEvents as Eventarc posts them, and what they hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from shared.app.log_batch import LOGS, LogBatch
from shared.local.http_push import document_event, pubsub_event
from shared.ports import Change, Delivery, Message

if TYPE_CHECKING:
    from shared.domain.events import Event

PROVIDER_KEY = "s3cret-key-of-a-provider"
"""What stands in RPC URLs of tests and must never be told."""
Posted = tuple[bytes, dict[str, str]]
"""Body and headers of a POST."""


def started_event(transfer_id: str) -> Event:
    """Return the event with which the application starts a transfer."""
    return {
        "eventId": f"started-{transfer_id}",
        "eventType": "rollover.started",
        "rolloverId": transfer_id,
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {},
    }


def started_trigger(event: Event) -> Posted:
    """Return the trigger that tells of an event's document, in JSON."""
    return document_event("events", Change("1", event["eventId"], event))


def settled_log(address: str, topic: str, number: int) -> dict[str, Any]:
    """Return the raw log of a ``TransferCompleted`` in a block of its own."""
    block_hash = "0x" + number.to_bytes(32).hex()
    return {
        "address": address,
        "topics": [topic, "0x" + (number << 128).to_bytes(32).hex()],
        "data": "0x" + (1_700_000_000).to_bytes(32).hex(),
        "blockNumber": hex(number),
        "blockHash": block_hash,
        "blockTimestamp": hex(1_700_000_000),
        "transactionHash": block_hash,
        "logIndex": "0x0",
        "removed": False,
    }


def log_message(chain_id: int, logs: list[Any], *, kind: str = LOGS) -> Posted:
    """Return the CloudEvent of a batch of raw logs."""
    return message(LogBatch(kind, chain_id, 0, logs).encode())


def message(data: bytes) -> Posted:
    """Return the CloudEvent of a Pub/Sub message."""
    return pubsub_event(Delivery("1", "1", Message(data), 1, datetime(2026, 1, 1, tzinfo=UTC)))
