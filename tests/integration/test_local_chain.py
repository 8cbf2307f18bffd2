"""The laptop's chain: started, driven, filled and stopped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from shared.errors import ChainUnavailable, ConfigError, Conflict
from shared.local import anvil as anvil_module
from shared.local import chain_control
from shared.local.anvil import Anvil, find_anvil
from shared.local.escrow import bulk, calldata
from shared.local.rpc import Rpc, RpcError
from tests.support.chain import deploy_escrow, parties

if TYPE_CHECKING:
    from pathlib import Path

    from shared.local.escrow.client import EscrowClient


def test_stopping_leaves_no_process_and_no_answer(tmp_path: Path) -> None:
    """After the context the process is gone, calls fail as unavailable, and the log file has its words."""
    log = tmp_path / "anvil.log"
    with Anvil(chain_id=4242, log=log) as node:
        pid, url = node.pid, node.rpc_url
        assert node.rpc.call("eth_chainId") == hex(4242)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ChainUnavailable):
        Rpc(url).call("eth_chainId")
    assert "Listening on" in log.read_text()


def test_an_anvil_that_cannot_start_says_why(anvil: Anvil) -> None:
    """A taken port and a wrong option are told in anvil's own words, and no process is left."""
    port = int(anvil.rpc_url.rsplit(":", 1)[1])
    with pytest.raises(ChainUnavailable, match="in use"):
        Anvil(port=port).start()
    with pytest.raises(ChainUnavailable, match="--nonsense"):
        Anvil(extra=["--nonsense"]).start()


def test_a_missing_binary_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the npm package and without anvil on PATH the error says `make setup`."""
    monkeypatch.setattr(anvil_module, "PACKAGES", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="make setup"):
        find_anvil()


def test_loopback_never_goes_through_a_proxy(anvil: Anvil, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy variables of the environment do not touch calls to the local node."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    rpc = Rpc(anvil.rpc_url)
    assert rpc.batch([("eth_chainId", []), ("eth_blockNumber", [])]) == ["0x7a69", "0x0"]
    rpc.close()


def test_a_refused_call_carries_the_nodes_number(anvil: Anvil) -> None:
    """An unknown method raises RpcError with JSON-RPC's number for it."""
    with pytest.raises(RpcError) as refused:
        anvil.rpc.call("eth_noSuchThing")
    assert refused.value.number == -32601


def test_reorg_drops_logs_and_can_mine_the_same_transaction_again(escrow: EscrowClient) -> None:
    """Of two transactions taken back one returns with its hash in another block, the other is gone."""
    rpc = escrow.rpc
    kept = escrow.agree_send("kept", parties(3, 3))
    dropped = escrow.agree_send("dropped", parties(3, 3))
    tip = chain_control.block_number(rpc)
    raw = chain_control.raw_transaction(rpc, kept["transactionHash"])
    chain_control.reorg(rpc, 2, [(raw, 1)])
    assert chain_control.block_number(rpc) == tip
    again = rpc.call("eth_getTransactionReceipt", kept["transactionHash"])
    assert (again["blockNumber"], again["status"]) == (hex(tip), "0x1")
    assert again["blockHash"] not in {kept["blockHash"], dropped["blockHash"]}
    assert rpc.call("eth_getTransactionReceipt", dropped["transactionHash"]) is None
    assert escrow.get_transfer_state("kept") == 2
    assert escrow.get_transfer_state("dropped") == 0


def test_a_snapshot_restores_the_chain_once(escrow: EscrowClient) -> None:
    """Going back undoes what came after, and a snapshot is good for one return."""
    remembered = chain_control.snapshot(escrow.rpc)
    escrow.agree_send("undone", parties(1, 1))
    chain_control.restore(escrow.rpc, remembered)
    assert escrow.get_transfer_state("undone") == 0
    with pytest.raises(Conflict):
        chain_control.restore(escrow.rpc, remembered)


def test_finalize_makes_what_is_there_final(escrow: EscrowClient) -> None:
    """A state read at `finalized` is old before, and today's after."""
    escrow.agree_send("final", parties(1, 1))
    assert escrow.get_transfer_state("final", "finalized") == 0
    chain_control.finalize(escrow.rpc)
    assert escrow.get_transfer_state("final", "finalized") == 2


def test_an_outside_wallet_can_act(escrow: EscrowClient) -> None:
    """An address without a key sends while it is impersonated, and no longer after."""
    stranger = "0x" + "5a" * 20
    with chain_control.impersonating(escrow.rpc, stranger):
        receipt = escrow.transact(calldata.agree_send("outside", parties(2, 2)), stranger)
    assert receipt["from"] == stranger
    with pytest.raises(RpcError):
        escrow.send(calldata.agree_send("outside-2", parties(2, 2)), stranger)


def test_bulk_lives_fill_their_blocks() -> None:
    """Lives sent in bulk leave seven logs each, in full blocks in order, and end at state 8."""
    with Anvil(extra=bulk.NODE_OPTIONS) as node:
        escrow = deploy_escrow(node)
        calls = [call for life in range(20) for call in calldata.whole_life(f"bulk-{life}", parties(3, 3))]
        written = bulk.send_many(escrow, calls, per_block=30)
        assert written.last_block - written.first_block + 1 == 4
        assert written.logs == 7 * 20
        assert {escrow.get_transfer_state(f"bulk-{life}") for life in range(20)} == {8}
        assert escrow.agree_send("after", parties(3, 3))["status"] == "0x1"
