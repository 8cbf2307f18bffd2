"""The escrow contract as an object: every call sent from an unlocked account and awaited."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Self

from eth_abi.abi import decode

from shared.errors import ChainUnavailable, PlumblineError
from shared.local.escrow import calldata
from shared.local.rpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.local.escrow.calldata import Financials, Parties, TransferRecord
    from shared.local.rpc import Rpc

_REVERTED = 3
"""JSON-RPC's number for an execution that reverted."""

_ERRORS = {
    calldata.selector("InvalidState(uint8,uint8)"): ("InvalidState", ("uint8", "uint8")),
    calldata.selector("AlreadyAgreed(address)"): ("AlreadyAgreed", ("address",)),
    calldata.selector("Error(string)"): ("Error", ("string",)),
    calldata.selector("Panic(uint256)"): ("Panic", ("uint256",)),
}


class EscrowReverted(PlumblineError):
    """The contract refused; ``name`` and ``args`` are its error's, ``data`` the revert data as it came."""

    code: ClassVar[str] = "contract_revert"

    def __init__(self, data: bytes) -> None:
        self.name, types = _ERRORS.get(data[:4], ("unknown", ()))
        self.arguments: tuple[Any, ...] = decode(types, data[4:])
        self.data = data
        super().__init__(f"{self.name}{self.arguments}")


class EscrowClient:
    """One escrow contract behind one node.

    Methods named after the contract's functions send from ``account`` (default: the node's first) and
    return the receipt. They raise EscrowReverted where the contract would refuse, and then nothing was
    sent; ChainUnavailable where no block took the transaction in time.
    """

    def __init__(
        self, rpc: Rpc, address: str, account: str | None = None, mined_within_s: float = 30.0
    ) -> None:
        self.rpc = rpc
        self.address = address.lower()
        self.account = account or str(rpc.call("eth_accounts")[0])
        self._mined_within_s = mined_within_s

    @classmethod
    def deploy(cls, rpc: Rpc, from_account: str | None = None) -> Self:
        """Deploy a fresh contract and return its client."""
        account = from_account or str(rpc.call("eth_accounts")[0])
        sent = rpc.call("eth_sendTransaction", {"from": account, "data": calldata.artefact()["bytecode"]})
        client = cls(rpc, "", account)
        client.address = client.wait(str(sent))["contractAddress"].lower()
        return client

    def request(self, data: bytes, account: str | None = None, gas: int | None = None) -> dict[str, Any]:
        """Return the transaction request of one call, as ``eth_sendTransaction`` and ``reorg`` take it."""
        sender = account or self.account
        asked = {"from": sender, "to": self.address, "data": "0x" + data.hex()}
        return asked if gas is None else {**asked, "gas": hex(gas)}

    def send(self, data: bytes, account: str | None = None, gas: int | None = None) -> str:
        """Send without waiting for a block and return the transaction hash.

        Without ``gas`` the call is tried first on the chain as it stands, since anvil mines what will fail.
        With ``gas`` it is sent as it is: for calls that build upon waiting ones, or are meant to fail.
        """
        request = self.request(data, account, gas)
        if gas is None:
            estimate = int(self._try("eth_estimateGas", request), 16)
            # A neighbour in the same block may change what a call costs: a fifth on top, as wallets do.
            request["gas"] = hex(estimate * 6 // 5)
        return str(self.rpc.call("eth_sendTransaction", request))

    def wait(self, transaction_hash: str) -> dict[str, Any]:
        """Return the receipt once the transaction is mined."""
        deadline = time.monotonic() + self._mined_within_s
        while True:
            receipt: dict[str, Any] | None = self.rpc.call("eth_getTransactionReceipt", transaction_hash)
            if receipt is not None:
                return receipt
            if time.monotonic() > deadline:
                raise ChainUnavailable(f"no block took {transaction_hash} in {self._mined_within_s:.0f} s")
            time.sleep(0.01)

    def transact(self, data: bytes, account: str | None = None, gas: int | None = None) -> dict[str, Any]:
        """Send and return the receipt."""
        return self.wait(self.send(data, account, gas))

    def agree_send(
        self, transfer_id: str, parties: Parties, sender_ref_id: str | None = None
    ) -> dict[str, Any]:
        """Agree as the sending custodian."""
        return self.transact(calldata.agree_send(transfer_id, parties, sender_ref_id))

    def agree_receive(
        self, transfer_id: str, parties: Parties, sender_ref_id: str | None = None
    ) -> dict[str, Any]:
        """Agree as the receiving custodian."""
        return self.transact(calldata.agree_receive(transfer_id, parties, sender_ref_id))

    def provide_financial_details(
        self, transfer_id: str, financials: Financials | None = None, gross: int | None = None
    ) -> dict[str, Any]:
        """State the amounts, in cents."""
        return self.transact(calldata.provide_financial_details(transfer_id, financials, gross))

    def execute_transfer(self, transfer_id: str) -> dict[str, Any]:
        """Execute; both at level 3 mint in the same transaction."""
        return self.transact(calldata.execute_transfer(transfer_id))

    def mint_tokens(self, transfer_id: str) -> dict[str, Any]:
        """Mint what was executed."""
        return self.transact(calldata.mint_tokens(transfer_id))

    def burn_tokens(self, transfer_id: str) -> dict[str, Any]:
        """Burn what was minted."""
        return self.transact(calldata.burn_tokens(transfer_id))

    def set_custodian_level(self, custodian: str, level: int) -> dict[str, Any]:
        """Set a custodian's level."""
        return self.transact(calldata.set_custodian_level(custodian, level))

    def run(self, calls: Sequence[bytes]) -> list[dict[str, Any]]:
        """Send one call after the other; returns their receipts."""
        return [self.transact(data) for data in calls]

    def get_transfer_state(self, transfer_id: str, block: str = "latest") -> int:
        """Return the transfer's state number."""
        return int.from_bytes(self.read(calldata.of_transfer("getTransferState", transfer_id), block))

    def transfers(self, transfer_id: str, block: str = "latest") -> TransferRecord:
        """Return the transfer's whole record, all zero for one that is not known."""
        return calldata.decode_transfer(self.read(calldata.of_transfer("transfers", transfer_id), block))

    def supports_tokenization(self, transfer_id: str, block: str = "latest") -> bool:
        """Say whether both custodians of the transfer tokenise."""
        return any(self.read(calldata.of_transfer("supportsTokenization", transfer_id), block))

    def custodian_levels(self, custodian: str, block: str = "latest") -> int:
        """Return a custodian's level, 0 where none was set."""
        return int.from_bytes(self.read(calldata.custodian_levels(custodian), block))

    def version(self) -> str:
        """Return the contract's version."""
        return str(decode(["string"], self.read(calldata.selector("version()")))[0])

    def read(self, data: bytes, block: str = "latest") -> bytes:
        """Return what a call answers, at a tag or a hex block number."""
        return bytes.fromhex(str(self._try("eth_call", self.request(data), block))[2:])

    def _try(self, method: str, *params: Any) -> Any:
        try:
            return self.rpc.call(method, *params)
        except RpcError as error:
            if error.number == _REVERTED and isinstance(error.data, str):
                raise EscrowReverted(bytes.fromhex(error.data[2:])) from error
            raise
