"""What nodes answer about fees, whole or not: read strictly, refused where it cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.fee_reading import GasQuestion
from shared.errors import ChainUnavailable, DoubtfulAnswer, RateLimited
from tests.support.rpc_server import Answer, RpcServer, chain_at, error, result

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.domain.fee_reading import FeeReading

TO = "0x" + "c0" * 20
WALLET = "0x" + "aa" * 20
BLOCK: dict[str, Any] = {
    "number": "0x64", "hash": "0x" + "ab" * 32, "parentHash": "0x" + "ba" * 32, "timestamp": "0x65000000",
    "baseFeePerGas": "0x3b9aca00", "gasUsed": "0x989680", "gasLimit": "0x1c9c380", "extraData": "0x",
}  # fmt: skip
HISTORY: dict[str, Any] = {
    "oldestBlock": "0x63",
    "baseFeePerGas": ["0x3b9aca01", "0x3b9aca00", "0x3b9ac9ff"],
    "gasUsedRatio": [0.5, 0.3333],
    "reward": [["0x1", "0x2"], ["0x3", "0x4"]],
}
TOLD: dict[str, Any] = {
    "eth_chainId": "0x1",
    "eth_getBlockByNumber": BLOCK,
    "eth_feeHistory": HISTORY,
    "eth_maxPriorityFeePerGas": "0x5",
    "eth_gasPrice": "0x6",
    "txpool_status": {"pending": "0x7", "queued": "0x0"},
    "eth_estimateGas": "0x11170",
}


class Refused(Exception):
    """What a node refuses with: code, message, data."""


def node(**changes: Any) -> Callable[[Any], Any]:
    """Answer by ``TOLD`` with changes; a function is called with the parameters, Refused is an error."""
    told = TOLD | changes

    def one(request: Any) -> Any:
        given = told.get(request["method"], Refused(-32601, "the method does not exist"))
        given = given(request["params"]) if callable(given) else given
        return error(request, *given.args) if isinstance(given, Refused) else result(request, given)

    return lambda body: [one(request) for request in body] if isinstance(body, list) else one(body)


def ask(answer: Callable[[Any], Any], *questions: GasQuestion) -> tuple[FeeReading, list[Any]]:
    """Return what the port makes of it, and what went over the wire."""
    with RpcServer(answer) as server:
        chain = chain_at(server.url)
        try:
            return chain.fees(2, (10, 50), questions), server.seen
        finally:
            chain.close()


def test_everything_in_one_batch() -> None:
    """Head, history, tip, price, pool and gas are one request on the wire, once the chain id is known."""
    reading, seen = ask(node(), GasQuestion(TO, b"\x01\x02\x03\x04", WALLET))
    batches = [body for body in seen if isinstance(body, list)]
    assert len(batches) == 1
    assert [entry["method"] for entry in batches[0]] == [
        "eth_feeHistory", "eth_getBlockByNumber", "eth_maxPriorityFeePerGas", "eth_gasPrice", "txpool_status",
        "eth_estimateGas",
    ]  # fmt: skip
    assert batches[0][0]["params"] == ["0x2", "latest", [10, 50]]
    assert batches[0][5]["params"] == [{"from": WALLET, "to": TO, "data": "0x01020304"}]
    assert (reading.head.base_fee_wei, reading.head.gas_used, reading.head.gas_limit) == (
        10**9, 10_000_000, 30_000_000,
    )  # fmt: skip
    assert reading.history is not None
    assert reading.history.base_fees_wei == (10**9 + 1, 10**9, 10**9 - 1)
    assert reading.history.tips == ({10: 1, 50: 2}, {10: 3, 50: 4})
    assert (reading.node_tip_wei, reading.gas_price_wei, reading.pending) == (5, 6, 7)
    assert [each.gas for each in reading.gas.values()] == [70_000]


def test_what_a_node_refuses_is_none() -> None:
    """A node without fee history, tip, price and pool still has a head."""
    refused = Refused(-32601, "the method does not exist")
    reading, _ = ask(
        node(
            eth_feeHistory=refused, eth_maxPriorityFeePerGas=refused, eth_gasPrice=refused,
            txpool_status=refused,
        )
    )  # fmt: skip
    assert reading.history is reading.node_tip_wei is reading.gas_price_wei is reading.pending is None
    assert reading.head.header.number == 100


@pytest.mark.parametrize(
    "reward", [None, [], [None, None], [[], []], [["0x1"], ["0x2"]], [[None, None], [None, None]], "x"]
)
def test_empty_and_null_reward_rows_are_unknown_tips(reward: Any) -> None:
    """Rewards that are missing, null or of another number are no tips of 0."""
    reading, _ = ask(node(eth_feeHistory=HISTORY | {"reward": reward}))
    assert reading.history is not None
    assert reading.history.tips == ({}, {})


def test_an_empty_block_has_no_tip_of_zero() -> None:
    """Nodes say 0 for a block without transactions; nothing got in for 0 there."""
    told = HISTORY | {"gasUsedRatio": [0, 0.3333], "reward": [["0x0", "0x0"], ["0x0", "0x4"]]}
    reading, _ = ask(node(eth_feeHistory=told))
    assert reading.history is not None
    assert reading.history.tips == ({}, {10: 0, 50: 4})


@pytest.mark.parametrize(
    "history",
    [
        "nothing", [], {}, HISTORY | {"baseFeePerGas": HISTORY["baseFeePerGas"][:2]},
        HISTORY | {"gasUsedRatio": [0.5, 1.5]}, HISTORY | {"gasUsedRatio": [0.5, "0.3"]},
        HISTORY | {"gasUsedRatio": [0.5, True]}, HISTORY | {"gasUsedRatio": [0.5, -0.1]},
        HISTORY | {"baseFeePerGas": ["0x1", 2, "0x3"]}, HISTORY | {"oldestBlock": None},
        HISTORY | {"reward": [["0x1", "2"], ["0x3", "0x4"]]},
        HISTORY | {"reward": [["0x1", hex(2**128)], ["0x3", "0x4"]]},
        HISTORY | {"baseFeePerGas": ["0x3b9aca01", "0x3b9aca00", hex(2**128)]},
        HISTORY | {"reward": [["0x1", "0x1_0"], ["0x3", "0x4"]]},
        HISTORY | {"oldestBlock": "0x10"}, HISTORY | {"oldestBlock": "0x65"},
        HISTORY | {"baseFeePerGas": ["0x3b9aca01", "0x3b9aca02", "0x3b9ac9ff"]},
    ],
)  # fmt: skip
def test_a_history_that_cannot_be_is_no_history(history: Any) -> None:
    """What is malformed, or does not fit the head, is refused, not quoted from."""
    with pytest.raises(ChainUnavailable):
        ask(node(eth_feeHistory=history))


def test_tips_that_fall_with_their_percentile_are_unknown() -> None:
    """A row of rewards in falling order is none: taken as it is, the lowest would be the dearest."""
    reading, _ = ask(node(eth_feeHistory=HISTORY | {"reward": [["0x2", "0x1"], ["0x3", "0x4"]]}))
    assert reading.history is not None
    assert reading.history.tips == ({}, {10: 3, 50: 4})


@pytest.mark.parametrize("nothing", [None, []])
def test_a_history_of_no_block_is_none(nothing: Any) -> None:
    """Where go-ethereum has no block to tell of it says null, or empty lists: no contradiction."""
    reading, _ = ask(node(eth_feeHistory={"oldestBlock": "0x0", "gasUsedRatio": nothing}))
    assert reading.history is None
    assert reading.head.base_fee_wei == 10**9


@pytest.mark.parametrize(
    "history", [HISTORY | {"baseFeePerGas": None}, HISTORY | {"baseFeePerGas": []}, {}, "nothing"]
)
def test_a_legacy_chain_needs_no_fee_history(history: Any) -> None:
    """A history without base fees is what a chain without base fees has: it stays a legacy chain."""
    legacy = {name: value for name, value in BLOCK.items() if name != "baseFeePerGas"}
    reading, _ = ask(node(eth_getBlockByNumber=legacy, eth_feeHistory=history))
    assert (reading.head.base_fee_wei, reading.history, reading.gas_price_wei) == (None, None, 6)


@pytest.mark.parametrize(
    ("pool", "pending"),
    [
        ({"pending": 7}, 7), ({"pending": "0x07"}, 7), ({"pending": "many"}, None), ({"pending": -1}, None),
        ({"pending": True}, None), ({"pending": [1]}, None), ({}, None), ([7], None), (None, None),
    ],
)  # fmt: skip
def test_a_pool_told_in_another_shape_is_unknown_at_the_worst(pool: Any, pending: int | None) -> None:
    """How many wait is the least of what a quote rests on: a node that says it otherwise is quoted from."""
    reading, _ = ask(node(txpool_status=pool))
    assert reading.pending == pending


@pytest.mark.parametrize(
    "history",
    [
        HISTORY | {"oldestBlock": "0x62", "baseFeePerGas": ["0x1", "0x2", "0x3"]},
        HISTORY | {"oldestBlock": "0x64", "baseFeePerGas": ["0x3b9aca00", "0x2", "0x3"]},
    ],
)
def test_a_history_may_be_one_block_off(history: Any) -> None:
    """A block that comes while the node answers is no contradiction."""
    reading, _ = ask(node(eth_feeHistory=history))
    assert reading.history is not None


@pytest.mark.parametrize(
    "block",
    [
        None, BLOCK | {"gasUsed": None}, BLOCK | {"gasLimit": "0x0", "gasUsed": "0x0"},
        BLOCK | {"gasUsed": "0x1c9c381"}, BLOCK | {"number": hex(2**60)}, BLOCK | {"timestamp": hex(2**40)},
        BLOCK | {"gasLimit": hex(2**64)}, BLOCK | {"baseFeePerGas": 1}, BLOCK | {"extraData": "zz"},
        BLOCK | {"baseFeePerGas": hex(2**128)}, BLOCK | {"baseFeePerGas": {}}, BLOCK | {"extraData": {}},
        BLOCK | {"baseFeePerGas": "0x3b9a_ca00"}, BLOCK | {"baseFeePerGas": "0x\N{FULLWIDTH DIGIT ONE}"},
        Refused(-32000, "no head"),
    ],
)  # fmt: skip
def test_a_head_that_cannot_be_is_no_head(block: Any) -> None:
    """Without a whole latest header there is nothing to quote from."""
    with pytest.raises(ChainUnavailable):
        ask(node(eth_getBlockByNumber=block))


@pytest.mark.parametrize("name", ["eth_maxPriorityFeePerGas", "eth_gasPrice"])
def test_a_price_that_cannot_be_is_none(name: str) -> None:
    """No coin has as much of it as such a price per gas."""
    with pytest.raises(DoubtfulAnswer, match="more than there is"):
        ask(node(**{name: hex(2**128)}))


def test_a_legacy_head() -> None:
    """A header without a base fee is one of a legacy chain, whatever the history makes up."""
    legacy = {name: value for name, value in BLOCK.items() if name != "baseFeePerGas"}
    reading, _ = ask(node(eth_getBlockByNumber=legacy, eth_feeHistory=HISTORY | {"oldestBlock": "0x1"}))
    assert reading.head.base_fee_wei is None
    assert reading.gas_price_wei == 6


def test_reverts_and_refusals_of_an_estimate_are_told_apart() -> None:
    """A revert keeps its data, in whichever place; another refusal keeps its words."""
    question = GasQuestion(TO, b"\x01\x02\x03\x04")
    for data in ("0xdeadbeef", {"data": "0xdeadbeef"}, "Reverted 0xdeadbeef"):
        reading, _ = ask(node(eth_estimateGas=Refused(3, "execution reverted", data)), question)
        assert reading.gas[question].revert == bytes.fromhex("deadbeef")
    reading, _ = ask(node(eth_estimateGas=Refused(-32601, "no estimates here")), question)
    assert reading.gas[question].revert is None
    assert "no estimates here" in (reading.gas[question].refused or "")


@pytest.mark.parametrize("gas", [None, "0x0", "0x5207", 70_000, "70000", hex(2**63)])
def test_an_estimate_that_cannot_be(gas: Any) -> None:
    """Less than any transaction pays, or no quantity, is no estimate."""
    with pytest.raises(ChainUnavailable):
        ask(node(eth_estimateGas=gas), GasQuestion(TO, b"\x01\x02\x03\x04"))


def test_a_poor_sender_is_asked_for_again_as_if_rich() -> None:
    """Where the sender's balance is what the node minds, the balance is overridden for the question."""

    def estimate(params: list[Any]) -> Any:
        if len(params) == 1:
            return Refused(-32000, "insufficient funds for gas * price + value")
        assert int(params[2][WALLET]["balance"], 16) > 10**24
        return "0x11170"

    question = GasQuestion(TO, b"\x01\x02\x03\x04", WALLET)
    reading, _ = ask(node(eth_estimateGas=estimate), question)
    assert reading.gas[question].gas == 70_000
    with RpcServer(node(eth_estimateGas=estimate)) as server:
        chain = chain_at(server.url)
        seen = []
        for _ in range(3):
            assert chain.fees(2, (10, 50), [question]).gas[question].gas == 70_000
            assert chain.estimate_gas([question])[question].gas == 70_000
            seen.append(len(server.seen))
        chain.close()
    assert seen[2] - seen[1] == seen[1] - seen[0] == 2  # once known, it is asked as if rich at once
    stubborn = Refused(-32000, "insufficient funds for transfer")
    reading, _ = ask(node(eth_estimateGas=stubborn), question)
    assert "insufficient funds" in (reading.gas[question].refused or "")


@pytest.mark.parametrize(
    ("refused", "revert"),
    [
        (Refused(-32003, "Out of gas: gas required exceeds allowance: 0"), None),
        (Refused(3, "execution reverted: insufficient allowance", "0x08c379a0"), "08c379a0"),
        (Refused(-32000, "execution reverted: insufficient allowance", "0x08c379a0"), "08c379a0"),
        (Refused(3, "execution reverted: insufficient allowance", "0x"), ""),
        (Refused(-32000, "execution reverted: ERC20: insufficient allowance"), ""),
    ],
)
def test_means_are_no_revert_and_a_revert_is_no_lack_of_means(refused: Refused, revert: str | None) -> None:
    """What a contract says of allowances is a revert, asked once; what a node says of balances is none."""
    question = GasQuestion(TO, b"\x01\x02\x03\x04", WALLET)
    reading, seen = ask(node(eth_estimateGas=refused), question)
    told = reading.gas[question].revert
    assert told == (None if revert is None else bytes.fromhex(revert))
    asked = [entry for body in seen if isinstance(body, list) for entry in body] + [
        body for body in seen if isinstance(body, dict)
    ]
    estimates = [entry for entry in asked if entry["method"] == "eth_estimateGas"]
    assert len(estimates) == (2 if revert is None else 1)


def test_the_l1_part_of_gas_is_asked_of_node_interface() -> None:
    """On Arbitrum the part of the gas for L1 data comes with the estimate, or is unknown."""

    def call(params: list[Any]) -> Any:
        sent = params[0]
        assert sent["to"] == "0x" + "00" * 19 + "c8"
        words = sent["data"][10:]
        assert sent["data"][:10] == "0x77d488a2"
        assert int(words[:64], 16) == int(TO, 16)
        assert [int(words[at : at + 64], 16) for at in (64, 128, 192)] == [0, 96, 4]
        assert words[256:] == "01020304" + "00" * 28
        return "0x" + (12_345).to_bytes(32).hex() + (1).to_bytes(32).hex() + (2).to_bytes(32).hex()

    question = GasQuestion(TO, b"\x01\x02\x03\x04", l1=True)
    reading, seen = ask(node(eth_call=call), question)
    assert (reading.gas[question].gas, reading.gas[question].l1_gas) == (70_000, 12_345)
    assert len([body for body in seen if isinstance(body, list)]) == 1
    reading, _ = ask(node(), question)
    assert (reading.gas[question].gas, reading.gas[question].l1_gas) == (70_000, None)


def test_a_rate_limit_within_the_batch_is_a_rate_limit() -> None:
    """One entry over the limit spoils the batch, and says when to come again."""
    with pytest.raises(RateLimited) as caught:
        ask(node(txpool_status=Refused(429, "too many requests, retry in 7s")))
    assert caught.value.retry_after_s == 7


def test_a_second_endpoint_answers_where_the_first_contradicts_itself() -> None:
    """A node whose head and history differ is doubted, and another one quoted from."""
    lie = HISTORY | {"baseFeePerGas": ["0x3b9aca01", "0x3b9aca02", "0x3b9ac9ff"]}
    with RpcServer(node(eth_feeHistory=lie)) as liar, RpcServer(node()) as honest:
        chain = chain_at(liar.url, honest.url)
        assert chain.fees(2, (10, 50)).history is not None
        chain.close()
    with RpcServer(node(eth_feeHistory=lie)) as liar:
        chain = chain_at(liar.url)
        with pytest.raises(DoubtfulAnswer, match="differ in the base fee"):
            chain.fees(2, (10, 50))
        chain.close()


def test_an_endpoint_that_knows_no_batches_is_asked_one_by_one() -> None:
    """Where a batch is refused as a whole its entries go alone, and the quote comes all the same."""
    single = node()

    def answer(body: Any) -> Any:
        if isinstance(body, list):
            return Answer(error({"id": None}, -32600, "batches are not supported"), 400)
        return single(body)

    reading, seen = ask(answer)
    assert reading.pending == 7
    assert {body["method"] for body in seen if isinstance(body, dict)} >= {"eth_feeHistory", "txpool_status"}


@pytest.mark.parametrize(
    "said",
    [
        None,
        7,
        {},
        [],
        {**HISTORY, "baseFeePerGas": ["0x1"]},
        {**HISTORY, "gasUsedRatio": ["half", 0.5]},
        {**HISTORY, "oldestBlock": None},
        {**HISTORY, "reward": [["0x1", "much"], ["0x3", "0x4"]]},
        Refused(-32601, "the method eth_feeHistory does not exist"),
        Refused(-32000, "request beyond head block"),
    ],
)
def test_history_alone_is_none_where_it_makes_no_sense(said: Any) -> None:
    """An answer of another shape, or a refusal, tells nothing, and is no reason to leave the node."""
    with RpcServer(node(eth_feeHistory=said)) as server:
        chain = chain_at(server.url)
        assert chain.fee_history(100, 2, (10, 50)) is None
        assert chain.head().number == 100
        assert chain.endpoints()[0].errors == 0


@pytest.mark.parametrize(
    ("reward", "tips"),
    [
        ([["0x1", "0x2"], ["0x3", "0x4"]], ({10: 1, 50: 2}, {10: 3, 50: 4})),
        (None, ({}, {})),
        ([None, ["0x3", "0x4"]], ({}, {10: 3, 50: 4})),
        ([["0x1"], ["0x3", None]], ({}, {})),
    ],
)
def test_history_alone_with_null_reward_rows(reward: Any, tips: Any) -> None:
    """Rows of tips that are null, or not whole, are unknown tips; base fees and use are told all the same."""
    with RpcServer(node(eth_feeHistory={**HISTORY, "reward": reward})) as server:
        told = chain_at(server.url).fee_history(100, 2, (10, 50))
    assert told is not None
    assert told.tips == tips
    assert told.base_fee_of(100) == 10**9
