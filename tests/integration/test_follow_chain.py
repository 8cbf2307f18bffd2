"""The listener on a real node, store and bus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.adapters.ethereum import EthereumChain
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.adapters.local_bus import LocalBus
from shared.adapters.sqlite import SqliteDocuments
from shared.adapters.system_clock import SystemClock
from shared.app.follow_chain import FollowChain, FollowSettings
from shared.app.log_batch import LOGS, LogBatch
from shared.domain.log_coordinates import id_of_log
from shared.domain.topics import HANDLE_CHAIN_EVENT
from shared.local import chain_control
from tests.support.chain import parties
from tests.support.listener import registry
from tests.support.metrics import MemoryMetrics

if TYPE_CHECKING:
    from pathlib import Path

    from shared.local.anvil import Anvil
    from shared.local.escrow.client import EscrowClient

_CHAIN = 31337


class _Followed:
    """What has been published of the chain, as ids of its logs."""

    def __init__(self, anvil: Anvil, escrow: EscrowClient, file: Path) -> None:
        self._address = escrow.address.lower()
        self.chain = EthereumChain(_CHAIN, [JsonRpcEndpoint(anvil.rpc_url)])
        self._documents, self._bus = SqliteDocuments(file), LocalBus(file)
        self._registry = registry(self._address, deployment_block=0, chain_id=_CHAIN)
        self.live: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """Begin anew with what is stored."""
        self._follow = FollowChain(
            self.chain, self._documents, self._bus, self._registry, SystemClock(), FollowSettings(),
            metrics=MemoryMetrics(), owner="a",
        )  # fmt: skip

    def follow(self) -> None:
        """Follow to the tip, and take in what was published, in order."""
        while self._follow.step().more:
            pass
        while deliveries := self._bus.pull(HANDLE_CHAIN_EVENT, 100):
            for delivery in deliveries:
                batch = LogBatch.decode(delivery.message.data)
                ids = {id_of_log(_CHAIN, log) for log in batch.logs}
                self.live = self.live | ids if batch.kind == LOGS else self.live - ids
            self._bus.ack(HANDLE_CHAIN_EVENT, [delivery.ack_id for delivery in deliveries])

    def canonical(self) -> set[str]:
        """Return the logs that the node has."""
        logs = self.chain.logs(0, self.chain.head().number, [self._address])
        return {id_of_log(_CHAIN, log) for log in logs}

    def close(self) -> None:
        """Give back connections and files."""
        for port in (self.chain, self._documents, self._bus):
            port.close()


@pytest.mark.parametrize("between", ["live", "down"])
def test_a_real_reorg_is_followed(anvil: Anvil, escrow: EscrowClient, tmp_path: Path, between: str) -> None:
    """Blocks replaced at equal height are undone, the transaction mined again elsewhere is live again."""
    followed = _Followed(anvil, escrow, tmp_path / "store.db")
    try:
        pair = parties(3, 3)
        sent = [escrow.agree_send(f"t-{i}", pair)["transactionHash"] for i in range(4)]
        chain_control.mine(anvil.rpc, 3)
        followed.follow()
        before = set(followed.live)
        assert before == followed.canonical()
        again = chain_control.raw_transaction(anvil.rpc, sent[3])
        chain_control.reorg(anvil.rpc, 5, [(again, 2)])
        if between == "down":
            followed.restart()
        followed.follow()
        assert followed.live == followed.canonical()
        assert len(before - followed.live) == 2
        chain_control.finalize(anvil.rpc)
        escrow.agree_receive("t-0", pair)
        followed.follow()
        assert followed.live == followed.canonical()
    finally:
        followed.close()
