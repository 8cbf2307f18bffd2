"""What a reconciliation tells operators: figures, and alerts that open and close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.lease import Lease
from shared.app.listener_health import ListenerHealth, ListenerObjectives
from shared.app.reconcile import LEASE
from shared.app.reconcile_settings import ReconcileSettings
from shared.app.watch import LISTENER, RECONCILIATION, UNMINTED, tell_age
from shared.domain.hashing import transfer_hash
from shared.domain.metrics import (
    RECONCILE_AGE,
    RECONCILE_CHECKED,
    RECONCILE_CREATED,
    RECONCILE_ERRORS,
    RECONCILE_LAST_ERRORS,
    RECONCILE_LAST_MISMATCHES,
    RECONCILE_MISMATCHES,
    RECONCILE_RUNS,
    RECONCILE_SUPERSEDED,
    RECONCILE_TIME,
)
from shared.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from tests.support.world import LEVEL_2, LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

RUN_S = 300.0


def _listener(world: World, **changed: Any) -> None:
    """Let the chain's listener write how it stands, and have its health looked at."""
    now = world.clock.now().isoformat()
    report = {
        "at": now, "head": {"number": 9, "timestamp": 1}, "headSeenAt": now, "behind": 0,
        "oldestUnreadAt": None, "trouble": None, "stopped": False, "limits": {},
    }  # fmt: skip
    world.documents.put("chain_listeners", "1", {**report, **changed})
    world.listener_health = ListenerHealth(world.documents, [1], world.clock, ListenerObjectives())


def test_a_run_tells_what_it_found_and_did(world: World) -> None:
    """Checked, mismatches by cause, created, superseded, errors, duration, how it ended, how old it is."""
    for number in range(3):
        world.start(f"t{number}")
        world.act(f"t{number}", "agree_send", sees=number == 0)
    world.run()
    counters, gauges = world.metrics.counters, world.metrics.gauges
    assert counters[RECONCILE_RUNS, "crooked"] == 1
    assert counters[RECONCILE_CHECKED,] == 3
    assert counters[RECONCILE_MISMATCHES, "missing_event"] == 2
    assert counters[RECONCILE_CREATED,] == 2
    assert counters[RECONCILE_SUPERSEDED,] == counters[RECONCILE_ERRORS,] == 0
    assert len(world.metrics.observed[RECONCILE_TIME,]) == 1
    assert (gauges[RECONCILE_LAST_MISMATCHES,], gauges[RECONCILE_LAST_ERRORS,]) == (2, 0)
    assert gauges[RECONCILE_AGE,] == 0
    world.run()
    assert counters[RECONCILE_RUNS, "straight"] == 1
    assert gauges[RECONCILE_LAST_MISMATCHES,] == 0


def test_the_age_of_the_last_good_run_grows_while_runs_fail(world: World) -> None:
    """Only a whole run without an error is a good one; whoever tells the age tells it by that."""
    world.chain.mine()
    world.run()
    world.clock.advance(RUN_S)
    world.chain.reachable = False
    world.run()
    assert world.metrics.gauges[RECONCILE_AGE,] == RUN_S
    world.clock.advance(RUN_S)
    tell_age(world.documents, world.clock, world.metrics)
    assert world.metrics.gauges[RECONCILE_AGE,] == 2 * RUN_S
    world.chain.reachable = True
    world.run()
    assert world.metrics.gauges[RECONCILE_AGE,] == 0


@pytest.mark.parametrize("stored", [None, {}, {"finishedAt": 5}, {"finishedAt": "then"}, {"finishedAt": ""}])
def test_where_no_good_run_is_known_no_age_is_told(world: World, stored: dict[str, Any] | None) -> None:
    """Neither before the first run nor after somebody edited what is kept of it."""
    if stored is not None:
        world.documents.put("reconciliations", "last_good", stored)
    tell_age(world.documents, world.clock, world.metrics)
    assert (RECONCILE_AGE,) not in world.metrics.gauges


def test_one_transfer_by_itself_is_no_run(world: World) -> None:
    """What is found and repaired counts; runs, durations and the age are those of whole runs."""
    world.start("a")
    world.act("a", "agree_send", sees=False)
    world.reconcile.run_one("a")
    assert world.metrics.counters[RECONCILE_CREATED,] == 1
    assert (RECONCILE_RUNS, "crooked") not in world.metrics.counters
    assert (RECONCILE_AGE,) not in world.metrics.gauges
    with pytest.raises(NotFound):
        world.reconcile.run_one("nobody")
    assert not world.alerts.sent


def test_a_dry_run_leaves_no_trace_in_figures_and_alerts(world: World) -> None:
    """Who only looks changes nothing, here neither."""
    for number in range(8):
        world.start(f"t{number}")
        world.act(f"t{number}", "agree_send", sees=False)
    assert world.run(dry_run=True)["mismatchCount"] == 8
    assert not world.metrics.counters
    assert not world.metrics.gauges
    assert not world.alerts.sent
    assert not world.alerts.closed


def test_a_run_that_does_not_come_to_its_end_is_counted_by_why(tmp_path: Path) -> None:
    """Another run holds the lease, the store is away, or the time is up."""
    world = World(tmp_path, settings=ReconcileSettings(page_size=1, budget_s=0.0))
    with Lease(world.documents, world.clock, LEASE, 60).held(), pytest.raises(Conflict):
        world.reconcile.run()
    for number in range(3):
        world.start(f"t{number}")
        world.act(f"t{number}", "agree_send")
    assert not world.reconcile.run()["complete"]

    def away(*_: str) -> None:
        raise StoreUnavailable("it is away")

    world.documents.fail_at = away  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable):
        world.reconcile.run()
    with pytest.raises(InvalidInput):
        world.reconcile.run(block="nonsense")
    ended = {key[1]: count for key, count in world.metrics.counters.items() if key[0] == RECONCILE_RUNS}
    assert ended == {"conflict": 1, "unfinished": 1, "store_unavailable": 1}


def test_a_run_that_was_cut_off_counts_once_when_it_is_finished(tmp_path: Path) -> None:
    """However many invocations it takes, each transfer checked is told once."""
    world = World(tmp_path, settings=ReconcileSettings(page_size=2, budget_s=0.0))
    for number in range(6):
        world.start(f"t{number}")
        world.act(f"t{number}", "agree_send")
    runs = 1
    while not world.reconcile.run()["complete"]:
        runs += 1
    assert runs > 2
    assert world.metrics.counters[RECONCILE_CHECKED,] == 6
    assert world.metrics.counters[RECONCILE_RUNS, "unfinished"] == runs - 1


def test_trouble_is_over_with_the_next_run_that_finds_none(world: World) -> None:
    """The alert closes by itself, and not by a run that was cut off."""
    world.chain.mine()
    world.chain.reachable = False
    world.run()
    assert world.alerts.of(RECONCILIATION)
    assert RECONCILIATION not in world.alerts.closed
    world.chain.reachable = True
    world.run()
    assert RECONCILIATION in world.alerts.closed


def test_executed_without_a_mint_alerts(world: World) -> None:
    """Between two custodians of level 3 both happen in one transaction: what stands at 5 is stuck."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.tokenised.add(transfer_hash("a"))
    assert world.run()["unminted"] == []
    world.act("a", "executed")
    assert world.run()["unminted"] == ["a"]
    [alert] = world.alerts.of(UNMINTED)
    assert (alert.severity, alert.detail["transfers"]) == ("critical", ["a"])
    assert UNMINTED in world.alerts.closed
    world.alerts.closed.clear()
    world.act("a", "minted")
    assert world.run()["unminted"] == []
    assert UNMINTED in world.alerts.closed


def test_a_run_over_a_share_of_the_transfers_closes_no_alert_on_mints(tmp_path: Path) -> None:
    """What is stuck may be among the others, whose turn comes later."""
    world = World(tmp_path, settings=ReconcileSettings(every_run_limit=1, rotation_runs=2))
    for number in range(6):
        world.start(f"t{number}")
        world.act(f"t{number}", "agree_send")
    report = world.reconcile.run()
    assert any(covered["tiered"] for covered in report["coverage"].values())
    assert UNMINTED not in world.alerts.closed


def test_a_mint_that_nobody_saw_is_found_and_needs_no_alert(world: World) -> None:
    """The reconciliation repairs it in the same run; level 2, which never mints, is no such case."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.act("a", "executed", "minted", sees=False)
    world.start("b")
    world.live("b", LEVEL_2)
    report = world.run()
    assert report["unminted"] == []
    assert report["createdCount"] == 2
    assert not world.alerts.of(UNMINTED)


def test_a_dry_run_tells_of_a_mint_that_is_missing(world: World) -> None:
    """It does not repair, so the transfer stands in its report."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.act("a", "executed", "minted", sees=False)
    assert world.run(dry_run=True)["unminted"] == ["a"]


def test_a_listener_that_does_not_keep_up_alerts(world: World) -> None:
    """The schedule asks after it, since what has died says nothing; it closes when it is well again."""
    _listener(world)
    world.reconcile.run()
    assert world.alerts.closed.count(f"{LISTENER}:1") == 1
    world.clock.advance(RUN_S)
    world.reconcile.run()
    [silent] = world.alerts.of(f"{LISTENER}:1")
    assert "no word of the listener" in silent.detail["problems"][0]
    _listener(world, stopped=True, trouble="another chain")
    world.reconcile.run()
    assert "stopped for good: another chain" in world.alerts.of(f"{LISTENER}:1")[-1].detail["problems"][0]
    _listener(world)
    world.reconcile.run()
    assert world.alerts.closed.count(f"{LISTENER}:1") == 2


def test_a_run_by_hand_says_nothing_of_listeners(world: World) -> None:
    """On a laptop there may be none, and the schedule looks soon enough."""
    _listener(world, stopped=True)
    world.run()
    assert not world.alerts.of(f"{LISTENER}:1")


def test_listeners_that_cannot_be_looked_at_fail_no_run(world: World) -> None:
    """The run is done and stored by then."""

    class Away(ListenerHealth):
        def problems(self) -> dict[str, list[str]]:
            raise StoreUnavailable("it is away")

    world.listener_health = Away(world.documents, [1], world.clock, ListenerObjectives())
    assert world.reconcile.run()["complete"]
