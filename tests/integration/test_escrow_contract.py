"""The laptop's escrow contract, on a real chain: its outside, its transitions, its levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import decode

from shared.domain.hashing import keccak_256, transfer_hash
from shared.local.chain_control import one_block
from shared.local.escrow import calldata
from shared.local.escrow.calldata import Financials
from shared.local.escrow.client import EscrowReverted
from tests.support.chain import CUSTODIANS, OTHER_CUSTODIANS, parties

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.local.escrow.client import EscrowClient

SIX = "(uint256,uint256,uint256,uint256,uint256,uint16)"
AGREEMENT = "(bytes32,address,address,uint8,uint8,string)"
FUNCTIONS = {
    f"agreeSend{AGREEMENT}": [],
    f"agreeReceive{AGREEMENT}": [],
    f"provideFinancialDetails(bytes32,{SIX},uint256,uint256)": [],
    "executeTransfer(bytes32)": [],
    "mintTokens(bytes32)": [],
    "burnTokens(bytes32)": [],
    "getTransferState(bytes32)": ["uint8"],
    "transfers(bytes32)": [
        "uint8 state",
        "bool senderAgreed",
        "bool receiverAgreed",
        "address custodianSender",
        "address custodianReceiver",
        "uint8 fromAccount",
        "uint8 toAccount",
        "uint256 grossAmount",
        "uint256 federalTax",
        "uint256 stateTax",
        "uint64 createdAt",
        "uint64 updatedAt",
    ],
    "supportsTokenization(bytes32)": ["bool"],
    "setCustodianLevel(address,uint8)": [],
    "custodianLevels(address)": ["uint8"],
    "version()": ["string"],
}
EVENTS = {
    "TransferAgreed(bytes32,address,bool,uint256)": "transferHash* custodian* isSender timestamp",
    f"FinancialDetailsProvided(bytes32,uint256,{SIX},uint256,uint256)": (
        "transferHash* grossAmount fundSources federalTax stateTax"
    ),
    "TransferExecuted(bytes32,uint256,uint256)": "transferHash* grossAmount timestamp",
    "TokensMinted(bytes32,uint256,uint256)": "transferHash* amount timestamp",
    "TokensBurned(bytes32,uint256,uint256)": "transferHash* amount timestamp",
    "TransferCompleted(bytes32,uint256)": "transferHash* timestamp",
}
TOPICS = {"0x" + keccak_256(signature.encode()).hex(): signature.split("(")[0] for signature in EVENTS}

WAY = {
    1: ("agree_receive",),
    2: ("agree_send",),
    3: ("agree_send", "agree_receive"),
    4: ("agree_send", "agree_receive", "provide"),
    5: ("agree_send", "agree_receive", "provide", "execute"),
    6: ("agree_send", "agree_receive", "provide", "execute", "mint"),
    8: ("agree_send", "agree_receive", "provide", "execute", "mint", "burn"),
}
"""How to bring a level-1 pair, tokenising since its execution, to each state."""
MOVES = {
    ("agree_send", 0): 2,
    ("agree_send", 1): 3,
    ("agree_receive", 0): 1,
    ("agree_receive", 2): 3,
    ("provide", 3): 4,
    ("execute", 4): 5,
    ("mint", 5): 6,
    ("burn", 6): 8,
}
EXPECTED = {"agree_send": 1, "agree_receive": 2, "provide": 3, "execute": 4, "mint": 5, "burn": 6}
LATE = parties(1, 1)
"""Level 1 while it executes, so that the contract stops at 5; raised to 3 before a mint is tried."""
CALLS: dict[str, Callable[[str], bytes]] = {
    "agree_send": lambda transfer: calldata.agree_send(transfer, LATE),
    "agree_receive": lambda transfer: calldata.agree_receive(transfer, LATE),
    "provide": calldata.provide_financial_details,
    "execute": calldata.execute_transfer,
    "mint": calldata.mint_tokens,
    "burn": calldata.burn_tokens,
}


def _signature(entry: dict[str, Any]) -> str:
    def written(argument: dict[str, Any]) -> str:
        if argument["type"] != "tuple":
            return str(argument["type"])
        return "(" + ",".join(written(part) for part in argument["components"]) + ")"

    return f"{entry['name']}({','.join(written(argument) for argument in entry['inputs'])})"


def _logs(receipt: dict[str, Any]) -> list[str]:
    return [TOPICS[log["topics"][0]] for log in receipt["logs"]]


def _level(escrow: EscrowClient, level: int) -> None:
    escrow.set_custodian_level(LATE.sender, level)
    escrow.set_custodian_level(LATE.receiver, level)


def _bring_to(escrow: EscrowClient, transfer: str, state: int) -> None:
    _level(escrow, 1)
    for step in WAY.get(state, ()):
        if step == "mint":
            _level(escrow, 3)
        escrow.transact(CALLS[step](transfer))
    _level(escrow, 1)
    assert escrow.get_transfer_state(transfer) == state


def test_the_outside_is_exactly_the_one_asked_for() -> None:
    """The ABI holds the functions, events and errors of the product's contract, and no other."""
    abi = calldata.artefact()["abi"]
    functions = {_signature(entry): entry["outputs"] for entry in abi if entry["type"] == "function"}
    assert {
        signature: [f"{out['type']} {out['name']}".strip() for out in outputs]
        for signature, outputs in functions.items()
    } == FUNCTIONS
    assert {
        _signature(entry): " ".join(arg["name"] + ("*" if arg["indexed"] else "") for arg in entry["inputs"])
        for entry in abi
        if entry["type"] == "event"
    } == EVENTS
    assert {_signature(entry) for entry in abi if entry["type"] == "error"} == {
        "InvalidState(uint8,uint8)",
        "AlreadyAgreed(address)",
    }
    named = {entry["name"]: entry["inputs"] for entry in abi if entry["type"] == "function"}
    assert [argument["name"] for argument in named["agreeSend"]] == [
        argument["name"] for argument in named["agreeReceive"]
    ]
    assert " ".join(argument["name"] for argument in named["agreeSend"]) == (
        "transferId custodianSender custodianReceiver fromAccount toAccount senderRefId"
    )
    sources = named["provideFinancialDetails"][1]
    assert sources["name"] == "fundSources"
    assert " ".join(part["name"] for part in sources["components"]) == (
        "employeePreTax employerMatch roth afterTax gross taxYear"
    )


def test_selectors_are_the_products() -> None:
    """The first call and the two errors have the selectors that the product's contract has."""
    assert calldata.agree_send("t", LATE)[:4].hex() == "5aaa4670"
    assert calldata.selector("InvalidState(uint8,uint8)").hex() == "77e5c5f2"
    assert calldata.selector("AlreadyAgreed(address)").hex() == "06d4a5a8"


@pytest.mark.parametrize("state", [0, 1, 2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("step", list(CALLS))
def test_each_step_starts_from_its_states_only(shared_escrow: EscrowClient, step: str, state: int) -> None:
    """A call moves the transfer from the states it is allowed in and is refused in every other."""
    transfer = f"{step}-from-{state}"
    _bring_to(shared_escrow, transfer, state)
    if step == "mint":
        _level(shared_escrow, 3)
    if (step, state) in MOVES:
        assert shared_escrow.transact(CALLS[step](transfer))["status"] == "0x1"
        assert shared_escrow.get_transfer_state(transfer) == MOVES[step, state]
        return
    with pytest.raises(EscrowReverted) as refused:
        shared_escrow.transact(CALLS[step](transfer))
    twice = step.startswith("agree") and state <= 3
    agreed = LATE.sender if step == "agree_send" else LATE.receiver
    assert (refused.value.name, refused.value.arguments) == (
        ("AlreadyAgreed", (agreed,)) if twice else ("InvalidState", (state, EXPECTED[step]))
    )
    assert refused.value.data[:4].hex() == ("06d4a5a8" if twice else "77e5c5f2")
    assert shared_escrow.get_transfer_state(transfer) == state


@pytest.mark.parametrize("receiver_level", [1, 2, 3])
@pytest.mark.parametrize("sender_level", [1, 2, 3])
def test_levels_decide_what_execution_leads_to(
    shared_escrow: EscrowClient, sender_level: int, receiver_level: int
) -> None:
    """Two 3s mint at once, at least two 2s complete without a mint, a 1 leaves the transfer executed."""
    _level(shared_escrow, 1)
    transfer, pair = f"levels-{sender_level}-{receiver_level}", parties(sender_level, receiver_level)
    agreed = calldata.agree_send(transfer, pair), calldata.agree_receive(transfer, pair)
    shared_escrow.run([*agreed, calldata.provide_financial_details(transfer)])
    executed = shared_escrow.execute_transfer(transfer)
    if sender_level == receiver_level == 3:
        logs, state = ["TransferExecuted", "TokensMinted"], 6
    elif min(sender_level, receiver_level) == 2:
        logs, state = ["TransferExecuted", "TransferCompleted"], 8
    else:
        logs, state = ["TransferExecuted"], 5
    assert _logs(executed) == logs
    assert {log["transactionHash"] for log in executed["logs"]} == {executed["transactionHash"]}
    assert shared_escrow.get_transfer_state(transfer) == state
    assert shared_escrow.supports_tokenization(transfer) == (sender_level == receiver_level == 3)
    if state == 6:
        assert _logs(shared_escrow.burn_tokens(transfer)) == ["TokensBurned", "TransferCompleted"]
        assert shared_escrow.get_transfer_state(transfer) == 8
    if state == 5:
        for refused_call, arguments in ((calldata.mint_tokens, (5, 5)), (calldata.burn_tokens, (5, 6))):
            with pytest.raises(EscrowReverted) as refused:
                shared_escrow.transact(refused_call(transfer))
            assert (refused.value.name, refused.value.arguments) == ("InvalidState", arguments)


def test_logs_say_what_was_agreed_and_paid(shared_escrow: EscrowClient) -> None:
    """Hash, custodian, side, amounts and time of every log are those of the calls and their blocks."""
    transfer, pair = "what-logs-say", parties(3, 3)
    money = Financials(2**256 - 1, 0, 0, 0, 2024, 11, 22)
    receipts = shared_escrow.run(calldata.whole_life(transfer, pair, money))
    logs = [log for receipt in receipts for log in receipt["logs"]]
    blocks = shared_escrow.rpc.batch([("eth_getBlockByHash", [log["blockHash"], False]) for log in logs])
    stamps = [int(block["timestamp"], 16) for block in blocks]
    assert {log["topics"][1] for log in logs} == {transfer_hash(transfer)}
    assert [_logs({"logs": [log]})[0] for log in logs] == [
        *["TransferAgreed"] * 2,
        "FinancialDetailsProvided",
        "TransferExecuted",
        "TokensMinted",
        "TokensBurned",
        "TransferCompleted",
    ]
    data = [bytes.fromhex(log["data"][2:]) for log in logs]
    gross = money.gross
    for at, (custodian, is_sender) in enumerate(((pair.sender, True), (pair.receiver, False))):
        assert logs[at]["topics"][2] == "0x" + "00" * 12 + custodian[2:]
        assert decode(["bool", "uint256"], data[at]) == (is_sender, stamps[at])
    assert decode(["uint256", SIX, "uint256", "uint256"], data[2]) == (
        gross,
        (gross, 0, 0, 0, gross, 2024),
        11,
        22,
    )
    for at in (3, 4, 5):
        assert decode(["uint256", "uint256"], data[at]) == (gross, stamps[at])
    assert decode(["uint256"], data[6]) == (stamps[6],)
    record = shared_escrow.transfers(transfer)
    assert (record.state, record.custodian_sender, record.custodian_receiver) == (
        8,
        pair.sender,
        pair.receiver,
    )
    assert (record.gross_amount, record.federal_tax, record.state_tax) == (gross, 11, 22)
    assert (record.created_at, record.updated_at) == (stamps[0], stamps[6])


def test_parts_that_do_not_sum_to_gross_are_refused(shared_escrow: EscrowClient) -> None:
    """Financial details whose parts differ from gross revert, and so do parts that overflow."""
    transfer, pair = "bad-sum", parties(3, 3)
    shared_escrow.run([calldata.agree_send(transfer, pair), calldata.agree_receive(transfer, pair)])
    for call, name in (
        (calldata.provide_financial_details(transfer, Financials(), 1), "Error"),
        (calldata.provide_financial_details(transfer, Financials(2**256 - 1, 1, 0, 0), 0), "Panic"),
    ):
        with pytest.raises(EscrowReverted) as refused:
            shared_escrow.transact(call)
        assert refused.value.name == name
    assert shared_escrow.get_transfer_state(transfer) == 3


def test_the_other_side_cannot_agree_to_something_else(shared_escrow: EscrowClient) -> None:
    """A second agreement that names other custodians than the first reverts."""
    shared_escrow.agree_send("two-minds", parties(3, 3))
    with pytest.raises(EscrowReverted, match="another transfer"):
        shared_escrow.agree_receive("two-minds", parties(3, 2))


def test_a_call_sent_with_gas_fails_on_chain(shared_escrow: EscrowClient) -> None:
    """With gas given nothing is tried beforehand: the refused call is mined as failed, without logs."""
    receipt = shared_escrow.transact(calldata.burn_tokens("never-started"), gas=100_000)
    assert (receipt["status"], receipt["logs"]) == ("0x0", [])


def test_a_whole_life_fits_in_one_block(shared_escrow: EscrowClient) -> None:
    """Calls held back are mined into one block in their order."""
    with one_block(shared_escrow.rpc):
        calls = calldata.whole_life("one-block", parties(3, 3))
        sent = [shared_escrow.send(data, gas=400_000) for data in calls]
    receipts = [shared_escrow.wait(transaction) for transaction in sent]
    assert len({receipt["blockHash"] for receipt in receipts}) == 1
    assert sum(len(receipt["logs"]) for receipt in receipts) == 7


def test_levels_and_version_can_be_read(shared_escrow: EscrowClient) -> None:
    """Levels are those that were set, 0 for a stranger, and the version is told."""
    assert shared_escrow.custodian_levels(CUSTODIANS[2]) == 2
    assert shared_escrow.custodian_levels(OTHER_CUSTODIANS[3]) == 3
    assert shared_escrow.custodian_levels("0x" + "ab" * 20) == 0
    assert shared_escrow.version() == "6.0.0"
