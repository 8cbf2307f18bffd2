"""The Chain port in memory, with the troubles that real nodes give."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shared.domain.blocks import Header
from shared.domain.fee_chains import ETHEREUM
from shared.domain.fee_reading import FeeHead, FeeHistory, FeeReading, GasAnswer, GasQuestion
from shared.domain.fees import next_base_fee
from shared.domain.hashing import digest
from shared.errors import ChainUnavailable, RangeRefused, RateLimited
from shared.ports import Call, CallResult, EndpointHealth, RawLog, Reading, Spent, TransactionInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_NOBODY = "0x" + "00" * 20


class Reverted(Exception):
    """What ``on_call`` raises for a call that reverts; ``data`` is the revert data."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data.hex())
        self.data = data


@dataclass(frozen=True, slots=True)
class FakeBlock:
    """A block of the fake."""

    header: Header
    logs: tuple[dict[str, Any], ...]
    transactions: Mapping[str, TransactionInfo]
    fees: FeeHead
    tip_wei: int | None = None


class FakeChain:
    """A chain of one node, made by ``mine`` and ``reorg``, with a genesis block.

    Troubles: ``reachable = False``; ``lag`` blocks that the node does not have yet; ``lose_log`` hides a
    log from every query; ``index_says(log)`` is what the log index tells instead of a log (none, or more);
    ``max_range`` blocks at most in one log query, ``max_headers`` at once; ``other_votes[number]`` are the
    hashes that further endpoints give; ``provable = False``: a chain whose blocks with logs cannot be proved,
    so that ``read_block`` has only the log index to go by, ``without_receipts``: the same of single blocks.
    With ``witness`` (another FakeChain) there is a second endpoint for ``read_range``. ``doubts`` lists what
    was doubted. ``on_call(call, block_number)`` answers calls (default: the state set by ``set_state`` for
    the hash after the selector) and raises Reverted.

    Fees: blocks of ``gas_limit`` by Ethereum's rule from ``base_fee_wei`` on (None: a legacy chain).
    ``node_tip_wei``, ``gas_price_wei``, ``pending`` are what the node says (None: it refuses), and
    ``history_blocks`` at most of fee history (0: none). ``on_estimate(question)`` answers gas questions.
    ``spent`` says what single transactions used (default: 50,000 gas at base fee and the block's tip).
    """

    gas_limit = 30_000_000

    def __init__(
        self,
        chain_id: int = 1,
        *,
        remote_chain_id: int | None = None,
        safe_depth: int = 32,
        finalized_depth: int = 64,
        genesis_time: int = 1_700_000_000,
        block_time_s: int = 12,
        base_fee_wei: int | None = 10**9,
    ) -> None:
        self._chain_id = chain_id
        self._remote_chain_id = chain_id if remote_chain_id is None else remote_chain_id
        self._depths = {"latest": 0, "safe": safe_depth, "finalized": finalized_depth}
        self._block_time_s = block_time_s
        self._forks = 0
        self._lost: set[tuple[str, str]] = set()
        self._code: dict[str, int] = {}
        self._states: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        self.reachable = True
        self._verified = False
        self.lag = 0
        self.max_range: int | None = None
        self.max_headers: int | None = None
        self.other_votes: dict[int, list[str]] = {}
        self.provable = True
        self.without_receipts: set[str] = set()
        self.index_says: Callable[[RawLog], Sequence[RawLog]] = lambda log: [log]
        self.rotations = 0
        self.witness: FakeChain | None = None
        self.doubts: list[str] = []
        self.known_limits: dict[str, Any] = {}
        self.on_call: Callable[[Call, int], bytes] = self._state_of
        self.requests = 0
        self.node_tip_wei: int | None = 10**9
        self.gas_price_wei: int | None = 2 * 10**9
        self.pending: int | None = 0
        self.history_blocks = 1024
        self.history_trouble: ChainUnavailable | None = None
        self.history_requests = 0
        self.spent: dict[str, Spent] = {}
        self.fee_batches = 0
        self.gas_batches = 0
        self.on_estimate: Callable[[GasQuestion], GasAnswer] = lambda _: GasAnswer(refused="no estimate here")
        genesis = Header(0, "0x" + digest([chain_id]), "0x" + "00" * 32, genesis_time)
        self.blocks = [FakeBlock(genesis, (), {}, FeeHead(genesis, base_fee_wei, 0, self.gas_limit))]

    # Making the chain.

    def mine(
        self,
        logs: Sequence[Mapping[str, Any]] = (),
        transactions: Sequence[TransactionInfo] = (),
        *,
        timestamp: int | None = None,
        gas_used: int = 0,
        tip_wei: int | None = None,
    ) -> Header:
        """Append a block and return its header; ``tip_wei``: what all of its gas paid.

        Each log gives ``address``, ``topics``, ``data`` (hex) and may give ``transactionHash``; without it
        it is of a transaction of its own. ``transactions`` are filled in with the block.
        """
        parent = self.blocks[-1].header
        number = parent.number + 1
        time = parent.timestamp + self._block_time_s if timestamp is None else timestamp
        content = [self._chain_id, self._forks, parent.hash, number, time, [dict(log) for log in logs]]
        told = self.blocks[-1].fees
        base_fee = told.base_fee_wei
        if base_fee is not None:
            base_fee = next_base_fee(ETHEREUM, base_fee, told.gas_used, told.gas_limit)
        header = Header(
            number, "0x" + digest([*content, [t.hash for t in transactions]]), parent.hash, time,
            base_fee_wei=base_fee, gas_used=gas_used, gas_limit=self.gas_limit,
        )  # fmt: skip
        mined = {t.hash: replace(t, block_number=number, block_hash=header.hash) for t in transactions}
        hashes = [
            str(log.get("transactionHash") or "0x" + digest([header.hash, i])) for i, log in enumerate(logs)
        ]
        for log, key in zip(logs, hashes, strict=True):
            to = str(log["address"])
            mined.setdefault(key, TransactionInfo(key, _NOBODY, to, b"", number, header.hash, ok=True))
        places = {key: hex(i) for i, key in enumerate(mined)}
        raw = tuple(
            {
                "address": str(log["address"]).lower(),
                "topics": list(log["topics"]),
                "data": log["data"],
                "blockNumber": hex(number),
                "blockHash": header.hash,
                "blockTimestamp": hex(time),
                "transactionHash": key,
                "transactionIndex": places[key],
                "logIndex": hex(i),
                "removed": False,
            }
            for i, (log, key) in enumerate(zip(logs, hashes, strict=True))
        )
        fees = FeeHead(header, base_fee, gas_used, self.gas_limit)
        self.blocks.append(FakeBlock(header, raw, mined, fees, tip_wei))
        return header

    def mine_empty(self, count: int) -> Header:
        """Append ``count`` blocks without logs and return the last header."""
        for _ in range(count):
            self.mine()
        return self.blocks[-1].header

    def reorg(self, depth: int, logs: Mapping[int, Sequence[Mapping[str, Any]]] | None = None) -> Header:
        """Replace the last ``depth`` blocks by others of equal height; return the new tip.

        ``logs[i]`` are those of the new block i, from 0; all that the old blocks held is gone.
        """
        self._forks += 1
        height = len(self.blocks) - depth
        if height < 1:
            raise ValueError("the genesis block cannot be taken back")
        del self.blocks[height:]
        for key, states in self._states.items():
            self._states[key] = [(number, state) for number, state in states if number < height]
        for i in range(depth):
            self.mine((logs or {}).get(i, ()))
        return self.blocks[-1].header

    def deploy(self, address: str) -> None:
        """Say that there is code at the address from the tip on."""
        self._code[address.lower()] = self.blocks[-1].header.number

    def set_state(self, block: int, contract: str, transfer_hash: str, number: int) -> None:
        """Let the contract answer ``number`` for the hash from this block on."""
        self._states[contract.lower(), transfer_hash.lower()].append((block, number))

    def serves(self, chain_id: int) -> None:
        """Let the node say that its chain is this one, which nobody notices who does not ask."""
        self._remote_chain_id, self._verified = chain_id, True

    def lose_log(self, log: RawLog) -> None:
        """Hide a log from every query, as a lagging index does."""
        self._lost.add((str(log["blockHash"]), str(log["logIndex"])))

    def find_logs_again(self) -> None:
        """Show all that ``lose_log`` hid."""
        self._lost.clear()

    # The port.

    @property
    def chain_id(self) -> int:
        """The chain id that this port was configured for."""
        return self._chain_id

    def remote_chain_id(self) -> int:
        """Return what the node says."""
        self._asked(proved=False)
        return self._remote_chain_id

    def head(self, block: str | int = "latest") -> Header:
        """Return the header at a tag or number."""
        visible = self._asked()
        number = block if isinstance(block, int) else max(0, len(visible) - 1 - self._depths[block])
        if number >= len(visible):
            raise ChainUnavailable(f"the node has no block {block}")
        return visible[number].header

    def headers(self, numbers: Sequence[int]) -> list[Header | None]:
        """Return the headers at these heights, None where there is none."""
        if not numbers:
            return []
        if self.max_headers is not None and len(numbers) > self.max_headers:
            raise RateLimited(f"at most {self.max_headers} at once")
        visible = self._asked(len(numbers))
        return [visible[number].header if number < len(visible) else None for number in numbers]

    def header_by_hash(self, block_hash: str) -> Header | None:
        """Return the header with this hash, or None."""
        block = self._by_hash(self._asked(), block_hash)
        return block.header if block else None

    def logs(
        self, first: int, last: int, addresses: Sequence[str], topics: Sequence[Sequence[str] | None] = ()
    ) -> list[RawLog]:
        """Return the logs of a range."""
        visible = self._asked()
        if self.max_range is not None and last - first + 1 > self.max_range:
            raise RangeRefused(f"blocks {first} to {last}: at most {self.max_range} blocks")
        return [
            log for block in visible[first : last + 1] for log in self._matching(block, addresses, topics)
        ]

    def logs_of_block(self, block_hash: str, addresses: Sequence[str]) -> list[RawLog]:
        """Return the logs of one block."""
        block = self._by_hash(self._asked(), block_hash)
        if block is None:
            raise ChainUnavailable(f"the node has no block {block_hash}")
        return self._matching(block, addresses, ())

    def _read_block(self, header: Header, addresses: Sequence[str]) -> Reading:
        """Return the logs of one block: all of them where blocks can be proved."""
        block = self._by_hash(self._asked(), header.hash)
        if block is None:
            raise ChainUnavailable(f"the node has no block {header.hash}")
        # Without receipts a bloom still proves that there is nothing.
        empty = not self._matching(block, addresses, (), proved=True)
        proved = empty or (self.provable and header.hash not in self.without_receipts)
        logs = self._matching(block, addresses, (), proved=proved)
        spent = {log["transactionHash"]: self._spent(block, log) for log in logs} if proved else {}
        return Reading(logs, "endpoint 1", proved, self._senders(logs), spent)

    def read_blocks(self, headers: Sequence[Header], addresses: Sequence[str]) -> Iterator[Reading]:
        """Yield the logs of each block."""
        for header in headers:
            yield self._read_block(header, addresses)

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
        if self.witness is not None and other_than == "endpoint 1":
            return replace(
                self.witness.read_range(first, last, addresses, with_senders=with_senders),
                endpoint="endpoint 2",
            )
        logs = self.logs(first, last, addresses)
        return Reading(logs, "endpoint 1", senders=self._senders(logs) if with_senders else {})

    @property
    def range_limit(self) -> int | None:
        """Return ``max_range``."""
        return self.max_range

    def doubt(self, reason: str) -> None:
        """Note the doubt."""
        self.doubts.append(reason)

    def endpoints(self) -> list[EndpointHealth]:
        """Return the one endpoint, or both."""
        head = len(self.blocks) - 1
        names = ["endpoint 1", *(["endpoint 2"] if self.witness else [])]
        return [
            EndpointHealth(
                name, name == "endpoint 1", 1.0, 1.0, self.requests, 0, head, 0, self.max_range, None
            )
            for name in names
        ]

    def learned(self) -> dict[str, Any]:
        """Return what ``learn`` was given."""
        return self.known_limits

    def learn(self, document: Mapping[str, Any]) -> None:
        """Keep it."""
        self.known_limits = dict(document)

    def call_many(self, calls: Sequence[Call], block_hash: str) -> list[CallResult]:
        """Answer calls at one block through ``on_call``."""
        if not calls:
            return []
        block = self._by_hash(self._asked(), block_hash)
        if block is None:
            raise ChainUnavailable(f"the node has no block {block_hash}")
        results = []
        for call in calls:
            try:
                results.append(CallResult(ok=True, data=self.on_call(call, block.header.number)))
            except Reverted as reverted:
                results.append(CallResult(ok=False, data=reverted.data))
        return results

    def has_code(self, address: str, block: str | int = "latest") -> bool:
        """Say whether ``deploy`` came at or before the block."""
        number = self.head(block).number
        return self._code.get(address.lower(), number + 1) <= number

    def transaction(self, transaction_hash: str) -> TransactionInfo | None:
        """Return the transaction, or None."""
        visible = self._asked(2)
        found = (b.transactions[transaction_hash] for b in visible if transaction_hash in b.transactions)
        return next(found, None)

    def fees(
        self, blocks: int, percentiles: Sequence[float], questions: Sequence[GasQuestion] = ()
    ) -> FeeReading:
        """Answer from the blocks."""
        visible = self._asked(5 + len(questions))
        self.fee_batches += 1
        head = visible[-1].fees
        told = None
        if head.base_fee_wei is not None and self.history_blocks:
            told = self._history(visible[-min(blocks, self.history_blocks) :], percentiles)
        answers = {question: self.on_estimate(question) for question in questions}
        return FeeReading(head, told, self.node_tip_wei, self.gas_price_wei, self.pending, answers)

    def fee_history(self, newest: int, blocks: int, percentiles: Sequence[float]) -> FeeHistory | None:
        """Answer from the blocks, or raise ``history_trouble``."""
        visible = self._asked()
        self.history_requests += 1
        if self.history_trouble is not None:
            raise self.history_trouble
        if not self.history_blocks or newest >= len(visible):
            return None
        return self._history(visible[: newest + 1][-min(blocks, self.history_blocks) :], percentiles)

    @staticmethod
    def _history(shown: Sequence[FakeBlock], percentiles: Sequence[float]) -> FeeHistory:
        head = shown[-1].fees
        fees = [block.fees.base_fee_wei or 0 for block in shown]
        return FeeHistory(
            oldest=shown[0].header.number,
            base_fees_wei=(*fees, next_base_fee(ETHEREUM, fees[-1], head.gas_used, head.gas_limit)),
            uses=tuple(block.fees.gas_used / block.fees.gas_limit for block in shown),
            tips=tuple(
                {} if block.tip_wei is None else dict.fromkeys(percentiles, block.tip_wei) for block in shown
            ),
        )

    def estimate_gas(self, questions: Sequence[GasQuestion]) -> dict[GasQuestion, GasAnswer]:
        """Answer through ``on_estimate``."""
        if questions:
            self._asked(len(questions))
            self.gas_batches += 1
        return {question: self.on_estimate(question) for question in questions}

    def hashes_at(self, number: int) -> list[str]:
        """Return the hash at a height, and ``other_votes``."""
        visible = self._asked()
        own = [visible[number].header.hash] if number < len(visible) else []
        return own + self.other_votes.get(number, [])

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _asked(self, requests: int = 1, *, proved: bool = True) -> list[FakeBlock]:
        self.requests += requests
        if not self.reachable:
            raise ChainUnavailable("the node cannot be reached")
        if proved and not self._verified and self._remote_chain_id != self._chain_id:
            raise ChainUnavailable(f"the node serves chain {self._remote_chain_id}, not {self._chain_id}")
        return self.blocks[: max(1, len(self.blocks) - self.lag)]

    def _by_hash(self, visible: Sequence[FakeBlock], block_hash: str) -> FakeBlock | None:
        return next((block for block in visible if block.header.hash == block_hash.lower()), None)

    def _senders(self, logs: Sequence[RawLog]) -> dict[str, str]:
        by_hash = {key: info for block in self.blocks for key, info in block.transactions.items()}
        hashes = {log["transactionHash"] for log in logs}
        return {key: by_hash[key].sender if key in by_hash else _NOBODY for key in hashes}

    def _spent(self, block: FakeBlock, log: RawLog) -> Spent:
        price = (block.fees.base_fee_wei or 0) + (block.tip_wei or 0)
        return self.spent.get(log["transactionHash"]) or Spent(log["address"], 50_000, price)

    def _matching(
        self,
        block: FakeBlock,
        addresses: Sequence[str],
        topics: Sequence[Sequence[str] | None],
        *,
        proved: bool = False,
    ) -> list[RawLog]:
        wanted = {address.lower() for address in addresses}
        logs = [dict(log) for log in block.logs]
        return [
            log
            for log in (logs if proved else [told for log in logs for told in self.index_says(log)])
            if log["address"] in wanted
            and (proved or (log["blockHash"], log["logIndex"]) not in self._lost)
            and all(
                position is None
                or (i < len(log["topics"]) and log["topics"][i] in {t.lower() for t in position})
                for i, position in enumerate(topics)
            )
        ]

    def _state_of(self, call: Call, block_number: int) -> bytes:
        states = self._states.get((call.to.lower(), "0x" + call.data[4:36].hex()), [])
        known = [state for number, state in states if number <= block_number]
        return (known[-1] if known else 0).to_bytes(32)
