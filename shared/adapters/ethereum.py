"""The Chain port on Ethereum's JSON-RPC."""

from __future__ import annotations

import random
import time
from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.endpoint_rota import in_thread
from shared.adapters.endpoints import EndpointPool
from shared.adapters.ethereum_shapes import LogFilter, read_header, read_hex, read_transaction
from shared.adapters.fee_questions import ask_fees, ask_gas, ask_history
from shared.adapters.header_batch import ask_headers
from shared.adapters.json_rpc_failures import CallRefused, NotThere, WrongChain
from shared.errors import DoubtfulAnswer
from shared.ports import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from shared.adapters.block_logs import BlockLogs
    from shared.adapters.fee_questions import Poor
    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.adapters.log_ranges import LogRanges
    from shared.adapters.multicall import Multicall
    from shared.domain.blocks import Header
    from shared.domain.fee_reading import FeeHistory, FeeReading, GasAnswer, GasQuestion
    from shared.ports import Call, CallResult, Document, EndpointHealth, RawLog, TransactionInfo

_NO_CODE: Final = ("0x", None)
_BLOCKS_AHEAD: Final = 3
"""Blocks fetched at once while catching up: one is taken apart while the node looks for the next ones."""


class EthereumChain:
    """A chain behind endpoints: reads go to one as long as it serves, and to the next where it does not.

    ``calls_per_request`` bounds the reads of one multicall; ``probe_s``: how often the endpoints not read
    from are asked for their heads; ``max_lag``: how many blocks an endpoint's head may be behind another's.
    """

    def __init__(
        self,
        chain_id: int,
        endpoints: Sequence[JsonRpcEndpoint],
        *,
        calls_per_request: int = 1000,
        probe_s: float = 15.0,
        max_lag: int = 5,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
        background: Callable[[Callable[[], None]], None] = in_thread,
    ) -> None:
        self._chain_id = chain_id
        self._monotonic = monotonic
        self._pool = EndpointPool(
            chain_id,
            endpoints,
            monotonic=monotonic,
            random=chance,
            sleep=sleep,
            background=background,
            probe_s=probe_s,
            max_lag=max_lag,
        )
        self._endpoints = endpoints
        self._block_logs: BlockLogs | None = None
        self._calls_per_request = calls_per_request
        self._poor: Poor = set()

    # What only some functions need is imported when it is: quotes read no logs, and start in half the time.

    @cached_property
    def _multicalls(self) -> dict[JsonRpcEndpoint, Multicall]:
        from shared.adapters.multicall import Multicall  # noqa: PLC0415

        return {endpoint: Multicall(endpoint, self._calls_per_request) for endpoint in self._endpoints}

    @property
    def _blocks(self) -> BlockLogs:
        if self._block_logs is None:
            from shared.adapters.block_logs import BlockLogs  # noqa: PLC0415

            self._block_logs = BlockLogs(self._monotonic)
        return self._block_logs

    @cached_property
    def _ranges(self) -> LogRanges:
        from shared.adapters.log_ranges import LogRanges  # noqa: PLC0415

        return LogRanges(self._pool, lambda: self._blocks)

    @property
    def chain_id(self) -> int:
        """The chain id that this port was configured for (``remote_chain_id`` asks the node)."""
        return self._chain_id

    @property
    def requests(self) -> int:
        """Requests made so far, every entry of a JSON-RPC batch counted."""
        return self._pool.requests

    @property
    def rotations(self) -> int:
        """Changes from one endpoint to another so far."""
        return self._pool.rotations

    def remote_chain_id(self) -> int:
        """Ask the node for its chain id: a wrong one only where no endpoint serves the right one."""
        try:
            return self._pool.run(lambda it: read_hex(it.call("eth_chainId"), "chainId"))
        except WrongChain as error:
            return error.remote

    def head(self, block: str | int = "latest") -> Header:
        """Return the header at a tag or number; ChainUnavailable where the node does not have it."""

        def read(endpoint: JsonRpcEndpoint) -> Header:
            started = self._monotonic()
            header = read_header(endpoint.call("eth_getBlockByNumber", [_tag(block), False]))
            if header is None or (isinstance(block, int) and header.number != block):
                raise NotThere(f"{endpoint.name} has no block {block}")
            self._check(header)
            if block == "latest":
                self._pool.saw_head(endpoint, header.number, self._monotonic() - started)
            return header

        return self._pool.run(read)

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Return the canonical headers at these heights, None where the node has none, in one batch."""
        told: dict[JsonRpcEndpoint, dict[int, Header | None]] = {}

        def read(endpoint: JsonRpcEndpoint) -> list[Header | None]:
            # What an endpoint gave before a rate limit stopped it is not asked for again.
            return ask_headers(endpoint, numbers, told.setdefault(endpoint, {}), self._check)

        return self._pool.run(read) if numbers else []

    def _check(self, header: Header) -> None:
        """Raise DoubtfulAnswer where blocks of this chain were proved, and the header is not genuine."""
        if self._block_logs is not None:
            self._block_logs.check(header)

    def header_by_hash(self, block_hash: str) -> Header | None:
        """Return the header with this hash, or None where the node does not know it."""

        def read(endpoint: JsonRpcEndpoint) -> Header | None:
            header = read_header(endpoint.call("eth_getBlockByHash", [block_hash, False]))
            if header is not None and header.hash != block_hash.lower():
                raise DoubtfulAnswer(f"asked for block {block_hash}, was given {header.hash}")
            return header

        return self._pool.run(read)

    def logs(
        self, first: int, last: int, addresses: Sequence[str], topics: Sequence[Sequence[str] | None] = ()
    ) -> list[RawLog]:
        """Return raw logs of a range as the node gives them; ``topics[i]`` lists what position i may be.

        RangeRefused where the endpoint refuses a range of several blocks for whatever reason but the
        number of requests: providers tell range and result limits by any code and any text.
        """
        wanted = LogFilter(addresses, topics)
        if wanted.matches_nothing or first > last:
            return []
        return self._pool.run(lambda endpoint: self._ranges.logs(endpoint, wanted, first, last))

    def logs_of_block(self, block_hash: str, addresses: Sequence[str]) -> list[RawLog]:
        """Return raw logs of one block by its hash; ChainUnavailable where the node does not know it."""
        from shared.adapters.block_logs import logs_by_hash  # noqa: PLC0415

        wanted = LogFilter(addresses)
        if wanted.matches_nothing:
            return []
        return self._pool.run(lambda endpoint: logs_by_hash(endpoint, block_hash, wanted))

    def read_blocks(self, headers: Sequence[Header], addresses: Sequence[str]) -> Iterator[Reading]:
        """Yield the logs of each block: proved by its bloom or receipts, else asked for by its hash."""
        if len(headers) == 1:
            yield self._read_block(headers[0], addresses)
            return
        from concurrent.futures import Future, ThreadPoolExecutor  # noqa: PLC0415

        with ThreadPoolExecutor(_BLOCKS_AHEAD, thread_name_prefix="blocks") as threads:
            waiting = deque[Future[Reading]]()
            try:
                for header in headers:
                    if len(waiting) == _BLOCKS_AHEAD:
                        yield waiting.popleft().result()
                    waiting.append(threads.submit(self._read_block, header, addresses))
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for each in waiting:
                    each.cancel()

    def _read_block(self, header: Header, addresses: Sequence[str]) -> Reading:
        self._blocks.check(header)
        return self._pool.run(lambda endpoint: self._blocks.read(endpoint, header, addresses))

    def read_range(
        self,
        first: int,
        last: int,
        addresses: Sequence[str],
        *,
        other_than: str | None = None,
        with_senders: bool = False,
    ) -> Reading:
        """Return the logs of a range, not proved; RangeRefused where the endpoint takes fewer blocks."""
        wanted = LogFilter(addresses)
        if wanted.matches_nothing or first > last:
            return Reading([], self._pool.current.name)

        def read(endpoint: JsonRpcEndpoint) -> Reading:
            # A witness has limits of its own, which the caller does not know.
            ask = self._ranges.logs if other_than is None else self._ranges.logs_in_parts
            logs = ask(endpoint, wanted, first, last)
            senders = self._ranges.senders(endpoint, logs) if with_senders else {}
            return Reading(logs, endpoint.name, senders=senders)

        return self._pool.run(read) if other_than is None else self._pool.run_other(read, other_than)

    @property
    def range_limit(self) -> int | None:
        """Most blocks that the current endpoint takes in one log query, as learned; None: none met."""
        return self._pool.limits(self._pool.current).range.blocks

    def doubt(self, reason: str) -> None:
        """Prefer others to the endpoint that this thread last read from, for a while."""
        self._pool.doubt(reason)

    def endpoints(self) -> list[EndpointHealth]:
        """Return how each endpoint stands, in the order configured."""
        return self._pool.health()

    def learned(self) -> Document:
        """Return what was learned of the endpoints' limits, to be stored."""
        return self._pool.learned()

    def learn(self, document: Document) -> None:
        """Take up what was learned before; endpoints that are not configured any more are left out."""
        self._pool.learn(document)

    def call_many(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        """Read contracts at one pinned block: Multicall3, else its code by state override, else a batch."""
        if not calls:
            return []
        return self._pool.run(lambda endpoint: self._multicalls[endpoint].read(calls, block_hash))

    def has_code(self, address: str, block: str | int = "latest") -> bool:
        """Say whether there is code at the address."""
        return self._pool.run(lambda it: it.call("eth_getCode", [address, _tag(block)]) not in _NO_CODE)

    def transaction(self, transaction_hash: str) -> TransactionInfo | None:
        """Return the transaction with its receipt's outcome, or None where the node does not know it."""
        methods = ("eth_getTransactionByHash", "eth_getTransactionReceipt")
        calls = [(method, [transaction_hash]) for method in methods]

        def read(endpoint: JsonRpcEndpoint) -> TransactionInfo | None:
            return read_transaction(*(_not_refused(answer) for answer in endpoint.batch(calls)))

        return self._pool.run(read)

    def fees(
        self, blocks: int, percentiles: Sequence[float], questions: Sequence[GasQuestion] = ()
    ) -> FeeReading:
        """Ask in one batch for all that a quote needs; None for what the node does not tell."""

        def read(endpoint: JsonRpcEndpoint) -> FeeReading:
            started = self._monotonic()
            reading = ask_fees(endpoint, blocks, percentiles, questions, self._poor)
            self._pool.saw_head(endpoint, reading.head.header.number, self._monotonic() - started)
            return reading

        return self._pool.run(read)

    def fee_history(self, newest: int, blocks: int, percentiles: Sequence[float]) -> FeeHistory | None:
        """Return the fee history of so many blocks up to a height; None where the node does not tell it."""
        return self._pool.run(lambda endpoint: ask_history(endpoint, newest, blocks, percentiles))

    def estimate_gas(self, questions: Sequence[GasQuestion]) -> Mapping[GasQuestion, GasAnswer]:
        """Ask for the gas of calls at the latest block, in one batch."""
        poor = self._poor
        return self._pool.run(lambda endpoint: ask_gas(endpoint, questions, poor)) if questions else {}

    def hashes_at(self, number: int) -> list[str]:
        """Return the canonical block hash at a height from each endpoint that has one (the votes)."""

        def read(endpoint: JsonRpcEndpoint) -> Header | None:
            return read_header(endpoint.call("eth_getBlockByNumber", [hex(number), False]))

        headers = self._pool.each(read)
        return [header.hash for header in headers if header is not None and header.number == number]

    def close(self) -> None:
        """Give back connections."""
        self._pool.close()


def _not_refused(answer: Any) -> Any:
    if isinstance(answer, CallRefused):
        raise answer
    return answer


def _tag(block: str | int) -> str:
    return hex(block) if isinstance(block, int) else block
