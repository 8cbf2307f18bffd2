"""What a node made up or altered, once it is proved: the contract agrees with what stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.chain_cursor import BlockRead, WindowRead
from shared.app.disputes import Disputes
from shared.app.log_batch import LOGS, LogBatch
from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.completeness import PROVED, Segment
from shared.domain.events import EXTERNAL, restated_id
from shared.domain.hashing import transfer_hash
from shared.domain.log_coordinates import id_of_log
from shared.domain.transfers import MAPPINGS
from tests.support.world import ADDRESS, LEVEL_3, SENDER, World

if TYPE_CHECKING:
    from pathlib import Path

    from shared.ports import RawLog

pytestmark = pytest.mark.every_store


def _on_file(world: World, *numbers: int) -> list[str]:
    """Put on file what these blocks hold; return the keys."""
    blocks = [world.chain.blocks[number] for number in numbers]
    segments = [
        Segment(it.header.number, it.header.number, it.header.hash, len(it.logs), 0, PROVED) for it in blocks
    ]
    reads = [BlockRead(it.header, it.logs) for it in blocks if it.logs]
    disputes = Disputes(world.documents)
    headers = [block.header for block in blocks]
    return disputes.record(1, headers, WindowRead(segments, reads), [ADDRESS])


def _prove(world: World, *numbers: int, sender: str | None = None) -> None:
    """Let the listener's word that these blocks are proved reach the handler, each in a document.

    ``sender`` sent all of their transactions, if it is told.
    """
    keys = [key for number in numbers for key in _on_file(world, number)]
    logs = [raw for number in numbers for raw in world.chain.blocks[number].logs]
    senders = {
        raw["transactionHash"]: {"from": sender, "logIndex": raw["logIndex"]} for raw in logs if sender
    }
    batch = LogBatch(LOGS, 1, world.counter, logs, senders=senders, proved=keys)
    assert not world.handler.handle(batch.encode()).dead


def _grown(raw: RawLog) -> dict[str, Any]:
    """Return a log of financial details with another amount in it."""
    return {**raw, "data": f"0x{9999:064x}" + raw["data"][66:]}


def _amount(world: World, transfer_id: str) -> str:
    identity = (world.state(transfer_id) or {})["milestones"]["financial"]["eventId"]
    (event,) = [event for event in world.events(transfer_id) if event["eventId"] == identity]
    return str(event["data"]["grossAmount"])


def _believe(world: World, transfer_id: str, *, kept_as: str | None = None) -> RawLog:
    """Let a transfer take three steps, of which the third is told with another amount; return its log."""
    world.live(transfer_id, LEVEL_3[:2])
    (raw,) = world.act(transfer_id, "financial", sees=False)
    world.see([_grown(raw)])
    assert _amount(world, kept_as or transfer_id) == "9999"
    return raw


def test_an_altered_amount_is_put_right(world: World) -> None:
    """The step rests on what the log says, and a reconciliation has nothing to add."""
    world.start("a")
    raw = _believe(world, "a")
    _prove(world, len(world.chain.blocks) - 1)
    assert _amount(world, "a") == "1000"
    milestone = (world.state("a") or {})["milestones"]["financial"]
    assert milestone["eventId"] == restated_id(id_of_log(1, raw))
    world.assert_straight()


def test_what_was_restated_before_its_transfer_was_known_goes_with_it(world: World) -> None:
    """Once the bare hash is mapped its transfer has the log's amount, not the altered one."""
    world.start("a", mapped=False)
    _believe(world, "a", kept_as=transfer_hash("a"))
    _prove(world, len(world.chain.blocks) - 1)
    world.documents.put(MAPPINGS, transfer_hash("a"), {"transferId": "a"})
    world.run()
    assert _amount(world, "a") == "1000"
    assert (world.state("a") or {})["status"] == "ready_to_record"
    world.assert_straight()


def test_what_was_restated_comes_back_where_it_was_taken_back_wrongly(world: World) -> None:
    """The reconciler finds the log and reinstates what says so, which is not the altered event."""
    world.start("a")
    raw = _believe(world, "a")
    _prove(world, len(world.chain.blocks) - 1)
    world.counter = world.log._heads.take_back(1, {})
    world.see([raw], removed=True)
    assert "financial" not in (world.state("a") or {})["milestones"]
    world.run()
    assert _amount(world, "a") == "1000"
    world.assert_straight()


@pytest.mark.parametrize("lie", ["altered", "hidden behind one made up", "one made up beside"])
def test_what_a_repair_appends_is_what_the_block_holds(world: World, lie: str) -> None:
    """An index that lies leads to the block, whose proof says what the log says."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    (raw,) = world.act("a", "financial", sees=False)
    made_up = {**_grown(raw), "logIndex": "0x9"}
    lies = {
        "altered": [_grown(raw)],
        "hidden behind one made up": [made_up],
        "one made up beside": [raw, made_up],
    }[lie]
    world.chain.index_says = lambda log: lies if log["data"] == raw["data"] else [log]
    world.run()
    assert _amount(world, "a") == "1000"
    assert (world.state("a") or {})["milestones"]["financial"]["eventId"] == id_of_log(1, raw)
    assert len(world.events("a")) == 4
    world.assert_straight()


def test_no_log_index_brings_back_what_is_refuted(world: World) -> None:
    """A step whose only log is made up is told by the contract's state instead."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    (raw,) = world.act("a", "financial", sees=False)
    made_up = {**raw, "logIndex": "0x9"}
    world.see([made_up])
    _prove(world, len(world.chain.blocks) - 1)
    assert (world.state("a") or {})["milestones"]["financial"]["eventId"] == id_of_log(1, raw)
    world.chain.index_says = lambda log: [made_up] if log["data"] == raw["data"] else [log]
    world.documents.delete("events", id_of_log(1, raw))
    world.chain.provable = False
    report = world.run()
    assert (world.state("a") or {})["milestones"]["financial"]["proof"] == "contract_state"
    assert report["createdCount"]


def test_a_made_up_log_is_dropped_from_a_joined_transfer(world: World) -> None:
    """Kept under the bare hash, then joined, then proved to be none: its correction goes with it."""
    world.start("a", mapped=False)
    (raw,) = world.act("a", "agree_send")
    world.see([{**raw, "logIndex": "0x9"}])
    world.documents.put(MAPPINGS, transfer_hash("a"), {"transferId": "a"})
    world.run()
    assert len((world.state("a") or {})["proofs"]) == 3
    _prove(world, len(world.chain.blocks) - 1)
    state = world.state("a") or {}
    counting = [key for key in state["proofs"] if key not in state["verdicts"]]
    assert len(counting) == 2
    world.assert_straight()


def test_what_is_not_proved_restates_nothing(world: World) -> None:
    """A message may hold logs of blocks that were read with those proved, and could not be proved."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    (raw,) = world.act("a", "financial")
    world.live("a", LEVEL_3[3:4])
    keys = _on_file(world, len(world.chain.blocks) - 1)
    batch = LogBatch(LOGS, 1, world.counter, [_grown(raw)], proved=keys)
    assert not world.handler.handle(batch.encode()).dead
    assert _amount(world, "a") == "1000"
    assert world.alerts.of("event_conflict")
    assert not world.alerts.of("refuted_events")


def test_each_of_several_documents_takes_back_what_was_made_up(world: World) -> None:
    """A message names all of its blocks' documents."""
    world.start("a")
    wrong = []
    for step in ("agree_send", "agree_receive"):
        (raw,) = world.act("a", step)
        wrong.append({**raw, "logIndex": "0x9"})
    world.see(wrong)
    height = len(world.chain.blocks) - 1
    _prove(world, height - 1, height)
    verdicts = (world.state("a") or {})["verdicts"]
    assert {id_of_log(1, raw) for raw in wrong} == verdicts.keys()


def test_an_event_that_a_hand_has_changed_is_not_restated(world: World) -> None:
    """It is told again by a correction, as ever, and not taken for a node's lie."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    (raw,) = world.act("a", "financial")
    identity = id_of_log(1, raw)
    stored = world.documents.get("events", identity) or {}
    world.documents.put("events", identity, {**stored, "data": {**stored["data"], "grossAmount": "9"}})
    _prove(world, len(world.chain.blocks) - 1)
    assert world.documents.get("events", restated_id(identity)) is None
    assert not world.alerts.of("refuted_events")
    assert _amount(world, "a") == "1000"


def test_an_external_transaction_hangs_on_what_its_block_holds(tmp_path: Path) -> None:
    """Told of with a log that was made up, it is told of anew with the one that is proved."""
    world = World(tmp_path, settings=ReconcileSettings(platform_wallets=frozenset({"0x" + "77" * 20})))
    world.start("a")
    (raw,) = world.act("a", "agree_send", sees=False)
    told = {"from": SENDER, "logIndex": "0x9"}
    made_up = LogBatch(LOGS, 1, 0, [{**raw, "logIndex": "0x9"}], senders={raw["transactionHash"]: told})
    world.handler.handle(made_up.encode())
    for _ in range(2):
        _prove(world, len(world.chain.blocks) - 1, sender=SENDER)
    externals = {event["eventId"]: event for event in world.events("a") if event["eventType"] == EXTERNAL}
    taken_back = {event["data"].get("targetEventId") for event in world.events("a")}
    (counts,) = [event for key, event in externals.items() if key not in taken_back]
    assert counts["data"]["actionEventId"] == id_of_log(1, raw)
    assert len(externals) == 2
