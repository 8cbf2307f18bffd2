"""Steps that only the application or the contract's state proves: their logs are looked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.reconcile_report import is_straight
from shared.app.reconcile_settings import ReconcileSettings
from tests.support.world import LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.every_store


def _claim(world: World, transfer_id: str, kind: str) -> None:
    """Let the application tell a step, with the all-zero hash of domain.md's second mishap."""
    event: dict[str, Any] = {
        "eventId": f"app-{transfer_id}-{kind}", "eventType": f"blockchain.v5.{kind}",
        "rolloverId": transfer_id, "timestamp": "2023-11-14T22:30:00Z",
        "data": {"transactionHash": "0x" + "00" * 32},
    }  # fmt: skip
    world.log.append(event)
    world.projection.project([event])


def _proof(world: World, transfer_id: str, step: str) -> str:
    return str((world.state(transfer_id) or {})["milestones"][step]["proof"])


def _hidden(world: World, transfer_id: str) -> None:
    """Take three steps that are seen, and a fourth whose log is lost behind the application's word."""
    world.start(transfer_id)
    world.live(transfer_id, LEVEL_3[:3])
    _claim(world, transfer_id, "executed")
    world.act(transfer_id, "executed", sees=False)


def test_the_applications_word_hides_no_log(world: World) -> None:
    """An executed event with an all-zero hash does not keep the real log from being found."""
    _hidden(world, "a")
    report = world.run()
    assert (report["causes"], report["createdCount"], report["createdByContractState"]) == (
        {"missing_event": 1}, 1, 0
    )  # fmt: skip
    assert [m["repaired"] for m in report["mismatches"]] == [True]
    assert _proof(world, "a", "executed") == "log"
    world.assert_straight()


def test_evidence_gives_way_once_the_index_has_the_log(world: World) -> None:
    """Where the contract's state was the evidence, the log is looked for again and outranks it."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    for log in world.act("a", "executed", sees=False):
        world.chain.lose_log(log)
    assert world.run()["createdByContractState"] == 1
    assert is_straight(world.run())
    world.chain.find_logs_again()
    assert world.reconcile.run_one("a")["createdCount"] == 1
    assert _proof(world, "a", "executed") == "log"
    world.assert_straight()


def test_a_dry_run_tells_of_the_log(world: World) -> None:
    """The hidden log is told of, and nothing is written."""
    _hidden(world, "a")
    events = len(world.events("a"))
    report = world.run(dry_run=True)
    assert [m["repaired"] for m in report["mismatches"]] == [False]
    assert len(world.events("a")) == events


@pytest.mark.memory_only
def test_the_schedule_leaves_to_the_listener_what_it_has_not_read(world: World) -> None:
    """A log that the live path may still bring is late, not missing."""
    _hidden(world, "a")
    reports = [world.reconcile.run() for _ in range(ReconcileSettings().rotation_runs)]
    assert sum(len(report["late"]) for report in reports) == 1
    assert not any(report["createdCount"] for report in reports)


@pytest.mark.parametrize("every_run_limit", [20_000, 0])
def test_the_schedule_looks_in_turn(tmp_path: Path, every_run_limit: int) -> None:
    """Each hidden log is found within the rotation, and no run searches for all of them."""
    settings = ReconcileSettings(rotation_runs=5, every_run_limit=every_run_limit)
    world = World(tmp_path, settings=settings)
    for number in range(20):
        _hidden(world, f"t{number:02}")
    world.documents.put("chain_cursors", "1", {"readThrough": 10**6})
    world.clock.advance(10**6)
    created = [world.reconcile.run()["createdCount"] for _ in range(6)]
    assert sum(created) == 20
    assert max(created) < 12
    world.assert_straight()
