# ruff: noqa: E501 - what providers say is quoted whole
"""What endpoints say when they refuse, in their own words, and what is made of it.

Sources: ``ponder`` is packages/utils/src of ponder-sh/ponder (getLogsRetryHelper and its tests against the
providers themselves), ``dank_mids`` BobTheBuidler/dank_mids, the others are named with the text.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from shared.adapters.ethereum_shapes import LogFilter
from shared.adapters.json_rpc_failures import CallRefused, LimitMet, NoAnswer, http_failure, refusal
from shared.adapters.log_ranges import LogRanges
from shared.adapters.log_refusals import cause_of
from shared.errors import ChainUnavailable, RangeRefused, RateLimited
from tests.support.endpoints import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ASKED = 20_000


class Said(NamedTuple):
    """A refusal of a log query over 20,000 blocks; ``takes`` is the range that is asked for next."""

    who: str
    source: str
    code: int
    message: str
    cause: str
    takes: int
    data: Any = None


REFUSALS = [
    Said("Alchemy, free", "BobTheBuidler/dank_mids#772", -32600, "You can make eth_getLogs requests with up to a 500 block range. Based on your parameters, this block range should work: [0x123c9b2, 0x123cba5]", "range", 500),
    Said("Alchemy, free since 2025", "its answer on robinhood-mainnet, as quoted by an indexer's notes", -32600, "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0x1, 0xa]. Upgrade to PAYG for expanded block range.", "range", 10),
    Said("Alchemy, results", "ponder, alchemy", -32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0xf42400, 0xf4281f]", "results", 1056),
    Said("Alchemy, results, old", "bancorprotocol/webapp#523", -32602, "Log response size exceeded. Please reduce query block range.", "results", 10_000),
    Said("Infura, range", "INFURA/infura#237", -32602, "range 20000 exceeds limit of 10000", "range", 10_000),
    Said("Infura, results", "docs.infura.io, eth_getLogs", -32005, "query returned more than 10000 results. Try with this block range [0xF42400, 0xF42BCF].", "results", 2000, {"from": "0xF42400", "limit": 10000, "to": "0xF42BCF"}),
    Said("Infura, time", "docs.infura.io, eth_getLogs", -32005, "query timeout exceeded", "results", 10_000),
    Said("QuickNode", "OffchainLabs/arbitrum-sdk#609", -32614, "eth_getLogs is limited to a 10,000 range", "range", 10_000),
    Said("QuickNode, documented", "quicknode.com/docs/ethereum/error-references", -32602, "eth_getLogs and eth_newFilter are limited to a 10,000 blocks range", "range", 10_000),
    Said("Ankr", "ponder, ankr", -32600, "block range is too wide", "range", 10_000),
    Said("Ankr, Tac", "ponder, ankr-tac", -32000, "maximum [from, to] blocks distance: 10000", "range", 10_000),
    Said("Chainstack", "ponder, chainstack", -32602, "Block range limit exceeded. See more details at https://docs.chainstack.com/docs/understanding-eth-getlogs-limitations#range-limitations.", "range", 10_000),
    Said("dRPC", "a gateway's notes on berachain.drpc.org", 35, "ranges over 10000 blocks are not supported on freetier", "range", 10_000),
    Said("Cloudflare", "ponder, cloudflare", -32047, "Invalid eth_getLogs request. 'fromBlock'-'toBlock' range too large. Max range: 800", "range", 800),
    Said("PublicNode", "ponder, publicnode", -32701, "exceed maximum block range: 50000", "range", 10_000),
    Said("PublicNode, smaller", "ponder, publicnode", -32701, "exceed maximum block range: 5000", "range", 5000),
    Said("BlockPI", "ponder, blockpi", -32602, "eth_getLogs is limited to 1024 block range. Please check the parameter requirements at https://docs.blockpi.io/", "range", 1024),
    Said("Blast, paid", "ponder, blast (paid)", -32600, "Block range [19000 > 1024] exceeds the range allowed for your plan (20000 > 1024).", "range", 1024),
    Said("1RPC", "a wallet's test of 1rpc.io", -32602, "eth_getLogs is limited to 0 - 50 blocks range", "range", 50),
    Said("1RPC, bytes", "ponder, 1rpc", -32603, "response size should not greater than 10000000 bytes", "results", 10_000),
    Said("Tenderly", "gateway.tenderly.co, where from was not kept", -32602, "invalid params", "range", 2000, {"error_id": "4ed9", "payload": "range 20000 is bigger than range limit 2000"}),
    Said("thirdweb", "ponder, thirdweb", -32602, "Maximum allowed number of requested blocks is 3500", "range", 3500),
    Said("Coinbase", "ponder, coinbase", -32602, "please limit the query to at most 1,000 blocks", "range", 1000),
    Said("merkle", "ponder, merkle", -32000, "eth_getLogs range is too large, max is 10k blocks", "range", 10_000),
    Said("BSC dataseed", "AlphaWallet/alpha-wallet-android#2736", -32000, "exceed maximum block range: 5000", "range", 5000),
    Said("Candle", "AlphaWallet/alpha-wallet-ios#5277", -32600, "block range too high", "range", 10_000),
    Said("Base, results", "ponder, base and optimism", -32020, "backend response too large", "results", 10_000),
    Said("Optimism", "ponder, optimism", -32000, "Block range is too large", "range", 10_000),
    Said("Arbitrum", "ponder, arbitrum", -32000, "logs matched by query exceeds limit of 10000", "results", 10_000),
    Said("Avalanche", "ponder, avalanche", -32000, "requested too many blocks from 1 to 20000, maximum is set to 2048", "range", 2048),
    Said("Harmony", "ponder, harmony", -32000, "query must be smaller than size 1024", "range", 1024),
    Said("Moonriver", "ponder, moonriver", -32603, "block range is too wide (maximum 1024)", "range", 1024),
    Said("Swell", "ponder, swell", -32000, "block range greater than 5000 max", "range", 5000),
    Said("Somnia", "ponder, somnia", -32000, "block range exceeds 1000", "range", 1000),
    Said("Morph", "enviodev/hyperindex#605", -32000, "block range is larger than max block range, block range = 20000, max block range = 5000", "range", 5000),
    Said("Erigon, range", "erigontech/erigon#20424", -32602, "query block range exceeds server limit, narrow your filter: 1000", "range", 1000),
    Said("Erigon, results", "trezor/blockbook#1692", -32000, "query returns too many logs, narrow your filter: 20000", "results", 10_000),
    Said("cdk-erigon", "0xPolygon/cdk-erigon#1706", -32005, "block range too large, max range: 1000", "range", 1000),
    Said("Nethermind", "EthRpcModule of NethermindEth/nethermind", -32005, "Too many logs requested. Max logs per response is 20000.", "results", 10_000),
    Said("reth, range", "EthFilterError of paradigmxyz/reth", -32602, "query exceeds max block range 5000", "range", 5000),
    Said("reth, results", "paradigmxyz/reth#12790", -32602, "query exceeds max results 20000, retry with the range 24383075-24383096", "results", 22),
    Said("Nitro, range", "a survey of rpc.mainnet.chain.robinhood.com", -32602, "query spans 20000 blocks, only 3000 are allowed", "range", 3000),
    Said("Aurora", "aurora-is-near/aurora-relayer#327", -32005, "query returned more than 10000 results", "results", 10_000),
    Said("a stranger", "nobody met it yet", -32000, "la demande est trop grande", "unknown", 10_000),
    Said("a stranger that says nothing", "nobody met it yet", -1, "", "unknown", 10_000),
    Said("a stranger's limit", "EIP-1474: limit exceeded, of whatever kind", -32005, "limit exceeded", "unknown", 10_000),
]  # fmt: skip

# What fewer blocks would not change: another endpoint may answer.
ELSEWHERE = [
    (-32602, "block range extends beyond current head block"),  # geth, the tests of execution-apis
    (-32602, "invalid block range params"),  # geth and reth
    (-32000, "requested block range [4096, 8192] is beyond latest executed block 4000 (node is still syncing)"),  # Erigon
    (-32000, "One of the blocks specified in filter (fromBlock, toBlock or blockHash) cannot be found."),  # Nethermind
    (4444, "pruned history unavailable"),  # of geth, since history expires
    (-32701, "Archive, Debug and Trace requests are not available on this endpoint"),  # PublicNode
    (-32000, "Unauthorized: You must authenticate your request with an API key."),  # Ankr
]  # fmt: skip

# Who, source, code, message, data, and the pause that it asks for.
RATES = [
    ("Alchemy", "docs.alchemy.com, throughput", 429, "Your app has exceeded its compute units per second capacity. If you have retries enabled, you can safely ignore this message.", None, None),
    ("Infura", "docs.infura.io, rate limits", -32005, "project ID request rate exceeded", {"rate": {"allowed_rps": 1, "backoff_seconds": 30, "current_rps": 1.1}}, 30.0),
    ("Infura, day", "docs.infura.io, rate limits", -32005, "daily request count exceeded, request rate limited", None, None),
    ("QuickNode", "dank_mids", -32007, "50/second request limit reached - reduce calls per second or upgrade your account at quicknode.com", None, None),
    ("QuickNode, credits", "quicknode.com/docs/ethereum/error-references", -32012, "credits limited to 6000/sec", None, None),
    ("Chainstack", "dank_mids", -32005, "You've exceeded the RPS limit available on the current plan.", None, None),
    ("Ankr", "rpc.ankr.com, where from was not kept", -32090, "Too many requests, reason: call rate limit exhausted, retry in 10s", None, 10.0),
    ("Base", "mainnet.base.org, where from was not kept", -32016, "over rate limit", None, None),
    ("Arbitrum", "arb1.arbitrum.io, as quoted by several applications", 429, "Public RPC Rate Limit Hit, limit will reset in 60 seconds", None, 60.0),
    ("as text", "nobody met it yet", -32000, "Too Many Requests: try again in 250 ms", None, 0.25),
]  # fmt: skip


def range_query(fleet: Fleet, blocks: int) -> list[Any]:
    """Ask the pool for the logs of so many blocks."""
    wanted = LogFilter(["0x" + "c0" * 20])
    return fleet.pool.run(lambda endpoint: LogRanges(fleet.pool).logs(endpoint, wanted, 1, blocks))


def refusing(failure: ChainUnavailable) -> Fleet:
    """Return two endpoints, of which the first answers every log query with this."""
    fleet = Fleet()
    fleet.all[0].answers = _raising(failure)
    fleet.all[1].answers = lambda *_: []
    return fleet


def _raising(failure: ChainUnavailable) -> Callable[..., Any]:
    def answer(*_: Any) -> Any:
        raise failure

    return answer


def _refusal(code: int, message: str, data: Any = None) -> CallRefused | RateLimited:
    return refusal("endpoint 1 refused eth_getLogs", {"code": code, "message": message, "data": data})


@pytest.mark.parametrize("said", REFUSALS, ids=lambda said: said.who)
def test_a_refused_range_is_narrowed(said: Said) -> None:
    """The caller is told to ask for less, and how much: what was named or suggested, else the half."""
    failure = _refusal(said.code, said.message, said.data)
    text = failure.said if isinstance(failure, CallRefused) else str(failure)
    assert cause_of(text) == said.cause
    fleet = refusing(failure)
    with pytest.raises(RangeRefused, match="blocks 1 to 20000"):
        range_query(fleet, ASKED)
    assert fleet.pool.limits(fleet.all[0]).range.blocks == said.takes
    assert fleet.pool.current is fleet.all[0]
    assert fleet.pool.health()[0].errors == 0


@pytest.mark.parametrize("said", REFUSALS, ids=lambda said: said.who)
def test_one_block_refused_goes_elsewhere(said: Said) -> None:
    """Of one block there is nothing less to ask for: another endpoint answers, and this one is avoided."""
    fleet = refusing(_refusal(said.code, said.message, said.data))
    assert range_query(fleet, 1) == []
    assert fleet.pool.current is fleet.all[1]
    assert fleet.pool.health()[0].trouble


@pytest.mark.parametrize(("code", "message"), ELSEWHERE)
def test_what_fewer_blocks_would_not_change(code: int, message: str) -> None:
    """An endpoint that has not got the blocks, or does not serve us, is left for another; its range is kept."""
    fleet = refusing(_refusal(code, message))
    assert range_query(fleet, ASKED) == []
    assert fleet.pool.current is fleet.all[1]
    assert fleet.pool.limits(fleet.all[0]).range.blocks is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        *ELSEWHERE,
        (-32601, "the method is not available for this range"),
        (-32600, "beyond your plan: get an API key"),
    ],
)
def test_what_goes_on_to_be_refused_is_narrowed(code: int, message: str) -> None:
    """An endpoint alone that goes on refusing in words for something else is asked for fewer blocks, too."""
    fleet = Fleet(1)
    taken: list[int] = []

    def at_most_ten(_method: str, params: Sequence[Any]) -> list[Any]:
        asked = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        if asked > 10:
            raise _refusal(code, message)
        taken.append(asked)
        return []

    fleet.all[0].answers = at_most_ten
    for _ in range(100):
        with contextlib.suppress(ChainUnavailable):
            range_query(fleet, fleet.pool.limits(fleet.all[0]).range.blocks or ASKED)
    assert len(taken) > 50


@pytest.mark.parametrize(("who", "source", "code", "message", "data", "pause_s"), RATES)
def test_a_refused_rate_is_no_refused_range(
    who: str, source: str, code: int, message: str, data: Any, pause_s: float | None
) -> None:
    """A refusal for the number of requests keeps the endpoint's range, and the query goes to another one."""
    failure = _refusal(code, message, data)
    assert isinstance(failure, RateLimited), (who, source)
    assert not isinstance(failure, LimitMet)
    assert failure.retry_after_s == pause_s
    fleet = refusing(failure)
    assert range_query(fleet, ASKED) == []
    assert fleet.pool.limits(fleet.all[0]).range.blocks is None
    assert fleet.pool.current is fleet.all[1]


@pytest.mark.parametrize("status", [400, 413, 414])
def test_a_refusal_by_status_alone(status: int) -> None:
    """A range that is refused by an HTTP status without a word is narrowed, too."""
    failure = http_failure("endpoint 1 on eth_getLogs", status, None)
    fleet = refusing(failure)
    with pytest.raises(RangeRefused):
        range_query(fleet, ASKED)
    assert fleet.pool.limits(fleet.all[0]).range.blocks == ASKED // 2


@pytest.mark.parametrize(
    "failure", [NoAnswer("hung up on eth_getLogs"), http_failure("endpoint 1", 504, None)], ids=repr
)
def test_no_answer_to_a_range(failure: ChainUnavailable) -> None:
    """A range that gets no answer goes to another endpoint, and this one is asked for less next time."""
    fleet = refusing(failure)
    assert range_query(fleet, ASKED) == []
    assert fleet.pool.current is fleet.all[1]
    assert fleet.pool.limits(fleet.all[0]).range.blocks == ASKED // 2
    single = refusing(failure)
    assert range_query(single, 1) == []
    assert single.pool.limits(single.all[0]).range.blocks is None


def test_an_unknown_wording_for_what_was_served() -> None:
    """What is refused in unknown words though it was served before is asked again twice before it is narrowed."""
    fleet = Fleet(1)
    fleet.all[0].answers = lambda *_: []
    range_query(fleet, ASKED)
    fleet.all[0].answers = _raising(_refusal(-32603, "Internal error"))
    limit = fleet.pool.limits(fleet.all[0]).range
    before = fleet.all[0].requests
    with pytest.raises(RangeRefused):
        range_query(fleet, ASKED)
    assert fleet.all[0].requests == before + 3
    assert limit.blocks == ASKED // 2
