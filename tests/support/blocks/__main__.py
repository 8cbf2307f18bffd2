"""Record anvil's blocks: with 0, 1, 40 and 300 receipts, and one with a transaction of each type."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

from eth_account import Account

from shared.local import chain_control
from shared.local.anvil import Anvil
from shared.local.escrow import calldata
from tests.support.blocks import FOLDER
from tests.support.chain import deploy_escrow, parties

if TYPE_CHECKING:
    from shared.local.escrow.client import EscrowClient
    from shared.local.rpc import Rpc

_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""Of anvil's first account, as anvil prints it at its start."""
_NOBODY = "0x" + "99" * 20
_HUGE = 10**11
_GAS = 300_000
_PLAIN_AFTER = 60
"""Transactions of a block that emit a log; the others only move ether, for a block has but so much gas."""


def main() -> None:
    """Write every file."""
    with Anvil(extra=("--timestamp", "1700000000")) as node:
        rpc = node.rpc
        escrow = deploy_escrow(node)
        chain_control.mine(rpc)
        _write("block_0", _read(rpc))
        for receipts in (1, 40, 300):
            with chain_control.one_block(rpc):
                for i in range(receipts):
                    rpc.call("eth_sendTransaction", _transaction(escrow, f"T-{receipts}-{i}", i))
            _write(f"block_{receipts}", _read(rpc))
        with chain_control.one_block(rpc):
            for raw in _of_each_type(rpc, escrow):
                rpc.call("eth_sendRawTransaction", raw)
        _write("types", _read(rpc))


def _transaction(escrow: EscrowClient, transfer_id: str, i: int) -> dict[str, Any]:
    if i >= _PLAIN_AFTER:
        return {"from": escrow.account, "to": _NOBODY, "value": "0x1", "gas": hex(21_000)}
    data = "0x" + calldata.agree_send(transfer_id, parties(1, 1)).hex()
    return {"from": escrow.account, "to": escrow.address, "data": data, "gas": hex(_GAS)}


def _of_each_type(rpc: Rpc, escrow: EscrowClient) -> list[str]:
    first = int(rpc.call("eth_getTransactionCount", escrow.account, "latest"), 16)
    signed = []
    for kind in range(5):
        fields: dict[str, Any] = {
            "chainId": 31337,
            "nonce": first + kind,
            "to": _checksum(escrow.address),
            "value": 0,
            "data": calldata.agree_send(f"TYPE-{kind}", parties(1, 1)),
            "gas": _GAS,
        }
        fields |= {"gasPrice": _HUGE} if kind < 2 else {"maxFeePerGas": _HUGE, "maxPriorityFeePerGas": 1}
        if kind:
            fields |= {"type": kind, "accessList": []}
        blobs = None
        if kind == 3:  # EIP-4844
            fields["maxFeePerBlobGas"] = _HUGE
            blobs = [bytes(131_072)]
        if kind == 4:  # EIP-7702
            authorization = {"chainId": 31337, "address": _NOBODY, "nonce": first + kind + 1}
            fields["authorizationList"] = [Account.sign_authorization(authorization, _KEY)]
        transaction = Account.sign_transaction(fields, _KEY, blobs=blobs)
        signed.append("0x" + bytes(transaction.raw_transaction).hex())
    return signed


def _checksum(address: str) -> str:
    from eth_utils.address import to_checksum_address  # noqa: PLC0415

    return str(to_checksum_address(address))


def _read(rpc: Rpc) -> dict[str, Any]:
    block = rpc.call("eth_getBlockByNumber", "latest", False)  # noqa: FBT003 - hashes of transactions only
    return {
        "block": block,
        "receipts": rpc.call("eth_getBlockReceipts", block["hash"]),
        "logs": rpc.call("eth_getLogs", {"blockHash": block["hash"]}),
    }


def _write(name: str, found: dict[str, Any]) -> None:
    (FOLDER / f"{name}.json.gz").write_bytes(gzip.compress(json.dumps(found).encode(), mtime=0))


if __name__ == "__main__":
    main()
