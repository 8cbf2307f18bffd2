"""Many calls in few blocks: the chain that benchmarks read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.errors import ChainUnavailable
from shared.local.chain_control import automine_off, block_number, impersonating

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.local.escrow.client import EscrowClient

NODE_OPTIONS = ("--disable-block-gas-limit", "--no-request-size-limit")
"""What an anvil must be started with for large blocks; add ``--prune-history 100`` to save memory."""

CALL_GAS = 400_000
"""Gas units allowed per call, so that the node needs no trial run; the dearest call takes about half."""


@dataclass(frozen=True, slots=True)
class Written:
    """Where the calls went: first and last block (inclusive) and how many logs they left."""

    first_block: int
    last_block: int
    logs: int


def send_many(client: EscrowClient, calls: Sequence[bytes], per_block: int) -> Written:
    """Mine ``calls`` in their order, in blocks of ``per_block`` calls each.

    Unsigned, from the client's account; nothing else may be mining meanwhile. Raises ChainUnavailable
    where a block did not hold exactly its calls. A call that failed leaves no log: compare ``logs``.
    """
    rpc = client.rpc
    first = block_number(rpc) + 1
    nonce = int(rpc.call("eth_getTransactionCount", client.account, "pending"), 16)
    with impersonating(rpc, client.account), automine_off(rpc):
        for start in range(0, len(calls), per_block):
            # The node carries out the entries of a batch at once, in any order: nonces keep the order,
            # and the block is asked for on its own.
            rpc.batch(
                [
                    (
                        "eth_sendTransaction",
                        [{**client.request(data, gas=CALL_GAS), "nonce": hex(nonce + at)}],
                    )
                    for at, data in enumerate(calls[start : start + per_block], start)
                ]
            )
            rpc.call("evm_mine")
    last = block_number(rpc)
    _check_filled(client, len(calls), per_block, range(first, last + 1))
    found = rpc.call(
        "eth_getLogs", {"address": client.address, "fromBlock": hex(first), "toBlock": hex(last)}
    )
    return Written(first, last, len(found))


def _check_filled(client: EscrowClient, calls: int, per_block: int, blocks: range) -> None:
    counted = client.rpc.batch([("eth_getBlockTransactionCountByNumber", [hex(block)]) for block in blocks])
    expected = [min(per_block, calls - start) for start in range(0, calls, per_block)]
    if [int(count, 16) for count in counted] != expected:
        raise ChainUnavailable("the blocks do not hold the calls meant for them")
