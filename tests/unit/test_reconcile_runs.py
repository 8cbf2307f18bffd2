"""Runs of the reconciliation: lease, budget, tiers, lateness, alerts, and what is merely told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.app.lease import Lease
from shared.app.reconcile_report import is_straight
from shared.app.reconcile_settings import ReconcileSettings
from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.comparison import MISSING
from shared.domain.contract import Finality
from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.transfers import MAPPINGS
from shared.errors import Conflict, InvalidInput, NotFound
from tests.support.documents import MemoryDocuments
from tests.support.world import ADDRESS, LEVEL_3, RECEIVER, SENDER, World

if TYPE_CHECKING:
    from pathlib import Path

    from shared.ports import Document, Query

pytestmark = pytest.mark.every_store


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
    world.chain.mine_empty(1)
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


def test_a_person_who_asks_is_told_of_what_is_crooked_now(tmp_path: Path) -> None:
    """A run by hand begins anew, also on the pages that a run which was cut off had passed."""
    world = World(tmp_path, settings=ReconcileSettings(page_size=2, budget_s=0.0))
    for number in range(5):
        world.start(f"t{number}")
        world.act(f"t{number}", "agree_send")
    assert not world.reconcile.run()["complete"]
    agreed = next(e for e in world.events("t0") if e["eventType"] == "blockchain.v5.agreement")
    world.documents.delete(EVENTS, agreed["eventId"])
    assert world.run()["causes"] == {"event_deleted": 1}
    world.assert_straight()


def test_what_is_late_is_neither_counted_nor_repaired_by_the_schedule(world: World) -> None:
    """While the listener has not passed the pinned block, a scheduled run leaves the step to it."""
    world.start("a")
    world.act("a", "agree_send", sees=False)
    report = world.reconcile.run()
    assert (report["mismatchCount"], report["createdCount"], report["late"]) == (0, 0, ["a"])
    pin = len(world.chain.blocks) - 1
    world.documents.put("chain_cursors", "1", {"readThrough": pin})
    assert world.reconcile.run()["createdCount"] == 1


@pytest.mark.memory_only
def test_a_listener_that_died_is_excused_for_an_hour(world: World) -> None:
    """What it left unread is late first, which is not straight, then counted, repaired and alerted on."""
    for number in range(6):
        world.start(f"t{number}")
        world.act(f"t{number}", "agree_send", sees=False)
    causes = []
    for _ in range(14):
        report = world.reconcile.run()
        assert not is_straight(report)
        causes.append(report["causes"])
        if report["causes"]:
            break
        # The chain goes on, so the pinned block itself is never old.
        world.start(f"n{len(causes)}")
        world.act(f"n{len(causes)}", "agree_send", sees=False)
        world.clock.advance(300)
    assert causes == [{}] * 12 + [{"missing_event": 6 + 12}]
    assert len(world.alerts.sent) == 1
    assert is_straight(world.reconcile.run())


@pytest.mark.memory_only
def test_a_listener_that_gets_on_is_waited_for(world: World) -> None:
    """While it passes what it was awaited at, though always behind, what is missing is late, for hours."""
    for number in range(30):
        world.start(f"t{number:02}")
        logs = world.act(f"t{number:02}", "agree_send", sees=False)
        report = world.reconcile.run()
        assert (report["causes"], report["late"]) == ({}, [f"t{number:02}"])
        world.see(logs)
        world.documents.put("chain_cursors", "1", {"readThrough": len(world.chain.blocks) - 1})
        world.clock.advance(300)


def test_what_stays_late_where_the_pinned_block_is_always_young_is_missing(world: World) -> None:
    """Late in one run, and still missing when the listener has passed that block: repaired."""
    world.start("a")
    world.act("a", "agree_send", sees=False)
    causes = []
    for _ in range(3):
        now = int(world.clock.now().timestamp())
        world.chain.mine(timestamp=now)
        world.documents.put("chain_cursors", "1", {"readThrough": len(world.chain.blocks) - 1})
        causes.append(world.reconcile.run()["causes"])
        world.clock.advance(300)
    assert causes == [{}, {"missing_event": 1}, {}]


def test_a_claim_dated_into_the_far_future_is_not_waited_for(world: World) -> None:
    """An executed event of the year 2999 without a transaction is taken back."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    claim = {
        "eventId": "claim", "eventType": "blockchain.v5.executed", "rolloverId": "a",
        "timestamp": "2999-01-01T00:00:00Z", "data": {},
    }  # fmt: skip
    world.log.append(claim)
    world.projection.project([claim])
    assert world.run()["supersededCount"] == 1
    world.assert_straight()


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


@pytest.mark.memory_only
def test_past_the_limit_a_run_is_tiered(tmp_path: Path) -> None:
    """Of many open transfers a run takes those that changed and a share; all are covered in time."""
    world = World(tmp_path, settings=ReconcileSettings(page_size=3, every_run_limit=4, rotation_runs=4))
    for number in range(12):
        world.start(f"t{number:02}")
        world.act(f"t{number:02}", "agree_send")
    world.clock.advance(600)
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


class _Watched(MemoryDocuments):
    """A store that tells whose mappings were read."""

    def __init__(self) -> None:
        super().__init__()
        self.mapped: list[str] = []

    def query(self, collection: str, query: Query) -> list[tuple[str, Document]]:
        found = super().query(collection, query)
        self.mapped += [m["transferId"] for _, m in found if collection == MAPPINGS and m]
        return found


@pytest.mark.memory_only
def test_past_the_limit_mappings_are_gone_through_in_turn(tmp_path: Path) -> None:
    """A run looks at a share of many mappings; what moved on chain is found by the next one all the same."""
    documents = _Watched()
    world = World(tmp_path, documents, ReconcileSettings(page_size=2, every_run_limit=4, rotation_runs=4))
    names = [f"t{number:02}" for number in range(12)]
    for name in names:
        documents.put(MAPPINGS, transfer_hash(name), {"transferId": name})
    world.chain.mine()
    world.clock.advance(600)
    rounds = []
    for _ in range(4):
        world.reconcile.run()
        rounds.append(len(documents.mapped))
    assert rounds == [3, 6, 9, 12]
    assert sorted(documents.mapped) == names
    world.act("t05", "agree_send", sees=False)
    documents.put("chain_cursors", "1", {"readThrough": 10**6})
    world.clock.advance(600)
    assert world.reconcile.run()["causes"] == {"missing_event": 1}
    world.assert_straight()


def test_what_was_closed_before_the_chain_told_is_checked(world: World) -> None:
    """A transfer that was cancelled before any log of it was seen is looked at, by hand and in its turn."""
    for transfer in ("a", "b"):
        world.start(transfer)
        cancelled = {
            "eventId": f"cancelled-{transfer}", "eventType": "rollover.cancelled", "rolloverId": transfer,
            "timestamp": "2023-11-14T22:30:00Z", "data": {},
        }  # fmt: skip
        world.log.append(cancelled)
        world.projection.project([cancelled])
    world.live("a", LEVEL_3[:2], sees=False)
    assert world.run()["causes"] == {MISSING: 1}
    world.live("b", LEVEL_3[:2], sees=False)
    world.documents.put("chain_cursors", "1", {"readThrough": 10**6})
    world.clock.advance(10**6)
    reports = [world.reconcile.run() for _ in range(2)]
    assert sum(report["createdCount"] for report in reports) == 2
    world.assert_straight()


@pytest.mark.parametrize("block", [None, "latest"])
def test_a_node_that_has_not_come_to_the_contract_is_an_error(
    world: World, tmp_path: Path, block: str | None
) -> None:
    """One that begins anew has checked nothing, which is not straight; a block asked for may be older."""
    world.registry = load_registry(write_contract_file(tmp_path / "later", 1, ADDRESS, 1, Finality(depth=0)))
    report = world.run(block=block)
    assert (report["errorCount"], len(report["notDeployed"])) == (1, 1)
    assert "before the contract's 1" in report["errors"][0]["error"]
    assert not world.run(block="0")["errorCount"]


def test_an_event_dated_into_the_future_hides_no_change(tmp_path: Path) -> None:
    """Past the limit, what changed is looked at by the time of storing: a claim of 9999 stops nothing."""
    world = World(tmp_path, settings=ReconcileSettings(every_run_limit=0, rotation_runs=10_000))
    for name in "abcdef":
        world.start(name)
        world.live(name, LEVEL_3[:2])
    odd = {"eventId": "odd", "eventType": "rollover.documents_verified", "rolloverId": "a", "data": {}}
    stored = {**odd, "timestamp": "2023-11-14T22:30:00Z", "audit": {"storedAt": "9999"}}
    world.documents.put("events", "odd", stored)
    world.projection.project([stored])
    for _ in range(3):
        world.clock.advance(600)
        world.reconcile.run()
    world.act("e", "financial")
    [coverage] = world.reconcile.run()["coverage"].values()
    assert coverage["changed"] == 2, coverage
