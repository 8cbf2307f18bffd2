from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

from tests.support.fault_answers import Fault
from tests.support.fault_proxy import FaultProxy
from tests.support.rpc_server import RpcServer, result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.server import ServerConnection

HEAD = 100
OLD, YOUNG = "0x" + "0a" * 32, "0x" + "0b" * 32


def node(request: Any) -> Any:
    """Answer like a node whose head is block 100; the block YOUNG is block 99."""
    if isinstance(request, list):
        return [node(each) for each in request]
    method, params = request["method"], request["params"]
    if method == "eth_blockNumber":
        return result(request, hex(HEAD))
    if method == "eth_chainId":
        return result(request, "0x7a69")
    if method == "eth_getLogs":
        asked = params[0]
        first, last = (int(asked.get(end, "0x63"), 16) for end in ("fromBlock", "toBlock"))
        return result(request, [{"blockNumber": hex(n), "logIndex": "0x0"} for n in range(first, last + 1)])
    if method == "eth_getBlockReceipts":
        return result(request, [{"blockNumber": "0x63", "logs": [{"logIndex": "0x0"}, {"logIndex": "0x1"}]}])
    block = params[0]
    by_hash = {OLD: 50, YOUNG: 99}
    number = HEAD if block == "latest" else by_hash.get(block) or int(block, 16)
    return result(request, {"number": hex(number)})


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """Stand a proxy before the node."""
    with RpcServer(node) as server, FaultProxy(server.url, seed=1) as between:
        yield between


def asked(proxy: FaultProxy, body: Any, timeout: float = 5.0) -> tuple[int, bytes, str | None]:
    """Post a body; return status, answer and Retry-After."""
    connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=timeout)
    try:
        connection.request("POST", "/", orjson.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Retry-After")
    finally:
        connection.close()


def call(proxy: FaultProxy, method: str, *params: Any) -> Any:
    """Make one call; return its reply."""
    return orjson.loads(asked(proxy, {"jsonrpc": "2.0", "id": 7, "method": method, "params": params})[1])


def block(proxy: FaultProxy, method: str, which: str) -> Any:
    """Ask for a block without its transactions."""
    return call(proxy, method, which, False)  # noqa: FBT003 - JSON-RPC's own


def logs_of(proxy: FaultProxy, first: int, last: int) -> Any:
    """Ask for the logs of a range."""
    return call(proxy, "eth_getLogs", {"fromBlock": hex(first), "toBlock": hex(last)})


def test_without_faults_the_node_is_heard_as_it_is(proxy: FaultProxy) -> None:
    """A single request and a batch come through, each entry under its id."""
    assert call(proxy, "eth_blockNumber") == {"jsonrpc": "2.0", "id": 7, "result": "0x64"}
    batch = [{"jsonrpc": "2.0", "id": at, "method": "eth_chainId", "params": []} for at in (3, 4)]
    assert [reply["id"] for reply in orjson.loads(asked(proxy, batch)[1])] == [3, 4]


def test_every_entry_of_a_batch_is_counted(proxy: FaultProxy) -> None:
    """Providers bill entries, not posts: the count is of entries, by method."""
    begun = time.monotonic()
    batch = [{"jsonrpc": "2.0", "id": at, "method": "eth_chainId", "params": []} for at in range(5)]
    asked(proxy, batch)
    call(proxy, "eth_blockNumber")
    assert proxy.methods(begun, time.monotonic()) == {"eth_chainId": 5, "eth_blockNumber": 1}
    assert proxy.rate(begun, begun + 100) == pytest.approx(0.06)


@pytest.mark.parametrize(
    ("fault", "status", "says", "retry_after"),
    [
        (Fault("http 500"), 500, b"bad gateway", None),
        (Fault("http 502"), 502, b"bad gateway", None),
        (Fault("rate limit", 1.0, 2), 429, b"", "2"),
        (Fault("garbage"), 200, b"<html>oops</html>", None),
    ],
)
def test_a_gateway_answers_in_the_nodes_place(
    proxy: FaultProxy, fault: Fault, status: int, says: bytes, retry_after: str | None
) -> None:
    """What a gateway says comes with its status, its body and how long to wait."""
    proxy.set(fault)
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    assert asked(proxy, body) == (status, says, retry_after)


def test_a_stalled_node_never_answers(proxy: FaultProxy) -> None:
    """The connection is taken and nothing comes until the client gives up."""
    proxy.set(Fault("stall"))
    with pytest.raises(TimeoutError):
        asked(proxy, {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}, timeout=0.2)


def test_a_slow_node_answers_late(proxy: FaultProxy) -> None:
    """The answer is the node's, later by the amount."""
    proxy.set(Fault("slow", 1.0, 0.2))
    begun = time.monotonic()
    assert call(proxy, "eth_chainId")["result"] == "0x7a69"
    assert time.monotonic() - begun >= 0.2


def test_a_hang_up_leaves_no_answer(proxy: FaultProxy) -> None:
    """The connection is closed before a status line."""
    proxy.set(Fault("hang up"))
    with pytest.raises(ConnectionError):
        call(proxy, "eth_chainId")


def test_a_refusing_node_has_no_open_port_until_it_is_back(proxy: FaultProxy) -> None:
    """Connections are refused while the fault is set, and the port is the same afterwards."""
    proxy.set(Fault("refuse"))
    with pytest.raises(ConnectionRefusedError):
        call(proxy, "eth_chainId")
    proxy.set()
    assert call(proxy, "eth_chainId")["result"] == "0x7a69"


def test_a_refusal_ends_after_its_seconds(proxy: FaultProxy) -> None:
    """A fault set for some seconds is over by itself, and the port is open again."""
    proxy.set(Fault("refuse", seconds=0.2))
    deadline = time.monotonic() + 5
    while True:
        try:
            assert call(proxy, "eth_chainId")["result"] == "0x7a69"
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_fault_set_for_so_many_times_is_over_after_them(proxy: FaultProxy) -> None:
    """Two errors, and the third request is served."""
    proxy.set(Fault("rpc error", times=2))
    assert ["error" in call(proxy, "eth_chainId") for _ in range(3)] == [True, True, False]


def test_a_fault_that_there_is_not_is_refused(proxy: FaultProxy) -> None:
    """A misspelt kind would be a test of nothing."""
    with pytest.raises(ValueError, match="sloow"):
        proxy.set(Fault("sloow"))


def test_a_fault_for_one_method_leaves_the_others_alone(proxy: FaultProxy) -> None:
    """Only the named method fails."""
    proxy.set(Fault("rpc error", methods=("eth_getLogs",)))
    assert "error" in logs_of(proxy, 1, 2)
    assert "result" in call(proxy, "eth_chainId")


def test_the_same_seed_strikes_the_same_requests() -> None:
    """Which requests a likely fault strikes is the seed's alone."""
    struck = []
    for _ in range(2):
        with RpcServer(node) as server, FaultProxy(server.url, seed=5) as between:
            between.set(Fault("rpc error", 0.5))
            struck.append(["error" in call(between, "eth_chainId") for _ in range(20)])
    assert struck[0] == struck[1]
    assert len(set(struck[0])) == 2


def test_a_lagging_node_lacks_the_last_blocks(proxy: FaultProxy) -> None:
    """Head, headers by number, hash and tag, receipts and logs are those of five blocks ago."""
    proxy.set(Fault("lag", 1.0, 5))
    assert call(proxy, "eth_blockNumber")["result"] == "0x5f"
    assert block(proxy, "eth_getBlockByNumber", "0x60")["result"] is None
    assert block(proxy, "eth_getBlockByNumber", "0x5f")["result"] == {"number": "0x5f"}
    assert block(proxy, "eth_getBlockByNumber", "latest")["result"] == {"number": "0x5f"}
    assert block(proxy, "eth_getBlockByHash", YOUNG)["result"] is None
    assert block(proxy, "eth_getBlockByHash", OLD)["result"] == {"number": "0x32"}
    assert call(proxy, "eth_getBlockReceipts", YOUNG)["result"] is None
    assert [log["blockNumber"] for log in logs_of(proxy, 94, 98)["result"]] == ["0x5e", "0x5f"]
    assert logs_of(proxy, 97, 98)["result"] == []


@pytest.mark.parametrize(
    ("kind", "left"),
    [("empty logs", 0), ("last log missing", 4), ("doubled logs", 10)],
)
def test_a_lying_index_gives_other_logs(proxy: FaultProxy, kind: str, left: int) -> None:
    """Of five logs none, four or each twice is given, without an error."""
    proxy.set(Fault(kind))
    assert len(logs_of(proxy, 1, 5)["result"]) == left


def test_partial_logs_are_some_of_them_in_their_order(proxy: FaultProxy) -> None:
    """Of a hundred logs about half is given, in the order of the chain."""
    proxy.set(Fault("partial logs"))
    given = [int(log["blockNumber"], 16) for log in logs_of(proxy, 0, 99)["result"]]
    assert 20 < len(given) < 80
    assert given == sorted(given)


def test_partial_receipts_lack_their_last_log(proxy: FaultProxy) -> None:
    """A receipt comes without its last log."""
    proxy.set(Fault("partial receipts"))
    (receipt,) = call(proxy, "eth_getBlockReceipts", "0x63")["result"]
    assert receipt["logs"] == [{"logIndex": "0x0"}]


@pytest.mark.parametrize(
    ("fault", "within", "beyond"),
    [(Fault("range cap", 1.0, 10), (1, 10), (1, 11)), (Fault("result cap", 1.0, 3), (1, 3), (1, 4))],
)
def test_a_cap_refuses_what_is_beyond_it(
    proxy: FaultProxy, fault: Fault, within: tuple[int, int], beyond: tuple[int, int]
) -> None:
    """Just within the cap there are logs, just beyond it an error in some provider's words."""
    proxy.set(fault)
    assert logs_of(proxy, *within)["result"]
    assert logs_of(proxy, *beyond)["error"]["message"]


def test_a_cap_is_told_in_many_words(proxy: FaultProxy) -> None:
    """Refusals are worded as various providers word them."""
    proxy.set(Fault("range cap", 1.0, 1))
    assert len({logs_of(proxy, 1, 2)["error"]["message"] for _ in range(30)}) > 3


def test_a_node_may_deny_blocks_receipts_and_its_chain(proxy: FaultProxy) -> None:
    """Unknown hashes, null blocks, a missing method and another chain id."""
    proxy.set(Fault("hash gone"))
    assert block(proxy, "eth_getBlockByHash", YOUNG)["result"] is None
    assert call(proxy, "eth_getLogs", {"blockHash": YOUNG})["error"]["message"] == "unknown block"
    proxy.set(Fault("null block"))
    assert block(proxy, "eth_getBlockByNumber", "0x1")["result"] is None
    for fault, singly in (("no receipts", "error"), ("no block receipts", "result")):
        proxy.set(Fault(fault))
        assert call(proxy, "eth_getBlockReceipts", "0x1")["error"]["code"] == -32601
        assert singly in call(proxy, "eth_getTransactionReceipt", YOUNG)
    proxy.set(Fault("wrong chain"))
    assert call(proxy, "eth_chainId")["result"] == "0x1"


class Heads:
    """A node's websocket that says what it is told to say."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.there = threading.Event()

    def handle(self, connection: ServerConnection) -> None:
        """Keep a connection open until the other side leaves."""
        self.connections.append(connection)
        self.there.set()
        for message in connection:
            connection.send(f"you said {message!r}")

    def say(self, *texts: str) -> None:
        """Say it to the latest client."""
        assert self.there.wait(5)
        for text in texts:
            self.connections[-1].send(text)


@contextmanager
def announced() -> Iterator[tuple[Heads, FaultProxy]]:
    """Stand a proxy before a node's websocket."""
    heads = Heads()
    with socket.create_server(("127.0.0.1", 0)) as listening, serve(heads.handle, sock=listening) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with FaultProxy(f"http://127.0.0.1:{listening.getsockname()[1]}") as proxy:
            yield heads, proxy
        server.shutdown()
        thread.join(5)


def test_a_websocket_is_handed_on_both_ways() -> None:
    """What the client says reaches the node, and the answer comes back."""
    with announced() as (_, proxy), connect(proxy.ws_url) as client:
        client.send("hello")
        assert client.recv(5) == "you said 'hello'"


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        ("socket doubled", ["1", "1", "2", "2", "3", "3"]),
        ("socket shuffled", ["2", "1"]),
    ],
)
def test_heads_come_twice_or_out_of_order(kind: str, heard: list[str]) -> None:
    """Each message twice, or the one before the other."""
    with announced() as (heads, proxy), connect(proxy.ws_url) as client:
        proxy.set(Fault(kind))
        heads.say("1", "2", "3")
        assert [client.recv(5) for _ in heard] == heard


def test_a_silent_socket_says_nothing_until_the_fault_is_over() -> None:
    """Nothing comes, and the connection stays."""
    with announced() as (heads, proxy), connect(proxy.ws_url) as client:
        proxy.set(Fault("socket silent"))
        heads.say("unheard")
        reached(lambda: proxy.struck["socket silent"] == 1)
        proxy.set()
        heads.say("heard")
        assert client.recv(5) == "heard"


@pytest.mark.parametrize("fault", [Fault("socket dropped"), Fault("refuse")])
def test_a_dropped_socket_is_closed(fault: Fault) -> None:
    """The client is told that it is over, at the next head or with the port."""
    with announced() as (heads, proxy), connect(proxy.ws_url) as client:
        client.send("hello")
        client.recv(5)
        proxy.set(fault)
        if fault.kind == "socket dropped":
            heads.say("last")
        with pytest.raises(ConnectionClosed):
            client.recv(5)


def test_a_refused_socket_does_not_open() -> None:
    """The upgrade is answered with 503, while HTTP goes on."""
    with announced() as (_, proxy):
        proxy.set(Fault("socket refused"))
        with pytest.raises(InvalidStatus):
            connect(proxy.ws_url)


def reached(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
