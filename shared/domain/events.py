"""Events: what they are called, what identifies them, and how they are spelled in the store.

A chain event is identified by what it is: the id is a hash of (chain id, contract, block hash,
transaction hash, log index), and every hashed field comes from the log and its header. So the live
path, the back-fill and the reconciler write one and the same event, whoever comes first.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from shared.domain.hashing import digest, transfer_hash
from shared.domain.keys import can_be_key
from shared.domain.lifecycle import STEPS
from shared.domain.log_coordinates import event_id
from shared.errors import CorruptEvent, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec, DecodedLog

Event = dict[str, Any]
"""An event as stored in ``events/{eventId}`` (field names of the product, see docs/data-model.md)."""

EVENTS: Final = "events"
VERSION: Final = "1"

SUPERSEDED: Final = "system.event_superseded"
REINSTATED: Final = "system.event_reinstated"
CORRECTION: Final = "system.event_correction"
EXTERNAL: Final = "blockchain.external_transaction"
CHAIN_TYPES: Final = tuple(dict.fromkeys(step.event_type for step in STEPS.values()))

EVENT_TYPES: Final = frozenset(
    [
        *(
            f"rollover.{name}"
            for name in (
                "started", "acknowledged", "documents_submitted", "document_approved", "documents_approved",
                "documents_verified", "financial_verified", "completed", "failed", "cancelled",
            )
        ),
        *(f"{name}{suffix}" for name in CHAIN_TYPES for suffix in ("", ".pending", ".failed")),
        EXTERNAL,
        "settlement.funds_sent",
        "settlement.funds_received",
        CORRECTION,
        SUPERSEDED,
        REINSTATED,
        "system.recovery_completed",
    ]
)  # fmt: skip

_ID_DIGITS: Final = 64
_UNHASHED: Final = frozenset(
    ("rolloverId", "sourceCustodianId", "destinationCustodianId", "participants", "audit", "reason")
)
"""Routing (taken from the application's documents when the event is written), audit, a verdict's reason."""
_UNHASHED_EVIDENCE: Final = _UNHASHED | {"timestamp", "seenAt"}
_UNHASHED_EXTERNAL: Final = _UNHASHED | {"correlationId"}
_ACTION: Final = ("contract", "logIndex", "transferHash", "actionEventId", "actionEventType")
"""What an external transaction's event says of the log that it hangs on."""


@lru_cache(maxsize=1024)
def iso(seconds: int) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC, such as ``2026-11-23T21:10:08Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def evidence_id(chain_id: int, contract: str, transfer_hash: str, step: str, party: str) -> str:
    """Return the id of an event whose only evidence is the contract's state (no log could be had)."""
    return digest([chain_id, contract.lower(), transfer_hash.lower(), step, party.lower(), "contract_state"])


def external_id(chain_id: int, block_hash: str, transaction_hash: str) -> str:
    """Return the id of the event which says that a transaction came from outside the platform."""
    return digest([chain_id, block_hash.lower(), transaction_hash.lower(), EXTERNAL])


def verdict_id(target: str, verdict_seq: int, verdict: str) -> str:
    """Return the id of a verdict on an event at a value of its chain's reorg counter."""
    return digest([target, verdict_seq, verdict])


def correction_id(original: str, rollover_id: str) -> str:
    """Return the id of the correction that gives an event to the transfer it turned out to belong to."""
    return digest([original, rollover_id, CORRECTION])


def restated_id(original: str) -> str:
    """Return the id of the event that says what a log says, where another content has the log's own id."""
    return digest([original, "restated"])


def chain_event(
    spec: ContractSpec, decoded: DecodedLog, coordinates: Mapping[str, Any], timestamp: int
) -> Event:
    """Return the event of a decoded log, its routing still open; ``timestamp`` is its block's, in seconds."""
    at = coordinates
    identity = event_id(spec.chain_id, spec.address, at["blockHash"], at["transactionHash"], at["logIndex"])
    data = {**decoded.data, **at, "transferHash": decoded.transfer_hash, "step": decoded.step}
    return seal(
        {
            "eventId": identity,
            "eventType": STEPS[decoded.step].event_type,
            "timestamp": iso(timestamp),
            "data": data,
            **system_fields(decoded.transfer_hash),
        }
    )


def evidence_event(spec: ContractSpec, step: str, transfer_hash: str, party: str, pinned: Header) -> Event:
    """Return an event that only the contract's state at a pinned block proves: no transaction hash.

    Which block was pinned (``seenAt``, and the time, which is that block's) is the writer's and stays
    outside the hash: two runs that find the same state write the same event.
    """
    event = {
        "eventId": evidence_id(spec.chain_id, spec.address, transfer_hash, step, party),
        "eventType": STEPS[step].event_type,
        "data": {
            **STEPS[step].constants,
            "chainId": spec.chain_id,
            "contract": spec.address,
            "transferHash": transfer_hash,
            "step": step,
            "evidence": "contract_state",
        },
        **system_fields(transfer_hash),
        "timestamp": iso(pinned.timestamp),
        "seenAt": {"blockNumber": pinned.number, "blockHash": pinned.hash},
    }
    return seal(event)


def external_event(action: Event, sender: str) -> Event:
    """Return the event which says that the transaction of a chain event was sent by an outside wallet.

    There is one a transaction. Which of its logs it hangs on stays outside the hash: a node that keeps
    back the first of them must not make it another event. ``sender`` is the receipt's ``from``.
    """
    at = action["data"]
    data = {
        **{name: at[name] for name in ("chainId", "blockNumber", "blockHash", "transactionHash")},
        **{name: at[name] for name in ("contract", "logIndex", "transferHash")},
        "sender": sender.lower(),
        "actionEventId": action["eventId"],
        "actionEventType": action["eventType"],
    }
    return seal(
        {
            "eventId": external_id(at["chainId"], at["blockHash"], at["transactionHash"]),
            "eventType": EXTERNAL,
            "timestamp": action["timestamp"],
            "data": data,
            **system_fields(at["transferHash"]),
        }
    )


def external_events(
    actions: Iterable[Event], senders: Mapping[str, str], wallets: AbstractSet[str]
) -> list[Event]:
    """Return the events of those transactions of chain events that no platform wallet sent, one each.

    ``senders`` by transaction hash; a transaction without one is passed over, as nothing is known of it.
    ``wallets``: the platform's, lower-case; none: what is outside cannot be told.
    """
    first: dict[str, Event] = {}
    for action in actions if wallets else ():
        key = action["data"]["transactionHash"]
        if key in senders and senders[key].lower() not in wallets:
            known = first.setdefault(key, action)
            if action["data"]["logIndex"] < known["data"]["logIndex"]:
                first[key] = action
    return [external_event(action, senders[key]) for key, action in first.items()]


def is_external(event: Mapping[str, Any]) -> bool:
    """Say whether an event of ours, or what it corrects, tells of an external transaction."""
    return is_ours(event) and EXTERNAL in (event["eventType"], event["data"].get("correctedEventType"))


def system_fields(correlation: str) -> Event:
    """Return the fields of an event that no person and no session has written."""
    return {
        "userId": "system",
        "ipAddress": None,
        "sessionId": None,
        "correlationId": correlation,
        "metadata": {"source": "blockchain", "version": VERSION},
    }


def content_hash(event: Mapping[str, Any]) -> str:
    """Return the hash of what an event proves: all of it but routing, reason of a verdict, and audit."""
    data = event.get("data", {})
    if event["eventType"] == EXTERNAL:
        hashed = {key: value for key, value in event.items() if key not in _UNHASHED_EXTERNAL}
        return digest({**hashed, "data": {key: data[key] for key in data if key not in _ACTION}})
    left_out = _UNHASHED_EVIDENCE if data.get("evidence") else _UNHASHED
    if left_out.isdisjoint(event):  # as everything that is sealed before it has a routing
        return digest(event)
    return digest({key: value for key, value in event.items() if key not in left_out})


def seal(event: Event) -> Event:
    """Return the event with the hash that makes a later change visible."""
    return {**event, "audit": {"immutable": True, "eventHash": content_hash(event)}}


def check_event(event: Mapping[str, Any]) -> None:
    """Refuse an event that is malformed (InvalidInput) or not what its hash says (CorruptEvent).

    Events without ``eventHash`` are the application's: they are accepted with any id.
    """
    for field, kind in (("eventId", str), ("eventType", str), ("rolloverId", str), ("timestamp", str)):
        if not isinstance(event.get(field), kind) or not event[field]:
            raise InvalidInput(f"event field {field} is missing or not a string: {event.get(field)!r}")
    if not can_be_key(event["rolloverId"]):
        raise InvalidInput(f"event field rolloverId cannot be a document's key: {event['rolloverId'][:80]!r}")
    if event["eventType"] not in EVENT_TYPES:
        raise InvalidInput(f"event field eventType is not in the list: {event['eventType']!r}")
    if not isinstance(event.get("data", {}), dict):
        raise InvalidInput("event field data is not an object")
    if not isinstance(event.get("audit") or {}, dict):
        raise InvalidInput("event field audit is not an object")
    stated = (event.get("audit") or {}).get("eventHash")
    if stated is not None and stated != content_hash(event):
        raise CorruptEvent(f"event {event['eventId']} does not match its eventHash")
    if stated is not None and _is_misplaced(event):
        raise CorruptEvent(
            f"event {event['eventId']} is not of the transfer where it lies: {event['rolloverId'][:80]!r}"
        )


def _is_misplaced(event: Mapping[str, Any]) -> bool:
    """Say whether an event of ours lies with a transfer whose hash is not its own.

    Routing is outside the eventHash, but there is one transfer of each hash. A verdict lies where what it
    judges does, whatever that says of itself.
    """
    rollover_id, told = event["rolloverId"], event.get("data", {}).get("transferHash")
    if event["eventType"] in (SUPERSEDED, REINSTATED) or told in (None, rollover_id):
        return False
    return bool(transfer_hash(rollover_id) != told)


def is_our_id(identity: str) -> bool:
    """Say whether an event's id has the form of ours, a hash; any application may choose such ids, too."""
    return len(identity) == _ID_DIGITS and not identity.strip("0123456789abcdef")


def is_ours(event: Mapping[str, Any]) -> bool:
    """Say whether Plumbline wrote the event (it carries an eventHash)."""
    audit = event.get("audit")
    return isinstance(audit, dict) and audit.get("eventHash") is not None


def as_stored(key: str, event: Event) -> Event:
    """Return a stored event under its document's key, which alone identifies it.

    What it calls itself may be another's name, such as the copy's that somebody made by hand.
    """
    called = event.get("eventId")
    return event if called == key or not isinstance(called, str) else {**event, "eventId": key}
