"""What a laptop's chain lets one do to it: mine, go back, reorganise, act as anybody."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shared.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shared.local.rpc import Rpc


def block_number(rpc: Rpc) -> int:
    """Return the height of the tip."""
    return int(rpc.call("eth_blockNumber"), 16)


def mine(rpc: Rpc, blocks: int = 1) -> int:
    """Mine ``blocks`` blocks; the first takes the waiting transactions. Returns the height of the tip."""
    rpc.call("anvil_mine", hex(blocks))
    return block_number(rpc)


def finalize(rpc: Rpc) -> int:
    """Mine until all that is there now is ``finalized`` (64 blocks behind); returns the height of the tip."""
    return mine(rpc, 65)


def set_automine(rpc: Rpc, *, on: bool) -> None:
    """Mine every transaction at once, or leave it waiting until ``mine``."""
    rpc.call("evm_setAutomine", on)


def set_interval(rpc: Rpc, seconds: int) -> None:
    """Mine a block every ``seconds`` (0: never by time)."""
    rpc.call("evm_setIntervalMining", seconds)


@contextmanager
def automine_off(rpc: Rpc) -> Iterator[None]:
    """Leave transactions waiting within the ``with`` block; after it the next one is mined with them."""
    set_automine(rpc, on=False)
    try:
        yield
    finally:
        set_automine(rpc, on=True)


@contextmanager
def one_block(rpc: Rpc) -> Iterator[None]:
    """Mine what is sent within the ``with`` block into one block at its end."""
    with automine_off(rpc):
        yield
        mine(rpc)


def snapshot(rpc: Rpc) -> str:
    """Remember the chain as it is; good for one ``restore``."""
    return str(rpc.call("evm_snapshot"))


def restore(rpc: Rpc, snapshot_id: str) -> None:
    """Go back to a snapshot; raises Conflict where it was used already."""
    if not rpc.call("evm_revert", snapshot_id):
        raise Conflict("the snapshot was used already")


def reorg(rpc: Rpc, depth: int, transactions: Sequence[tuple[Mapping[str, Any] | str, int]] = ()) -> None:
    """Replace the last ``depth`` blocks by others of equal height.

    ``transactions``: what the new blocks hold, as (request or raw signed transaction, index of the new
    block from 0). Everything else that the old blocks held is gone and does not come back.
    """
    rpc.call("anvil_reorg", depth, [[transaction, block] for transaction, block in transactions])


def set_clock(rpc: Rpc, seconds: int) -> None:
    """Set the node's clock, in seconds since 1970: it falls behind by what a reorg replaces."""
    rpc.call("anvil_setTime", seconds)


def raw_transaction(rpc: Rpc, transaction_hash: str) -> str:
    """Return a transaction as it was signed, for mining the very same one again in a reorg."""
    return str(rpc.call("eth_getRawTransactionByHash", transaction_hash))


@contextmanager
def impersonating(rpc: Rpc, address: str) -> Iterator[str]:
    """Let the node send as ``address``, with ether enough, within the ``with`` block.

    Such transactions are not signed: eight times faster to send, but nobody can recover a sender from them.
    """
    rpc.call("anvil_impersonateAccount", address)
    rpc.call("anvil_setBalance", address, hex(10**22))
    try:
        yield address
    finally:
        rpc.call("anvil_stopImpersonatingAccount", address)
