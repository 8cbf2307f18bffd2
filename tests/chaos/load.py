"""What happens on the chain meanwhile: transfers that go through their lives, and reorgs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.adapters.sqlite import SqliteDocuments
from shared.domain.hashing import transfer_hash
from shared.local import chain_control
from shared.local.escrow import calldata
from tests.support.chain import parties

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from shared.local.escrow.client import EscrowClient
    from tests.chaos.plan import Reorg

_TRANSFERS: Final = 24
_GAS: Final = 1_000_000
_KEPT_BLOCKS: Final = 20
_LEVELS: Final = ((3, 3), (3, 2), (2, 2), (1, 3), (1, 1))
_IN_A_BLOCK: Final = (0, 0, 1, 2, 4)


class Load:
    """Transfers of mixed levels, stepping on by calls of three accounts, the last of which is outside.

    ``hashes`` are all transfers', ``mapped`` those that have an id; ``wallets`` are the platform's.
    """

    def __init__(self, escrow: EscrowClient, chance: random.Random) -> None:
        self._escrow = escrow
        self._rpc = escrow.rpc
        self._chance = chance
        self._accounts = [str(account).lower() for account in self._rpc.call("eth_accounts")[:3]]
        self._lives = {
            f"chaos-{number}": parties(*_LEVELS[number % len(_LEVELS)]) for number in range(_TRANSFERS)
        }
        self.wallets = frozenset(self._accounts[:2])
        self.hashes = tuple(transfer_hash(name) for name in self._lives)
        self.mapped: dict[str, str] = {}

    def map_some(self, store: Path) -> None:
        """Map half of the transfers, as the application would."""
        documents = SqliteDocuments(store)
        for name in list(self._lives)[::2]:
            documents.create("transfer_hash_mappings", transfer_hash(name), {"transferId": name})
            self.mapped[transfer_hash(name)] = name
        documents.close()

    def block(self) -> None:
        """Mine a block in which some transfers take a step; calls that come too late revert."""
        for name in self._chance.sample(list(self._lives), self._chance.choice(_IN_A_BLOCK)):
            account = self._chance.choice(self._accounts)
            self._escrow.send(self._next(name), account, _GAS)
        self._rpc.call("evm_mine")

    def reorg(self, what: Reorg) -> int:
        """Take back the last blocks; return how many of their transactions were mined again elsewhere."""
        depth = min(what.depth, chain_control.block_number(self._rpc) - _KEPT_BLOCKS)
        if depth < 1:
            return 0
        # In the order of their nonces, and none without those before it: else the node refuses.
        sent = self._last_transactions(depth)
        again = sent[: round(len(sent) * what.again)]
        places = sorted(self._chance.randrange(depth) for _ in again)
        self._rpc.call("anvil_dropAllTransactions")
        chain_control.reorg(self._rpc, depth, list(zip(again, places, strict=True)))
        return len(again)

    def _last_transactions(self, blocks: int) -> list[str]:
        head = chain_control.block_number(self._rpc)
        found: list[str] = []
        for number in range(head - blocks + 1, head + 1):
            block = self._rpc.call("eth_getBlockByNumber", hex(number), False)  # noqa: FBT003 - JSON-RPC's own
            found += [chain_control.raw_transaction(self._rpc, each) for each in block["transactions"]]
        return found

    def _next(self, name: str) -> bytes:
        state = self._escrow.get_transfer_state(name)
        who = self._lives[name]
        return {
            0: self._chance.choice((calldata.agree_send, calldata.agree_receive))(name, who),
            1: calldata.agree_send(name, who),
            2: calldata.agree_receive(name, who),
            3: calldata.provide_financial_details(name),
            4: calldata.execute_transfer(name),
            5: calldata.mint_tokens(name),
            6: calldata.burn_tokens(name),
        }.get(state, calldata.execute_transfer(name))
