"""Events: identity, content and refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.events import EVENT_TYPES, SUPERSEDED, check_event, evidence_id, verdict_id
from shared.domain.hashing import transfer_hash
from shared.domain.log_coordinates import event_id, id_of_log, log_coordinates
from shared.domain.system_events import verdict_event
from shared.errors import CorruptEvent, InvalidInput, UndecodableLog
from tests.support.histories import foreign, log_event

LOG: dict[str, Any] = {
    "address": "0x" + "Ab" * 20,
    "blockHash": "0x" + "1" * 64,
    "transactionHash": "0x" + "2" * 64,
    "blockNumber": "0x10",
    "logIndex": "0x3",
}


def test_the_transfer_hash_is_the_one_that_the_contract_uses() -> None:
    """The product's own test vector: keccak-256 of the id's text."""
    assert (
        transfer_hash("v5-test-b7902072-6055-4258-9577-d8b769c10541")
        == "0x633b513cb1435f4f53f39b0776cfd73f0781ea2dac1cf8f184a0277ca4e4b1db"
    )


def test_a_logs_id_does_not_depend_on_how_it_is_spelled() -> None:
    """Upper-case hex and a number for a quantity name the same log."""
    other = {**LOG, "address": LOG["address"].lower(), "logIndex": 3, "blockNumber": 16}
    assert id_of_log(1, LOG) == id_of_log(1, other)


@given(st.integers(0, 5), st.sampled_from(["chain", "contract", "block", "transaction", "index"]))
def test_another_place_is_another_event(number: int, changed: str) -> None:
    """Each of the five coordinates is part of the identity: re-mined elsewhere is another event."""
    at: dict[str, Any] = {"chain": 1, "contract": "0xa", "block": "0xb", "transaction": "0xc", "index": 0}
    other = {**at, changed: number + 10 if isinstance(at[changed], int) else f"0x{number}"}
    assert event_id(*at.values()) != event_id(*other.values())


def test_ids_of_different_kinds_never_meet() -> None:
    """Logs, evidence and verdicts are hashed over lists of different shapes."""
    ids = {event_id(1, "a", "b", "c", 0), evidence_id(1, "a", "b", "c", "d"), verdict_id("a", 1, SUPERSEDED)}
    assert len(ids) == 3


def test_a_log_index_takes_more_than_31_bits() -> None:
    """Real nodes give indexes near 2^32: the event has it as it is, and an id of its own."""
    at = log_coordinates(1, {**LOG, "logIndex": "0xffffffe2"})
    assert at["logIndex"] == 0xFFFFFFE2
    assert id_of_log(1, {**LOG, "logIndex": "0xffffffe2"}) != id_of_log(1, {**LOG, "logIndex": "0xffffffe3"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logIndex", "0x20000000000000"),
        ("logIndex", "three"),
        ("logIndex", None),
        ("blockHash", "0x12"),
        ("blockHash", None),
        ("transactionHash", 5),
        ("address", "0x" + "1" * 39),
        ("blockNumber", True),
    ],
)
def test_a_log_with_an_impossible_coordinate_is_refused_by_name(field: str, value: object) -> None:
    """A malformed coordinate raises UndecodableLog that names the field."""
    with pytest.raises(UndecodableLog, match=field):
        log_coordinates(1, {**LOG, field: value})


def test_a_changed_event_is_corrupt() -> None:
    """An event whose data was changed after sealing no longer matches its hash."""
    event = log_event("executed", 4)
    check_event(event)
    with pytest.raises(CorruptEvent, match=event["eventId"]):
        check_event({**event, "data": {**event["data"], "grossAmount": "1"}})


def test_routing_and_audit_are_not_part_of_the_proof() -> None:
    """Custodians and time of storage may differ between writers of one event."""
    event = log_event("executed", 4)
    audit = {**event["audit"], "storedAt": "later", "recordedBy": "reconcile"}
    check_event({**event, "participants": ["alpha"], "audit": audit})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"eventType": "rollover.invented"}, "eventType"),
        ({"rolloverId": ""}, "rolloverId"),
        ({"timestamp": None}, "timestamp"),
        ({"data": []}, "data"),
    ],
)
def test_a_malformed_event_is_refused_by_name(change: dict[str, Any], field: str) -> None:
    """A type outside the list, or a missing field, raises InvalidInput that names it."""
    with pytest.raises(InvalidInput, match=field):
        check_event({**foreign("rollover.started", 1), **change})


def test_a_verdict_is_the_same_whoever_writes_it() -> None:
    """Two writers with different reasons produce one id and one hash."""
    target = log_event("executed", 4)
    one, two = (verdict_event(target, 2, SUPERSEDED, reason) for reason in ("reorg", "reconciled"))
    assert one["eventId"] == two["eventId"]
    assert one["audit"]["eventHash"] == two["audit"]["eventHash"]


def test_the_products_event_types_are_all_known() -> None:
    """The list holds every type that the product's screens read."""
    assert len(EVENT_TYPES) == 10 + 18 + 1 + 2 + 4
