"""What Plumbline says of events, in events: verdicts on them, and to which transfer they belong."""

from __future__ import annotations

from typing import Final

from shared.domain.events import (
    CORRECTION,
    VERSION,
    Event,
    correction_id,
    restated_id,
    seal,
    system_fields,
    verdict_id,
)
from shared.domain.limits import SAFE_INTEGER

REFUTED: Final = SAFE_INTEGER - 1
"""``verdictSeq`` of what its block is proved not to hold: no reorg, which counts from 1, ever outranks it."""


def verdict_event(target: Event, verdict_seq: int, verdict: str, reason: str) -> Event:
    """Return the event that supersedes or reinstates ``target`` at a value of the chain's reorg counter.

    Its time is the target's, so it is the same whoever writes it; the reason is the writer's and stays
    outside the hash.
    """
    data = target.get("data", {})
    return {
        **seal(
            {
                "eventId": verdict_id(target["eventId"], verdict_seq, verdict),
                "eventType": verdict,
                "timestamp": target["timestamp"],
                "data": {
                    "targetEventId": target["eventId"],
                    "verdictSeq": verdict_seq,
                    **{k: data[k] for k in ("chainId", "contract", "transferHash") if k in data},
                },
                **system_fields(str(data.get("transferHash", target["rolloverId"]))),
                "metadata": {
                    "source": "blockchain",
                    "version": VERSION,
                    "originalEventId": target["eventId"],
                },
            }
        ),
        "reason": reason,
    }


def restated_event(event: Event) -> Event:
    """Return the event which says what a log says, under an id of its own: the log's has another content."""
    identity = event["eventId"]
    told = {**event["metadata"], "originalEventId": identity}
    return seal({**event, "eventId": restated_id(identity), "metadata": told})


def joined_event(transfer_hash: str, rollover_id: str, timestamp: str) -> Event:
    """Return the event that closes the stand-in state of a bare hash: it now belongs to ``rollover_id``."""
    return seal(
        {
            "eventId": correction_id(transfer_hash, rollover_id),
            "eventType": CORRECTION,
            "rolloverId": transfer_hash,
            "timestamp": timestamp,
            "data": {"transferHash": transfer_hash, "joinedTo": rollover_id},
            **system_fields(transfer_hash),
        }
    )


def correction_event(original: Event, rollover_id: str) -> Event:
    """Return the event that joins ``original``, kept under its bare hash, to the transfer it belongs to."""
    return seal(
        {
            "eventId": correction_id(original["eventId"], rollover_id),
            "eventType": CORRECTION,
            "timestamp": original["timestamp"],
            "data": {**original["data"], "correctedEventType": original["eventType"], "joins": rollover_id},
            **system_fields(str(original["data"].get("transferHash", rollover_id))),
            "metadata": {"source": "blockchain", "version": VERSION, "originalEventId": original["eventId"]},
        }
    )


def original_event(correction: Event) -> Event:
    """Return the event that a correction has joined to a transfer, as it was, its routing still open."""
    data = dict(correction["data"])
    kind = data.pop("correctedEventType")
    del data["joins"]
    names = ("timestamp", "userId", "ipAddress", "sessionId", "correlationId")
    return seal(
        {
            "eventId": correction["metadata"]["originalEventId"],
            "eventType": kind,
            "data": data,
            **{name: correction[name] for name in names},
            "metadata": {"source": "blockchain", "version": VERSION},
        }
    )
