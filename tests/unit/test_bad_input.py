"""Bad input of every kind: a clear cause, nothing lost, nothing half-written, and the rest is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from eth_abi.abi import encode

from shared.app.deadletters import DeadLetters
from shared.app.log_batch import LOGS, REMOVED, LogBatch
from shared.app.reconcile_report import is_straight
from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES, is_intact
from shared.errors import CorruptEvent, InvalidInput, StoreUnavailable
from shared.ports import Query
from tests.support.world import ADDRESS, LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

    from shared.app.deadletters import DeadLetter
    from shared.ports import Document, RawLog

MOST = 2**256 - 1


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world with one transfer that was started."""
    made = World(tmp_path)
    made.start("a")
    return made


def letters(world: World) -> list[DeadLetter]:
    """Return the dead letters, which stay."""
    return list(DeadLetters(world.bus).list(100))


def logs_of(world: World, *steps: str) -> list[RawLog]:
    """Mine each step in a block of its own, unseen, and return the logs."""
    return [log for step in steps for log in world.act("a", step, sees=False)]


def handle(world: World, message: bytes) -> None:
    """Let the live path handle a message, and project what it stored."""
    handled = world.handler.handle(message)
    world.projection.project(list(world.documents.get_many(EVENTS, handled.appended.stored).values()))


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"data": "0x01"}, "TransferAgreed"),
        ({"data": "nothing of the kind"}, "TransferAgreed"),
        ({"data": None}, "TransferAgreed"),
        ({"topics": ["0x" + "77" * 32]}, "no event of"),
        ({"topics": []}, "topics"),
        ({"topics": None}, "topics"),
        ({"address": "0x" + "99" * 20}, "no contract 0x9999"),
        ({"address": None}, "address"),
        ({"logIndex": "0x20000000000000"}, "logIndex is out of range: 9007199254740992"),
        ({"blockNumber": "0xffffffffffffffff"}, "blockNumber"),
        ({"blockNumber": -1}, "blockNumber"),
        ({"blockHash": "0x12"}, "blockHash"),
        ({"blockHash": "0x" + "zz" * 32}, "blockHash"),
        ({"transactionHash": "0x" + "\u0661" * 64}, "transactionHash"),
        ({"blockTimestamp": None}, "timestamp"),
        ({"blockTimestamp": "0xffffffffffffffff"}, "timestamp"),
        ({"blockTimestamp": -1}, "timestamp"),
    ],
)
def test_a_poison_log_is_buried_with_its_cause_and_the_rest_is_done(
    world: World, change: dict[str, Any], detail: str
) -> None:
    """One log that cannot be read goes to the dead letters alone; those around it count."""
    before, poison, after = logs_of(world, "agree_send", "financial", "agree_receive")
    poison = {**before, "logIndex": "0x5", **change} if "data" in change else {**poison, **change}
    handle(world, LogBatch(LOGS, 1, 0, [before, poison, after]).encode())
    [letter] = letters(world)
    assert letter.cause == "undecodable_log"
    assert detail in letter.detail
    assert letter.payload["logs"] == [poison]
    state = world.state("a")
    assert state
    assert set(state["milestones"]) == {"started", "agree_send", "agree_receive"}
    assert world.documents.count(EVENTS) == 3


def test_a_log_that_is_no_object_is_buried(world: World) -> None:
    """A log that is a text, a number or nothing is one dead letter each."""
    [good] = logs_of(world, "agree_send")
    handle(world, LogBatch(LOGS, 1, 0, ["log", 5, None, good]).encode())  # type: ignore[list-item]
    assert {letter.cause for letter in letters(world)} == {"undecodable_log"}
    assert len(letters(world)) == 3
    assert world.documents.count(EVENTS) == 2


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        (b"not JSON", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "chainId"),
        ({"chainId": "1"}, "chainId"),
        ({"chainId": True}, "chainId"),
        ({"kind": "gossip"}, "gossip"),
        ({"logs": {}}, "logs"),
        ({"reorgCounter": 2**63}, "reorgCounter"),
        ({"reorgCounter": -1}, "reorgCounter"),
        ({"chainId": 2**63}, "chainId"),
        ({"timestamps": []}, "timestamps"),
        ({"returned": "0x12"}, "returned"),
        ({"returned": [{}]}, "returned"),
    ],
)
def test_a_message_that_is_none_is_buried_whole(
    world: World, message: bytes | dict[str, Any], detail: str
) -> None:
    """What is no batch of logs is one dead letter that names the field, and nothing is stored."""
    logs = logs_of(world, "agree_send")
    if isinstance(message, dict):
        message = orjson.dumps({**LogBatch(REMOVED, 1, 1, logs).as_dict(), **message})
    handled = world.handler.handle(message)
    assert handled.dead == {"invalid_input": 1}
    [letter] = letters(world)
    assert (letter.cause, detail in letter.detail) == ("invalid_input", True)
    assert letter.payload == {"raw": message.decode("utf-8", "backslashreplace")}
    assert world.documents.count(EVENTS) == 1


def test_the_largest_amount_works(world: World) -> None:
    """2^256-1 goes through decoding, store and projection digit by digit."""
    world.live("a", LEVEL_3[:3])
    [log] = logs_of(world, "executed")
    handle(
        world,
        LogBatch(LOGS, 1, 0, [{**log, "data": "0x" + encode(["uint256"] * 2, [MOST, MOST]).hex()}]).encode(),
    )
    [event] = [e for e in world.events("a") if e["eventType"] == "blockchain.v5.executed"]
    assert (event["data"]["grossAmount"], event["data"]["timestamp"]) == (str(MOST), str(MOST))
    state = world.state("a")
    assert state
    assert state["contractState"] == 5
    assert letters(world) == []


def test_an_event_of_a_type_not_in_the_list_is_refused(world: World) -> None:
    """It is neither appended nor projected; one that somebody stored by hand counts for nothing."""
    stray = {
        "eventId": "stray",
        "eventType": "rollover.invented",
        "rolloverId": "a",
        "timestamp": "2026-01-01T00:00:00Z",
        "data": {},
        "audit": {"storedAt": "2026-01-01T00:00:00+00:00"},
    }
    world.chain.mine_empty(1)
    before = world.state("a")
    with pytest.raises(InvalidInput, match="invented"):
        world.log.append(stray)
    assert world.documents.get(EVENTS, "stray") is None
    world.documents.put(EVENTS, "stray", stray)
    with pytest.raises(InvalidInput, match="eventType"):
        world.projection.project([*world.events("a")[:1], stray])
    assert world.state("a") == before
    assert not world.projection.rebuild_all(check_only=True).different
    assert is_straight(world.run())


def test_an_event_changed_by_hand_is_refused(world: World) -> None:
    """An event that is not what its hash says is corrupt: not projected, and nothing is written."""
    world.act("a", "agree_send")
    event = next(e for e in world.events("a") if e["eventType"] == "blockchain.v5.agreement")
    before = world.state("a")
    forged = {**event, "data": {**event["data"], "isSender": False}}
    with pytest.raises(CorruptEvent, match=event["eventId"]):
        world.projection.project([forged])
    assert world.state("a") == before


@pytest.mark.parametrize(
    "edit",
    [
        {"status": "completed"},
        {"contractState": 8},
        {"milestones": {}},
        {"proofs": {}},
        {"stateHash": None},
    ],
)
def test_a_state_edited_by_hand_is_no_ground_to_build_on(world: World, edit: Document) -> None:
    """The next event computes the whole state anew from the events; a check finds the edit before."""
    world.act("a", "agree_send")
    state = world.state("a")
    assert state
    world.documents.put(STATES, "a", {**state, **edit})
    assert world.projection.rebuild_all(check_only=True).different == ["a"]
    world.act("a", "agree_receive")
    after = world.state("a")
    assert after
    assert is_intact(after)
    assert after["contractState"] == 3
    assert not world.projection.rebuild_all(check_only=True).different


def test_a_store_that_cannot_be_written_leaves_the_message_to_come_again(world: World) -> None:
    """While the store refuses, the error is retryable and nothing is buried; afterwards all is done."""
    message = LogBatch(LOGS, 1, 0, logs_of(world, "agree_send", "agree_receive")).encode()

    def refuse(_operation: str, _collection: str, _key: str) -> None:
        raise StoreUnavailable("disk full")

    world.documents.fail_at = refuse  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable) as refused:
        world.handler.handle(message)
    assert refused.value.retryable
    assert letters(world) == []
    world.documents.fail_at = None  # type: ignore[attr-defined]
    handle(world, message)
    state = world.state("a")
    assert state
    assert state["contractState"] == 3


def test_a_node_of_another_network_repairs_nothing(world: World) -> None:
    """The reconciliation names both networks, and touches neither events nor states."""
    world.live("a", LEVEL_3[:2], sees=False)
    world.chain._remote_chain_id = 5
    report = world.run()
    assert (report["errorCount"], report["createdCount"], report["checked"]) == (1, 0, 0)
    assert "another chain: 5" in report["errors"][0]["error"]
    assert len(world.alerts.sent) == 1
    assert world.documents.count(EVENTS) == 1


def test_an_answer_that_is_no_state_is_that_transfers_error_alone(world: World) -> None:
    """Where there is no code, the contract answers nothing: reported for each, no step is superseded."""
    world.live("a", LEVEL_3[:2])
    world.chain.on_call = lambda _call, _block: b""
    report = world.run()
    assert (report["errorCount"], report["supersededCount"], report["complete"]) == (1, 0, True)
    assert report["errors"][0]["error"].startswith("a: ")
    assert len(list(world.documents.query(EVENTS, Query()))) == 3


def test_a_log_of_another_chain_is_no_log_of_this_contract(world: World) -> None:
    """The same address on another chain is another contract: unknown, and buried."""
    world.handler.handle(LogBatch(LOGS, 5, 0, logs_of(world, "agree_send")).encode())
    [letter] = letters(world)
    assert f"no contract {ADDRESS} on chain 5" in letter.detail
    assert world.state(transfer_hash("a")) is None
