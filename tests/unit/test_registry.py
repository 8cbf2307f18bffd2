from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode

from shared.contracts.registry import load_registry
from shared.contracts.template import ABI, write_contract_file
from shared.domain.abi import compile_event, signature
from shared.domain.contract import Finality
from shared.domain.hashing import transfer_hash
from shared.domain.lifecycle import STEPS, ContractState
from shared.errors import UndecodableLog
from shared.local.escrow import calldata
from tests.support.contracts import ESCROW, escrow_spec, write_other

if TYPE_CHECKING:
    from pathlib import Path

    from shared.domain.contract import ContractSpec

HASH = transfer_hash("v5-test-b7902072-6055-4258-9577-d8b769c10541")
WHO = "0x" + "ab" * 20


def _log(spec: ContractSpec, event: str, *values: Any) -> dict[str, Any]:
    """Return a raw log of an event, encoded by eth_abi."""
    entry = next(e for e in spec.abi if e["type"] == "event" and event in (e["name"], signature(e)))
    topics, kinds, data = [compile_event(entry).topic0], [], []
    for argument, value in zip(entry["inputs"], values, strict=True):
        spelled = signature({"name": "", "inputs": [argument]})[1:-1]
        raw = bytes.fromhex(value[2:]) if spelled == "bytes32" else value
        if not argument["indexed"] if "indexed" in argument else True:
            kinds.append(spelled)
            data.append(raw)
        else:
            topics.append(
                value if spelled in ("bytes32", "string") else "0x" + encode([spelled], [raw]).hex()
            )
    return {"topics": topics, "data": "0x" + encode(kinds, data).hex()}


@pytest.fixture
def escrow(tmp_path: Path) -> ContractSpec:
    """Return the escrow's spec."""
    return escrow_spec(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> ContractSpec:
    """Return the spec of the contract with other names."""
    return load_registry(write_other(tmp_path)).contracts[0]


def test_the_abi_shipped_is_the_escrows() -> None:
    """The ABI beside the template is that of the committed artefact."""
    assert json.loads(ABI.read_bytes()) == calldata.artefact()["abi"]


def test_a_file_made_from_the_template_says_what_was_asked(tmp_path: Path) -> None:
    """Chain, address, block and finality of a deployment come back from the file that was written."""
    for chain_id, finality in ((31337, Finality(tag="latest")), (10**9, Finality(depth=0))):
        file = write_contract_file(tmp_path / "new", chain_id, ESCROW.lower(), 7, finality)
        spec = load_registry(file).contracts[0]
        assert (spec.chain_id, spec.address, spec.deployment_block) == (chain_id, ESCROW.lower(), 7)
        assert (spec.finality, spec.key) == (finality, f"{chain_id}:{ESCROW.lower()}")
    registry = load_registry(tmp_path / "new")
    assert registry.chains == [31337, 10**9]
    assert registry.find(31337, ESCROW) is registry.on_chain(31337)[0]
    assert registry.find(1, ESCROW) is None
    assert registry.find(31337, WHO) is None


FUNDS = (1, 2, 3, 4, 2**256 - 1, 2025)
FINANCIAL = {
    "grossAmount": str(2**256 - 1),
    "fundSources": {
        "employeePreTax": "1", "employerMatch": "2", "roth": "3", "afterTax": "4",
        "gross": str(2**256 - 1), "taxYear": 2025,
    },
    "federalTax": "5",
    "stateTax": "6",
}  # fmt: skip
SENDER = {"agreementType": "sender", "isSender": True, "custodian": WHO, "timestamp": "9"}
RECEIVER = {"agreementType": "receiver", "isSender": False, "custodian": WHO, "timestamp": "9"}


@pytest.mark.parametrize(
    ("step", "event", "values", "data"),
    [
        ("agree_send", "TransferAgreed", (WHO, True, 9), SENDER),
        ("agree_receive", "TransferAgreed", (WHO, False, 9), RECEIVER),
        ("financial", "FinancialDetailsProvided", (2**256 - 1, FUNDS, 5, 6), FINANCIAL),
        ("executed", "TransferExecuted", (8, 9), {"grossAmount": "8", "timestamp": "9"}),
        ("minted", "TokensMinted", (8, 9), {"amount": "8", "timestamp": "9"}),
        ("burned", "TokensBurned", (8, 9), {"amount": "8", "timestamp": "9"}),
        ("settled", "TransferCompleted", (9,), {"timestamp": "9"}),
    ],
)
def test_each_log_of_the_escrow_means_its_step(
    escrow: ContractSpec, step: str, event: str, values: tuple[Any, ...], data: dict[str, Any]
) -> None:
    """Every event of the escrow is decoded to its step, its transfer and the step's fields."""
    log = _log(escrow, event, HASH, *values)
    decoded = escrow.decode(log)
    assert decoded is not None
    assert (decoded.step, decoded.transfer_hash, decoded.data) == (step, HASH, data)
    assert log["topics"][0] in escrow.topics_of(step)


def test_another_abi_needs_a_file_and_no_code(other: ContractSpec) -> None:
    """Other event and argument names, another order and other types give the same steps and fields."""
    consent = other.decode(_log(other, "Consent", 2, HASH, WHO, 9))
    assert consent is not None
    assert (consent.step, consent.transfer_hash) == ("agree_receive", HASH)
    assert consent.data == {**RECEIVER, "timestamp": 9}
    money = other.decode(_log(other, "Statement", (1, 2, 3, 4, 10, 2025, 5, 6), HASH))
    assert money is not None
    assert (money.step, money.transfer_hash) == ("financial", HASH)
    assert money.data == {
        **FINANCIAL, "grossAmount": "10", "fundSources": {**FINANCIAL["fundSources"], "gross": "10"}  # type: ignore[dict-item]
    }  # fmt: skip
    done = other.decode(_log(other, "Done", HASH, 8, 9))
    assert done is not None
    assert (done.step, done.transfer_hash) == ("executed", HASH)
    minted = other.decode(_log(other, "Coined(bytes32,uint256,uint40)", HASH, 8, 9))
    assert minted is not None
    assert minted.data == {"amount": "8", "timestamp": 9}
    assert other.topics_of("burned") == []
    assert other.topics_of("agree_send") == other.topics_of("agree_receive") != []
    assert (other.transfer_topic, other.finality) == (False, Finality(depth=20))


def test_an_event_of_the_abi_that_means_nothing_is_passed_over(other: ContractSpec) -> None:
    """A log of an event that the file does not map is None, not an error."""
    assert other.decode(_log(other, "OwnerChanged", WHO)) is None
    assert other.decode(_log(other, "Coined(bytes32,uint256)", HASH, 8)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"topics": ["0x" + "12" * 32]}, "topic 0x1212.* is no event of RolloverEscrow"),
        ({"topics": []}, "topics is not a list"),
        ({"topics": None}, "topics is not a list"),
        ({"topics": [5]}, "topics is not a list"),
        ({"data": "0x"}, "TransferExecuted: argument grossAmount: the data ends"),
        ({"data": None}, "TransferExecuted: argument data: "),
    ],
)
def test_a_log_that_the_abi_cannot_explain_is_refused(
    escrow: ContractSpec, change: dict[str, Any], message: str
) -> None:
    """An unknown topic, missing topics and malformed data are UndecodableLog with their cause."""
    log = _log(escrow, "TransferExecuted", HASH, 8, 9)
    with pytest.raises(UndecodableLog, match=message):
        escrow.decode({**log, **change})


def test_a_value_without_a_step_is_refused(other: ContractSpec) -> None:
    """A log whose choosing argument has a value that the file does not list is UndecodableLog."""
    with pytest.raises(UndecodableLog, match="argument party of Consent is 3: no step"):
        other.decode(_log(other, "Consent", 3, HASH, WHO, 9))


def test_reads_are_encoded_and_understood(escrow: ContractSpec, other: ContractSpec) -> None:
    """Calldata of the reads is eth_abi's, answers become states, truth and levels."""
    key = bytes.fromhex(HASH[2:])
    state_selector = calldata.selector("getTransferState(bytes32)")
    assert escrow.state_call(HASH) == state_selector + encode(["bytes32"], [key])
    assert escrow.level_call(WHO.upper().replace("X", "x")) == calldata.custodian_levels(WHO)
    assert escrow.read_state(encode(["uint8"], [8])) is ContractState.COMPLETED
    assert escrow.read_tokenised(encode(["bool"], [True])) is True
    assert escrow.read_level(encode(["uint8"], [3])) == 3
    assert other.read_state(encode(["uint256"], [3])) is ContractState.BOTH_AGREED
    assert (other.tokenised_call(HASH), other.level_call(WHO)) == (None, None)
    assert escrow.level_call("no address") is None


@pytest.mark.parametrize("answer", [b"", encode(["uint8"], [9]), encode(["uint256"], [2**255])])
def test_an_answer_that_is_no_state_is_an_error(escrow: ContractSpec, answer: bytes) -> None:
    """No answer (no code at the address) or an unknown number is never taken for a state."""
    with pytest.raises(UndecodableLog, match=r"getTransferState|answers state 9"):
        escrow.read_state(answer)


def test_the_reference_is_read_from_calldata(escrow: ContractSpec, other: ContractSpec) -> None:
    """The sender's reference comes out of the calls that the file names, and of no others."""
    parties = calldata.Parties(WHO, "0x" + "cd" * 20)
    assert escrow.sender_reference(calldata.agree_send("transfer 𝄞", parties)) == "transfer 𝄞"
    assert escrow.sender_reference(calldata.agree_receive("t", parties, "other")) == "other"
    assert escrow.sender_reference(calldata.execute_transfer("t")) is None
    assert escrow.sender_reference(calldata.agree_send("t", parties)[:-40]) is None
    call = other.references[0][0].encode(["note", HASH])
    assert other.sender_reference(call) == "note"


def test_levels_are_compared_by_number_or_name(other: ContractSpec) -> None:
    """A stored level is the contract's if it is its number, the number as text, or its name."""
    assert [other.levels.same(stored, 1) for stored in (1, "1", "basic", 1.0)] == [True] * 4
    assert [other.levels.same(stored, 1) for stored in (3, "full", True, None, "Basic ")] == [False] * 5
    assert [other.levels.same(stored, 2) for stored in (2, None, "None")] == [True, False, False]
    assert (other.levels.collection, other.levels.address_field) == ("firms", "walletAddress")


def test_every_step_of_the_escrow_is_mapped(escrow: ContractSpec) -> None:
    """The template leaves no step of the lifecycle out, and every event is found by its transfer."""
    assert all(escrow.topics_of(step) for step in STEPS)
    assert escrow.transfer_topic
