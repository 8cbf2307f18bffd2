# ruff: noqa: E501 - what providers say is quoted whole
"""What an endpoint does wrong is told apart by what can be done about it."""

from __future__ import annotations

import gzip
import re
import traceback
from contextlib import closing
from threading import Event
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from shared.adapters.http_post import MOST_BYTES
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.adapters.json_rpc_failures import CallRefused, NoAnswer, PartlyLimited, revert_data
from shared.errors import ChainUnavailable, ConfigError, RangeRefused, RateLimited
from tests.support.rpc_server import Answer, RpcServer, chain_at, error, result, serving

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS = "0x" + "c0" * 20

# As providers word it: (HTTP status, code, message, data).
RANGE_REFUSALS = {
    "Infura, results": (200, -32005, "query returned more than 10000 results. Try with this block range [0xBDE5F8, 0x102DBCC].", {"from": "0xBDE5F8", "limit": 10000, "to": "0x102DBCC"}),
    "Infura, range": (200, -32602, "range 1000000 exceeds limit of 10000", None),
    "Infura, time": (200, -32005, "query timeout exceeded", None),
    "Alchemy, results": (400, -32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0x0, 0xd043b8]", None),
    "Alchemy, free plan": (400, -32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0x1, 0xa].", None),
    "QuickNode": (413, -32614, "eth_getLogs is limited to a 10,000 range", None),
    "Cloudflare": (200, -32047, "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800", None),
    "PublicNode": (200, -32701, "exceed maximum block range: 50000", None),
    "Tenderly": (200, -32602, "invalid params", {"error_id": "4ed9", "payload": "range 9009594 is bigger than range limit 2000"}),
    "Morph": (200, -32000, "block range is larger than max block range, block range = 5120, max block range = 5000", None),
    "reth, range": (200, -32602, "query exceeds max block range 5000", None),
    "reth, results": (200, -32602, "query exceeds max results 20000, retry with the range 24383075-24383096", None),
    "Candle": (200, -32600, "block range too high", None),
    "anything": (500, -32000, "the wording of a provider that nobody met yet", None),
}  # fmt: skip

RATE_REFUSALS = {
    "Alchemy": (200, 429, "Your app has exceeded its compute units per second capacity. If you have retries enabled, you can safely ignore this message.", None, None),
    "Infura": (200, -32005, "project ID request rate exceeded", {"rate": {"allowed_rps": 1, "backoff_seconds": 30, "current_rps": 1.1}}, 30.0),
    "Infura, day": (200, -32005, "daily request count exceeded, request rate limited", None, None),
    "QuickNode": (200, -32007, "50/second request limit reached - reduce calls per second or upgrade your account", None, None),
    "QuickNode, credits": (200, -32012, "credits limited to 6000/sec", None, None),
    "Ankr": (200, -32090, "Too many requests, reason: call rate limit exhausted, retry in 10s", None, 10.0),
    "Base": (500, -32016, "over rate limit", None, None),
    "as text": (200, -32000, "Too Many Requests: try again in 250 ms", None, 0.25),
}  # fmt: skip


@pytest.mark.parametrize("name", RANGE_REFUSALS)
def test_refused_ranges(name: str) -> None:
    """A refusal of a log query over several blocks is a refused range, however it is worded."""
    status, code, message, data = RANGE_REFUSALS[name]
    with RpcServer(serving(lambda request: Answer(error(request, code, message, data), status))) as server:
        chain = chain_at(server.url)
        with pytest.raises(RangeRefused, match="blocks 1 to 9"):
            chain.logs(1, 9, [ADDRESS])
        chain.close()


@pytest.mark.parametrize("name", RATE_REFUSALS)
def test_refused_rates(name: str) -> None:
    """A refusal for the number of requests is told apart, with the pause that was asked for."""
    status, code, message, data, pause_s = RATE_REFUSALS[name]
    with RpcServer(serving(lambda request: Answer(error(request, code, message, data), status))) as server:
        chain = chain_at(server.url)
        with pytest.raises(RateLimited) as caught:
            chain.logs(9, 9, [ADDRESS])  # of one block, where no size can be meant
        assert caught.value.retry_after_s == pause_s
        chain.close()


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize(
    "body", [b"slow down", b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}']
)
def test_http_429(headers: dict[str, str], pause_s: float | None, body: bytes) -> None:
    """HTTP 429 is a rate limit whatever its body, and Retry-After its pause, in seconds or as a date."""
    with RpcServer(lambda _: Answer(body, 429, headers)) as server:
        with pytest.raises(RateLimited) as caught:
            JsonRpcEndpoint(server.url).call("eth_blockNumber")
        assert caught.value.retry_after_s == pause_s


@pytest.mark.parametrize("asked_s", [4, 600])
@pytest.mark.parametrize("in_words", [False, True])
def test_no_pause_is_granted_for_longer(asked_s: int, *, in_words: bool) -> None:
    """An endpoint that asks for minutes, in a header or in words, is asked again after the longest pause."""

    def answer(request: Any) -> Any:
        if in_words:
            return error(request, 429, f"too many requests, retry in {asked_s}s")
        return Answer(b"", 429, {"Retry-After": str(asked_s)})

    with RpcServer(answer) as server:
        with pytest.raises(RateLimited) as caught:
            JsonRpcEndpoint(server.url, longest_pause_s=5).call("eth_blockNumber")
        assert caught.value.retry_after_s == min(asked_s, 5)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"<html>bad gateway</html>", 502),
        Answer(b"", 503),
        Answer(b"", 401),
        Answer(b"{}", 302, {"Location": "http://127.0.0.1:1/"}),
        Answer(b"<html>hello</html>"),
        Answer(b""),
        Answer(b'{"jsonrpc":"2.0","id":1,"result":"0x'),
        Answer([]),
        Answer({"jsonrpc": "2.0", "id": 1}),
        Answer("0x1"),
        Answer(b"not gzip", 200, {"Content-Encoding": "gzip"}),
        Answer(b"cut", 200, {"Content-Length": "1000", "Connection": "close"}),
    ],
)
def test_garbage(answer: Answer) -> None:
    """An answer that is none makes the endpoint unavailable, for a call and for a batch."""
    with RpcServer(lambda _: answer) as server:
        endpoint = JsonRpcEndpoint(server.url, timeout_s=2)
        with pytest.raises(ChainUnavailable, match="endpoint 1"):
            endpoint.call("eth_blockNumber")
        with pytest.raises(ChainUnavailable, match="endpoint 1"):
            endpoint.batch([("eth_blockNumber", [])] * 2)


def test_slow_answers_are_not_waited_for() -> None:
    """An endpoint that does not answer within its time is unavailable."""
    release = Event()
    with RpcServer(lambda request: Answer(result(request, "0x1"), after=release)) as server:
        endpoint = JsonRpcEndpoint(server.url, timeout_s=0.1)
        with pytest.raises(ChainUnavailable, match=r"within 0.1 s"):
            endpoint.call("eth_blockNumber")
        release.set()


def test_connections_are_kept() -> None:
    """Many calls use one connection, and one that the other side gave up is opened again."""
    with RpcServer(lambda request: result(request, "0x1")) as server:
        endpoint = JsonRpcEndpoint(server.url)
        for _ in range(5):
            endpoint.call("eth_blockNumber")
        assert server.connections == 1
        server.answer = lambda request: Answer(result(request, "0x1"), headers={"Connection": "close"})
        assert [endpoint.call("eth_blockNumber") for _ in range(3)] == ["0x1"] * 3
        endpoint.close()


def test_a_connection_hung_up_under_a_request() -> None:
    """A request whose kept connection was closed under it is sent and counted once more, and not for ever."""
    with RpcServer(lambda request: result(request, "0x1")) as server:
        endpoint = JsonRpcEndpoint(server.url)
        assert endpoint.call("eth_blockNumber") == "0x1"
        server.answer = lambda request: (
            result(request, "0x1") if len(server.seen) == 3 else Answer(hang_up=True)
        )
        assert endpoint.call("eth_blockNumber") == "0x1"
        assert endpoint.requests == len(server.seen) == 3
        with pytest.raises(NoAnswer, match="hung up"):
            endpoint.call("eth_blockNumber")
        assert endpoint.requests == len(server.seen) == 5


def test_a_new_connection_hung_up_under_a_request() -> None:
    """Whoever hangs up on a new connection would do so again: the request is not repeated."""
    with RpcServer(lambda _: Answer(hang_up=True)) as server:
        with pytest.raises(NoAnswer, match="hung up"):
            JsonRpcEndpoint(server.url).call("eth_blockNumber")
        assert len(server.seen) == 1


def test_a_transaction_is_not_sent_twice() -> None:
    """A hang-up on a transaction is told: it may have been taken, and would be refused as known."""
    with RpcServer(lambda request: result(request, "0x1")) as server:
        endpoint = JsonRpcEndpoint(server.url)
        endpoint.call("eth_blockNumber")
        server.answer = lambda _: Answer(hang_up=True)
        with pytest.raises(NoAnswer):
            endpoint.call("eth_sendRawTransaction", ["0x00"])
        assert [request["method"] for request in server.seen] == ["eth_blockNumber", "eth_sendRawTransaction"]


def test_the_key_of_an_endpoint_tells_nothing() -> None:
    """The key is the same for the same URL, another for another, and holds no part of it."""
    one, same, other = (JsonRpcEndpoint(f"https://node.example/{path}") for path in ("aaa", "aaa", "bbb"))
    assert one.key == same.key != other.key
    assert re.fullmatch("[0-9a-f]{12}", one.key)


def test_compressed_answers_are_read() -> None:
    """A gzipped answer is read as if it were not."""

    def zipped(request: Any) -> Answer:
        body = gzip.compress(orjson.dumps(result(request, "0x" + "00" * 100_000)))
        return Answer(body, headers={"Content-Encoding": "gzip"})

    with RpcServer(zipped) as server:
        assert len(JsonRpcEndpoint(server.url).call("eth_call")) == 200_002


def test_proxies_are_not_used_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy in the environment a node of this machine is still reached directly."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with RpcServer(lambda request: result(request, "0x1")) as server:
        assert JsonRpcEndpoint(server.url).call("eth_chainId") == "0x1"


def test_batches_are_capped_and_counted() -> None:
    """A batch goes out in parts of the cap, its entries come back in order, and each is counted."""

    def backwards(request: Any) -> Any:
        answers = [result(r, r["params"][0]) for r in (request if isinstance(request, list) else [request])]
        return answers[::-1] if isinstance(request, list) else answers[0]

    with RpcServer(backwards) as server:
        endpoint = JsonRpcEndpoint(server.url, batch_size=3)
        assert endpoint.batch([("echo", [i]) for i in range(7)]) == list(range(7))
        assert [len(r) if isinstance(r, list) else 1 for r in server.seen] == [3, 3, 1]
        assert endpoint.requests == 7


@pytest.mark.parametrize(
    "refused",
    [
        Answer({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}),
        Answer(b"payload too large", 413),
        Answer({"jsonrpc": "2.0", "error": {"code": -32600, "message": "Batch of more than 3"}}, 500),
    ],
)
def test_refused_batches_are_made_smaller(refused: Answer) -> None:
    """An endpoint that takes three at once is asked for so many from then on."""

    def picky(request: Any) -> Any:
        if isinstance(request, list):
            return refused if len(request) > 3 else [result(r, r["params"][0]) for r in request]
        return result(request, request["params"][0])

    with RpcServer(picky) as server:
        endpoint = JsonRpcEndpoint(server.url, batch_size=12)
        calls = [("echo", [i]) for i in range(12)]
        assert endpoint.batch(calls) == list(range(12))
        server.seen.clear()
        assert endpoint.batch(calls) == list(range(12))
        assert [len(request) for request in server.seen] == [3, 3, 3, 3]


def second_of(otherwise: Callable[[Any], list[Any]]) -> Callable[[Any], Any]:
    """Answer batches, their second entry otherwise."""
    return lambda asked: [
        reply
        for at, each in enumerate(asked)
        for reply in (otherwise(each) if at == 1 else [result(each, "0x1")])
    ]


@pytest.mark.parametrize("otherwise", [lambda each: [error(each, -32601, "no")], lambda _: []])
def test_one_refused_entry_leaves_the_others(otherwise: Callable[[Any], list[Any]]) -> None:
    """In a batch each entry has its own outcome; one left out of the answer counts as refused."""
    with RpcServer(second_of(otherwise)) as server:
        endpoint = JsonRpcEndpoint(server.url)
        first, second, third = endpoint.batch([("eth_blockNumber", [])] * 3)
    assert (first, third) == ("0x1", "0x1")
    assert isinstance(second, CallRefused)


def test_a_rate_limit_stops_a_batch() -> None:
    """Where an entry met the rate limit the batch fails, and what the others gave comes with the failure."""
    with RpcServer(second_of(lambda each: [error(each, 429, "slow down")])) as server:
        endpoint = JsonRpcEndpoint(server.url, batch_size=3)
        with pytest.raises(PartlyLimited) as caught:
            endpoint.batch([("eth_blockNumber", [])] * 9)
    first, second, third = caught.value.answers
    assert (first, third) == ("0x1", "0x1")
    assert isinstance(second, RateLimited)


def test_a_batch_is_no_larger_than_what_was_served_at_once() -> None:
    """Where entries are counted the next batches have as many as there was room for, and more by and by."""
    left = 0

    def counting(request: Any) -> Any:
        nonlocal left
        replies = []
        for each in request if isinstance(request, list) else [request]:
            replies.append(result(each, "0x1") if left > 0 else error(each, 429, "slow down"))
            left -= 1
        return replies if isinstance(request, list) else replies[0]

    def sizes() -> list[int]:
        return [len(request) if isinstance(request, list) else 1 for request in server.seen]

    with RpcServer(counting) as server:
        endpoint = JsonRpcEndpoint(server.url, batch_size=10)
        left = 4
        with pytest.raises(PartlyLimited) as caught:
            endpoint.batch([("eth_blockNumber", [])] * 10)
        assert caught.value.served == 4
        left = 1000
        for _ in range(10):
            endpoint.batch([("eth_blockNumber", [])] * 4)
        endpoint.batch([("eth_blockNumber", [])] * 10)
        assert sizes() == [10, *[4] * 10, 8, 2]
        left = 0
        with pytest.raises(RateLimited):
            endpoint.batch([("eth_blockNumber", [])] * 10)
        endpoint.take_any_batch()
        left = 1000
        endpoint.batch([("eth_blockNumber", [])] * 10)
        assert sizes()[-2:] == [8, 10]


def test_a_server_that_fails_on_batches_is_asked_one_by_one() -> None:
    """From the third batch in a row that fails on, entries go out alone, and in a batch again some day."""

    def single_minded(request: Any) -> Any:
        return Answer(b"oops", 500) if isinstance(request, list) else result(request, request["params"][0])

    calls = [("echo", [i]) for i in range(5)]
    with RpcServer(single_minded) as server:
        endpoint = JsonRpcEndpoint(server.url)
        for _ in range(2):
            with pytest.raises(ChainUnavailable):
                endpoint.batch(calls)
        for _ in range(300):
            assert endpoint.batch(calls) == list(range(5))
        assert 2 <= sum(isinstance(request, list) for request in server.seen) <= 6


def test_an_outage_is_not_held_against_batches() -> None:
    """A server that fails on everything is asked for a batch again once it is back."""
    down = True

    def answer(request: Any) -> Any:
        if down:
            return Answer(b"oops", 502)
        return (
            [result(each, "0x1") for each in request] if isinstance(request, list) else result(request, "0x1")
        )

    with RpcServer(answer) as server:
        endpoint = JsonRpcEndpoint(server.url)
        for _ in range(10):
            with pytest.raises(ChainUnavailable):
                endpoint.batch([("eth_blockNumber", [])] * 5)
        down = False
        server.seen.clear()
        endpoint.batch([("eth_blockNumber", [])] * 5)
        assert [len(request) for request in server.seen] == [5]


def test_an_answer_to_another_request_is_none() -> None:
    """An answer whose id is another request's is not taken for this one's, a string for an id is."""
    with RpcServer(lambda request: {**result(request, "0x1"), "id": str(request["id"])}) as server:
        endpoint = JsonRpcEndpoint(server.url)
        assert endpoint.call("eth_blockNumber") == "0x1"
        for other in (None, 1, 10**6):
            server.answer = lambda request, other=other: {**result(request, "0x2"), "id": other}
            with pytest.raises(ChainUnavailable):
                endpoint.call("eth_blockNumber")
        server.answer = lambda request: [{**result(each, "0x2"), "id": -1} for each in request]
        with pytest.raises(ChainUnavailable):
            endpoint.batch([("eth_blockNumber", [])] * 3)
        server.answer = lambda request: {**error(request, -32700, "cannot be read"), "id": None}
        with pytest.raises(CallRefused):
            endpoint.call("eth_blockNumber")


@pytest.mark.parametrize(
    ("code", "message", "data", "expected"),
    [
        (3, "execution reverted", "0x77e5c5f2", b"\x77\xe5\xc5\xf2"),
        (3, "execution reverted", "0x", b""),
        (-32000, "execution reverted", None, b""),
        (-32015, "VM execution error.", "Reverted 0x77e5c5f2", b"\x77\xe5\xc5\xf2"),
        (-32603, "VM Exception", {"message": "revert", "data": "0x77e5c5f2"}, b"\x77\xe5\xc5\xf2"),
        (-32000, "out of gas", None, b""),
        (-32603, "EVM error InvalidFEOpcode", None, b""),
        (-32000, "header not found", None, None),
        (-32602, "invalid argument 1: hex string without 0x prefix", None, None),
    ],
)
def test_reverts_are_told_from_refusals(code: int, message: str, data: Any, expected: bytes | None) -> None:
    """Nodes spell a failed call in several ways; none is taken for a call that could not be made."""
    assert revert_data(CallRefused(message, code, data)) == expected


SECRETS = ("u5erName", "pa55word", "k3y-in-the-path", "t0ken-in-the-query")


def test_the_url_is_never_told() -> None:
    """Neither repr nor message nor trace tells key, credentials or host, even if the node repeats them."""
    user, password, key, token = SECRETS

    def telltale(request: Any) -> Any:
        return error(
            request, -32000, f"no such project {key} ({token}) at http://127.0.0.1/v3/{key} of 127.0.0.1"
        )

    with RpcServer(telltale) as server:
        told = []
        for port in (server.url.rpartition(":")[2], "1"):
            url = f"http://{user}:{password}@127.0.0.1:{port}/v3/{key}?token={token}"
            endpoint = JsonRpcEndpoint(url, "endpoint 7")
            with pytest.raises(ChainUnavailable) as caught:
                endpoint.call("eth_blockNumber")
            told += [
                repr(endpoint),
                repr(caught.value),
                *traceback.format_exception(caught.value, chain=True),
            ]
    text = "\n".join(line for line in told if "test_json_rpc" not in line)
    assert "endpoint 7" in text
    for secret in (*SECRETS, "127.0.0.1"):
        assert secret not in text


def test_credentials_of_the_url_are_sent_as_a_header() -> None:
    """User and password of the URL go as basic authorization."""
    with RpcServer(lambda request: result(request, "0x1")) as server:
        url = server.url.replace("//", "//user:p%40ss@")
        assert JsonRpcEndpoint(url).call("eth_chainId") == "0x1"
        assert server.headers[-1]["authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.parametrize(
    "url", ["", "ws://host/KEY", "host:8545/KEY", "http:///KEY", "http://host:99999/KEY"]
)
def test_a_url_that_is_none(url: str) -> None:
    """A URL of another form is a configuration error, which does not repeat it."""
    with pytest.raises(ConfigError, match="endpoint 1") as caught:
        JsonRpcEndpoint(url)
    assert "KEY" not in "".join(traceback.format_exception(caught.value))


def test_an_answer_too_large_for_memory_is_refused() -> None:
    """Whatever a node sends, no more of it is read than fits; a range is then asked for in smaller parts."""
    with (
        RpcServer(lambda _request: Answer(b" " * (MOST_BYTES + 1))) as server,
        closing(JsonRpcEndpoint(server.url)) as endpoint,
        pytest.raises(CallRefused, match="response too large: eth_getLogs gave more than 24 MB"),
    ):
        endpoint.call("eth_getLogs", [{}])
