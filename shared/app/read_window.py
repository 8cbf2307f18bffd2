"""Reading a window of blocks so that its headers and its logs are of one and the same chain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from shared.app.chain_cursor import BlockRead, WindowRead
from shared.domain.completeness import PROVED, SINGLE, Segment, log_digest
from shared.errors import ChainUnavailable, DoubtfulAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.domain.blocks import Header
    from shared.ports import Chain, RawLog, Reading

_FIRST_BLOCKS: Final = 32
_WIDEN_AFTER: Final = 8
"""Windows that must go well after a dense one before a wider one is tried."""


class RangeWidth:
    """How many blocks to read at once: few enough that a window's logs fit into memory, as they come.

    It begins narrow: the first window of a dense chain is soon published then, and no answer is fetched to
    learn that it is too large. What an endpoint refuses is another matter, which the chain knows
    (``Chain.range_limit``).
    """

    def __init__(self, widest: int, most_logs: int) -> None:
        self.blocks = min(_FIRST_BLOCKS, widest)
        self._widest = widest
        self._most_logs = most_logs
        self._good = _WIDEN_AFTER

    def within(self, limit: int | None) -> int:
        """Return how many blocks to ask an endpoint for that takes at most so many."""
        return max(1, self.blocks if limit is None else min(self.blocks, limit))

    def adapt(self, logs: int) -> None:
        """Count a window that brought so many logs: halved after too many, else doubled in time."""
        if logs > self._most_logs:
            self.blocks = max(1, self.blocks // 2)
            self._good = 0
            return
        self._good += 1
        if self._good >= _WIDEN_AFTER:
            self.blocks = min(self.blocks * 2, self._widest)


class Stride:
    """How many blocks one step reads at most: ``blocks``.

    A step that met a rate limit has read nothing, so the next one is half as long: however few requests a
    node takes, there is a step that succeeds. Then they grow, by a quarter each time.
    """

    def __init__(self, longest: int) -> None:
        self.blocks = longest
        self._longest = longest

    def refused(self, blocks: int) -> None:
        """Take note that so many could not be read at once; none: a reorg was looked into, not a block."""
        if blocks:
            self.blocks = max(1, blocks // 2)

    def went_well(self) -> None:
        """Take note that the last step succeeded."""
        self.blocks = min(self.blocks + max(1, self.blocks // 4), self._longest)


def read_headers(chain: Chain, numbers: Iterable[int]) -> dict[int, Header]:
    """Return the headers at these heights, in one batch; DoubtfulAnswer where one is missing.

    Neighbours among them are linked: where they are not, the node has mixed two chains.
    """
    wanted = sorted(set(numbers))
    if not wanted:
        return {}
    headers: dict[int, Header] = {}
    for number, header in zip(wanted, chain.headers(wanted), strict=True):
        if header is None or header.number != number:
            raise DoubtfulAnswer(f"chain {chain.chain_id} gave no block {number}")
        before = headers.get(number - 1)
        if before is not None and header.parent_hash != before.hash:
            raise DoubtfulAnswer(f"chain {chain.chain_id} changed at block {number} while it was read")
        headers[number] = header
    return headers


def read_by_block(
    chain: Chain, headers: Sequence[Header], addresses: Sequence[str], *, with_senders: bool = False
) -> WindowRead:
    """Read blocks one by one, each proved where this chain's blocks can be.

    Where a later one fails, those before it are what was read: the next reading begins with it, and raises
    if it fails again.
    """
    segments: list[Segment] = []
    blocks: list[BlockRead] = []
    readings = chain.read_blocks(headers, addresses)
    for header in headers:
        try:
            reading = _with_senders(chain, header, _distinct(chain, next(readings)), addresses, with_senders)
            grouped = _grouped(chain, reading.logs, {header.number: header})
        except ChainUnavailable:
            if not segments:
                raise
            break
        blocks += _blocks(grouped, reading)
        segments.append(_segment(header.number, header, reading, PROVED if reading.proved else SINGLE))
    return WindowRead(segments, blocks)


def _with_senders(
    chain: Chain,
    header: Header,
    reading: Reading,
    addresses: Sequence[str],
    wanted: bool,  # noqa: FBT001
) -> Reading:
    if not wanted:
        return replace(reading, senders={})
    if reading.logs and not reading.senders:
        # Without receipts: whoever asks for a range is told who sent its transactions, too.
        number = header.number
        told = chain.read_range(number, number, addresses, with_senders=True)
        if any(str(log.get("transactionHash")).lower() not in told.senders for log in reading.logs):
            raise DoubtfulAnswer(f"chain {chain.chain_id} gave logs of block {number} once, and not again")
        return replace(reading, senders=told.senders)
    return reading


def read_by_range(
    chain: Chain,
    first: int,
    headers: Mapping[int, Header],
    last: int,
    addresses: Sequence[str],
    *,
    other_than: str | None = None,
    with_senders: bool = False,
) -> WindowRead:
    """Read a range in one log query; ``headers`` are those known of it, that of ``last`` among them.

    Raises RangeRefused, and DoubtfulAnswer where a log is not of its height's block.
    """
    reading = _distinct(
        chain, chain.read_range(first, last, addresses, other_than=other_than, with_senders=with_senders)
    )
    spelled = {log.get("blockNumber") for log in reading.logs}
    unknown = {_height(chain, number) for number in spelled} - headers.keys()
    if unknown and not first <= min(unknown) <= max(unknown) <= last:
        raise DoubtfulAnswer(f"chain {chain.chain_id} gave logs outside of blocks {first} to {last}")
    grouped = _grouped(chain, reading.logs, {**headers, **read_headers(chain, unknown)})
    segment = _segment(first, headers[last], reading, SINGLE)
    return WindowRead([segment], _blocks(grouped, reading))


def read_singly(
    chain: Chain, headers: Sequence[Header], addresses: Sequence[str], *, with_senders: bool = False
) -> WindowRead:
    """Read neighbouring blocks in one log query, and those that it gives no log of one by one.

    For what is final and still near the head: a block that the log index has not come to yet shows, and
    costs no request where its bloom proves it empty. Raises RangeRefused, DoubtfulAnswer.
    """
    first, last = headers[0].number, headers[-1].number
    reading = _distinct(chain, chain.read_range(first, last, addresses, with_senders=with_senders))
    grouped = _grouped(chain, reading.logs, {header.number: header for header in headers})
    segments = {
        header.number: _segment(header.number, header, replace(reading, logs=logs), SINGLE)
        for header, logs in grouped.items()
    }
    blocks = _blocks(grouped, reading)
    silent = [header for header in headers if header not in grouped]
    if silent:
        again = read_by_block(chain, silent, addresses, with_senders=with_senders)
        segments |= {segment.first: segment for segment in again.segments}
        blocks += again.blocks
    through = next((header.number - 1 for header in headers if header.number not in segments), last)
    return WindowRead(
        [segments[number] for number in range(first, through + 1)],
        sorted((it for it in blocks if it.header.number <= through), key=lambda it: it.header.number),
    )


def _distinct(chain: Chain, reading: Reading) -> Reading:
    """Return the reading with each log once: some nodes repeat them."""
    logs = {(log.get("blockHash"), log.get("logIndex")): log for log in reading.logs}
    if len(logs) == len(reading.logs):
        return reading
    if any(logs[log.get("blockHash"), log.get("logIndex")] != log for log in reading.logs):
        raise DoubtfulAnswer(f"chain {chain.chain_id} gave two logs of one place")
    return replace(reading, logs=list(logs.values()))


def _segment(first: int, last: Header, reading: Reading, grade: str) -> Segment:
    logs = reading.logs
    digest = log_digest(logs) if logs else 0
    return Segment(first, last.number, last.hash, len(logs), digest, grade, (reading.endpoint,))


def _blocks(grouped: Mapping[Header, Sequence[RawLog]], reading: Reading) -> list[BlockRead]:
    return [BlockRead(header, logs, reading.senders, reading.spent) for header, logs in grouped.items()]


def _grouped(
    chain: Chain, logs: Sequence[RawLog], headers: Mapping[int, Header]
) -> dict[Header, Sequence[RawLog]]:
    grouped: dict[Header, list[RawLog]] = {}
    spelled: Any = None
    block: list[RawLog] = []
    # Logs come block by block: each block is looked up once.
    for log in logs:
        if log.get("blockHash") != spelled or log.get("removed"):
            header = headers.get(_height(chain, log.get("blockNumber")))
            spelled = log.get("blockHash")
            if header is None or str(spelled).lower() != header.hash or log.get("removed"):
                raise DoubtfulAnswer(f"chain {chain.chain_id} gave a log of a block that it does not have")
            block = grouped.setdefault(header, [])
        block.append(log)
    return dict(grouped)


def _height(chain: Chain, number: object) -> int:
    try:
        return number if isinstance(number, int) else int(str(number), 16)
    except ValueError as error:
        raise DoubtfulAnswer(f"chain {chain.chain_id} gave a log without a block number") from error
