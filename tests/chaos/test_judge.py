from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.hashing import transfer_hash
from shared.ports import Query
from tests.chaos.judge import Judge, checksum
from tests.performance.rig import Rig
from tests.support.chain import parties

if TYPE_CHECKING:
    from pathlib import Path

    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient

AGREEMENT = "blockchain.v5.agreement"
FINANCIAL = "blockchain.v5.financial"


@pytest.fixture
def rig(tmp_path: Path, anvil: Anvil, escrow: EscrowClient) -> Rig:
    """Store what a transfer did on the chain, by Plumbline's own parts."""
    escrow.agree_send("a", parties(3, 3))
    escrow.agree_receive("a", parties(3, 3))
    escrow.provide_financial_details("a")
    rig = Rig(tmp_path, anvil.rpc_url, escrow.address)
    rig.listen()
    rig.handle()
    return rig


def differences(rig: Rig, escrow: EscrowClient, *, outside: bool = False) -> list[str]:
    """Judge what is stored; ``outside``: as if no platform wallet had sent anything."""
    wallets = frozenset({"0x" + "ee" * 20}) if outside else frozenset()
    return Judge(rig.path, escrow, (transfer_hash("a"),), {}, wallets).differences()


def stored(rig: Rig, kind: str) -> dict[str, Any]:
    """Return one stored event of a kind."""
    return next(
        event for _, event in rig.documents.query("events", Query(where=(("eventType", kind),), limit=1))
    )


def put(rig: Rig, event: dict[str, Any], **data: Any) -> None:
    """Store an event with other data, as nobody should."""
    rig.documents.put("events", event["eventId"], {**event, "data": {**event["data"], **data}})


def test_what_is_right_is_found_right(rig: Rig, escrow: EscrowClient) -> None:
    """Every log an event, every state the contract's: nothing differs."""
    assert differences(rig, escrow) == []


def test_a_lost_event_is_missing(rig: Rig, escrow: EscrowClient) -> None:
    """A log without an event is named."""
    rig.documents.delete("events", stored(rig, FINANCIAL)["eventId"])
    (found,) = differences(rig, escrow)
    assert found.startswith(f"missing: ('{FINANCIAL}'")


@pytest.mark.parametrize("name", ["grossAmount", "federalTax", "blockNumber", "transferHash"])
def test_an_argument_that_is_not_the_logs_is_other_content(rig: Rig, escrow: EscrowClient, name: str) -> None:
    """Any field that the log does not say is named."""
    put(rig, stored(rig, FINANCIAL), **{name: "77"})
    (found,) = differences(rig, escrow)
    assert found.startswith("other content")


def test_an_event_of_a_block_that_is_gone_is_too_much(rig: Rig, escrow: EscrowClient) -> None:
    """An event whose block the chain does not have is named, and the one that should be there."""
    put(rig, stored(rig, FINANCIAL), blockHash="0x" + "dd" * 32)
    assert [found.partition(":")[0] for found in differences(rig, escrow)] == ["missing", "too much"]


def test_an_event_doubled_under_another_id_is_found(rig: Rig, escrow: EscrowClient) -> None:
    """Two events of one log are one too many."""
    event = stored(rig, FINANCIAL)
    rig.documents.create("events", "another", {**event, "eventId": "another"})
    assert any(found.startswith("twice") for found in differences(rig, escrow))


def test_a_superseded_event_of_the_chain_is_missing(rig: Rig, escrow: EscrowClient) -> None:
    """What the chain has and a verdict takes back is named, until a later verdict reinstates it."""
    rig.log.supersede([event := stored(rig, FINANCIAL)], 1, "for no reason")
    assert [found.partition(":")[0] for found in differences(rig, escrow)] == ["missing"]
    rig.log.judge([event], 2, "system.event_reinstated", "it was there")
    assert differences(rig, escrow) == []


def test_a_state_that_is_not_the_contracts_is_found(rig: Rig, escrow: EscrowClient) -> None:
    """The stored number and the contract's are named."""
    key = transfer_hash("a")
    state = rig.documents.get("rollover_states", key)
    assert state is not None
    rig.documents.put("rollover_states", key, {**state, "contractState": 6})
    assert differences(rig, escrow) == [f"state of {key}: contract 4, stored 6"]


def test_a_transaction_from_outside_without_its_event_is_missing(rig: Rig, escrow: EscrowClient) -> None:
    """Where no platform wallet sent a transaction its event is looked for, one each."""
    found = differences(rig, escrow, outside=True)
    assert len(found) == 3
    assert all(each.startswith("missing: ('blockchain.external_transaction'") for each in found)


def test_a_checksum_is_of_what_happened(rig: Rig) -> None:
    """Who wrote an event and when does not change it; what it says does."""
    before = checksum(rig.path)
    event = stored(rig, AGREEMENT)
    rig.documents.put("events", event["eventId"], {**event, "audit": {"recordedBy": "another"}})
    assert checksum(rig.path) == before
    put(rig, event, custodian="0x" + "00" * 20)
    assert checksum(rig.path) != before
