"""Hashes that nobody mapped: kept, resolved where something tells, and joined to their transfers."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import encode

from shared.app.event_log import MAPPINGS
from shared.app.observe import Observe
from shared.app.reconcile_report import is_straight
from shared.domain.comparison import INCONSISTENT
from shared.domain.events import CORRECTION, EVENTS
from shared.domain.hashing import transfer_hash
from shared.ports import Query
from tests.support.world import LEVEL_3, RECEIVER, SENDER, World

pytestmark = pytest.mark.every_store


def test_an_unmapped_transfer_is_joined_by_its_calldata(world: World) -> None:
    """The reference in the calldata resolves a bare hash whose keccak it is."""
    agree = next(f for f, _ in world.spec.references)
    types = ["bytes32", "address", "address", "uint8", "uint8", "string"]
    values = [bytes.fromhex(transfer_hash("a")[2:]), SENDER, RECEIVER, 1, 1, "a"]
    world.start("a", mapped=False)
    world.act("a", "agree_send", calldata=bytes.fromhex(agree.selector[2:]) + encode(types, values))
    bare = world.state(transfer_hash("a"))
    assert bare
    assert bare["unmapped"]
    report = world.run()
    assert report["joined"] == [{"hash": transfer_hash("a"), "rolloverId": "a"}]
    state = world.state("a")
    assert state
    assert (state["status"], state["contractState"]) == ("awaiting_receiver", 2)
    world.assert_straight()
    world.act("a", "agree_receive")
    world.assert_straight()


def test_a_reference_that_is_not_the_hash_resolves_nothing(world: World) -> None:
    """Calldata that names another transfer leaves the hash unmapped, and reported."""
    agree = next(f for f, _ in world.spec.references)
    types = ["bytes32", "address", "address", "uint8", "uint8", "string"]
    values = [bytes.fromhex(transfer_hash("a")[2:]), SENDER, RECEIVER, 1, 1, "somebody else"]
    world.act("a", "agree_send", calldata=bytes.fromhex(agree.selector[2:]) + encode(types, values))
    report = world.run()
    assert (report["joined"], report["unmapped"]) == ([], [transfer_hash("a")])


@pytest.mark.parametrize("reference", [None, "a/b", "", "__x__", "x" * 1501])
def test_calldata_that_told_nothing_is_not_read_again(world: World, reference: str | None) -> None:
    """A hash that nothing resolves, or a name that no document has, costs its requests once."""
    agree = next(f for f, _ in world.spec.references)
    types = ["bytes32", "address", "address", "uint8", "uint8", "string"]
    name = "a" if reference is None else reference
    values = [bytes.fromhex(transfer_hash(name)[2:]), SENDER, RECEIVER, 1, 1, name]
    called = b"" if reference is None else bytes.fromhex(agree.selector[2:]) + encode(types, values)
    world.act(name, "agree_send", calldata=called)
    before = world.chain.requests
    world.run()
    first = world.chain.requests
    world.run()
    second = world.chain.requests
    world.run()
    assert second - first == world.chain.requests - second
    assert world.chain.requests - second < first - before
    if reference is not None:
        assert world.documents.query(MAPPINGS, Query()) == []
        return
    world.documents.put("transfer_hash_mappings", transfer_hash("a"), {"transferId": "a"})
    assert world.run()["joined"] == [{"hash": transfer_hash("a"), "rolloverId": "a"}]


def test_a_mapping_that_came_late_joins_what_was_kept(world: World) -> None:
    """Once the application maps a hash, its events count for the transfer, superseded ones do not."""
    world.start("a", mapped=False)
    world.act("a", "agree_send")
    gone = world.act("a", "agree_receive")
    world.chain.reorg(1)
    world.counter = 1
    world.see(gone, removed=True)
    world.documents.put("transfer_hash_mappings", transfer_hash("a"), {"transferId": "a"})
    world.run()
    state = world.state("a")
    assert state
    assert state["status"] == "awaiting_receiver"
    world.assert_straight()


def test_a_mapped_hash_without_any_state_is_found(world: World) -> None:
    """A transfer that the application mapped, never started, and that moved unseen, is repaired and told."""
    world.documents.put("transfer_hash_mappings", transfer_hash("a"), {"transferId": "a"})
    world.live("a", LEVEL_3[:2], sees=False)
    assert world.run()["createdCount"] == 2
    report = world.run()
    assert report["orphans"] == ["a"]
    world.assert_straight()


def test_a_removal_that_overtook_its_log_and_the_mapping_is_put_right(world: World) -> None:
    """Removal while unmapped, the mapping, then the late log: a verdict under the wrong name is mended."""
    world.start("a", mapped=False)
    world.act("a", "agree_send")
    gone = world.act("a", "agree_receive", sees=False)
    world.chain.reorg(1)
    world.counter = 1
    world.see(gone, removed=True)
    world.documents.put("transfer_hash_mappings", transfer_hash("a"), {"transferId": "a"})
    world.counter = 0
    world.see(gone)
    world.run()
    state = world.state("a")
    assert state
    assert (state["status"], state["contractState"]) == ("awaiting_receiver", 2)
    world.assert_straight()


def _joined(world: World) -> None:
    world.start("a", mapped=False)
    world.live("a", LEVEL_3[:2])
    world.documents.put("transfer_hash_mappings", transfer_hash("a"), {"transferId": "a"})
    world.run()
    world.assert_straight()


def test_what_was_joined_is_not_taken_back_while_its_log_stands(world: World) -> None:
    """A node that forgets the contract's state contradicts its own logs: told, and nothing is touched."""
    _joined(world)
    honest, world.chain.on_call = world.chain.on_call, lambda _call, _block: bytes(32)
    report = world.run()
    assert (report["supersededCount"], report["causes"]) == (0, {INCONSISTENT: 1})
    world.chain.on_call = honest
    world.assert_straight()


def test_a_correction_that_was_wrongly_taken_back_counts_again(world: World) -> None:
    """The log of the event that it joins is on the chain: the transfer stands where the contract does."""
    _joined(world)
    corrections = [event for event in world.events("a") if event["eventType"] == CORRECTION]
    assert len(corrections) == 2
    world.log.supersede(corrections, 7, "by mistake")
    world.projection.rebuild("a")
    world.run()
    state = world.state("a")
    assert state
    assert state["contractState"] == 3
    world.assert_straight()


def test_a_mapping_to_another_transfer_is_told_and_not_followed(world: World) -> None:
    """A hash mapped to the wrong transfer gives that one no foreign history; corrected, all comes right."""
    world.start("a")
    world.start("b", mapped=False)
    world.documents.put(MAPPINGS, transfer_hash("b"), {"transferId": "a"})
    world.act("b", "agree_send")
    report = world.run()
    assert report["misfits"] == [transfer_hash("b")]
    assert report["errors"][0]["where"] == f"mapping {transfer_hash('b')}"
    assert len(world.alerts.sent) == 1
    assert "agree_send" not in (world.state("a") or {})["milestones"]
    world.documents.put(MAPPINGS, transfer_hash("b"), {"transferId": "b"})
    world.run()
    assert "agree_send" in (world.state("b") or {})["milestones"]
    world.assert_straight()


def test_calldata_does_not_join_against_a_wrong_mapping(world: World) -> None:
    """Whose transfer it is stands in the calldata, but a wrong mapping is for a person to correct first."""
    agree = next(f for f, _ in world.spec.references)
    types = ["bytes32", "address", "address", "uint8", "uint8", "string"]
    values = [bytes.fromhex(transfer_hash("b")[2:]), SENDER, RECEIVER, 1, 1, "b"]
    world.start("b", mapped=False)
    world.documents.put(MAPPINGS, transfer_hash("b"), {"transferId": "a"})
    world.act("b", "agree_send", calldata=bytes.fromhex(agree.selector[2:]) + encode(types, values))
    assert world.run()["unmapped"] == [transfer_hash("b")]
    world.documents.put(MAPPINGS, transfer_hash("b"), {"transferId": "b"})
    assert world.run()["joined"] == [{"hash": transfer_hash("b"), "rolloverId": "b"}]
    assert (world.state("b") or {})["status"] == "awaiting_receiver"
    world.assert_straight()


@pytest.mark.parametrize("told", ["a", "", 5, None])
def test_a_wrong_mapping_resolves_to_nobody(world: World, told: object) -> None:
    """Asked for by its hash, a transfer is shown under it as long as no right mapping is there."""
    world.act("b", "agree_send")
    bare = transfer_hash("b")
    world.documents.put(MAPPINGS, bare, {"transferId": told})
    observe = Observe(world.documents, None, None, world.clock)  # type: ignore[arg-type]
    assert observe.resolve(bare) == bare
    world.documents.put(MAPPINGS, bare, {"transferId": "b"})
    assert observe.resolve(bare) == "b"


@pytest.mark.parametrize("manual", [True, False])
@pytest.mark.parametrize("kind", ["blockchain.v5.agreement", CORRECTION])
def test_an_event_deleted_from_a_joined_hash_is_found(world: World, kind: str, *, manual: bool) -> None:
    """What was kept under the bare hash comes back as it was, out of the correction that joined it."""
    world.start("a", mapped=False)
    world.live("a", LEVEL_3[:2])
    world.documents.put(MAPPINGS, transfer_hash("a"), {"transferId": "a"})
    world.documents.put("chain_cursors", "1", {"readThrough": 10**6})
    world.run()
    world.clock.advance(10**6)
    world.assert_straight()
    bare = transfer_hash("a")
    before = world.events(bare)
    deleted = next(event for event in before if event["eventType"] == kind)
    world.documents.delete(EVENTS, deleted["eventId"])
    # The schedule's turn starts over after the last one: it comes to every transfer within two runs here.
    reports = [world.reconcile.run(manual=manual) for _ in range(2)]
    told = [(report["causes"], report["created"]) for report in reports if not is_straight(report)]
    assert told == [({"event_deleted": 1}, [deleted["eventId"]])]
    hashes = [sorted(e["audit"]["eventHash"] for e in each) for each in (before, world.events(bare))]
    assert hashes[0] == hashes[1]
    world.assert_straight()


@pytest.mark.parametrize("mapping", [None, {}, {"transferId": None, "by": "app"}, {"transferId": 5}])
@pytest.mark.parametrize("one", [True, False])
def test_what_the_application_started_and_never_mapped_is_joined(
    world: World, mapping: dict[str, Any] | None, *, one: bool
) -> None:
    """Its id has the hash under which a log is kept: no calldata need tell, and the mapping is written."""
    world.start("a", mapped=False)
    if mapping is not None:
        world.documents.put(MAPPINGS, transfer_hash("a"), mapping)
    world.act("a", "agree_send")
    dry = world.run(dry_run=True)
    assert (dry["causes"], dry["joined"]) == ({"missing_event": 1}, [])
    report = world.reconcile.run_one("a") if one else world.run()
    assert report["joined"] == [{"hash": transfer_hash("a"), "rolloverId": "a"}]
    assert not report["mismatchCount"]
    assert (world.state("a") or {})["contractState"] == 2
    written = {"transferId": "a", "resolvedFrom": "rolloverId"}
    assert world.documents.get(MAPPINGS, transfer_hash("a")) == {**(mapping or {}), **written}
    world.assert_straight()
