"""The Chain port on Ethereum's JSON-RPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from shared.adapters.ethereum_shapes import (
    LogFilter,
    read_hash,
    read_header,
    read_hex,
    read_logs,
    read_transaction,
)
from shared.adapters.json_rpc_failures import METHOD_NOT_FOUND, CallRefused
from shared.adapters.multicall import Multicall
from shared.errors import ChainUnavailable, RangeRefused, RateLimited
from shared.ports import EndpointHealth, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.domain.blocks import Header
    from shared.ports import Call, CallResult, Document, RawLog, TransactionInfo

T = TypeVar("T")
_NO_CODE: Final = ("0x", None)


class EthereumChain:
    """A chain behind endpoints: each read goes to the first, and to the next ones where that one fails.

    An endpoint of another chain is as good as none: each is asked for its chain id before it is first
    read from. ``calls_per_request`` bounds the reads of one multicall.
    """

    def __init__(
        self, chain_id: int, endpoints: Sequence[JsonRpcEndpoint], *, calls_per_request: int = 1000
    ) -> None:
        self._chain_id = chain_id
        self._endpoints = list(endpoints)
        self._multicalls = {
            endpoint.name: Multicall(endpoint, calls_per_request) for endpoint in self._endpoints
        }
        self._proved: set[str] = set()

    @property
    def chain_id(self) -> int:
        """The chain id that this port was configured for (``remote_chain_id`` asks the node)."""
        return self._chain_id

    @property
    def requests(self) -> int:
        """Requests made so far, every entry of a JSON-RPC batch counted."""
        return sum(endpoint.requests for endpoint in self._endpoints)

    def remote_chain_id(self) -> int:
        """Ask the node for its chain id."""
        return _first_of(self._endpoints, _chain_id_of)

    def head(self, block: str | int = "latest") -> Header:
        """Return the header at a tag or number; ChainUnavailable where the node does not have it."""

        def read(endpoint: JsonRpcEndpoint) -> Header:
            header = read_header(endpoint.call("eth_getBlockByNumber", [_tag(block), False]))
            if header is None or (isinstance(block, int) and header.number != block):
                raise ChainUnavailable(f"{endpoint.name} has no block {block}")
            return header

        return self._read(read)

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Return the canonical headers at these heights, None where the node has none, in one batch."""

        def read(endpoint: JsonRpcEndpoint) -> list[Header | None]:
            calls = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
            found = [read_header(_not_refused(answer)) for answer in endpoint.batch(calls)]
            for header, number in zip(found, numbers, strict=True):
                if header is not None and header.number != number:
                    raise ChainUnavailable(f"asked for block {number}, was given {header.number}")
            return found

        return self._read(read) if numbers else []

    def header_by_hash(self, block_hash: str) -> Header | None:
        """Return the header with this hash, or None where the node does not know it."""

        def read(endpoint: JsonRpcEndpoint) -> Header | None:
            header = read_header(endpoint.call("eth_getBlockByHash", [block_hash, False]))
            if header is not None and header.hash != block_hash.lower():
                raise ChainUnavailable(f"asked for block {block_hash}, was given {header.hash}")
            return header

        return self._read(read)

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
        criteria = {
            "fromBlock": hex(first),
            "toBlock": hex(last),
            "address": wanted.addresses,
            "topics": wanted.topics,
        }

        def read(endpoint: JsonRpcEndpoint) -> list[RawLog]:
            try:
                answer = endpoint.call("eth_getLogs", [criteria])
            except CallRefused as error:
                if first == last or error.number == METHOD_NOT_FOUND:
                    raise
                raise RangeRefused(f"blocks {first} to {last}: {error}") from error
            return read_logs(answer, wanted, first, last)

        return self._read(read)

    def logs_of_block(self, block_hash: str, addresses: Sequence[str]) -> list[RawLog]:
        """Return raw logs of one block by its hash; ChainUnavailable where the node does not know it."""
        wanted = LogFilter(addresses)
        if wanted.matches_nothing:
            return []
        criteria = {"blockHash": block_hash, "address": wanted.addresses}

        def read(endpoint: JsonRpcEndpoint) -> list[RawLog]:
            answer = endpoint.call("eth_getLogs", [criteria])
            for log in read_logs(answer, wanted, 0, 1 << 64):
                if read_hash(log.get("blockHash"), "blockHash") != block_hash.lower():
                    raise ChainUnavailable(f"a log of another block than {block_hash}")
            return list(answer)

        return self._read(read)

    def read_block(self, header: Header, addresses: Sequence[str]) -> Reading:
        """Return the logs of one block, asked for by its hash."""
        return Reading(self.logs_of_block(header.hash, addresses), self._endpoints[0].name)

    def read_range(
        self,
        first: int,
        last: int,
        addresses: Sequence[str],
        *,
        other_than: str | None = None,
        with_senders: bool = False,
    ) -> Reading:
        """Return the logs of a range."""
        return Reading(self.logs(first, last, addresses), self._endpoints[0].name)

    @property
    def range_limit(self) -> int | None:
        """Most blocks in one log query, as learned."""
        return None

    def doubt(self, reason: str) -> None:
        """Prefer other endpoints for a while."""

    def endpoints(self) -> list[EndpointHealth]:
        """Return how each endpoint stands."""
        return [
            EndpointHealth(e.name, e is self._endpoints[0], 1.0, None, e.requests, 0, None, None, None, None)
            for e in self._endpoints
        ]

    def learned(self) -> Document:
        """Return what was learned of the endpoints' limits."""
        return {}

    def learn(self, document: Document) -> None:
        """Take up what was learned before."""

    def call_many(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        """Read contracts at one pinned block: Multicall3, else its code by state override, else a batch."""
        if not calls:
            return []
        return self._read(lambda endpoint: self._multicalls[endpoint.name].read(calls, block_hash))

    def has_code(self, address: str, block: str | int = "latest") -> bool:
        """Say whether there is code at the address."""
        return self._read(lambda it: it.call("eth_getCode", [address, _tag(block)]) not in _NO_CODE)

    def transaction(self, transaction_hash: str) -> TransactionInfo | None:
        """Return the transaction with its receipt's outcome, or None where the node does not know it."""
        methods = ("eth_getTransactionByHash", "eth_getTransactionReceipt")
        calls = [(method, [transaction_hash]) for method in methods]

        def read(endpoint: JsonRpcEndpoint) -> TransactionInfo | None:
            return read_transaction(*(_not_refused(answer) for answer in endpoint.batch(calls)))

        return self._read(read)

    def hashes_at(self, number: int) -> list[str]:
        """Return the canonical block hash at a height from each endpoint that has one (the votes)."""
        votes: list[str] = []
        failures: list[ChainUnavailable] = []
        for endpoint in self._endpoints:
            try:
                self._prove(endpoint)
                header = read_header(endpoint.call("eth_getBlockByNumber", [hex(number), False]))
            except ChainUnavailable as error:
                failures.append(error)
                continue
            votes += [header.hash] if header is not None and header.number == number else []
        if len(failures) == len(self._endpoints):
            raise _worst(failures)
        return votes

    def close(self) -> None:
        """Give back connections."""
        for endpoint in self._endpoints:
            endpoint.close()

    def _read(self, read: Callable[[JsonRpcEndpoint], T]) -> T:
        def proved(endpoint: JsonRpcEndpoint) -> T:
            self._prove(endpoint)
            return read(endpoint)

        return _first_of(self._endpoints, proved)

    def _prove(self, endpoint: JsonRpcEndpoint) -> None:
        if endpoint.name in self._proved:
            return
        remote = _chain_id_of(endpoint)
        if remote != self._chain_id:
            raise ChainUnavailable(f"{endpoint.name} serves chain {remote}, not {self._chain_id}")
        self._proved.add(endpoint.name)


def _first_of(endpoints: Sequence[JsonRpcEndpoint], read: Callable[[JsonRpcEndpoint], T]) -> T:
    failures: list[ChainUnavailable] = []
    for endpoint in endpoints:
        try:
            return read(endpoint)
        except RangeRefused:
            raise  # an answer about the question: the caller asks for less, the endpoint stays the first
        except ChainUnavailable as error:
            failures.append(error)
    raise _worst(failures)


def _worst(failures: Sequence[ChainUnavailable]) -> ChainUnavailable:
    # A rate limit says when to come again, which is more than that nobody is there.
    for error in failures:
        if isinstance(error, RateLimited):
            return error
    return failures[0] if failures else ChainUnavailable("no endpoint is configured")


def _chain_id_of(endpoint: JsonRpcEndpoint) -> int:
    return read_hex(endpoint.call("eth_chainId"), "chainId")


def _not_refused(answer: Any) -> Any:
    if isinstance(answer, CallRefused):
        raise answer
    return answer


def _tag(block: str | int) -> str:
    return hex(block) if isinstance(block, int) else block
