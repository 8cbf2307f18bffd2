"""What a lying or lagging node makes of requests and answers: each fault is one function of a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

Request = dict[str, Any]
Reply = dict[str, Any]
_NUMBERED: Final = {"eth_getBlockByNumber": 0, "eth_getBlockReceipts": 0, "eth_getCode": 1, "eth_call": 1}
_BY_HASH: Final = ("eth_getBlockByHash", "eth_getBlockReceipts", "eth_getLogs")
# What providers say; where each was found is told in tests/unit/test_refusals.py.
_RANGE_TEXTS: Final = (
    (-32600, "eth_getLogs is limited to a {most} range"),
    (-32602, "You can make eth_getLogs requests with up to a {most} block range."),
    (-32600, "block range is too wide"),
    (-32701, "exceed maximum block range: {most}"),
    (-32000, "maximum [from, to] blocks distance: {most}"),
    (-32000, "la demande est trop grande"),
)
_RESULT_TEXTS: Final = (
    (-32005, "query returned more than {most} results"),
    (-32602, "Log response size exceeded. Please reduce query block range."),
    (-32020, "backend response too large"),
    (-32000, "logs matched by query exceeds limit of {most}"),
)
_ERROR_TEXTS: Final = (
    (-32603, "internal error"),
    (-32000, "header not found"),
    (-32002, "request timed out"),
    (-32000, "upstream connect error or disconnect/reset before headers"),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One trouble: its kind, how likely it strikes a request, and how much of it (blocks, seconds, logs).

    It is over after striking so many ``times``, and so many ``seconds`` after it was set; None: never.
    """

    kind: str
    chance: float = 1.0
    amount: float = 0.0
    methods: tuple[str, ...] = ()
    times: int | None = None
    seconds: float | None = None

    def strikes(self, method: str, chance: random.Random) -> bool:
        """Say whether a request of this method meets it."""
        return (not self.methods or method in self.methods) and chance.random() < self.chance


@dataclass(slots=True)
class Exchange:
    """A request as it came, and what the node answered."""

    request: Request
    fault: Fault
    head: int
    chance: random.Random
    reply: Reply = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The method asked for."""
        return str(self.request.get("method"))

    @property
    def params(self) -> list[Any]:
        """Its parameters."""
        return list(self.request.get("params") or [])

    def result(self, value: Any) -> Reply:
        """Return a reply with this result."""
        return {"jsonrpc": "2.0", "id": self.request.get("id"), "result": value}

    def error(self, code: int, message: str) -> Reply:
        """Return a reply with this error."""
        return {"jsonrpc": "2.0", "id": self.request.get("id"), "error": {"code": code, "message": message}}


def _range(exchange: Exchange) -> tuple[int, int] | None:
    if exchange.method != "eth_getLogs" or "blockHash" in exchange.params[0]:
        return None
    asked = exchange.params[0]
    return tuple(  # type: ignore[return-value]
        exchange.head if not str(asked.get(end, "latest")).startswith("0x") else int(asked[end], 16)
        for end in ("fromBlock", "toBlock")
    )


def _lagging(exchange: Exchange) -> Reply | None:
    seen = max(0, exchange.head - int(exchange.fault.amount))
    if exchange.method == "eth_blockNumber":
        return exchange.result(hex(seen))
    place = _NUMBERED.get(exchange.method)
    if place is not None and len(exchange.params) > place:
        block = exchange.params[place]
        if isinstance(block, str) and len(block) < 60 and block.startswith("0x") and int(block, 16) > seen:
            return exchange.result(None)
    if (asked := _range(exchange)) and asked[0] > seen:
        return exchange.result([])
    return None


def _lagging_answer(exchange: Exchange) -> Reply:
    seen = max(0, exchange.head - int(exchange.fault.amount))
    result = exchange.reply.get("result")
    if isinstance(result, dict) and _number(result.get("number")) > seen:
        return exchange.result(None)
    if isinstance(result, list):
        kept = [
            each for each in result if not isinstance(each, dict) or _number(each.get("blockNumber")) <= seen
        ]
        if exchange.method == "eth_getBlockReceipts" and len(kept) < len(result):
            return exchange.result(None)
        return exchange.result(kept)
    return exchange.reply


def _number(value: Any) -> int:
    return int(value, 16) if isinstance(value, str) and value.startswith("0x") else -1


def _capped(exchange: Exchange) -> Reply | None:
    asked = _range(exchange)
    most = exchange.fault.amount
    if asked and asked[1] - asked[0] + 1 > most:
        code, text = exchange.chance.choice(_RANGE_TEXTS)
        return exchange.error(code, text.format(most=f"{most:.0f}"))
    return None


def _result_cap(exchange: Exchange) -> Reply:
    result = exchange.reply.get("result")
    most = exchange.fault.amount
    if _range(exchange) and isinstance(result, list) and len(result) > most:
        code, text = exchange.chance.choice(_RESULT_TEXTS)
        return exchange.error(code, text.format(most=f"{most:.0f}"))
    return exchange.reply


def _rpc_error(exchange: Exchange) -> Reply:
    return exchange.error(*exchange.chance.choice(_ERROR_TEXTS))


def _of_logs(change: Callable[[list[Any], random.Random], list[Any]]) -> Callable[[Exchange], Reply]:
    def changed(exchange: Exchange) -> Reply:
        result = exchange.reply.get("result")
        if exchange.method != "eth_getLogs" or not isinstance(result, list):
            return exchange.reply
        return exchange.result(change(result, exchange.chance))

    return changed


def _made_up(logs: list[Any], _chance: random.Random) -> list[Any]:
    """Return the logs, and for every other one a further one that there is not."""
    return [*logs, *({**log, "logIndex": hex(int(log["logIndex"], 16) + 1_000)} for log in logs[::2])]


def _altered(logs: list[Any], _chance: random.Random) -> list[Any]:
    """Return the logs, every third one with another last digit in its data."""
    return [
        {**log, "data": f"{log['data'][:-1]}{int(log['data'][-1], 16) ^ 2:x}"} if i % 3 == 0 else log
        for i, log in enumerate(logs)
    ]


def _partial_receipts(exchange: Exchange) -> Reply:
    result = exchange.reply.get("result")
    if exchange.method != "eth_getBlockReceipts" or not isinstance(result, list):
        return exchange.reply
    cut = [{**receipt, "logs": receipt["logs"][:-1]} for receipt in result]
    return exchange.result(cut)


def _hash_gone(exchange: Exchange) -> Reply | None:
    first = (exchange.params or [None])[0]
    by_hash = isinstance(first, dict) and "blockHash" in first
    by_hash = by_hash or (isinstance(first, str) and len(first) > 60)
    if exchange.method in _BY_HASH and by_hash:
        return (
            exchange.error(-32000, "unknown block")
            if exchange.method == "eth_getLogs"
            else exchange.result(None)
        )
    return None


def _null_block(exchange: Exchange) -> Reply | None:
    return exchange.result(None) if exchange.method == "eth_getBlockByNumber" else None


def _wrong_chain(exchange: Exchange) -> Reply | None:
    return exchange.result("0x1") if exchange.method == "eth_chainId" else None


def _without(*methods: str) -> Callable[[Exchange], Reply | None]:
    def refused(exchange: Exchange) -> Reply | None:
        if exchange.method in methods:
            return exchange.error(-32601, f"the method {exchange.method} does not exist/is not available")
        return None

    return refused


BEFORE: Final[dict[str, Callable[[Exchange], Reply | None]]] = {
    "rpc error": _rpc_error,
    "lag": _lagging,
    "range cap": _capped,
    "hash gone": _hash_gone,
    "null block": _null_block,
    "wrong chain": _wrong_chain,
    "no block receipts": _without("eth_getBlockReceipts"),
    "no receipts": _without("eth_getBlockReceipts", "eth_getTransactionReceipt"),
}
"""Faults that answer in the node's place; None lets the request through."""

AFTER: Final[dict[str, Callable[[Exchange], Reply]]] = {
    "lag": _lagging_answer,
    "result cap": _result_cap,
    "empty logs": _of_logs(lambda _logs, _chance: []),
    "partial logs": _of_logs(lambda logs, chance: [log for log in logs if chance.random() < 0.5]),
    "last log missing": _of_logs(lambda logs, _chance: logs[:-1]),
    "doubled logs": _of_logs(lambda logs, _chance: [*logs, *logs]),
    "made-up logs": _of_logs(_made_up),
    "altered logs": _of_logs(_altered),
    "partial receipts": _partial_receipts,
}
"""Faults that change what the node answered."""

TRANSPORT: Final = ("http 500", "http 502", "rate limit", "stall", "slow", "hang up", "garbage", "refuse")
"""Faults of the connection, which the proxy itself puts in."""

SOCKET: Final = ("socket refused", "socket dropped", "socket silent", "socket doubled", "socket shuffled")
"""Faults of the websocket."""
