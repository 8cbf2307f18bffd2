"""Kill -9 between any two writes of handler, projector and reconciler, then a restart: all is as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from eth_abi.abi import encode

from shared.app.event_log import MAPPINGS
from shared.app.log_batch import LOGS, REMOVED, LogBatch
from shared.app.publish_logs import first_senders
from shared.app.reconcile_report import is_straight
from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from tests.support.kills import Cloud, Scene, assert_as_undisturbed
from tests.support.world import LEVEL_2, LEVEL_3, RECEIVER, SENDER, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shared.ports import Document, RawLog


def whole_lives(directory: Path) -> Scene:
    """Two transfers from start to end, in batches of three logs."""
    world = World(directory)
    cloud = Cloud(world)
    logs: list[RawLog] = []
    for name, life in (("a", LEVEL_3), ("b", LEVEL_2)):
        world.start(name)
        for steps in life:
            logs += world.act(name, *steps, sees=False)
    for at in range(0, len(logs), 3):
        cloud.send(logs[at : at + 3])
    return world, cloud.deliver


def with_a_poison_log(directory: Path) -> Scene:
    """Make a batch amid which stand logs that nobody can read."""
    world = World(directory)
    cloud = Cloud(world)
    world.start("a")
    first, second = (world.act("a", step, sees=False)[0] for step in ("agree_send", "agree_receive"))
    strange = {**second, "address": "0x" + "99" * 20}
    cloud.send([first, {**first, "data": "0x01", "logIndex": "0x7"}, strange, second])
    return world, cloud.deliver


def with_a_removal(directory: Path) -> Scene:
    """Send logs that a reorg takes back, one of them before it was ever delivered."""
    world = World(directory)
    cloud = Cloud(world)
    world.start("a")
    agreed = world.act("a", "agree_send", sees=False)
    gone = world.act("a", "agree_receive", sees=False) + world.act("a", "financial", sees=False)
    world.chain.reorg(2)
    cloud.send(agreed + gone[:1])
    cloud.send(gone, REMOVED, 1)
    cloud.send(gone[1:])
    cloud.send(world.act("a", "agree_receive", sees=False), counter=1)
    return world, cloud.deliver


def with_a_block_that_returns(directory: Path) -> Scene:
    """Send logs that were taken back and are canonical again, by a later message."""
    world = World(directory)
    cloud = Cloud(world)
    world.start("a")
    agreed = world.act("a", "agree_send", sees=False) + world.act("a", "agree_receive", sees=False)
    cloud.send(agreed)
    cloud.send(agreed, REMOVED, 1)
    back = [str(log["blockHash"]) for log in agreed]
    cloud.messages.append(LogBatch(LOGS, 1, 2, agreed, returned=back).encode())
    return world, cloud.deliver


def mapped_amid(directory: Path) -> Scene:
    """Map a transfer between two deliveries of the same log, which joins it."""
    world = World(directory)
    cloud = Cloud(world)
    world.start("a", mapped=False)
    logs = world.act("a", "agree_send")
    world.documents.put(MAPPINGS, transfer_hash("a"), {"transferId": "a"})
    cloud.send(logs)
    cloud.send(world.act("a", "agree_receive", sees=False))

    def work() -> None:
        cloud.deliver()
        world.run()

    return world, work


def from_outside(directory: Path) -> Scene:
    """Send logs of transactions from an outside wallet, take the last back, and leave some to be missed."""
    world = World(directory, settings=ReconcileSettings(platform_wallets=frozenset([RECEIVER])))
    cloud = Cloud(world)
    world.start("a")
    logs = [log for steps in LEVEL_3[:4] for log in world.act("a", *steps, sees=False)]
    senders = first_senders(logs, {log["transactionHash"]: SENDER for log in logs})
    for kind, counter, part in ((LOGS, 0, logs[:3]), (LOGS, 0, logs[2:]), (REMOVED, 1, logs[3:])):
        cloud.messages.append(LogBatch(kind, 1, counter, part, senders=senders).encode())
    world.chain.reorg(1)
    world.act("a", *LEVEL_3[3], sees=False)

    def work() -> None:
        cloud.deliver()
        _reconcile(world)

    return world, work


@pytest.mark.parametrize(
    ("scene", "least"),
    [
        (whole_lives, 15),
        (with_a_poison_log, 5),
        (with_a_removal, 8),
        (with_a_block_that_returns, 8),
        (mapped_amid, 6),
        (from_outside, 20),
    ],
)
def test_handler_and_projector_killed_between_any_two_writes(
    tmp_path: Path, scene: Callable[[Path], Scene], least: int
) -> None:
    """Killed before each write in turn and delivered again: the same events, once, and the same states."""
    assert assert_as_undisturbed(scene, tmp_path) >= least


def crooked_in_every_way(directory: Path) -> Scene:
    """Missing, deleted, ahead, edited, never projected, lost logs, dropped by a reorg, and unmapped."""
    world = World(directory)
    for name in ("missing", "deleted", "ahead", "edited", "lost", "dropped"):
        world.start(name)
    world.live("missing", LEVEL_3, sees=False)
    world.live("deleted", LEVEL_3)
    world.live("edited", LEVEL_2[:3])
    for name in ("ahead", "lost"):
        world.live(name, LEVEL_3[:2])
    for event in world.events("deleted"):
        if event["eventType"] in ("blockchain.v5.minted", "blockchain.v5.agreement"):
            world.documents.delete(EVENTS, event["eventId"])
    for number in (1, 2):
        premature = _foreign("ahead", "blockchain.v5.executed", number)
        world.log.append(premature)
        world.projection.project([premature])
    edited = world.state("edited")
    assert edited
    world.documents.put(STATES, "edited", {**edited, "status": "cancelled"})
    for log in world.act("lost", "financial", sees=False):
        world.chain.lose_log(log)
    _unmapped(world)
    world.act("dropped", "agree_send")
    world.live("dropped", LEVEL_3[1:3])
    world.chain.reorg(2)
    world.log.append(_foreign("edited", "settlement.funds_sent", 1))
    return world, lambda: _reconcile(world)


def many_pages(directory: Path) -> Scene:
    """More transfers than are checked in every run: what changed or moved, and a share, in small pages."""
    settings = ReconcileSettings(page_size=2, every_run_limit=1, rotation_runs=2)
    world = World(directory, settings=settings)
    for name in "abcde":
        world.start(name)
        world.live(name, LEVEL_3[:2])
    _reconcile(world)
    for name, sees in (("a", False), ("b", True), ("d", False)):
        world.act(name, "financial", sees=sees)
    world.live("c", LEVEL_3[2:])
    for event in world.events("c")[-3:]:
        world.documents.delete(EVENTS, event["eventId"])
    return world, lambda: _reconcile(world)


def wrongly_superseded(directory: Path) -> Scene:
    """Events that a mistaken verdict hides, though their logs stand on the chain."""
    world = World(directory)
    world.start("a")
    world.live("a", LEVEL_3[:3])
    targets = [event for event in world.events("a") if event["eventType"].startswith("blockchain")]
    world.log.supersede(targets, 3, "by mistake")
    world.projection.rebuild("a")
    return world, lambda: _reconcile(world)


@pytest.mark.parametrize("scene", [crooked_in_every_way, many_pages, wrongly_superseded])
def test_the_reconciler_killed_between_any_two_writes(tmp_path: Path, scene: Callable[[Path], Scene]) -> None:
    """Killed before each write in turn, and run again once its lease has run out: all straight, once."""
    assert assert_as_undisturbed(scene, tmp_path) > 10


def test_a_rebuild_killed_between_any_two_writes(tmp_path: Path) -> None:
    """Killed before each state it writes, a rebuild that is run again ends with the states of the events."""

    def scene(directory: Path) -> Scene:
        world = World(directory)
        for name in ("a", "b", "c"):
            world.start(name)
            world.live(name, LEVEL_3)
        for name in ("a", "b"):
            state = world.state(name)
            assert state
            world.documents.put(STATES, name, {**state, "contractState": 1})
        world.documents.delete(STATES, "c")
        return world, world.projection.rebuild_all

    assert assert_as_undisturbed(scene, tmp_path) == 3


def _reconcile(world: World) -> None:
    """Reconcile until nothing was found: what one run uncovers is another's."""
    for _ in range(3):
        if is_straight(world.run()):
            return
    pytest.fail("three runs did not put it right")


def _foreign(transfer_id: str, kind: str, number: int) -> Document:
    return {
        "eventId": f"{transfer_id}-{kind}-{number}",
        "eventType": kind,
        "rolloverId": transfer_id,
        "timestamp": "2023-11-14T22:10:00Z",
        "data": {},
    }


def _unmapped(world: World) -> None:
    agree = next(function for function, _ in world.spec.references)
    types = ["bytes32", "address", "address", "uint8", "uint8", "string"]
    values = [bytes.fromhex(transfer_hash("unmapped")[2:]), SENDER, RECEIVER, 1, 1, "unmapped"]
    world.start("unmapped", mapped=False)
    calldata = bytes.fromhex(agree.selector[2:]) + encode(types, values)
    world.act("unmapped", "agree_send", calldata=calldata)
    world.act("unmapped", "agree_receive")
