"""What a missed or misrouted removal leaves behind: the logs of blocks that are no longer the chain's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.app.event_log import MAPPINGS
from shared.app.reconcile_report import is_straight
from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.events import EVENTS, REINSTATED
from shared.domain.hashing import transfer_hash
from shared.domain.state import is_superseded
from tests.support.world import ADDRESS, LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

    from shared.ports import RawLog

pytestmark = pytest.mark.every_store


def _mined_again(world: World, transfer_id: str, gone: RawLog, state: int, **other: Any) -> list[RawLog]:
    """Replace the last block by one in which the step was taken, too; return its logs."""
    kept = {name: gone[name] for name in ("address", "topics", "data", "transactionHash")}
    world.chain.reorg(1, {0: [{**kept, **other}]})
    number = len(world.chain.blocks) - 1
    world.chain.set_state(number, ADDRESS, transfer_hash(transfer_id), state)
    return world.chain.logs(number, number, [ADDRESS])


def _shown_amount(world: World) -> str:
    state = world.state("a")
    assert state
    event = world.documents.get(EVENTS, state["milestones"]["financial"]["eventId"])
    assert event
    return str(event["data"]["grossAmount"])


def _dead(world: World, transfer_id: str) -> list[str]:
    """Return the live proofs by log that lie in no block of the chain."""
    state = world.state(transfer_id) or {"proofs": {}, "verdicts": {}}
    live = [key for key in state["proofs"] if not is_superseded(state["verdicts"], key)]
    told = [world.documents.get(EVENTS, key) or {} for key in live]
    canonical = {block.header.hash for block in world.chain.blocks}
    return [
        e["eventId"] for e in told if e["data"].get("blockHash", e["eventId"]) not in canonical | set(live)
    ]


@pytest.mark.parametrize("new_seen", [True, False])
def test_the_screen_shows_the_chains_content_though_the_removal_was_lost(
    world: World, *, new_seen: bool
) -> None:
    """A statement of 1000 in a dead block gives way to the 2000 of the chain, seen or not."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    gone = world.act("a", "financial")[0]
    other = {"data": gone["data"].replace("3e8", "7d0"), "transactionHash": "0x" + "77" * 32}
    new = _mined_again(world, "a", gone, 4, **other)
    if new_seen:
        world.see(new)
    report = world.run()
    assert (report["causes"], report["supersededCount"]) == ({"ahead_of_chain": 1}, 1)
    assert _shown_amount(world) == "2000"
    world.assert_straight()


def test_a_removal_that_came_before_the_mapping_is_made_up_for(world: World) -> None:
    """A verdict kept under the bare hash leaves two logs of one step: the dead one is taken back."""
    world.start("a", mapped=False)
    world.act("a", "agree_send")
    gone = world.act("a", "agree_receive", sees=False)
    new = _mined_again(world, "a", gone[0], 3)
    world.counter = 1
    world.see(gone, removed=True)
    world.documents.put(MAPPINGS, transfer_hash("a"), {"transferId": "a"})
    world.counter = 0
    world.see(gone)
    world.counter = 1
    world.see(new)
    world.chain.mine_empty(1_000)
    world.run()
    assert not _dead(world, "a")
    assert (world.state("a") or {})["status"] == "awaiting_financial_verification"
    world.assert_straight()


def test_two_logs_of_one_step_that_both_stand_are_no_finding(world: World) -> None:
    """A contract may tell a step twice: both blocks are the chain's, and nothing is wrong."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.act("a", "financial")
    world.chain.mine_empty(1_000)
    world.run()
    assert is_straight(world.run())


def test_a_log_of_a_dead_block_that_arrives_late_is_found(world: World) -> None:
    """A message handled long after its block was replaced is held against the chain by the next run."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    logs = world.act("a", "executed", sees=False)
    world.chain.reorg(1)
    for log in world.act("a", "executed", sees=False):
        world.chain.lose_log(log)
    world.chain.mine_empty(1_000)
    assert world.run()["createdByContractState"] == 1
    world.clock.advance(3_600)
    world.run()
    world.see(logs)
    assert _dead(world, "a")
    world.clock.advance(3_600)
    world.reconcile.run()
    assert not _dead(world, "a")
    world.assert_straight()


def test_of_two_logs_of_one_step_the_dead_one_is_found_however_old(world: World) -> None:
    """A log that was taken back, and counts again by mistake, is taken back again."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    gone = world.act("a", "financial")
    world.see(_mined_again(world, "a", gone[0], 4))
    world.chain.mine_empty(1_000)
    assert world.run()["supersededCount"] == 1
    world.clock.advance(3_600)
    assert is_straight(world.run())
    event = next(e for e in world.events("a") if e["data"].get("blockHash") == gone[0]["blockHash"])
    again = world.log.judge([event], 1, REINSTATED, "by mistake")
    world.projection.project(again.events)
    assert _dead(world, "a")
    world.reconcile.run()
    assert not _dead(world, "a")
    world.assert_straight()


def test_what_closed_a_transfer_is_looked_at_until_no_reorg_can_reach_it(tmp_path: Path) -> None:
    """A transfer that was closed and checked is checked again when its last block is replaced after that."""
    world = World(tmp_path, settings=ReconcileSettings(rotation_runs=1_000))
    for number in range(3):
        world.start(str(number))
        world.live(str(number), LEVEL_3)
    world.start("a")
    world.live("a", LEVEL_3)
    world.documents.put("chain_cursors", "1", {"readThrough": 10**6})
    world.clock.advance(10**6)
    assert is_straight(world.reconcile.run())
    gone = world.chain.logs(len(world.chain.blocks) - 1, len(world.chain.blocks) - 1, [ADDRESS])[-1]
    assert gone["topics"][1] == transfer_hash("a")
    world.chain.reorg(1)
    world.live("a", LEVEL_3[4:], sees=False)
    world.chain.mine_empty(100)
    assert world.reconcile.run()["supersededCount"] == 2
    assert not _dead(world, "a")
    world.assert_straight()


@pytest.mark.memory_only
def test_blocks_that_no_reorg_can_reach_are_not_asked_for_again(world: World) -> None:
    """What was held against the chain once costs nothing in later runs."""
    for number in range(20):
        world.start(f"t{number:02}")
        world.live(f"t{number:02}", LEVEL_3[:3])
    world.chain.mine_empty(300)
    world.clock.advance(3_600)
    requests = []
    for _ in range(3):
        before = world.chain.requests
        world.reconcile.run()
        requests.append(world.chain.requests - before)
    assert requests[0] > 60
    assert requests[1] == requests[2] < 15


_STEPS = ("agree_send", "agree_receive", "financial", "executed")
_MOVES = st.lists(
    st.tuples(st.sampled_from(("act", "act", "reorg", "run", "mine")), st.booleans(), st.booleans()),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(moves=_MOVES)
def test_whatever_removals_were_lost_no_dead_block_is_shown(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, bool, bool]]
) -> None:
    """Any mixture of steps, reorgs, seen and lost messages ends straight, on blocks of the chain alone."""
    world = World(tmp_path_factory.mktemp("world"))
    world.chain.mine_empty(1)
    world.start("a")
    taken = 0
    mined: list[tuple[int, list[RawLog]]] = []
    for move, seen, late in moves:
        if move == "act" and taken < len(_STEPS):
            logs = world.act("a", _STEPS[taken], sees=seen)
            mined.append((len(world.chain.blocks) - 1, logs))
            taken += 1
        elif move == "reorg" and len(world.chain.blocks) > 2:
            world.counter += 1
            height = len(world.chain.blocks) - 1
            world.chain.reorg(1)
            gone = [logs for number, logs in mined if number == height]
            taken -= len(gone)
            mined = [(number, logs) for number, logs in mined if number != height]
            for logs in gone:
                if seen:
                    world.see(logs, removed=True)
                if late:
                    world.see(logs)
        elif move == "mine":
            world.chain.mine_empty(200)
        elif move == "run":
            world.run()
    world.run()
    assert not _dead(world, "a")
    state = world.state("a")
    assert state
    assert {name for name in state["milestones"] if name != "started"} == set(_STEPS[:taken])
    world.assert_straight()
