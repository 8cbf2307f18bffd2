"""What the use cases need from the world outside, as Protocols; adapters implement them.

Documents are JSON objects: ``None``, ``bool``, ``int`` below 2^63, ``float``, ``str``, ``list``
and ``dict`` with ``str`` keys. Field names in queries may be dotted (``metadata.originalEventId``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

    from shared.domain.blocks import Header
    from shared.domain.fee_reading import FeeHistory, FeeReading, GasAnswer, GasQuestion

Document = dict[str, Any]
DELETE_AFTER: Final = "deleteAfter"
"""Field with the time, in ISO 8601 with ``Z``, after which a store may delete it (Firestore does)."""
RawLog = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """A question to one collection.

    ``where``: (field, value) pairs, all of which must be equal; a document without the field never
    matches. ``order_by``: one field, ascending (descending if ``descending``), ties by key in the same
    direction; documents without the field are left out (as Firestore does). ``None``: ascending by key.
    ``after``: with ``order_by`` the pair (value, key) of the last document seen; without it, its key
    alone as ``(key,)``; the empty key, which no document has, stands before every other. ``fields``:
    top-level fields to return (``()``: keys only); ``None``: all.
    """

    where: tuple[tuple[str, Any], ...] = ()
    order_by: str | None = None
    descending: bool = False
    limit: int | None = None
    after: tuple[Any, ...] | None = None
    fields: tuple[str, ...] | None = None


class Transaction(Protocol):
    """Reads and writes that take effect together or not at all; all reads come before the first write."""

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document as of this transaction, or None."""

    def get_many(self, collection: str, keys: Iterable[str]) -> dict[str, Document]:
        """Return those of the documents that exist, by key, as of this transaction."""

    def create(self, collection: str, key: str, document: Document) -> None:
        """Write a new document at commit; the commit raises Conflict if it exists by then."""

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write (replace whole) at commit."""

    def delete(self, collection: str, key: str) -> None:
        """Delete at commit; deleting what is not there is no error."""


@dataclass(frozen=True, slots=True)
class Change:
    """A document that was created; ``position`` is opaque and orders the changes of one collection."""

    position: str
    key: str
    document: Document


class Documents(Protocol):
    """A document store. Every method raises StoreUnavailable where the store cannot be used."""

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document, or None."""

    def get_many(
        self, collection: str, keys: Iterable[str], *, fields: Sequence[str] | None = None
    ) -> dict[str, Document]:
        """Return those of the documents that exist, by key; only ``fields`` (top level) if given."""

    def create(self, collection: str, key: str, document: Document) -> bool:
        """Write a new document; False, and nothing changed, if the key exists."""

    def create_many(self, collection: str, documents: Mapping[str, Document]) -> set[str]:
        """Create each that does not exist, independently; return the keys that were already there."""

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write, replacing the whole document."""

    def delete(self, collection: str, key: str) -> None:
        """Delete; deleting what is not there is no error."""

    def query(self, collection: str, query: Query) -> list[tuple[str, Document]]:
        """Return (key, document) pairs that match, in order."""

    def count(self, collection: str, where: tuple[tuple[str, Any], ...] = ()) -> int:
        """Count the documents that match all (field, value) pairs."""

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` atomically and return its result; it may run more than once before it commits.

        Serializable: two transactions that read and write the same documents behave as if one
        came after the other. Raises Conflict if contention outlasts the adapter's retries. An
        exception out of ``work`` rolls back and propagates.
        """

    def watch(self, collection: str, after: str | None, limit: int, *, bodies: bool = True) -> list[Change]:
        """Return up to ``limit`` documents created after ``after`` (None: from the start), oldest first.

        At least once: a position read once may be read from again, and none is skipped. Without ``bodies``
        no document is read, and that of each change is empty.
        """

    def close(self) -> None:
        """Give back connections and files."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is published: bytes, and string attributes."""

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message from ``Bus.pull``; ``attempt`` counts from 1, ``ack_id`` is good until the deadline."""

    message_id: str
    ack_id: str
    message: Message
    attempt: int
    published_at: datetime


class Bus(Protocol):
    """Topics with durable subscriptions of at-least-once delivery.

    A message that is refused ``max_attempts`` times moves to the subscription's dead-letter topic.
    Every method raises StoreUnavailable where the bus cannot be used, NotFound for an unknown name.
    """

    def publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
        """Publish all; returns their ids once every one of them is durable."""

    def pull(self, subscription: str, limit: int) -> list[Delivery]:
        """Lease up to ``limit`` messages that are due; at once, and an empty list if there are none."""

    def ack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Take delivered messages off the subscription."""

    def nack(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Refuse: they come again after the subscription's back-off."""

    def hold(self, subscription: str, ack_ids: Sequence[str], seconds: int) -> None:
        """Lease for so many seconds (0 to 600) from now, in place of what the subscription says."""

    def release(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Hand back unread (a look, not a refusal): due again at once."""

    def close(self) -> None:
        """Give back connections and files."""


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


class Metrics(Protocol):
    """Figures for operators. Names are those of ``shared.domain.metrics``; labels are few and bounded.

    Keeping a figure never waits and never fails, but for a name, kind or label that is not in the table:
    KeyError, a mistake in the code. Writing figures somewhere never fails either; what failed is counted.
    """

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a figure that goes up and down."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add one observation to a distribution."""

    def flush(self, wait_s: float = 0.0, *, now: bool = False) -> None:
        """Write what is kept to where it goes, if that is due; return after ``wait_s`` seconds at most.

        ``now``: as soon as the place takes it, rather than when it is due.
        """

    def close(self) -> None:
        """Write what is left; the process ends."""


class Clock(Protocol):
    """Time, injected."""

    def now(self) -> datetime:
        """Return the time now, UTC-aware."""

    def monotonic_s(self) -> float:
        """Return seconds that never go backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something a person must look at; ``key`` is the same for the same trouble.

    ``severity``: critical, error or warning. ``detail``: what to know of it now. ``passing``: nobody will
    say that it is over; it is once it has not been raised for a while.
    """

    key: str
    severity: str
    title: str
    detail: Mapping[str, Any]
    passing: bool = False


OPENED: Final = "opened"
REPEATED: Final = "repeated"
CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a sink tells people of an alert: that it opened, stands still, or closed.

    ``raised``: how many times it was raised since ``opened_at``.
    """

    kind: str
    alert: Alert
    opened_at: datetime
    raised: int


class AlertSink(Protocol):
    """Where alerts go; ``name`` tells sinks apart, in the alerts' state and in the figures."""

    @property
    def name(self) -> str:
        """Its name."""

    def send(self, notice: Notice) -> None:
        """Deliver the notice within seconds; SinkUnavailable where it cannot be."""
