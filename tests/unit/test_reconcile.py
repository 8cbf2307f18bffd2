"""The reconciliation: what hangs crooked is found, explained and put right with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from eth_abi import encode

from shared.app.handle_chain_event import LOGS, LogBatch
from shared.app.lease import Lease
from shared.app.reconcile import ReconcileSettings
from shared.app.reconcile_report import is_straight
from shared.domain.events import EVENTS, SUPERSEDED
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.errors import Conflict, InvalidInput, NotFound
from tests.support.world import ADDRESS, LEVEL_2, LEVEL_3, RECEIVER, SENDER, World

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an empty world."""
    return World(tmp_path)


def assert_straight(world: World) -> None:
    """Demand that a further run finds nothing, and that no state differs from its events."""
    again = world.run()
    assert is_straight(again), again
    assert not again["createdCount"]
    assert not world.projection.rebuild_all(check_only=True).different


def test_a_straight_world_is_left_alone(world: World) -> None:
    """Where chain and database agree, nothing is written and everything is counted."""
    world.start("a")
    world.live("a", LEVEL_3)
    world.start("b")
    world.live("b", LEVEL_2)
    report = world.run()
    assert is_straight(report)
    assert (report["checked"], report["createdCount"]) == (2, 0)


@pytest.mark.parametrize("life", [LEVEL_3, LEVEL_2, LEVEL_3[:1], LEVEL_3[:3]])
def test_missed_logs_are_found_and_appended_as_the_live_path_would_have(
    world: World, tmp_path: Path, life: list[list[str]]
) -> None:
    """After a repair the events are the very ones that the live path stores, and nothing else."""
    seen = World(tmp_path / "seen")
    for each, sees in ((world, False), (seen, True)):
        each.start("a")
        each.live("a", life, sees=sees)
    report = world.run()
    assert report["causes"] == {"missing_event": 1}
    assert report["createdByContractState"] == 0
    hashes = [sorted(e["audit"].get("eventHash", "") for e in each.events("a")) for each in (world, seen)]
    assert hashes[0] == hashes[1]
    assert world.state("a") == seen.state("a")
    assert_straight(world)


def test_a_level_2_completion_invents_no_mint(world: World) -> None:
    """State 8 without a mint log gives neither a minted nor a burned event."""
    world.start("a")
    world.live("a", LEVEL_2, sees=False)
    world.run()
    kinds = {event["eventType"] for event in world.events("a")}
    assert not kinds & {"blockchain.v5.minted", "blockchain.v5.burned"}


def test_where_the_log_cannot_be_had_the_contracts_state_is_the_evidence(world: World) -> None:
    """A step whose log is lost is recorded without a transaction, and the real log outranks it later."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    executed = world.act("a", "executed", "minted", sees=False)
    for log in executed:
        world.chain.lose_log(log)
    report = world.run()
    assert report["createdByContractState"] == 2
    state = world.state("a")
    assert state
    assert state["milestones"]["executed"] == {
        **state["milestones"]["executed"], "proof": "contract_state", "transactionHash": None
    }  # fmt: skip
    assert_straight(world)
    world.chain.find_logs_again()
    world.see(executed)
    late = world.state("a")
    assert late
    assert late["milestones"]["executed"]["proof"] == "log"
    assert_straight(world)


def test_events_deleted_by_hand_come_back(world: World) -> None:
    """Events that somebody deleted are appended again, though the state still showed them."""
    world.start("a")
    world.live("a", LEVEL_3)
    before = world.state("a")
    for event in world.events("a"):
        if event["eventType"] in ("blockchain.v5.minted", "blockchain.v5.agreement"):
            world.documents.delete(EVENTS, event["eventId"])
    report = world.run()
    assert report["causes"] == {"event_deleted": 1}
    assert world.state("a") == before
    assert_straight(world)


def test_a_state_edited_by_hand_is_computed_anew(world: World) -> None:
    """A changed state document is noticed by its hash and rebuilt from the events."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    before = world.state("a")
    assert before
    world.documents.put(STATES, "a", {**before, "status": "cancelled"})
    assert world.run()["causes"] == {"state_edited": 1}
    assert world.state("a") == before


def test_an_edit_that_hid_a_missing_event_is_undone_in_one_run(world: World) -> None:
    """A repair that uncovers another is followed by it in the same run."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    world.act("a", "financial", sees=False)
    state = world.state("a")
    assert state
    world.documents.put(STATES, "a", {**state, "contractState": 4})
    assert world.run()["createdCount"] == 1
    assert_straight(world)


def test_a_stored_event_that_was_never_projected_is_projected(world: World) -> None:
    """A trigger that gave up is its own cause: the event is not appended again, only projected."""
    world.start("a")
    logs = world.act("a", "agree_send", sees=False)
    batch_events = len(world.events("a"))
    world.handler.handle(_batch(world, logs))
    assert len(world.events("a")) == batch_events + 1
    report = world.run()
    assert report["causes"] == {"not_projected": 1}
    assert report["createdCount"] == 0
    assert_straight(world)


def test_an_application_event_that_was_never_projected_is_projected(world: World) -> None:
    """Events without any chain step are swept, too."""
    world.start("a")
    world.log.append(_foreign("a", "settlement.funds_sent", 1))
    assert world.run()["causes"] == {"not_projected": 1}
    state = world.state("a")
    assert state
    assert state["status"] == "funds_in_transit"


def test_a_state_deleted_by_hand_is_computed_anew(world: World) -> None:
    """A mapped transfer, one that nobody mapped, and one that is not on chain get their states back."""
    world.start("mapped")
    world.act("mapped", "agree_send")
    world.act("unmapped", "agree_send")
    world.start("started", mapped=False)
    names = ("mapped", transfer_hash("unmapped"), "started")
    before = [world.state(name) for name in names]
    assert is_straight(world.run())
    world.clock.advance(3600)
    world.run()
    for name in names:
        world.documents.delete(STATES, name)
    assert world.run()["causes"] == {"not_projected": 3}
    assert [world.state(name) for name in names] == before
    assert_straight(world)


def test_the_schedule_finds_deleted_states_in_turn(tmp_path: Path) -> None:
    """A scheduled run looks at a bounded number of transfers, and the next ones at the others."""
    world = World(tmp_path, settings=ReconcileSettings(sweep_limit=500))
    for number in range(7):
        world.start(f"t{number}", mapped=False)
    world.clock.advance(3600)
    world.reconcile.run()
    world.documents.delete(STATES, "t5")
    assert sum(world.reconcile.run()["projectedAgain"] for _ in range(2)) == 1
    assert world.state("t5")


def _batch(world: World, logs: list[Any]) -> bytes:
    return LogBatch(LOGS, 1, world.counter, logs).encode()


def _foreign(transfer_id: str, kind: str, number: int, **data: Any) -> dict[str, Any]:
    return {
        "eventId": f"{transfer_id}-{kind}-{number}",
        "eventType": kind,
        "rolloverId": transfer_id,
        "timestamp": "2023-11-14T22:10:00Z",
        "data": data,
    }


def test_a_premature_event_of_the_application_is_superseded(world: World) -> None:
    """An executed event without a transaction, while the contract stands at 3, is taken back."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    premature = _foreign("a", "blockchain.v5.executed", 1)
    world.log.append(premature)
    world.projection.project([premature])
    ahead = world.state("a")
    assert ahead
    assert ahead["status"] == "awaiting_funds"
    report = world.run()
    assert (report["causes"], report["supersededCount"]) == ({"ahead_of_chain": 1}, 1)
    state = world.state("a")
    assert state
    assert state["status"] == "awaiting_financial_verification"
    assert_straight(world)


def test_an_event_of_a_transaction_that_is_still_waiting_is_left_alone(world: World) -> None:
    """An event that may become true by the next block is late, not wrong."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    young = {**_foreign("a", "blockchain.v5.financial", 1), "timestamp": "2999-01-01T00:00:00Z"}
    world.log.append(young)
    world.projection.project([young])
    report = world.run()
    assert (report["mismatchCount"], report["supersededCount"], report["late"]) == (0, 0, ["a"])


def test_logs_of_a_block_that_a_reorg_dropped_are_superseded(world: World) -> None:
    """A missed reorg: the event's block has another hash now, so a verdict is appended, nothing deleted."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.chain.reorg(1)
    report = world.run()
    assert (report["causes"], report["supersededCount"]) == ({"ahead_of_chain": 1}, 1)
    kinds = [event["eventType"] for event in world.events("a")]
    assert kinds.count("blockchain.v5.financial") == 1
    assert kinds.count(SUPERSEDED) == 1
    assert_straight(world)


def test_endpoints_that_disagree_about_a_block_supersede_nothing(world: World) -> None:
    """Only a majority of endpoints proves a block gone: one lagging node is not a reorg."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    height = len(world.chain.blocks) - 1
    old = world.chain.blocks[height].header.hash
    world.chain.reorg(1)
    world.chain.other_votes[height] = [old, old]
    assert world.run()["supersededCount"] == 0


def test_a_wrongly_superseded_event_is_reinstated(world: World) -> None:
    """A log on the canonical chain counts again, at a higher value of the reorg counter."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    target = next(event for event in world.events("a") if event["data"].get("isSender"))
    world.log.supersede([target], 3, "by mistake")
    world.projection.rebuild("a")
    crooked = world.state("a")
    assert crooked
    assert crooked["status"] == "awaiting_sender"
    world.run()
    state = world.state("a")
    assert state
    assert state["status"] == "awaiting_financial_verification"
    assert_straight(world)


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
    assert_straight(world)
    world.act("a", "agree_receive")
    assert_straight(world)


def test_a_reference_that_is_not_the_hash_resolves_nothing(world: World) -> None:
    """Calldata that names another transfer leaves the hash unmapped, and reported."""
    agree = next(f for f, _ in world.spec.references)
    types = ["bytes32", "address", "address", "uint8", "uint8", "string"]
    values = [bytes.fromhex(transfer_hash("a")[2:]), SENDER, RECEIVER, 1, 1, "somebody else"]
    world.act("a", "agree_send", calldata=bytes.fromhex(agree.selector[2:]) + encode(types, values))
    report = world.run()
    assert (report["joined"], report["unmapped"]) == ([], [transfer_hash("a")])


def test_calldata_that_told_nothing_is_not_read_again(world: World) -> None:
    """A hash that nothing resolves costs its requests once, and those of a page from then on."""
    world.act("a", "agree_send")
    world.run()
    first = world.chain.requests
    world.run()
    second = world.chain.requests
    world.run()
    assert second - first == world.chain.requests - second
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
    assert_straight(world)


def test_a_mapped_hash_without_any_state_is_found(world: World) -> None:
    """A transfer that the application mapped, never started, and that moved unseen, is repaired and told."""
    world.documents.put("transfer_hash_mappings", transfer_hash("a"), {"transferId": "a"})
    world.live("a", LEVEL_3[:2], sees=False)
    assert world.run()["createdCount"] == 2
    report = world.run()
    assert report["orphans"] == ["a"]
    assert_straight(world)


def test_custodian_levels_are_compared(world: World) -> None:
    """A level that differs between database and contract is reported with both values."""
    world.chain.mine()
    world.levels = {SENDER: 3, RECEIVER: 2}
    world.documents.put("custodians", "alpha", {"walletAddress": SENDER, "level": "tokenised"})
    world.documents.put("custodians", "beta", {"walletAddress": RECEIVER, "level": 3})
    report = world.run()
    assert [(e["custodianId"], e["database"], e["contract"]) for e in report["levels"]] == [("beta", 3, 2)]


def test_a_dry_run_tells_and_writes_nothing(world: World) -> None:
    """After a dry run the store is as it was, lease apart."""
    world.start("a")
    world.live("a", LEVEL_3, sees=False)
    events = len(world.events("a"))
    report = world.run(dry_run=True)
    assert report["causes"] == {"missing_event": 1}
    assert len(world.events("a")) == events
    assert world.documents.count("reconciliation_reports") == 0
    assert world.documents.count("reconciliation_cursors") == 0


def test_two_runs_never_overlap(world: World) -> None:
    """While another holds the lease a run is refused, and it goes on once the lease has lapsed."""
    Lease(world.documents, world.clock, "reconcile", 60).acquire()
    with pytest.raises(Conflict):
        world.run()
    world.clock.advance(61)
    assert is_straight(world.run())


def test_a_run_that_is_cut_off_goes_on(tmp_path: Path) -> None:
    """With no time left each run does a page, says so, and the next continues; together they cover all."""
    world = World(tmp_path, settings=ReconcileSettings(page_size=2, budget_s=0.0))
    for number in range(5):
        world.start(f"t{number}")
        world.live(f"t{number}", LEVEL_3[:2], sees=number != 3)
    reports = []
    while not reports or not reports[-1]["complete"]:
        reports.append(world.reconcile.run())
        assert len(reports) < 20
    assert len(reports) > 2
    assert len({report["reportId"] for report in reports}) == 1
    # t3 is not placed on a contract until its repair: it is checked as unplaced.
    assert reports[-1]["checked"] == 5


def test_what_is_late_is_neither_counted_nor_repaired_by_the_schedule(world: World) -> None:
    """While the listener has not passed the pinned block, a scheduled run leaves the step to it."""
    world.start("a")
    world.act("a", "agree_send", sees=False)
    report = world.reconcile.run()
    assert (report["mismatchCount"], report["createdCount"], report["late"]) == (0, 0, ["a"])
    pin = len(world.chain.blocks) - 1
    world.documents.put("chain_cursors", "1", {"readThrough": pin})
    assert world.reconcile.run()["createdCount"] == 1


def test_the_alert_goes_out_past_the_threshold(tmp_path: Path) -> None:
    """Five mismatches are quiet, six alert."""
    for crooked, alerts in ((5, 0), (6, 1)):
        world = World(tmp_path / str(crooked))
        for number in range(crooked):
            world.start(f"t{number}")
            world.act(f"t{number}", "agree_send", sees=False)
        world.run()
        assert len(world.alerts.sent) == alerts


def test_a_chain_that_cannot_be_read_is_an_error_that_alerts(world: World) -> None:
    """An unreachable node is named in the report, and nothing is touched."""
    world.start("a")
    world.live("a", LEVEL_3[:2], sees=False)
    world.chain.reachable = False
    report = world.run()
    assert (report["errorCount"], report["createdCount"]) == (1, 0)
    assert len(world.alerts.sent) == 1


def test_one_transfer_can_be_reconciled_by_itself(world: World) -> None:
    """Only the transfer asked for is repaired; an unknown one is not found; an empty id is refused."""
    for name in ("a", "b"):
        world.start(name)
        world.live(name, LEVEL_3[:2], sees=False)
    assert world.reconcile.run_one("a")["createdCount"] == 2
    state = world.state("b")
    assert state
    assert state["contractState"] == 0
    with pytest.raises(NotFound, match="nobody"):
        world.reconcile.run_one("nobody")
    with pytest.raises(InvalidInput, match="rolloverId"):
        world.reconcile.run_one("")


@pytest.mark.parametrize("block", ["sometime", "-1", "0x10"])
def test_a_block_that_is_none_is_refused(world: World, block: str) -> None:
    """A block must be a tag or a height."""
    with pytest.raises(InvalidInput, match="block"):
        world.run(block=block)


def test_past_the_limit_a_run_is_tiered(tmp_path: Path) -> None:
    """Of many open transfers a run takes those that changed and a share; all are covered in time."""
    world = World(tmp_path, settings=ReconcileSettings(page_size=3, every_run_limit=4, rotation_runs=4))
    for number in range(12):
        world.start(f"t{number:02}")
        world.act(f"t{number:02}", "agree_send")
    first = world.run()
    key = f"1:{ADDRESS}"
    assert first["coverage"][key]["tiered"]
    world.act("t05", "agree_receive", sees=False)
    second = world.run()
    assert second["causes"] == {"missing_event": 1}
    assert second["checked"] < 12
    event = next(e for e in world.events("t07") if e["eventType"] == "blockchain.v5.agreement")
    world.documents.delete(EVENTS, event["eventId"])
    causes = [world.run()["causes"] for _ in range(4)]
    assert {"event_deleted": 1} in causes
