"""What strangers and slips of the hand leave in the store stops nobody, and is put right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.event_log import MAPPINGS
from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.state import PROOF_LIMIT, STATES
from shared.errors import InvalidInput
from tests.support.world import LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.every_store


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world with one transfer that was started."""
    made = World(tmp_path)
    made.start("a")
    return made


def test_an_address_without_code_is_an_error_even_without_transfers(world: World) -> None:
    """A contract file with a wrong address must not look straight because nothing is there to check."""
    world.chain._code.clear()
    world.chain.mine_empty(3)
    report = world.run()
    assert (report["errorCount"], report["checked"]) == (1, 0)
    assert "no code at the address" in report["errors"][0]["error"]


def test_a_contract_younger_than_the_pinned_block_is_no_error(world: World) -> None:
    """Where the code came after the pinned block there is nothing to check yet."""
    world.chain._code = {address: len(world.chain.blocks) for address in world.chain._code}
    world.chain.mine_empty(3)
    report = world.run(block=str(len(world.chain.blocks) - 4))
    assert (report["errorCount"], report["checked"]) == (0, 0)


@pytest.mark.parametrize("strange", ["0xzz", "0x12", "0x" + "zz" * 32, "0X" + "ab" * 32])
def test_a_transfer_id_that_looks_like_a_hash_stops_nobody(world: World, strange: str) -> None:
    """An id of the application may begin with 0x; all other transfers are reconciled all the same."""
    world.start(strange)
    world.live("a", LEVEL_3[:2], sees=False)
    assert not world.run()["errorCount"]
    world.assert_straight()


def test_a_mapping_under_what_is_no_hash_stops_nobody(world: World) -> None:
    """A mapping under a transfer's id, or to an id that no document can have, is passed over."""
    world.documents.put(MAPPINGS, "b", {"transferId": "b"})
    world.documents.put(MAPPINGS, transfer_hash("c/d"), {"transferId": "c/d"})
    world.act("c/d", "agree_send", sees=False)
    world.live("a", LEVEL_3[:2], sees=False)
    assert not world.run()["errorCount"]
    world.assert_straight()


_POISON: list[dict[str, Any]] = [
    {"rolloverId": "../x"},
    {"rolloverId": "x" * 1501},
    {"audit": "x"},
    {"audit": ["x"]},
    {"data": "x"},
    {"eventType": "system.event_correction", "data": {"joinedTo": 5}},
    {"eventType": "system.event_correction", "data": {"correctedEventType": {}}},
    {
        "eventType": "system.event_correction",
        "data": {"correctedEventType": "blockchain.v5.minted", "step": {}},
    },
    {"eventType": "system.event_superseded", "data": {"targetEventId": [], "verdictSeq": 1}},
]


@pytest.mark.parametrize("wrong", _POISON)
def test_an_event_of_the_wrong_shape_is_refused_and_stops_nobody(world: World, wrong: dict[str, Any]) -> None:
    """Whoever wrote it into the store: it does not count, and all others are projected and reconciled."""
    event = {"eventId": "x", "eventType": "rollover.started", "rolloverId": "x", "timestamp": "2023", **wrong}
    with pytest.raises(InvalidInput):
        world.projection.project([event])
    stored = {**event, "audit": event.get("audit") or {"storedAt": "2023-11-14T22:00:00"}}
    world.documents.put(EVENTS, "x", stored)
    world.live("a", LEVEL_3[:2], sees=False)
    assert not world.run()["errorCount"]
    world.assert_straight()


_GONE: Any = object()


@pytest.mark.parametrize(
    "edit",
    [
        {"contractKey": "1:0x00"},
        {"contractKey": 5},
        {"contractKey": None, "open": False},
        {"open": _GONE},
        {"open": "no"},
        {"rolloverId": "other"},
        {"transferHash": "0xzz"},
        {"transferHash": transfer_hash("b")},
        {"lastBlock": "x", "open": False},
        {"lastBlock": None, "open": False},
        {"proofs": None},
        {"verdicts": [1]},
        {"unmapped": True, "proofs": None},
        dict.fromkeys(("contractKey", "open", "rolloverId", "lastBlock", "overflow", "stateHash"), _GONE),
    ],
)
def test_a_state_edited_so_that_no_page_finds_it_is_put_right(world: World, edit: dict[str, Any]) -> None:
    """Whatever field was edited or taken out by hand, one reconciliation puts the document back."""
    world.live("a", LEVEL_3[:2])
    world.assert_straight()
    before = world.state("a") or {}
    edited = {name: value for name, value in {**before, **edit}.items() if value is not _GONE}
    world.documents.put(STATES, "a", edited)
    assert not world.run()["errorCount"]
    assert world.state("a") == before
    world.assert_straight()


def test_an_event_deleted_from_a_closed_transfer_is_found_when_a_person_asks(world: World) -> None:
    """What is closed and was checked is looked at again, not only in its turn in the rotation."""
    for name in ("a", "b", "c", "d"):
        world.live(name, LEVEL_3)
        world.documents.put(MAPPINGS, transfer_hash(name), {"transferId": name})
    world.run()
    world.assert_straight()
    for name in ("a", "b", "c", "d"):
        state = world.state(name) or {}
        assert not state["open"]
        world.documents.delete(EVENTS, state["milestones"]["executed"]["eventId"])
    assert world.run()["causes"] == {"event_deleted": 4}
    world.assert_straight()


@pytest.mark.parametrize("mapped", [True, False])
def test_an_unreadable_event_of_a_crooked_transfer_stops_nobody(world: World, *, mapped: bool) -> None:
    """An agreement of neither party, on a transfer to repair or to join, neither counts nor raises."""
    world.start("b", mapped=mapped)
    key = "b" if mapped else transfer_hash("b")
    world.act("b", "agree_send", sees=not mapped)
    event = {"eventId": "x", "eventType": "blockchain.v5.agreement", "rolloverId": key, "timestamp": "2023"}
    world.log.append({**event, "data": {}})
    world.documents.put(MAPPINGS, transfer_hash("b"), {"transferId": "b"})
    world.live("a", LEVEL_3[:2], sees=False)
    assert not world.run()["errorCount"]
    assert (world.state("b") or {})["contractState"] == 2
    world.assert_straight()


def _cancelled(**more: Any) -> dict[str, Any]:
    return {
        "eventId": "cancelled", "eventType": "rollover.cancelled", "rolloverId": "a",
        "timestamp": "2023-11-14T22:30:00Z", "data": {}, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"audit": {"immutable": True}},
        {"audit": {"storedAt": "2020-01-01T00:00:00Z"}},
        {"audit": {"storedAt": 1_700_000_000_000}},
    ],
)
@pytest.mark.parametrize("manual", [True, False])
def test_an_event_that_no_order_of_storing_shows_is_projected(
    world: World, more: dict[str, Any], *, manual: bool
) -> None:
    """Without a time of storing, or with one long past, an event that no trigger brought is found in turn."""
    world.start("b")
    world.clock.advance(600)
    world.run()
    world.documents.put(EVENTS, "cancelled", _cancelled(**more))
    assert world.reconcile.run(manual=manual)["causes"] == {"not_projected": 1}
    assert (world.state("a") or {})["status"] == "cancelled"
    world.assert_straight()


def test_a_lost_trigger_of_an_overflowing_transfer_is_found(world: World) -> None:
    """A state that no longer holds all proofs does not tell what it knows, so it is computed anew."""
    for number in range(PROOF_LIMIT + 1):
        event = {**_cancelled(eventType="rollover.documents_submitted"), "eventId": f"submitted-{number}"}
        world.log.append(event)
        world.projection.project([event])
    world.log.append(_cancelled())
    assert world.run(dry_run=True)["causes"] == {"not_projected": 1}
    assert world.run()["causes"] == {"not_projected": 1}
    assert (world.state("a") or {})["status"] == "cancelled"
    assert world.run(dry_run=True)["causes"] == {}
    world.assert_straight()
