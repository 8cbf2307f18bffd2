from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode

from shared.app.check_contracts import ERROR, INFO, check_contracts
from shared.domain.contract import Finality, Registry
from shared.errors import ChainUnavailable
from shared.local.escrow import calldata
from tests.support.contracts import ESCROW, escrow_spec
from tests.support.fake_chain import FakeChain, Reverted

if TYPE_CHECKING:
    from pathlib import Path

    from shared.domain.contract import ContractSpec
    from shared.ports import Call

CHAIN = 31337
DEPLOYED = 5
ANSWERS = {
    calldata.selector("getTransferState(bytes32)"): encode(["uint8"], [0]),
    calldata.selector("supportsTokenization(bytes32)"): encode(["bool"], [False]),
    calldata.selector("custodianLevels(address)"): encode(["uint8"], [0]),
    calldata.selector("version()"): encode(["string"], ["6.0.0"]),
}


class PrunedChain(FakeChain):
    """A node that has forgotten the state of all but the last blocks."""

    def has_code(self, address: str, block: str | int = "latest") -> bool:
        """Refuse where the block is old."""
        if isinstance(block, int) and block < len(self.blocks) - 2:
            raise ChainUnavailable("missing trie node")
        return super().has_code(address, block)


class UntaggedChain(FakeChain):
    """A node that does not know the tags of proof of stake."""

    def head(self, block: str | int = "latest") -> Any:
        """Refuse the tag."""
        if block == "finalized":
            raise ChainUnavailable("unknown block tag")
        return super().head(block)


def _chain(kind: type[FakeChain] = FakeChain, answers: Any = (), **settings: Any) -> FakeChain:
    known = {**ANSWERS, **dict(answers)}

    def answer(call: Call, _block: int) -> bytes:
        given: bytes | None = known[call.data[:4]]
        if given is None:
            raise Reverted(b"\x12")
        return given

    chain = kind(CHAIN, **settings)
    chain.mine_empty(DEPLOYED)
    chain.deploy(ESCROW)
    chain.mine_empty(3)
    chain.on_call = answer
    return chain


@pytest.fixture
def spec(tmp_path: Path) -> ContractSpec:
    """Return the escrow as it is deployed on the chains of these tests."""
    return escrow_spec(tmp_path, CHAIN, DEPLOYED)


def _problems(spec: ContractSpec, chain: FakeChain | None) -> list[tuple[str, str, str]]:
    findings = check_contracts(Registry([spec]), {} if chain is None else {CHAIN: chain})
    assert all(f.contract == spec.key and f.detail and f.fix for f in findings)
    return [(f.severity, f.problem, f.detail) for f in findings]


def test_a_contract_that_is_as_its_file_says_has_no_findings(spec: ContractSpec) -> None:
    """Nothing is found where chain, code, block, finality and reads are right."""
    assert _problems(spec, _chain()) == []


def test_a_chain_without_endpoint_is_found(spec: ContractSpec) -> None:
    """A contract whose chain has no endpoint is named, and the setting that it lacks."""
    findings = check_contracts(Registry([spec]), {})
    assert [(f.problem, f.fix) for f in findings] == [("no_endpoint", f"set PLUMBLINE_RPC_{CHAIN}")]


def test_an_unreachable_node_is_found_and_the_next_contract_checked(spec: ContractSpec) -> None:
    """A node that does not answer is a finding of its contract, and no exception."""
    down = _chain()
    down.reachable = False
    other = replace(spec, chain_id=2)
    findings = check_contracts(Registry([spec, other]), {CHAIN: down})
    assert [(f.contract, f.problem) for f in findings] == [
        (spec.key, "unreachable"),
        (other.key, "no_endpoint"),
    ]


def test_the_node_of_another_chain_is_found(spec: ContractSpec) -> None:
    """An endpoint of another network is named with both chain ids, and not asked further."""
    [(severity, problem, detail)] = _problems(spec, _chain(remote_chain_id=1))
    assert (severity, problem, detail) == (
        ERROR,
        "wrong_chain",
        "the node is on chain 1, the file says 31337",
    )


def test_an_address_without_code_is_found(spec: ContractSpec) -> None:
    """An address without code is an error."""
    nowhere = replace(spec, address="0x" + "12" * 20)
    assert [p[:2] for p in _problems(nowhere, _chain())] == [(ERROR, "no_code")]


@pytest.mark.parametrize(
    ("block", "detail"),
    [(4, "no code yet in block 4"), (6, "already: earlier logs"), (9, "above the chain's head 8")],
)
def test_a_wrong_deployment_block_is_found(spec: ContractSpec, block: int, detail: str) -> None:
    """A deployment block too low, too high, or in the future is an error."""
    [(severity, problem, told)] = _problems(replace(spec, deployment_block=block), _chain())
    assert (severity, problem) == (ERROR, "deployment_block")
    assert detail in told


def test_a_node_without_old_state_is_no_error(spec: ContractSpec) -> None:
    """What a pruned node cannot tell is an information."""
    [(severity, problem, detail)] = _problems(spec, _chain(PrunedChain))
    assert (severity, problem) == (INFO, "deployment_block")
    assert "missing trie node" in detail


def test_a_tag_that_the_node_does_not_know_is_found(spec: ContractSpec) -> None:
    """A finality by a tag that the node lacks is an error; a depth needs no tag."""
    chain = _chain(UntaggedChain)
    assert [p[:2] for p in _problems(spec, chain)] == [(ERROR, "finality")]
    assert _problems(replace(spec, finality=Finality(depth=3)), chain) == []


@pytest.mark.parametrize(
    ("function", "answer", "detail"),
    [
        ("getTransferState(bytes32)", encode(["uint8"], [9]), "answers state 9"),
        ("getTransferState(bytes32)", b"", "getTransferState: answer 0: the data ends"),
        ("getTransferState(bytes32)", None, r"getTransferState(bytes32) reverted with 0x12"),
        ("supportsTokenization(bytes32)", encode(["uint8"], [2]), "neither false (0) nor true (1)"),
        ("custodianLevels(address)", None, "custodianLevels(address) reverted"),
    ],
)
def test_a_read_without_sane_answer_is_found(
    spec: ContractSpec, function: str, answer: bytes | None, detail: str
) -> None:
    """A configured read that reverts or answers nonsense is an error that names it."""
    chain = _chain(answers={calldata.selector(function): answer})
    [(severity, problem, told)] = _problems(spec, chain)
    assert (severity, problem) == (ERROR, "read")
    assert detail in told


@pytest.mark.parametrize(
    ("answer", "severity"), [(encode(["string"], ["5.1.0"]), INFO), (None, ERROR), (b"\1", ERROR)]
)
def test_another_version_is_found(spec: ContractSpec, answer: bytes | None, severity: str) -> None:
    """A contract that says another version is pointed out, one that cannot say it is an error."""
    chain = _chain(answers={calldata.selector("version()"): answer})
    assert [p[:2] for p in _problems(spec, chain)] == [(severity, "version")]


def test_functions_with_one_selector_are_found(spec: ContractSpec) -> None:
    """Two functions of the ABI that calldata cannot tell apart are named."""
    twins = [
        {"type": "function", "name": name, "inputs": [{"name": "", "type": kind}], "outputs": []}
        for name, kind in (("burn", "uint256"), ("collate_propagate_storage", "bytes16"))
    ]
    [(severity, problem, detail)] = _problems(replace(spec, abi=[*spec.abi, *twins]), _chain())
    assert (severity, problem) == (ERROR, "selector_collision")
    assert detail == "burn(uint256) and collate_propagate_storage(bytes16) share the selector 0x42966c68"
