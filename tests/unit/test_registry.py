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
from shared.errors import ConfigError, UndecodableLog
from shared.local.escrow import calldata
from tests.support.contracts import ESCROW, OTHER_ABI, OTHER_FILE, ROLLOVERS, escrow_spec, write_other

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


def _changed(old: str, new: str) -> str:
    assert old in OTHER_FILE, old
    return OTHER_FILE.replace(old, new, 1)


LOWER = 'address = "' + ROLLOVERS
BAD_FILES = [
    ("chain_id = 421614", "chain_id = ", r"rollovers\.toml is not TOML: .*line 4"),
    ("chain_id = 421614", 'chain_id = "1"', r"rollovers\.toml: chain_id: must be a whole number, not '1'"),
    ("chain_id = 421614", "chain_id = 0", "chain_id: must be from 1 to"),
    ("chain_id = 421614", "chainid = 421614", "chain_id: is missing; is 'chainid' it"),
    ("deployment_block = 70", "", "deployment_block: is missing$"),
    ("deployment_block = 70", "deployment_block = -1", "deployment_block: must be from 0"),
    ('name = "Rollovers"', 'name = ""', "name: must be a text"),
    ('without = ["burned"]', 'witout = ["burned"]', "logs: no .* means burned: .* without"),
    ('without = ["burned"]', 'without = ["burned"]\nowner = "me"', "owner: is not a known key"),
    ('without = ["burned"]', 'without = ["burnd"]', "without: 'burnd' .* did you mean 'burned'"),
    ('without = ["burned"]', 'without = ["burned", "minted"]', "without: step minted is mapped"),
    ('abi = "rollovers.json"', 'abi = "missing.json"', r"abi: .*missing\.json cannot be read: No such file"),
    ('abi = "rollovers.json"', 'abi = "rollovers.toml"', r"abi: .*rollovers\.toml is not JSON"),
    (LOWER, 'address = "0x12', "address: .* is not 0x and 40 hex digits"),
    (LOWER, 'address = "' + "0x" + "bE" * 20, "address: .*wrong checksum: 0x[bBeE]{40} would be right"),
    ("depth = 20", 'depth = 20\ntag = "safe"', "finality: tag: give either a tag .* or a depth"),
    ("depth = 20", "", "finality: tag: give either"),
    ("depth = 20", 'tag = "finalised"', "finality: tag: .* did you mean 'finalized'"),
    ("depth = 20", "depht = 20", "finality: tag: give either"),
    ('collection = "firms"', 'colection = "firms"', "levels: colection: .* did you mean 'collection'"),
    ('1 = "basic"', 'one = "basic"', "levels: names: one: must be a number"),
    ('state = "stage"', "", "reads: state: is missing"),
    ('state = "stage"', 'state = "stge"', "reads: state: 'stge' is no function .* did you mean 'stage'"),
    ('state = "stage"', 'state = "consent"', r"reads: state: consent\(string,bytes32\) → \(\) is not a func"),
    ('state = "stage"', 'state = "stage"\nlevels = "stage"', "reads: levels: .* did you mean 'level'"),
    ('argument = "note"', 'argument = "key"', r"reference\[1\]: argument: key .* is bytes32, not string"),
    ('argument = "note"', 'argument = "nota"', r"reference\[1\]: argument: .* did you mean 'note'"),
    ('argument = "note"', 'argument = "note"\nsince = 1', r"reference\[1\]: since: is not a known key"),
    ('event = "Consent"', 'event = "Consents"', r"logs\[1\]: event: .* did you mean 'Consent'"),
    ('event = "Coined(bytes32,uint256,uint40)"', 'event = "Coined"', r"logs\[4\]: event: .* overloaded: "),
    ('event = "Closed"', 'event = "Done"', r"logs\[5\]: transfer: .*has no argument 'key'"),
    ('transfer = "key"', 'transfer = "by"', r"logs\[1\]: transfer: argument by of Consent is not bytes32"),
    ('transfer = "key"', 'transfer = "kez"', r"logs\[1\]: transfer: .* did you mean 'key'"),
    ('step = "executed"', 'step = "executed"\nnote = "x"', r"logs\[3\]: note: is not a known key"),
    ('step = "financial"', 'step = "finance"', r"logs\[2\]: step: .* did you mean 'financial'"),
    ('step = "financial"', "", r"logs\[2\]: step: give either step, or step_by"),
    ('1 = "agree_send"', '1 = "agree"', r"logs\[1\]: step_by: 1: 'agree' is no lifecycle step"),
    ('argument = "party"', 'argument = "prty"', r"step_by: argument: .* did you mean 'party'"),
    ('timestamp = "when" }', 'timestamp = "then" }', r"arguments\.timestamp: .* did you mean 'when'"),
    ('timestamp = "when" }', 'timstamp = "when" }', r"arguments\.timestamp: is missing.* is 'timstamp' it"),
    ('federalTax = "money.fed"', "", r"logs\[2\]: arguments\.federalTax: is missing: step financial needs"),
    ('"money.fed"', '"money"', r"arguments\.federalTax: argument 'money' has parts"),
    ('"money.fed"', '"money.fedTax"', r"arguments\.federalTax: the event has no argument 'money\.fedTax'"),
    ('"fundSources.roth"', '"fundSources.rot"', r"arguments\.fundSources\.roth: is missing"),
    ('grossAmount = "sum"', 'grossAmount = "rolloverName"', "is indexed: the log keeps its hash only"),
    ('timestamp = "when" }', 'timestamp = "when", gas = "when" }', r"arguments\.gas: is no field of the"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), BAD_FILES)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    """A typing mistake or a wrong value stops the start, naming file, key and what would be right."""
    with pytest.raises(ConfigError, match=message) as caught:
        load_registry(write_other(tmp_path, _changed(old, new)))
    assert "rollovers.toml" in str(caught.value)


def test_an_event_mapped_twice_is_refused(tmp_path: Path) -> None:
    """Two entries for one event contradict each other."""
    again = (
        '\n[[logs]]\nevent = "Closed"\ntransfer = "key"\nstep = "settled"\narguments = {timestamp = "when"}'
    )
    with pytest.raises(ConfigError, match=r"logs\[6\]: event: Closed\(bytes32,uint40\) is mapped twice"):
        load_registry(write_other(tmp_path, OTHER_FILE + again))


@pytest.mark.parametrize(
    ("abi", "message"),
    [
        ({"bytecode": "0x"}, "neither a list of ABI entries nor an artefact"),
        ([5], "neither a list of ABI entries"),
        ([{"type": "event", "inputs": 5}], "neither a list of ABI entries"),
        ([*OTHER_ABI, {"type": "event", "name": "X", "inputs": [{"type": "uint7"}]}], "unknown type 'uint7'"),
        (
            [
                *OTHER_ABI,
                {**OTHER_ABI[5], "inputs": [{**i, "indexed": False} for i in OTHER_ABI[5]["inputs"]]},
            ],
            r"event Closed\(bytes32,uint40\) twice, and differently",
        ),
    ],
)
def test_a_broken_abi_is_named(tmp_path: Path, abi: object, message: str) -> None:
    """An ABI file that is none, or that contradicts itself, is a ConfigError naming it."""
    with pytest.raises(ConfigError, match=f"abi: .*rollovers.json.*{message}"):
        load_registry(write_other(tmp_path, abi=abi))


def test_an_artefact_and_repeated_entries_are_accepted(tmp_path: Path) -> None:
    """The ABI may stand in a compiler's artefact, and an entry may be repeated word by word."""
    spec = load_registry(write_other(tmp_path, abi={"abi": [*OTHER_ABI, OTHER_ABI[0]]})).contracts[0]
    assert len(spec.abi) == len(OTHER_ABI)


def test_one_address_stands_in_one_file(tmp_path: Path) -> None:
    """Two files with the same chain id and address are refused, the same address on two chains is not."""
    write_other(tmp_path)
    (tmp_path / "second.toml").write_text(OTHER_FILE.replace("421614", "1"), "utf-8")
    assert load_registry(tmp_path).chains == [1, 421614]
    (tmp_path / "third.toml").write_text(OTHER_FILE, "utf-8")
    with pytest.raises(ConfigError, match=r"third\.toml: address: .* stands in .*rollovers\.toml already"):
        load_registry(tmp_path)


def test_a_registry_without_files_is_refused(tmp_path: Path) -> None:
    """An empty directory and a path to nothing are configuration errors."""
    with pytest.raises(ConfigError, match="no contract file"):
        load_registry(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_registry(tmp_path / "none.toml")


def test_every_step_of_the_escrow_is_mapped(escrow: ContractSpec) -> None:
    """The template leaves no step of the lifecycle out, and every event is found by its transfer."""
    assert all(escrow.topics_of(step) for step in STEPS)
    assert escrow.transfer_topic
