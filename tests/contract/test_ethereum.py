"""The Ethereum adapter before endpoints that talk nonsense, fail, or disagree."""

from __future__ import annotations

import time
from contextlib import closing
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from shared.errors import ChainUnavailable, DoubtfulAnswer, RangeRefused, RateLimited
from tests.support.blocks import recorded
from tests.support.rpc_server import Answer, RpcServer, chain_at, error, result, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.adapters.ethereum import EthereumChain

ADDRESS = "0x" + "c0" * 20
HASH = "0x" + "ab" * 32
LOG = {
    "address": ADDRESS, "topics": [HASH], "data": "0x", "blockNumber": "0x5", "blockHash": HASH,
    "transactionHash": HASH, "transactionIndex": "0x0", "logIndex": "0x0", "removed": False,
}  # fmt: skip
HEADER = {"number": "0x5", "hash": HASH, "parentHash": HASH, "timestamp": "0x65000000"}


@pytest.mark.parametrize(
    ("read", "answer"),
    [
        (lambda chain: chain.head(), None),
        (lambda chain: chain.head(6), HEADER),
        (lambda chain: chain.head(), {**HEADER, "hash": None}),
        (lambda chain: chain.head(), {**HEADER, "hash": "0xab"}),
        (lambda chain: chain.head(), {k: v for k, v in HEADER.items() if k != "timestamp"}),
        (lambda chain: chain.head(), {**HEADER, "number": 5}),
        (lambda chain: chain.head(), {**HEADER, "number": "0x8000000000000000"}),
        (lambda chain: chain.head(), {**HEADER, "number": "0x-5"}),
        (lambda chain: chain.head(), {**HEADER, "timestamp": "0x3afff44180"}),
        (lambda chain: chain.head(), {**HEADER, "timestamp": "0xffffffffffffffff"}),
        (lambda chain: chain.head(), "0x5"),
        (lambda chain: chain.headers([6]), HEADER),
        (lambda chain: chain.header_by_hash("0x" + "cd" * 32), HEADER),
        (lambda chain: chain.logs(1, 9, [ADDRESS]), None),
        (lambda chain: chain.logs(1, 9, [ADDRESS]), {"logs": []}),
        (lambda chain: chain.logs(1, 9, [ADDRESS]), ["log"]),
        (lambda chain: chain.logs(6, 9, [ADDRESS]), [LOG]),
        (lambda chain: chain.logs(1, 4, [ADDRESS]), [LOG]),
        (lambda chain: chain.logs(1, 9, ["0x" + "dd" * 20]), [LOG]),
        (lambda chain: chain.logs(1, 9, [ADDRESS], [["0x" + "dd" * 32]]), [LOG]),
        (lambda chain: chain.logs(1, 9, [ADDRESS], [None, [HASH]]), [LOG]),
        (lambda chain: chain.logs(1, 9, [ADDRESS]), [{k: v for k, v in LOG.items() if k != "logIndex"}]),
        (lambda chain: chain.logs(1, 9, [ADDRESS]), [{**LOG, "blockNumber": None}]),
        (lambda chain: chain.logs(1, 9, [ADDRESS]), [{**LOG, "topics": None}]),
        (lambda chain: chain.logs_of_block("0x" + "cd" * 32, [ADDRESS]), [LOG]),
        (lambda chain: chain.transaction(HASH), {"hash": HASH}),
    ],
)
def test_nonsense_is_no_answer(read: Callable[[EthereumChain], object], answer: Any) -> None:
    """Null blocks, missing fields, and logs that were not asked for make the endpoint unavailable."""

    def nonsense(request: Any) -> Any:
        return [result(r, answer) for r in request] if isinstance(request, list) else result(request, answer)

    with RpcServer(serving(nonsense)) as server:
        chain = chain_at(server.url)
        with pytest.raises(ChainUnavailable):
            read(chain)
        chain.close()


@pytest.mark.parametrize(
    "otherwise",
    [
        lambda each: error(each, 429, "slow down"),
        lambda each: error(each, -32603, "oops"),
        lambda each: result(each, None),
    ],
    ids=["rate", "error", "null"],
)
def test_headers_come_in_the_end(otherwise: Callable[[Any], Any]) -> None:
    """Of an endpoint that serves every other entry of a batch every header is had in the end."""
    at = 0
    given: list[int] = []

    def every_other(each: Any) -> Any:
        nonlocal at
        at += 1
        if each["method"] != "eth_getBlockByNumber":
            return result(each, "0x1")
        if at % 2:
            return otherwise(each)
        number = int(each["params"][0], 16)
        given.append(number)
        return result(each, {**HEADER, "number": hex(number)})

    def answer(request: Any) -> Any:
        return [every_other(each) for each in request] if isinstance(request, list) else every_other(request)

    with RpcServer(answer) as server, closing(chain_at(server.url)) as chain:
        headers = chain.headers(range(1, 41))
    assert [header and header.number for header in headers] == list(range(1, 41))
    assert sorted(given) == list(range(1, 41))


def test_headers_that_are_not_there() -> None:
    """Heights that an endpoint does not have, and goes on not to have, are None after another question."""

    def answer(request: Any) -> Any:
        if not isinstance(request, list):
            return result(request, "0x1" if request["method"] == "eth_chainId" else None)
        return [result(each, HEADER if each["params"][0] == "0x5" else None) for each in request]

    with RpcServer(answer) as server, closing(chain_at(server.url)) as chain:
        assert [header and header.number for header in chain.headers([5, 6])] == [5, None]


def test_a_header_that_is_not_genuine_is_doubted_once_blocks_were_proved() -> None:
    """On a chain of proofs a hash that is not its header's is a lie: the endpoint's, and no reorg."""
    block = recorded("block_40")
    forged = {**block["block"], "hash": HASH}
    told = {"eth_chainId": "0x1", "eth_getBlockReceipts": block["receipts"]}
    lying = False

    def answer(each: Any) -> Any:
        return result(each, told.get(each["method"], forged if lying else block["block"]))

    number = int(block["block"]["number"], 16)
    reads: list[Callable[[EthereumChain], object]] = [
        lambda chain: chain.head(),
        lambda chain: chain.headers([number]),
    ]
    with RpcServer(answer) as server, closing(chain_at(server.url)) as chain:
        lying = True
        for read in reads:
            read(chain)  # some chains' hashes cannot be recomputed
        lying = False
        (reading,) = chain.read_blocks([chain.head()], [block["logs"][0]["address"]])
        assert reading.proved
        lying = True
        for read in reads:
            with pytest.raises(DoubtfulAnswer, match="hash of its fields"):
                read(chain)


def test_a_block_too_full_for_one_answer_is_read_by_its_receipts() -> None:
    """No range is narrower than one block: what its log query refuses is taken from the receipts it gives."""
    block = recorded("block_40")
    told = {
        "eth_chainId": "0x1",
        "eth_getBlockByNumber": block["block"],
        "eth_getBlockReceipts": block["receipts"],
    }

    def answer(each: Any) -> Any:
        if each["method"] in told:
            return result(each, told[each["method"]])
        return error(each, -32005, "query returned more than 10 results")

    number, address = int(block["block"]["number"], 16), block["logs"][0]["address"]
    with RpcServer(answer) as server, closing(chain_at(server.url)) as chain:
        with pytest.raises(RangeRefused):
            chain.read_range(number, number + 1, [address])
        assert len(chain.read_range(number, number, [address]).logs) == len(block["logs"]) > 10
        assert chain.logs(number, number, [address], [["0x" + "ab" * 32]]) == []
        told["eth_getBlockByNumber"] = None
        with pytest.raises(ChainUnavailable, match="more than 10 results"):
            chain.read_range(number, number, [address])


def test_a_chain_id_that_is_none() -> None:
    """An endpoint that cannot say which chain it serves is not read from."""
    with RpcServer(lambda request: result(request, None)) as server:
        chain = chain_at(server.url)
        for read in (chain.remote_chain_id, chain.head):
            with pytest.raises(ChainUnavailable, match="chainId"):
                read()
        chain.close()


def test_the_next_endpoint_is_asked_where_one_fails() -> None:
    """A read goes to the first endpoint that can answer; one of another chain cannot."""
    with (
        RpcServer(lambda request: result(request, "0x5")) as other_chain,
        RpcServer(serving(lambda request: result(request, HEADER))) as good,
    ):
        chain = chain_at("http://127.0.0.1:1", other_chain.url, good.url)
        assert chain.head().number == 5
        assert chain.hashes_at(5) == [HASH]
        assert [request["method"] for request in other_chain.seen] == ["eth_chainId"]
        chain.close()


def test_a_refused_range_stays_with_its_endpoint() -> None:
    """A refused range is for the caller to halve: the next endpoint is not asked."""
    refuse = serving(lambda request: error(request, -32602, "range 9 exceeds limit of 5"))
    with RpcServer(refuse) as first, RpcServer(serving(lambda request: result(request, []))) as second:
        chain = chain_at(first.url, second.url)
        with pytest.raises(RangeRefused):
            chain.logs(1, 9, [ADDRESS])
        assert second.seen == []
        chain.close()


def test_a_rate_limit_is_told_before_other_failures() -> None:
    """Where no endpoint answers, a rate limit among them is what the caller learns."""
    with RpcServer(lambda _: Answer(b"", 429, {"Retry-After": "3"})) as limited:
        chain = chain_at("http://127.0.0.1:1", limited.url)
        with pytest.raises(RateLimited) as caught:
            chain.head()
        assert caught.value.retry_after_s == 3.0
        chain.close()


def test_votes_come_from_every_endpoint_that_answers() -> None:
    """Each endpoint gives its own hash for a height; one that fails gives none."""
    other = "0x" + "cd" * 32
    with (
        RpcServer(serving(lambda request: result(request, HEADER))) as one,
        RpcServer(serving(lambda request: result(request, {**HEADER, "hash": other}))) as two,
    ):
        chain = chain_at(one.url, "http://127.0.0.1:1", two.url)
        assert chain.hashes_at(5) == [HASH, other]
        chain.close()


def test_a_stalled_endpoint_is_left_for_one_that_answers() -> None:
    """An endpoint that takes a request and never answers costs its time-out once, not on every read."""
    release = Event()
    stalled = serving(lambda request: Answer(result(request, HEADER), after=release))
    with RpcServer(stalled) as first, RpcServer(serving(lambda request: result(request, HEADER))) as second:
        chain = chain_at(first.url, second.url, timeout_s=0.2)
        started = time.monotonic()
        assert [chain.head().number for _ in range(20)] == [5] * 20
        assert time.monotonic() - started < 2
        assert [request["method"] for request in first.seen].count("eth_getBlockByNumber") == 1
        assert [each.current for each in chain.endpoints()] == [False, True]
        release.set()
        chain.close()


def test_an_endpoint_that_serves_again_is_found_in_the_background() -> None:
    """The first endpoint, refusing at the start, has its turn again soon after it serves."""
    down = [True]
    first_answer = serving(lambda request: Answer(b"", 503) if down[0] else result(request, HEADER))
    with RpcServer(first_answer) as first, RpcServer(serving(lambda it: result(it, HEADER))) as second:
        chain = chain_at(first.url, second.url)
        assert chain.head().number == 5
        assert chain.rotations == 1
        down[0] = False
        deadline = time.monotonic() + 20
        while not chain.endpoints()[0].current and time.monotonic() < deadline:
            chain.head()
        assert chain.endpoints()[0].current
        assert chain.rotations == 2
        chain.close()


def test_a_lagging_endpoint_is_left() -> None:
    """An endpoint whose head stands still while another's grows is left, though it answers."""
    started = time.monotonic()

    def growing(request: Any) -> Any:
        return result(request, {**HEADER, "number": hex(5 + int((time.monotonic() - started) * 10))})

    with (
        RpcServer(serving(lambda request: result(request, HEADER))) as stuck,
        RpcServer(serving(growing)) as good,
    ):
        chain = chain_at(stuck.url, good.url)
        deadline = started + 20
        while chain.head().number == 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert chain.head().number > 5
        left, current = chain.endpoints()
        assert current.current
        assert left.lag
        chain.close()


def test_senders_are_those_of_the_logs_transactions() -> None:
    """A range read with senders asks for each transaction once; a node that lacks one is no witness of it."""
    sender = "0x" + "5E" * 20
    known = {"hash": HASH, "from": sender}
    answers: dict[str, Any] = {
        "eth_getLogs": [LOG, {**LOG, "logIndex": "0x1"}],
        "eth_getTransactionByHash": known,
    }
    with RpcServer(serving(lambda request: result(request, answers[request["method"]]))) as server:
        chain = chain_at(server.url)
        assert chain.read_range(1, 9, [ADDRESS], with_senders=True).senders == {HASH: sender.lower()}
        assert len(server.seen) == 3
        for nonsense in (None, {**known, "hash": "0x" + "cd" * 32}, {"hash": HASH}, "0x1"):
            answers["eth_getTransactionByHash"] = nonsense
            with pytest.raises(ChainUnavailable):
                chain.read_range(1, 9, [ADDRESS], with_senders=True)
        chain.close()
