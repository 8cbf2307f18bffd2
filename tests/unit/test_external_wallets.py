"""Transactions from outside wallets: one event each, linked to its action, the same whoever writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.app.event_log import MAPPINGS
from shared.app.log_batch import LOGS, REMOVED, LogBatch
from shared.app.publish_logs import first_senders
from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.events import EVENTS, EXTERNAL, check_event, is_external, is_ours
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.errors import InvalidInput
from shared.ports import Query
from tests.support.world import LEVEL_3, SENDER, World

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from shared.ports import Document, RawLog

PLATFORM, OUTSIDE = "0x" + "11" * 20, SENDER


def world_of(directory: Path, wallets: Iterable[str] = (PLATFORM,)) -> World:
    """Return a world whose platform has these wallets, with one transfer started."""
    world = World(directory, settings=ReconcileSettings(platform_wallets=frozenset(wallets)))
    world.start("a")
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world whose platform has one wallet, which nobody here uses."""
    return world_of(tmp_path)


def batch(
    logs: list[RawLog], kind: str = LOGS, counter: int = 0, *, of: list[RawLog] | None = None, **more: Any
) -> bytes:
    """Return the message of logs, as the listener makes it; ``of`` are all logs of their transactions."""
    senders = {log["transactionHash"]: OUTSIDE for log in logs}
    return LogBatch(kind, 1, counter, logs, senders=first_senders(of or logs, senders), **more).encode()


def external(world: World) -> list[Document]:
    """Return what is stored of external transactions."""
    return [event for _, event in world.documents.query(EVENTS, Query()) if event["eventType"] == EXTERNAL]


def superseded(world: World, identity: str, transfer: str = "a") -> bool:
    """Say whether the transfer's state holds that the event is taken back."""
    state = world.state(transfer)
    assert state
    return identity in state["verdicts"] and not state["verdicts"][identity][1]


def test_a_transaction_from_outside_is_told_of_and_linked_to_its_action(world: World) -> None:
    """Once, though it left two logs; the event is whole, and moves no milestone."""
    world.live("a", LEVEL_3[:3])
    before = world.state("a")
    logs = world.act("a", *LEVEL_3[3], sees=False)
    handled = world.handler.handle(batch(logs))
    assert (len(handled.appended.stored), handled.unprojected) == (3, 0)
    [event] = external(world)
    check_event(event)
    action = next(e for e in world.events("a") if e["eventType"] == "blockchain.v5.executed")
    assert event["data"] == {
        "sender": OUTSIDE,
        "transferHash": transfer_hash("a"),
        "actionEventId": action["eventId"],
        "actionEventType": "blockchain.v5.executed",
        **{
            name: action["data"][name]
            for name in ("chainId", "contract", "blockNumber", "blockHash", "transactionHash", "logIndex")
        },
    }
    assert (event["rolloverId"], event["timestamp"]) == ("a", action["timestamp"])
    state = world.state("a")
    assert before
    assert state
    assert set(state["milestones"]) - set(before["milestones"]) == {"executed", "minted"}
    world.assert_straight()


@pytest.mark.parametrize(
    ("wallets", "told"),
    [([OUTSIDE], 0), ([PLATFORM, OUTSIDE], 0), ([], 0), ([PLATFORM], 1)],
    ids=["its own", "one of them", "none configured", "another's"],
)
def test_only_wallets_that_are_not_the_platforms_are_told_of(
    tmp_path: Path, wallets: list[str], told: int
) -> None:
    """Where none are configured nothing is known to be outside; live and reconciled alike."""
    live, reconciled = world_of(tmp_path / "live", wallets), world_of(tmp_path / "late", wallets)
    live.handler.handle(batch(live.act("a", "agree_send", sees=False)))
    reconciled.act("a", "agree_send", sees=False)
    reconciled.run()
    assert (len(external(live)), len(external(reconciled))) == (told, told)


def test_a_message_that_does_not_say_who_sent_gives_none(world: World) -> None:
    """What is not known is not guessed."""
    logs = world.act("a", "agree_send")
    assert not external(world)
    world.handler.handle(batch(logs))
    assert len(external(world)) == 1


@settings(max_examples=100)
@given(size=st.integers(1, 4), chance=st.randoms(use_true_random=False))
def test_however_logs_are_cut_into_messages_the_events_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, size: int, chance: Any
) -> None:
    """In any order, doubled, removed and returned: one event a transaction, byte for byte the same."""
    directory = tmp_path_factory.mktemp("worlds")
    worlds = [world_of(directory / name) for name in ("whole", "cut")]
    for world in worlds:
        logs = [log for steps in LEVEL_3 for log in world.act("a", *steps, sees=False)]
        blocks = [str(log["blockHash"]) for log in logs]
        cuts = len(logs) if world is worlds[0] else size
        parts = [logs[at : at + cuts] for at in range(0, len(logs), cuts)]
        messages = [batch(part, of=logs) for part in parts]
        messages += [batch(part, REMOVED, 1, of=logs) for part in parts]
        messages += [batch(part, LOGS, 2, of=logs, returned=blocks) for part in parts]
        if world is not worlds[0]:
            messages += chance.choices(messages, k=3)
            chance.shuffle(messages)
        for message in messages:
            assert not world.handler.handle(message).unprojected
        assert not world.projection.rebuild_all(check_only=True).different
        assert not world.alerts.sent
    whole, cut = (dict(world.documents.query(EVENTS, Query())) for world in worlds)
    assert whole == cut
    assert len(external(worlds[0])) == len(LEVEL_3)
    assert worlds[0].state("a") == worlds[1].state("a")


def test_a_reorg_takes_it_back_and_a_return_brings_it_again(world: World) -> None:
    """The verdicts on a log's event are given on what hangs on it, too."""
    logs = world.act("a", "agree_send", sees=False)
    world.handler.handle(batch(logs))
    [event] = external(world)
    world.handler.handle(batch(logs, REMOVED, 1))
    assert superseded(world, event["eventId"])
    world.handler.handle(batch(logs, LOGS, 2, returned=[str(logs[0]["blockHash"])]))
    assert not superseded(world, event["eventId"])


def test_a_log_that_a_node_kept_back_at_first_alarms_nobody(world: World) -> None:
    """The event stays linked to the log that was first seen: it is one and the same."""
    world.live("a", LEVEL_3[:3])
    executed, minted = world.act("a", *LEVEL_3[3], sees=False)
    world.handler.handle(batch([minted]))
    [before] = external(world)
    world.handler.handle(batch([executed, minted]))
    assert external(world) == [before]
    assert before["data"]["actionEventType"] == "blockchain.v5.minted"
    assert not world.alerts.sent


def test_a_first_log_that_cannot_be_read_leaves_it_to_the_next(world: World) -> None:
    """The transaction is told of, and once more by the dead letter's replay is not once too often."""
    world.live("a", LEVEL_3[:3])
    executed, minted = world.act("a", *LEVEL_3[3], sees=False)
    handled = world.handler.handle(batch([{**executed, "data": "0x01"}, minted]))
    assert handled.dead
    [event] = external(world)
    assert event["data"]["actionEventType"] == "blockchain.v5.minted"
    letter = next(orjson.loads(m.data) for topic, m in world.bus.published if topic.endswith("dead"))
    assert letter["senders"]
    world.handler.handle(batch([executed, minted]))
    assert external(world) == [event]


def test_a_missed_transaction_is_told_of_by_the_reconciler_in_the_same_words(tmp_path: Path) -> None:
    """Live and reconciled differ in nothing; a run after that adds nothing."""
    live, late = world_of(tmp_path / "live"), world_of(tmp_path / "late")
    for steps in LEVEL_3:
        live.handler.handle(batch(live.act("a", *steps, sees=False)))
        late.act("a", *steps, sees=False)
    late.run()
    hashes = [sorted(event["audit"]["eventHash"] for event in external(each)) for each in (live, late)]
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == len(LEVEL_3)
    assert live.state("a") == late.state("a")
    late.assert_straight()


def test_the_reconciler_takes_back_what_hangs_on_a_block_that_is_gone(world: World) -> None:
    """A removal that never came is made good for both events."""
    world.act("a", "agree_send")
    logs = world.act("a", "agree_receive", sees=False)
    world.handler.handle(batch(logs))
    [event] = external(world)
    world.chain.reorg(1)
    report = world.run()
    assert report["supersededCount"] == 2
    assert superseded(world, event["eventId"])
    world.assert_straight()


def test_the_reconciler_brings_back_what_was_taken_back_by_mistake(world: World) -> None:
    """With the event of the log comes the one that hangs on it."""
    logs = world.act("a", "agree_send", sees=False)
    world.handler.handle(batch(logs))
    [event] = external(world)
    world.log.supersede([each for each in world.events("a") if is_ours(each)], 3, "by mistake")
    world.projection.rebuild("a")
    assert superseded(world, event["eventId"])
    world.run()
    assert not superseded(world, event["eventId"])
    world.assert_straight()


@pytest.mark.parametrize("seen_again", [True, False], ids=["by its log", "by the reconciler"])
def test_an_unmapped_transfers_are_joined_with_it(tmp_path: Path, *, seen_again: bool) -> None:
    """What was kept under the bare hash is corrected to the transfer, external transactions included."""
    world = world_of(tmp_path)
    world.start("b", mapped=False)
    logs = world.act("b", "agree_send", sees=False)
    world.handler.handle(batch(logs))
    [event] = external(world)
    assert event["rolloverId"] == transfer_hash("b")
    world.documents.put(MAPPINGS, transfer_hash("b"), {"transferId": "b"})
    if seen_again:
        world.handler.handle(batch(logs))
    world.run()
    joined = [each for each in world.events("b") if is_external(each)]
    assert [each["metadata"]["originalEventId"] for each in joined] == [event["eventId"]]
    assert world.documents.get(STATES, "b")
    world.assert_straight()


@pytest.mark.parametrize(
    "senders", [[], {"0x": []}, {"0x": {"from": "0x"}}, {"0x": {"from": 1, "logIndex": "0x0"}}]
)
def test_a_message_with_misshapen_senders_is_refused(senders: Any) -> None:
    """It names the field."""
    message = {**LogBatch(LOGS, 1, 0, []).as_dict(), "senders": senders}
    with pytest.raises(InvalidInput, match="senders"):
        LogBatch.decode(orjson.dumps(message))
