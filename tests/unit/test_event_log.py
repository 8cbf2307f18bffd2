"""The one append: once, to the right transfer, with an alarm where contents differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.chain_heads import ChainHeads
from shared.app.event_log import MAPPINGS, EventLog
from shared.domain.events import CORRECTION, EVENTS, REINSTATED, SUPERSEDED, seal
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES, is_superseded
from shared.errors import CorruptEvent, InvalidInput
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.histories import log_event

if TYPE_CHECKING:
    from shared.domain.events import Event

A = transfer_hash("a")


@pytest.fixture
def documents() -> MemoryDocuments:
    """Return an empty store."""
    return MemoryDocuments()


@pytest.fixture
def log(documents: MemoryDocuments) -> EventLog:
    """Return the event log of one writer."""
    return EventLog(documents, FakeClock(), "handle_chain_event")


def of_log(step: str = "agree_send", block: int = 3, fork: int = 0) -> Event:
    """Return the event of a log of transfer a, its routing still open."""
    event = log_event(step, block, fork)
    event["data"]["transferHash"] = A
    event.pop("rolloverId")
    return seal(event)


def started(**more: Any) -> Event:
    """Return the application's first event."""
    return {
        "eventId": "started-a",
        "eventType": "rollover.started",
        "rolloverId": "a",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {},
        **more,
    }


def test_an_event_is_appended_once(documents: MemoryDocuments, log: EventLog) -> None:
    """The second time it is there already, and the store is left alone."""
    assert log.append(started())
    writes = documents.writes
    assert not log.append(started())
    assert documents.writes == writes
    stored = documents.get(EVENTS, "started-a")
    assert stored
    assert stored["audit"] == {"storedAt": "2026-01-01T00:00:00+00:00", "recordedBy": "handle_chain_event"}


def test_another_content_under_a_known_id_is_corrupt(documents: MemoryDocuments, log: EventLog) -> None:
    """It is refused, and what is stored stays as it was."""
    log.append(started())
    before = documents.get(EVENTS, "started-a")
    with pytest.raises(CorruptEvent, match="started-a"):
        log.append(started(data={"amount": "5"}))
    assert documents.get(EVENTS, "started-a") == before


@pytest.mark.parametrize("field", ["eventId", "eventType", "rolloverId", "timestamp"])
def test_a_malformed_event_is_not_appended(documents: MemoryDocuments, log: EventLog, field: str) -> None:
    """A missing field is named, and nothing is written."""
    with pytest.raises(InvalidInput, match=field):
        log.append(started(**{field: ""}))
    assert documents.writes == 0


def test_an_unmapped_log_is_kept_under_its_hash(log: EventLog) -> None:
    """Without a mapping the bare hash is the transfer's id, and nobody takes part yet."""
    appended = log.append_chain(1, [of_log()], 0)
    [event] = log.events_of(A)
    assert appended.stored == [event["eventId"]]
    assert (event["sourceCustodianId"], event["participants"]) == (None, [])


@pytest.mark.parametrize("where", ["state", "event", "event's data", "nowhere"])
def test_a_log_is_routed_as_the_application_says(
    documents: MemoryDocuments, log: EventLog, where: str
) -> None:
    """Custodians come from the state, from a start that is not projected yet, or not at all."""
    custodians = {"sourceCustodianId": "alpha", "destinationCustodianId": "beta"}
    documents.put(MAPPINGS, A, {"transferId": "a"})
    if where == "state":
        documents.put(STATES, "a", {**custodians, "participants": ["alpha", "beta"]})
    elif where != "nowhere":
        log.append(started(**custodians) if where == "event" else started(data=custodians))
    log.append_chain(1, [of_log()], 0)
    event = next(e for e in log.events_of("a") if e["eventType"] == "blockchain.v5.agreement")
    wanted = (None, []) if where == "nowhere" else ("alpha", ["alpha", "beta"])
    assert (event["sourceCustodianId"], event["participants"]) == wanted


@pytest.mark.parametrize("transfer_id", [None, "", 5])
def test_a_mapping_without_an_id_maps_nothing(
    documents: MemoryDocuments, log: EventLog, transfer_id: object
) -> None:
    """A mapping that is incomplete counts as none."""
    documents.put(MAPPINGS, A, {"transferId": transfer_id})
    assert log.mapped([A]) == {}


def test_the_hash_does_not_depend_on_routing_or_writer(documents: MemoryDocuments, log: EventLog) -> None:
    """The same log written by another, after it was mapped, is the same event and no conflict."""
    log.append_chain(1, [of_log()], 0)
    documents.put(MAPPINGS, A, {"transferId": "a"})
    other = EventLog(documents, FakeClock(), "reconcile").append_chain(1, [of_log()], 0)
    assert (len(other.already_there), other.conflicting) == (1, [])


def test_a_log_mapped_since_is_corrected_once(documents: MemoryDocuments, log: EventLog) -> None:
    """Seen again after its mapping, a log kept under its hash is joined to its transfer by one correction."""
    original = of_log()
    log.append_chain(1, [original], 0)
    documents.put(MAPPINGS, A, {"transferId": "a"})
    for stored in (1, 0):
        assert len(log.append_chain(1, [original], 0).stored) == stored
    [correction] = log.events_of("a")
    assert correction["eventType"] == CORRECTION
    assert correction["data"]["correctedEventType"] == original["eventType"]
    assert correction["metadata"]["originalEventId"] == original["eventId"]
    assert [event["eventId"] for event in log.events_of(A)] == [original["eventId"]]


def test_a_verdict_follows_the_correction(documents: MemoryDocuments, log: EventLog) -> None:
    """Superseding what was corrected takes back both, each where it is projected."""
    log.append_chain(1, [of_log()], 0)
    documents.put(MAPPINGS, A, {"transferId": "a"})
    log.append_chain(1, [of_log()], 0)
    log.supersede([of_log()], 1, "a reorg")
    for transfer in (A, "a"):
        kinds = [event["eventType"] for event in log.events_of(transfer)]
        assert kinds.count(SUPERSEDED) == 1


def test_a_stored_event_with_another_content_is_reported(documents: MemoryDocuments, log: EventLog) -> None:
    """What somebody stored under a log's id is named, and a correction tells the truth; the rest is kept."""
    forged = {**of_log(), "rolloverId": A, "audit": {"immutable": True, "eventHash": "00"}}
    documents.put(EVENTS, forged["eventId"], forged)
    appended = log.append_chain(1, [of_log(), of_log("agree_receive", 4)], 0)
    assert appended.conflicting == [forged["eventId"]]
    assert len(appended.stored) == 2
    assert appended.events[-1]["metadata"]["originalEventId"] == forged["eventId"]
    assert documents.get(EVENTS, forged["eventId"]) == forged


def test_superseding_is_stored_once_for_each_counter(log: EventLog) -> None:
    """The same verdict at the same counter is one event; at a higher one it is another."""
    log.append_chain(1, [of_log()], 0)
    assert [len(log.supersede([of_log()], counter, "why").stored) for counter in (1, 1, 2)] == [1, 0, 1]


def test_a_removal_may_overtake_its_log(log: EventLog) -> None:
    """A verdict on an event that is not stored yet is kept, and the event comes in superseded."""
    log.supersede([of_log()], 1, "a reorg")
    appended = log.append_chain(1, [of_log()], 0)
    assert len(appended.stored) == 1
    assert sorted(event["eventType"] for event in log.events_of(A)) == ["blockchain.v5.agreement", SUPERSEDED]


@pytest.mark.parametrize("told_by", ["message", "chain heads"])
def test_a_log_whose_block_returned_is_reinstated(
    documents: MemoryDocuments, log: EventLog, told_by: str
) -> None:
    """Taken back at 1, published again at 2: the reinstatement outranks the removal, and is stored once."""
    event = of_log()
    block = event["data"]["blockHash"]
    log.append_chain(1, [event], 0)
    log.supersede([event], 1, "a reorg")
    if told_by == "chain heads":
        ChainHeads(documents, FakeClock()).take_back(1, {block: 3})
    returned = [block] if told_by == "message" else []
    for stored in (1, 0):
        assert len(log.append_chain(1, [of_log()], 2, returned=returned).stored) == stored
    verdicts: dict[str, list[Any]] = {}
    for each in log.events_of(A):
        if each["eventType"] in (SUPERSEDED, REINSTATED):
            verdict = [each["data"]["verdictSeq"], each["eventType"] == REINSTATED]
            verdicts[event["eventId"]] = max(verdict, verdicts.get(event["eventId"], verdict))
    assert not is_superseded(verdicts, event["eventId"])


def test_a_late_copy_of_a_removed_log_stays_superseded(documents: MemoryDocuments, log: EventLog) -> None:
    """What was published before the removal and is delivered after it does not bring the log back."""
    event = of_log()
    ChainHeads(documents, FakeClock()).take_back(1, {event["data"]["blockHash"]: 3})
    log.supersede([event], 1, "a reorg")
    log.append_chain(1, [event], 0)
    log.append_chain(1, [event], 1)
    assert REINSTATED not in {each["eventType"] for each in log.events_of(A)}
