"""The same small world on the fake chain and on a real node, for the suite of the Chain port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shared.adapters.ethereum import EthereumChain
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.domain.fee_reading import GasAnswer, GasQuestion
from shared.domain.hashing import keccak_256, transfer_hash
from shared.local import chain_control
from shared.local.escrow import calldata
from shared.ports import Call, Chain, TransactionInfo
from tests.support.chain import parties
from tests.support.fake_chain import FakeChain, Reverted

if TYPE_CHECKING:
    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient

TRANSFER_AGREED = "0x" + keccak_256(b"TransferAgreed(bytes32,address,bool,uint256)").hex()
INVALID_STATE = bytes.fromhex("77e5c5f2") + (0).to_bytes(32) + (4).to_bytes(32)
NOBODY = "0x" + "99" * 20
UNKNOWN_HASH = "0x" + "ab" * 32
SENDER = parties(1, 1).sender


def state_call(contract: str, transfer_id: str) -> Call:
    """Ask for a transfer's state."""
    return Call(contract, calldata.of_transfer("getTransferState", transfer_id))


def reverting_call(contract: str, transfer_id: str) -> Call:
    """Try to execute what was never agreed: reverts with INVALID_STATE."""
    return Call(contract, calldata.execute_transfer(transfer_id))


class World(Protocol):
    """A chain with an escrow contract that knows no transfer yet."""

    contract: str

    @property
    def chain(self) -> Chain:
        """The port under test."""

    def agree(self, transfer_id: str) -> str:
        """Let SENDER agree in a block of its own (state 2, one log); return the transaction hash."""

    def mine(self, blocks: int) -> None:
        """Mine empty blocks."""

    def reorg(self, depth: int) -> None:
        """Replace the last blocks by as many empty ones."""

    def expecting(self, chain_id: int) -> Chain:
        """Return a port to the same node that is configured for another chain id."""

    def unreachable(self) -> Chain:
        """Return a port whose node cannot be reached."""


class FakeWorld:
    """On the fake."""

    def __init__(self) -> None:
        self.chain = FakeChain(31337)
        self.contract = "0x" + "c0" * 20
        answer_state = self.chain.on_call

        def on_call(call: Call, block_number: int) -> bytes:
            if call.data[:4] == calldata.selector("executeTransfer(bytes32)"):
                raise Reverted(INVALID_STATE)
            return answer_state(call, block_number) if call.to == self.contract else b""

        def on_estimate(question: GasQuestion) -> GasAnswer:
            if question.data[:4] == calldata.selector("executeTransfer(bytes32)"):
                return GasAnswer(revert=INVALID_STATE)
            return GasAnswer(gas=93_000)

        self.chain.on_call = on_call
        self.chain.on_estimate = on_estimate
        self.chain.mine()
        self.chain.deploy(self.contract)

    def agree(self, transfer_id: str) -> str:
        """Let SENDER agree."""
        key, data = transfer_hash(transfer_id), calldata.agree_send(transfer_id, parties(1, 1))
        sent = "0x" + keccak_256(transfer_id.encode() + b"sent").hex()
        log = {
            "address": self.contract,
            "topics": [TRANSFER_AGREED, key, "0x" + SENDER[2:].rjust(64, "0")],
            "data": "0x" + (1).to_bytes(32).hex() + (1).to_bytes(32).hex(),
            "transactionHash": sent,
        }
        header = self.chain.mine(
            [log],
            [TransactionInfo(sent, NOBODY, self.contract, data, None, None, ok=True)],
            gas_used=93_000,
            tip_wei=10**9,
        )
        self.chain.set_state(header.number, self.contract, key, 2)
        return sent

    def mine(self, blocks: int) -> None:
        """Mine empty blocks."""
        self.chain.mine_empty(blocks)

    def reorg(self, depth: int) -> None:
        """Replace the last blocks."""
        self.chain.reorg(depth)

    def expecting(self, chain_id: int) -> Chain:
        """Return a port configured for another chain id."""
        return FakeChain(chain_id, remote_chain_id=31337)

    def unreachable(self) -> Chain:
        """Return a port to nowhere."""
        chain = FakeChain(31337)
        chain.reachable = False
        return chain


class AnvilWorld:
    """On a real node."""

    def __init__(self, anvil: Anvil, escrow: EscrowClient) -> None:
        self._anvil = anvil
        self._escrow = escrow
        self._opened: list[Chain] = []
        self.contract = escrow.address
        self.chain = self._open(31337, anvil.rpc_url)

    def agree(self, transfer_id: str) -> str:
        """Let SENDER agree."""
        return str(self._escrow.agree_send(transfer_id, parties(1, 1))["transactionHash"])

    def mine(self, blocks: int) -> None:
        """Mine empty blocks."""
        chain_control.mine(self._anvil.rpc, blocks)

    def reorg(self, depth: int) -> None:
        """Replace the last blocks."""
        chain_control.reorg(self._anvil.rpc, depth)

    def expecting(self, chain_id: int) -> Chain:
        """Return a port configured for another chain id."""
        return self._open(chain_id, self._anvil.rpc_url)

    def unreachable(self) -> Chain:
        """Return a port to nowhere."""
        return self._open(31337, "http://127.0.0.1:1")

    def close(self) -> None:
        """Give back every connection."""
        for chain in self._opened:
            chain.close()

    def _open(self, chain_id: int, *urls: str) -> Chain:
        endpoints = [
            JsonRpcEndpoint(url, f"endpoint {at}", timeout_s=10) for at, url in enumerate(urls, start=1)
        ]
        chain = EthereumChain(chain_id, endpoints)
        self._opened.append(chain)
        return chain


class AnvilBehindTwo(AnvilWorld):
    """On a real node behind two endpoints, the first of which is gone."""

    def _open(self, chain_id: int, *urls: str) -> Chain:
        return super()._open(chain_id, "http://127.0.0.1:1", *urls)
