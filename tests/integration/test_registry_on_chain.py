"""The registry's file of the escrow against the escrow itself, on a real node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shared.adapters.ethereum import EthereumChain
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.app.check_contracts import check_contracts
from shared.contracts.registry import load_registry
from shared.contracts.template import write_contract_file
from shared.domain.contract import Finality, Registry
from shared.domain.hashing import transfer_hash
from shared.domain.lifecycle import STEPS, ContractState
from shared.local.escrow import calldata
from shared.ports import Call
from tests.support.chain import parties

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shared.domain.contract import ContractSpec
    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient

CHAIN = 31337


@pytest.fixture
def chain(shared_anvil: Anvil) -> Iterator[EthereumChain]:
    """Return the Chain port on the test's anvil."""
    port = EthereumChain(CHAIN, [JsonRpcEndpoint(shared_anvil.rpc_url)])
    yield port
    port.close()


@pytest.fixture
def spec(tmp_path: Path, chain: EthereumChain, shared_escrow: EscrowClient) -> ContractSpec:
    """Return the escrow as ``plumbline local`` registers what it has deployed."""
    block = next(n for n in range(chain.head().number + 1) if chain.has_code(shared_escrow.address, n))
    file = write_contract_file(tmp_path, CHAIN, shared_escrow.address, block, Finality(tag="finalized"))
    return load_registry(file).contracts[0]


def test_the_deployed_escrow_is_what_its_file_says(spec: ContractSpec, chain: EthereumChain) -> None:
    """The check finds nothing on a fresh deployment, and the wrong block and address where they are wrong."""
    assert check_contracts(Registry([spec]), {CHAIN: chain}) == []
    late = replace(spec, deployment_block=spec.deployment_block + 1)
    nowhere = replace(spec, address="0x" + "12" * 20)
    problems = [f.problem for f in check_contracts(Registry([late, nowhere]), {CHAIN: chain})]
    assert problems == ["deployment_block", "no_code"]


def test_a_whole_life_is_decoded_from_its_logs(
    spec: ContractSpec, chain: EthereumChain, shared_escrow: EscrowClient
) -> None:
    """The logs of a level-3 pair's life are the seven steps in order, and the reads tell their end."""
    transfer, pair = "life 𝄞", parties(3, 3)
    first = chain.head().number + 1
    receipts = [shared_escrow.transact(data) for data in calldata.whole_life(transfer, pair)]
    logs = chain.logs(first, chain.head().number, [spec.address])
    decoded = [log for log in map(spec.decode, logs) if log is not None]
    assert [log.step for log in decoded] == list(STEPS)
    assert {log.transfer_hash for log in decoded} == {transfer_hash(transfer)}
    assert [log.data["custodian"] for log in decoded[:2]] == [pair.sender, pair.receiver]
    stated = calldata.Financials()
    assert decoded[2].data["fundSources"]["roth"] == str(stated.roth)
    assert decoded[2].data["fundSources"]["taxYear"] == stated.tax_year
    assert {log.data.get("grossAmount", str(stated.gross)) for log in decoded[2:]} == {str(stated.gross)}
    sent = chain.transaction(receipts[0]["transactionHash"])
    assert sent is not None
    assert spec.sender_reference(sent.data) == transfer
    calls = [spec.state_call(transfer_hash(transfer)), spec.tokenised_call(transfer_hash(transfer))]
    state, tokenised = chain.call_many([Call(spec.address, c or b"") for c in calls], chain.head().hash)
    assert spec.read_state(state.data) is ContractState.COMPLETED
    assert spec.read_tokenised(tokenised.data)
