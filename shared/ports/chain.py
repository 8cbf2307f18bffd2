"""A chain, and the shapes of what it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from shared.domain.blocks import Header
    from shared.domain.fee_reading import FeeHistory, FeeReading, GasAnswer, GasQuestion
    from shared.ports.documents import Document

RawLog = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One read of a contract: address and calldata."""

    to: str
    data: bytes


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a read gave; ``ok`` is False where it reverted, ``data`` is then the revert data."""

    ok: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class TransactionInfo:
    """A transaction as the node knows it; block fields and ``ok`` are None until it is mined."""

    hash: str
    sender: str
    to: str | None
    data: bytes
    block_number: int | None
    block_hash: str | None
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a transaction used and paid, as its receipt says; ``price_wei`` is per gas (None: it does not)."""

    to: str | None
    gas_used: int
    price_wei: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """Logs of a block or a range as ``endpoint`` gave them.

    ``proved``: they are complete and genuine, by the block's bloom or its receipts. ``senders`` gives the
    sender of each of their transactions by its hash, where receipts were read or it was asked for; ``spent``
    what each used and paid, where receipts were read.
    """

    logs: Sequence[RawLog]
    endpoint: str
    proved: bool = False
    senders: Mapping[str, str] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """How one endpoint stands: ``score`` from 0 (useless) to 1, ``current`` if reads go to it now.

    ``head`` is the height it last told (None: never), ``lag`` that far behind the best known head.
    ``range_blocks`` (None: no limit met) and ``requests_per_s`` are the limits learned; ``trouble`` says
    why it is avoided, if it is. Never its URL, which may hold a key.
    """

    name: str
    current: bool
    score: float
    latency_ms: float | None
    requests: int
    errors: int
    head: int | None
    lag: int | None
    range_blocks: int | None
    requests_per_s: float | None
    trouble: str | None = None


class Chain(Protocol):
    """One chain, read through one or more JSON-RPC endpoints.

    Reads go to one endpoint as long as it serves well, and within seconds to another where it does not.

    Hashes and addresses are lower-case hex with 0x. Block ranges are inclusive. Every method raises
    ChainUnavailable (or RateLimited, RangeRefused) where no endpoint gives a usable answer.
    """

    @property
    def chain_id(self) -> int:
        """The chain id that this port was configured for (``remote_chain_id`` asks the node)."""

    def remote_chain_id(self) -> int:
        """Ask the node for its chain id."""

    def head(self, block: str | int = "latest") -> Header:
        """Return the header at a tag (``latest``, ``safe``, ``finalized``) or number.

        Raises ChainUnavailable where the node does not have it.
        """

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Return the canonical headers at these heights, None where the node has none, in one batch."""

    def header_by_hash(self, block_hash: str) -> Header | None:
        """Return the header with this hash, or None where the node does not know it."""

    def logs(
        self, first: int, last: int, addresses: Sequence[str], topics: Sequence[Sequence[str] | None] = ()
    ) -> list[RawLog]:
        """Return raw logs of a range as the node gives them; ``topics[i]`` lists what position i may be."""

    def logs_of_block(self, block_hash: str, addresses: Sequence[str]) -> list[RawLog]:
        """Return raw logs of one block by its hash; ChainUnavailable where the node does not know it."""

    def read_blocks(self, headers: Sequence[Header], addresses: Sequence[str]) -> Iterator[Reading]:
        """Yield the logs of each block: proved by its bloom or receipts, else asked for by its hash.

        Where there are several, the next ones are fetched while one is looked at. Raises ChainUnavailable
        where the node does not know a block, or where what it gives is no whole and genuine block though
        this chain's blocks can be proved.
        """

    def read_range(
        self,
        first: int,
        last: int,
        addresses: Sequence[str],
        *,
        other_than: str | None = None,
        with_senders: bool = False,
    ) -> Reading:
        """Return the logs of a range, not proved; raises RangeRefused.

        ``other_than`` names an endpoint that another one is to witness for; the same one answers where no
        other does. ``with_senders``: tell who sent the transactions.
        """

    @property
    def range_limit(self) -> int | None:
        """Most blocks that the current endpoint takes in one log query, as learned; None: none met."""

    def doubt(self, reason: str) -> None:
        """Say that the endpoint of the last reads gave what cannot be: others are preferred for a while."""

    @property
    def rotations(self) -> int:
        """Changes from one endpoint to another so far."""

    def endpoints(self) -> list[EndpointHealth]:
        """Return how each endpoint stands, in the order configured."""

    def learned(self) -> Document:
        """Return what was learned of the endpoints' limits, to be stored."""

    def learn(self, document: Document) -> None:
        """Take up what was learned before; endpoints that are not configured any more are left out."""

    def call_many(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        """Read contracts at one pinned block: Multicall3, else its code by state override, else a batch."""

    def has_code(self, address: str, block: str | int = "latest") -> bool:
        """Say whether there is code at the address."""

    def transaction(self, transaction_hash: str) -> TransactionInfo | None:
        """Return the transaction with its receipt's outcome, or None where the node does not know it."""

    def fees(
        self, blocks: int, percentiles: Sequence[float], questions: Sequence[GasQuestion] = ()
    ) -> FeeReading:
        """Ask in one batch for all that a quote needs; None for what the node does not tell.

        The latest header; fee history of that many blocks with the tips at these percentiles; the node's own
        tip and gas price; pending transactions; the gas of calls. Raises DoubtfulAnswer, too, where head and
        history do not fit together.
        """

    def fee_history(self, newest: int, blocks: int, percentiles: Sequence[float]) -> FeeHistory | None:
        """Return the fee history of so many blocks up to a height, in one request.

        None where the node does not tell it, for whatever reason it gives.
        """

    def estimate_gas(self, questions: Sequence[GasQuestion]) -> Mapping[GasQuestion, GasAnswer]:
        """Ask for the gas of calls at the latest block, in one batch.

        A sender who could not pay for the call is taken to be able to.
        """

    def hashes_at(self, number: int) -> list[str]:
        """Return the canonical block hash at a height from each endpoint that has one (the votes)."""

    @property
    def requests(self) -> int:
        """Requests made so far, every entry of a JSON-RPC batch counted."""

    def close(self) -> None:
        """Give back connections."""
