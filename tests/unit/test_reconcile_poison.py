"""One log, answer, time or event that makes no sense costs itself alone: the run goes on, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.event_log import MAPPINGS, EventLog
from shared.app.observe import Observe
from shared.app.reconcile import Reconcile
from shared.app.reconcile_report import is_straight
from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality
from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.errors import CorruptEvent, PlumblineError
from tests.support.fake_chain import FakeChain
from tests.support.world import ADDRESS, LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

    from shared.ports import Call

pytestmark = pytest.mark.every_store

_GONE: Any = object()
_VALUES = [_GONE, None, 5, "x", ["x"], {"x": 1}]
_EXECUTED = {
    "eventId": "x", "eventType": "blockchain.v5.executed", "rolloverId": "a",
    "timestamp": "2023-11-14T22:10:00Z", "data": {},
}  # fmt: skip


def _with(document: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    changed = {**document, field: value}
    return {name: each for name, each in changed.items() if each is not _GONE}


def test_a_log_that_cannot_be_decoded_stops_nobody(world: World) -> None:
    """Its step is proved by the contract's state, an error names its place, and all others are put right."""
    world.start("a")
    world.start("b")
    world.live("a", LEVEL_3[:2])
    [log] = world.act("a", "financial", sees=False)
    world.chain.blocks[-1].logs[0]["data"] = "0x12"
    world.live("b", LEVEL_3[:2], sees=False)
    report = world.run()
    assert report["causes"] == {"missing_event": 2}
    assert (report["createdByContractState"], report["errorCount"]) == (1, 1)
    assert f"log {log['logIndex']} of block {log['blockNumber']}" in report["errors"][0]["where"]
    assert [(world.state(name) or {})["contractState"] for name in "ab"] == [4, 3]


def test_a_level_that_cannot_be_decoded_stops_nobody(world: World) -> None:
    """A contract whose fallback answers for a level is one that does not answer."""
    levels = world.spec.levels
    custodian = {levels.address_field: "0x" + "12" * 20, levels.level_field: 3}
    world.documents.put(levels.collection, "alpha", custodian)
    right = world._answer

    def answer(call: Call, block_number: int) -> bytes:
        asks_level = world.spec.reads.level and call.data[:4].hex() in world.spec.reads.level.selector
        return b"" if asks_level else right(call, block_number)

    world.chain.on_call = answer
    world.chain.mine_empty(1)
    assert [(each["database"], each["contract"]) for each in world.run()["levels"]] == [(3, None)]


@pytest.mark.parametrize(
    "timestamp", ["0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "once"]
)
def test_a_time_at_the_edge_of_the_calendar_stops_nobody(world: World, timestamp: str) -> None:
    """An event dated into the year 1, which .NET writes for no date at all, is taken back as any other."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    event = {**_EXECUTED, "timestamp": timestamp}
    world.log.append(event)
    world.projection.project([event])
    assert world.run()["causes"] == {"ahead_of_chain": 1}
    world.assert_straight()


def test_a_premature_event_without_data_is_taken_back(world: World) -> None:
    """The application need not say more than that the step was taken."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    event = _with(_EXECUTED, "data", _GONE)
    world.log.append(event)
    world.projection.project([event])
    world.chain.mine_empty(1)
    assert world.run()["supersededCount"] == 1
    world.assert_straight()


@pytest.fixture
def two_chains(world: World, tmp_path: Path) -> World:
    """Return a world whose contract is on another chain as well, with a transfer straight on the first."""
    for chain_id in (1, 2):
        write_contract_file(tmp_path / "two", chain_id, ADDRESS, 1, Finality(depth=0))
    world.registry = load_registry(tmp_path / "two")
    world.start("a")
    world.live("a", LEVEL_3[:4])
    return world


@pytest.mark.parametrize("one", [True, False])
def test_no_other_chain_judges_a_state_whose_owner_was_edited(two_chains: World, *, one: bool) -> None:
    """A state put on another chain's contract by hand is put back; none of its logs is asked for there."""
    world = two_chains
    other = FakeChain(2)
    other.deploy(ADDRESS)
    other.mine_empty(50)
    reconcile = Reconcile(
        world.documents, {1: world.chain, 2: other}, world.registry,
        EventLog(world.documents, world.clock, "reconcile"), world.projection, world.clock, world.watch,
        world.settings,
    )  # fmt: skip
    before = world.state("a") or {}
    world.documents.put(STATES, "a", {**before, "contractKey": f"2:{ADDRESS}"})
    report = reconcile.run_one("a") if one else reconcile.run(manual=True)
    assert (report["causes"], report["supersededCount"]) == ({"state_edited": 1}, 0)
    assert world.state("a") == before
    assert is_straight(reconcile.run(manual=True))


@pytest.mark.memory_only
@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("value", _VALUES)
@pytest.mark.parametrize("field", ["eventId", "eventType", "rolloverId", "timestamp", "data", "audit"])
def test_a_message_comes_through_whatever_was_made_of_an_event(
    world: World, field: str, value: object, *, removed: bool, mapped: bool
) -> None:
    """A log told again, or taken back, whose event somebody has changed: the rest of its batch is done."""
    world.start("a", mapped=mapped)
    logs = world.act("a", "agree_send")
    stream = world.events("a" if mapped else transfer_hash("a"))
    [event] = [each for each in stream if each["eventType"] == "blockchain.v5.agreement"]
    world.documents.put(EVENTS, event["eventId"], _with(event, field, value))
    world.documents.put(MAPPINGS, transfer_hash("a"), {"transferId": "a"})
    world.counter = 1
    world.see([*logs, *world.act("b", "agree_send", sees=False)], removed=removed)
    told = world.events(transfer_hash("b"))
    assert [each["eventType"] for each in told] == [
        "system.event_superseded" if removed else "blockchain.v5.agreement"
    ]


@pytest.mark.parametrize("value", _VALUES)
@pytest.mark.parametrize("field", ["eventId", "timestamp", "data", "audit", "sourceCustodianId"])
def test_a_start_of_the_wrong_shape_holds_up_no_log(world: World, field: str, value: object) -> None:
    """Who takes part is taken from a start that counts; without one the log is stored all the same."""
    event = {**_EXECUTED, "eventId": "start", "eventType": "rollover.started"}
    world.documents.put(EVENTS, "start", _with(event, field, value))
    world.documents.put(MAPPINGS, transfer_hash("a"), {"transferId": "a"})
    world.act("a", "agree_send")
    assert (world.state("a") or {})["contractState"] == 2


@pytest.mark.parametrize("called", ["other", "__x__", "a/b", "x" * 1501])
def test_an_event_is_what_its_key_says(world: World, called: str) -> None:
    """One that calls itself something else counts once, under its key, and looks not deleted."""
    world.start("a")
    world.act("a", "agree_send")
    event = {**_EXECUTED, "eventId": called, "eventType": "rollover.cancelled"}
    world.documents.put(EVENTS, "key", event)
    world.projection.project_stored("key")
    assert "key" in (world.state("a") or {})["proofs"]
    assert is_straight(world.run())
    world.assert_straight()


def test_a_copy_of_an_event_of_ours_does_not_count(world: World) -> None:
    """Duplicated by hand under another key, it is not what its hash says."""
    world.start("a")
    world.act("a", "agree_send")
    [event] = [each for each in world.events("a") if each["eventType"] == "blockchain.v5.agreement"]
    world.documents.put(EVENTS, "copy", event)
    with pytest.raises(CorruptEvent):
        world.projection.project_stored("copy")
    world.assert_straight()


@pytest.mark.memory_only
@pytest.mark.parametrize("value", _VALUES)
@pytest.mark.parametrize("field", ["contractKey", "milestones", "status", "proofs"])
def test_an_edited_state_is_named_not_shown(world: World, field: str, value: object) -> None:
    """A reader is told that the document is not the projection's, and what to do."""
    world.start("a")
    world.act("a", "agree_send")
    world.documents.put(STATES, "a", _with(world.state("a") or {}, field, value))
    observe = Observe(world.documents, None, None, world.clock)  # type: ignore[arg-type]
    with pytest.raises(PlumblineError, match="edited by hand"):
        observe.state("a")


@pytest.mark.parametrize("chain_id", ["x", -1, 1.5, "9" * 5_000])
def test_a_state_on_a_chain_that_is_none_is_shown(world: World, chain_id: object) -> None:
    """The application's word for a chain may be anything: the state is shown, without finality."""
    world.start("a")
    event = {**_EXECUTED, "data": {"chainId": chain_id, "contract": ADDRESS}}
    world.log.append(event)
    world.projection.project([event])
    observe = Observe(world.documents, None, None, world.clock)  # type: ignore[arg-type]
    assert observe.state("a")["milestones"]["executed"]["finality"] is None
