"""The reconciliation: what hangs crooked is found, explained and put right with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.log_batch import LOGS, LogBatch
from shared.app.reconcile_report import is_straight
from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.events import EVENTS, SUPERSEDED
from shared.domain.hashing import transfer_hash
from shared.domain.state import PROOF_LIMIT, STATES
from shared.errors import InvalidInput
from tests.support.world import LEVEL_2, LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.every_store


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
    world.assert_straight()


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
    world.assert_straight()
    world.chain.find_logs_again()
    world.see(executed)
    late = world.state("a")
    assert late
    assert late["milestones"]["executed"]["proof"] == "log"
    world.assert_straight()


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
    world.assert_straight()


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
    world.assert_straight()


@pytest.mark.memory_only
def test_a_stored_event_that_was_never_projected_is_projected(world: World) -> None:
    """A trigger that gave up is its own cause: the event is not appended again, only projected."""
    world.start("a")
    logs = world.act("a", "agree_send", sees=False)
    batch_events = len(world.events("a"))
    world.no_projecting()
    world.handler.handle(_batch(world, logs))
    world.documents.fail_at = None  # type: ignore[attr-defined]
    assert len(world.events("a")) == batch_events + 1
    report = world.run()
    assert report["causes"] == {"not_projected": 1}
    assert report["createdCount"] == 0
    world.assert_straight()


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
    world.assert_straight()


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
    world.assert_straight()


def test_an_event_of_a_transaction_that_is_still_waiting_is_left_alone(world: World) -> None:
    """An event that may become true by the next block is late, not wrong."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    young = {**_foreign("a", "blockchain.v5.financial", 1), "timestamp": "2026-01-01T00:10:00Z"}
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
    world.assert_straight()


def test_a_block_that_only_the_application_names_hides_nothing(world: World) -> None:
    """An event that claims a block of the far future is judged by the contract all the same."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    burned = _foreign("a", "blockchain.v5.burned", 1)
    burned["data"]["blockNumber"] = 10**9
    world.log.append(burned)
    world.projection.project([burned])
    assert (world.state("a") or {})["status"] == "completed"
    world.chain.mine_empty(200)
    report = world.run()
    assert (report["causes"], report["supersededCount"]) == ({"ahead_of_chain": 1}, 1)
    assert (world.state("a") or {})["status"] == "ready_to_record"
    world.assert_straight()


def test_endpoints_that_disagree_about_a_block_supersede_nothing(world: World) -> None:
    """Only a majority of endpoints proves a block gone: one lagging node is not a reorg."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    height = len(world.chain.blocks) - 1
    old = world.chain.blocks[height].header.hash
    world.chain.reorg(1)
    world.chain.other_votes[height] = [old, old]
    assert world.run()["supersededCount"] == 0


def test_endpoints_that_disagree_about_one_block_hold_up_nobody_else(world: World) -> None:
    """The transfer concerned is reported as contradictory, and the others are put right."""
    world.start("a")
    world.start("b")
    world.live("a", LEVEL_3[:3])
    height = len(world.chain.blocks) - 1
    old = world.chain.blocks[height].header.hash
    world.chain.reorg(1)
    world.chain.other_votes[height] = [old]
    world.live("b", LEVEL_3[:1], sees=False)
    report = world.run()
    assert not report["errors"]
    assert {entry["rolloverId"]: entry["cause"] for entry in report["mismatches"]} == {
        "a": "inconsistent_answers",
        "b": "missing_event",
    }
    assert world.state("b")["contractState"] == 2


@pytest.mark.parametrize("block", ["99999999", "1000000000000000000000"])
def test_a_block_that_is_not_there_yet_is_bad_input(world: World, block: str) -> None:
    """Asked for a height above the head, a run says so and leaves no report that would colour health."""
    world.start("a")
    world.live("a", LEVEL_3[:1])
    with pytest.raises(InvalidInput, match=f"block {block} is above the head of chain 1"):
        world.run(block=block)
    with pytest.raises(InvalidInput, match="above the head"):
        world.reconcile.run_one("a", block=block)
    assert not world.documents.count("reconciliation_reports")


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
    world.assert_straight()


def test_what_the_contract_showed_after_the_pin_is_not_taken_back(world: World) -> None:
    """Evidence seen at the latest block stands when the next run reads an older one, also after a joining."""
    world.start("a")
    world.start("b", mapped=False)
    for transfer in ("a", "b"):
        world.act(transfer, "agree_send")
        for log in world.act(transfer, "agree_receive", sees=False):
            world.chain.lose_log(log)
    assert world.run(block="latest")["createdByContractState"] == 2
    world.documents.put("transfer_hash_mappings", transfer_hash("b"), {"transferId": "b"})
    world.run(block="latest")
    report = world.run(block="1")
    assert (report["mismatchCount"], report["supersededCount"]) == (0, 0)
    world.assert_straight()


def test_a_step_told_at_too_high_a_block_hides_no_log(world: World) -> None:
    """Before the contract's state is the evidence, the log is looked for from the deployment on."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    told = {
        "eventId": "told", "eventType": "blockchain.v5.financial", "rolloverId": "a",
        "timestamp": "2023-11-14T22:30:00Z", "data": {"blockNumber": 8, "transactionHash": "0x" + "12" * 32},
    }  # fmt: skip
    world.log.append(told)
    world.projection.project([told])
    world.live("a", [["financial"], ["executed"]], sees=False)
    world.chain.mine_empty(10)
    report = world.run()
    assert (report["createdCount"], report["createdByContractState"]) == (2, 0)
    state = world.state("a")
    assert state
    assert state["milestones"]["executed"]["proof"] == "log"
    world.assert_straight()


def _told(world: World, kind: str, count: int) -> None:
    for number in range(count):
        event = {
            "eventId": f"{kind}-{number}", "eventType": kind, "rolloverId": "a",
            "timestamp": "2023-11-14T22:30:00Z", "data": {},
        }  # fmt: skip
        world.log.append(event)
        world.projection.project([event])


def test_past_the_limit_a_log_that_was_wrongly_taken_back_counts_again(world: World) -> None:
    """A state that no longer holds its verdicts is repaired by those of the events."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    _told(world, "rollover.documents_submitted", PROOF_LIMIT + 1)
    event = world.documents.get(EVENTS, (world.state("a") or {})["milestones"]["agree_receive"]["eventId"])
    assert event
    world.log.supersede([event], 1, "a node that lied")
    world.projection.rebuild("a")
    assert [m["repaired"] for m in world.run()["mismatches"]] == [True]
    assert (world.state("a") or {})["status"] == "awaiting_financial_verification"
    world.assert_straight()


def test_past_the_limit_all_that_is_ahead_is_taken_back_at_once(world: World) -> None:
    """Seventy invented executions are superseded in the run that finds them, not three in every run."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    _told(world, "blockchain.v5.executed", PROOF_LIMIT + 6)
    world.chain.mine_empty(200)
    assert world.run()["supersededCount"] == PROOF_LIMIT + 6
    assert (world.state("a") or {})["status"] == "awaiting_financial_verification"
    world.assert_straight()
