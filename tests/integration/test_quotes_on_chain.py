"""Quotes used for real transactions on a real chain: they get in within the promised blocks."""

from __future__ import annotations

import json
import random
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.ethereum import EthereumChain
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.adapters.system_clock import SystemClock
from shared.app.quote_gas import QuoteGas
from shared.domain.fee_settings import chain_fees
from shared.domain.state import STATES
from shared.errors import ChainUnavailable
from shared.local import chain_control
from shared.local.anvil import Anvil
from shared.local.escrow import calldata
from shared.local.escrow.client import EscrowClient
from tests.support.chain import CUSTODIANS, OTHER_CUSTODIANS, deploy_escrow, parties
from tests.support.documents import MemoryDocuments
from tests.support.metrics import MemoryMetrics
from tests.support.world import registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shared.local.rpc import Rpc

CHAIN = 31337
BLOCK_GAS = 1_500_000
SENDERS = 80


class Market:
    """Quotes for an escrow on an anvil, and what to do with them."""

    def __init__(self, anvil: Anvil, directory: Path, fees: str, *, legacy: bool) -> None:
        self.rpc: Rpc = anvil.rpc
        # The compiler's output needs a later hardfork than a legacy chain has.
        self.escrow = EscrowClient(anvil.rpc, "0x" + "e5" * 20) if legacy else deploy_escrow(anvil)
        self.documents = MemoryDocuments()
        contracts = registry(directory, CHAIN, self.escrow.address)
        self.spec = contracts.contracts[0]
        self.chain = EthereumChain(CHAIN, [JsonRpcEndpoint(anvil.rpc_url, timeout_s=20)])
        settings = chain_fees(CHAIN, fees)
        self.quotes = QuoteGas(
            contracts, lambda _: self.chain, lambda _: settings, self.documents, SystemClock(),
            MemoryMetrics(),
        )  # fmt: skip

    def quote(self, action: str, **fields: Any) -> dict[str, Any]:
        """Ask for a quote."""
        query = "&".join(f"{name}={value}" for name, value in {"action": action, **fields}.items())
        answer: dict[str, Any] = json.loads(self.quotes.answer(query).body)
        return answer

    def send(self, quote: dict[str, Any], data: bytes) -> str:
        """Send a call with what the quote says, and nothing else."""
        request = {
            **self.escrow.request(data),
            "gas": hex(quote["gasLimit"]),
            "maxFeePerGas": hex(int(quote["maxFeePerGas"])),
            "maxPriorityFeePerGas": hex(int(quote["maxPriorityFeePerGas"])),
        }
        return str(self.rpc.call("eth_sendTransaction", request))

    def block_of(self, sent: str) -> int | None:
        """Return the block that took a transaction; None while it waits."""
        receipt = self.rpc.call("eth_getTransactionReceipt", sent)
        if receipt is None:
            return None
        assert receipt["status"] == "0x1"
        return int(receipt["blockNumber"], 16)


@contextmanager
def market(directory: Path, *options: str, fees: str = "look_s=0", legacy: bool = False) -> Iterator[Market]:
    """Give a market on a chain of its own."""
    with Anvil(extra=options) as anvil:
        made = Market(anvil, directory, fees, legacy=legacy)
        try:
            yield made
        finally:
            made.chain.close()


@pytest.mark.parametrize("within", [1, 2, 5, 10])
def test_the_cap_pays_in_the_last_block_of_the_worst_rise(tmp_path: Path, within: int) -> None:
    """Held back while the base fee rises as fast as it can, a quote still gets into its last block."""
    with market(tmp_path) as made:
        made.escrow.agree_send("history", parties(3, 3))
        quote = made.quote("agree_send", transfer="late", within_blocks=within)
        chain_control.set_automine(made.rpc, on=False)
        rise = [made.quote("agree_send", within_blocks=blocks) for blocks in range(1, within + 1)]
        worst = [int(each["baseFee"]["worst"]["wei"]) for each in rise]
        for base_fee in worst[:-1]:
            made.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
            chain_control.mine(made.rpc)
        sent = made.send(quote, calldata.agree_send("late", parties(3, 3)))
        made.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(worst[-1]))
        chain_control.mine(made.rpc)
        assert made.block_of(sent) == quote["validity"]["deadlineBlock"]
        receipt = made.rpc.call("eth_getTransactionReceipt", sent)
        paid = int(receipt["effectiveGasPrice"], 16)
        assert paid == int(quote["maxFeePerGas"]) == worst[-1] + int(quote["maxPriorityFeePerGas"])


def test_a_base_fee_that_the_node_was_told_is_reckoned_with(tmp_path: Path) -> None:
    """On anvil the next base fee is what the node says it will be, told at a new block or since."""
    with market(tmp_path) as made:
        for base_fee in (3 * 10**9, 10**8, 50 * 10**9):
            made.quote("agree_send", transfer="told", within_blocks=2)
            made.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
            quote = made.quote("agree_send", transfer="told", within_blocks=2)
            assert quote["nextBaseFeePerGas"] == str(base_fee)
            chain_control.mine(made.rpc)
            mined = made.chain.fees(1, ()).head
            assert mined.base_fee_wei == base_fee


def test_quotes_get_in_though_blocks_are_full_and_the_fee_rises(tmp_path: Path) -> None:
    """Among more senders than blocks hold, each quote for five blocks is in within five, at a learned tip."""
    dice = random.Random(7)
    options = ("--accounts", str(SENDERS), "--gas-limit", str(BLOCK_GAS), "--base-fee", "100000000")
    with market(tmp_path, *options) as made:
        accounts = [str(each) for each in made.rpc.call("eth_accounts")][1:]
        chain_control.set_automine(made.rpc, on=False)

        def crowd() -> None:
            # Anvil orders by cap: all set theirs by one rule, so that the tip decides, as it does elsewhere.
            worst = int(made.quote("agree_send", within_blocks=5)["baseFee"]["worst"]["wei"])
            calls = []
            for sender in accounts[: BLOCK_GAS // 21_000 + 4]:
                tip = dice.randrange(10**8, 3 * 10**9)
                cap = {"maxFeePerGas": hex(worst + tip), "maxPriorityFeePerGas": hex(tip)}
                request = {"from": sender, "to": sender, "value": "0x1", "gas": hex(21_000), **cap}
                calls.append(("eth_sendTransaction", [request]))
            made.rpc.batch(calls)

        for _ in range(30):
            crowd()
            chain_control.mine(made.rpc)
        for number in range(12):
            name = f"crowded-{number}"
            quote = made.quote("agree_send", transfer=name, within_blocks=5, confidence=0.9)
            assert quote["congestion"]["level"] == "high"
            sent, mined = made.send(quote, calldata.agree_send(name, parties(3, 3))), None
            while mined is None:
                crowd()
                tip = chain_control.mine(made.rpc)
                mined = made.block_of(sent)
                assert tip <= quote["validity"]["deadlineBlock"] or mined is not None, quote
            assert quote["tip"]["source"] == "blocks"
            assert int(quote["maxPriorityFeePerGas"]) < 3 * 10**9


def test_a_whole_life_on_quoted_gas(tmp_path: Path) -> None:
    """Each step goes through with the limit quoted for it; what cannot be done yet is told in words."""
    name, pair = "life", parties(3, 3)
    with market(tmp_path) as made:
        made.documents.put("custodians", "a", {"walletAddress": CUSTODIANS[3]})
        made.documents.put("custodians", "b", {"walletAddress": OTHER_CUSTODIANS[3]})
        state: dict[str, Any] = {"sourceCustodianId": "a", "destinationCustodianId": "b"}
        made.documents.put(STATES, name, state)
        early = made.quote("execute_transfer", transfer=name)
        assert early["revert"]["error"] == "InvalidState"
        assert early["revert"]["arguments"] == {"current": 0, "expected": 4}
        steps = {
            "agree_send": calldata.agree_send(name, pair),
            "agree_receive": calldata.agree_receive(name, pair),
            "provide_financial": calldata.provide_financial_details(name),
            "execute_transfer": calldata.execute_transfer(name),
            "burn_tokens": calldata.burn_tokens(name),
        }
        for action, data in steps.items():
            # What money is stated nobody can know from the transfer: the caller says the very call.
            exact = {"data": "0x" + data.hex()} if action == "provide_financial" else {}
            quote = made.quote(action, transfer=name, **exact)
            assert quote["gas"]["source"] == "estimate", (action, quote["gas"], quote["revert"])
            receipt = made.escrow.wait(made.send(quote, data))
            assert receipt["status"] == "0x1", action
            used = int(receipt["gasUsed"], 16)
            assert used <= quote["gasLimit"] < 1.5 * used, action
            if action == "agree_send":
                milestones = {"agree_send": {"transactionHash": receipt["transactionHash"]}}
                changed = {**state, "contractKey": made.spec.key, "milestones": milestones}
                made.documents.put(STATES, name, changed)
        done = made.quote("burn_tokens", transfer=name)
        assert done["revert"]["arguments"] == {"current": 8, "expected": 6}
        given = made.quote(
            "agree_send", data="0x" + calldata.agree_send("other", pair).hex(), **{"from": CUSTODIANS[3]}
        )
        assert given["gas"]["confidence"] == "high"


def test_a_chain_from_before_london(tmp_path: Path) -> None:
    """A legacy chain is answered as such, and its price sends a legacy transaction."""
    with market(tmp_path, "--hardfork", "berlin", legacy=True) as made:
        quote = made.quote("agree_send")
        assert quote["type"] == "legacy"
        account = made.escrow.account
        request = {"from": account, "to": account, "gas": hex(21_000)}
        price = hex(int(quote["gasPrice"]))
        sent = made.rpc.call("eth_sendTransaction", {**request, "gasPrice": price})
        assert int(made.escrow.wait(sent)["blockNumber"], 16) == quote["block"]["number"] + 1


def test_a_node_whose_head_is_old_gives_no_quote(tmp_path: Path) -> None:
    """Ten minutes behind there is an error; with the next block there are quotes again."""
    with market(tmp_path, "--timestamp", str(int(time.time()) - 700), fees="look_s=0,stale_s=60") as made:
        with pytest.raises(ChainUnavailable, match="the node is behind"):
            made.quote("agree_send")
        chain_control.set_clock(made.rpc, int(time.time()))
        chain_control.mine(made.rpc)
        assert made.quote("agree_send")["maxFeePerGas"] is not None
