"""The logs of one block: proved by its bloom or its receipts, else asked for by its hash."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.block_proof import receipts_root
from shared.adapters.block_receipts import (
    BlockReceipts,
    counted_through,
    logs_of,
    numbered_each,
    numbered_through,
    spent_in,
)
from shared.adapters.ethereum_shapes import LogFilter, read_hash, read_header, read_logs
from shared.adapters.json_rpc_failures import METHOD_NOT_FOUND, CallRefused, NotThere
from shared.adapters.receipts_singly import ReceiptsSingly
from shared.domain.bloom import bloom_of, may_hold
from shared.errors import DoubtfulAnswer
from shared.ports import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from shared.adapters.json_rpc import JsonRpcEndpoint
    from shared.domain.blocks import Header
    from shared.ports import RawLog

_LOG: Final = logging.getLogger(__name__)
_NO_HASHES: Final = (METHOD_NOT_FOUND, -32602, -32600)  # EIP-1474: method, parameters, request not taken
_ODD_S: Final = 5.0
"""Seconds until numbers of logs are believed that this chain did not have before."""


class BlockLogs:
    """Reads blocks of one chain, whichever endpoint serves; safe to share between threads.

    It learns whether this chain's blocks can be proved. Once one was, what does not add up is a fault of
    the endpoint and no reason for a lower grade. If that lasts ``patience_s`` it is the chain that has
    changed (a hard fork adds fields to headers), and the grade is lower until a block is proved again.
    """

    def __init__(self, monotonic: Callable[[], float], *, patience_s: float = 300.0) -> None:
        self._monotonic = monotonic
        self._receipts = BlockReceipts(monotonic)
        self._singly = ReceiptsSingly(monotonic)
        self._patience_s = patience_s
        self._provable = False
        self._failing_since: float | None = None
        self._numbered_through = False
        self._numbered_oddly = False
        self._odd_since: dict[str, float] = {}
        self._blooms_kept = False

    def read(self, endpoint: JsonRpcEndpoint, header: Header, addresses: Sequence[str]) -> Reading:
        """Return the logs of these addresses in the block.

        Raises ChainUnavailable where the endpoint does not know the block, DoubtfulAnswer where what it
        gives is not the whole and genuine block, RateLimited.
        """
        wanted = LogFilter(addresses)
        if wanted.matches_nothing or _excluded(header, wanted.addresses):
            return Reading([], endpoint.name, proved=True)
        self.check(header)
        receipts = self._receipts.read(endpoint, header)
        if receipts is None:
            return self._read_without(endpoint, header, wanted)
        return self._reading(endpoint, header, wanted, receipts)

    def _read_without(self, endpoint: JsonRpcEndpoint, header: Header, wanted: LogFilter) -> Reading:
        """Read a block of which the endpoint does not give all receipts at once."""
        receipts = self._singly.read(endpoint, header) if header.recomputed else None
        if receipts is None:
            logs = _logs_of(endpoint, header, wanted)
            self._receipts.does_without(endpoint)
            return Reading(logs, endpoint.name)
        self._receipts.does_without(endpoint)
        reading = None
        try:
            reading = self._reading(endpoint, header, wanted, receipts)
        finally:
            if reading is None or not reading.proved:
                self._singly.in_vain(endpoint)
        return reading

    def _reading(
        self,
        endpoint: JsonRpcEndpoint,
        header: Header,
        wanted: LogFilter,
        receipts: Sequence[Mapping[str, Any]],
    ) -> Reading:
        proved = self._judge(endpoint.name, header, receipts)
        logs = [log for log in logs_of(receipts) if wanted.matches(log)]
        if not (proved and numbered_through(receipts)):
            # The root does not cover the numbers, of which the ids of events are made.
            told = _facts(_logs_of(endpoint, header, wanted))
            if proved and told != _facts(logs):
                logs = [log for log in counted_through(receipts) if wanted.matches(log)]
            if told != _facts(logs):
                raise DoubtfulAnswer(f"{endpoint.name}: logs and receipts of block {header.number} differ")
        ours = {log["transactionHash"].lower() for log in logs}
        of_ours = {hash_of: it for it in receipts if (hash_of := it["transactionHash"].lower()) in ours}
        senders = {hash_of: receipt["from"].lower() for hash_of, receipt in of_ours.items()}
        return Reading(logs, endpoint.name, proved, senders, spent_in(of_ours))

    def check(self, header: Header) -> None:
        """Raise DoubtfulAnswer where the header is not genuine, though this chain's headers can be proved.

        To be asked before an endpoint is chosen, which need not be the one that gave the header.
        """
        if not header.recomputed and self._must_prove():
            raise DoubtfulAnswer(f"block {header.number} has not the hash of its fields")

    def _judge(self, name: str, header: Header, receipts: Sequence[Mapping[str, Any]]) -> bool:
        if header.recomputed and receipts_root(receipts) == header.receipts_root:
            self._provable, self._failing_since = True, None
            return self._judge_numbers(name, header, receipts)
        try:
            bloom = bloom_of(logs_of(receipts))
        except (KeyError, TypeError, ValueError) as error:
            raise DoubtfulAnswer(f"{name}: a log that is not whole: {type(error).__name__}") from error
        if bloom == header.logs_bloom:
            self._blooms_kept = self._blooms_kept or any(bloom)
        elif header.recomputed or (header.logs_bloom is not None and self._blooms_kept):
            # A header that is no proof may have a bloom that is none: some chains put zeros or ones there.
            raise DoubtfulAnswer(f"{name}: the logs of block {header.number} are not those of its bloom")
        if self._must_prove():
            raise DoubtfulAnswer(f"{name}: the receipts of block {header.number} have another root")
        return False

    def _judge_numbers(self, name: str, header: Header, receipts: Sequence[Mapping[str, Any]]) -> bool:
        through, each = numbered_through(receipts), numbered_each(receipts)
        if through and not each:
            self._numbered_through = not self._numbered_oddly
        if not through and self._numbered_through:
            now = self._monotonic()
            if now - self._odd_since.setdefault(header.hash, now) < _ODD_S:
                raise DoubtfulAnswer(f"{name}: the logs of block {header.number} are not numbered through")
            # Whoever lies that long, and says the same in its log index, is the chain for all we can know.
            _LOG.warning("block %d of this chain has numbers of its own for its logs", header.number)
            self._numbered_oddly, self._numbered_through = True, False
            self._odd_since.clear()
        return through or each

    def _must_prove(self) -> bool:
        if not self._provable:
            return False
        now = self._monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since < self._patience_s:
            return True
        _LOG.warning("no block of this chain was proved for %d s: it has changed", now - self._failing_since)
        self._provable, self._failing_since = False, None
        return False


def logs_by_hash(endpoint: JsonRpcEndpoint, block_hash: str, wanted: LogFilter) -> list[RawLog]:
    """Return raw logs of one block by its hash; ChainUnavailable where the node does not know it."""
    answer = endpoint.call("eth_getLogs", [{"blockHash": block_hash, "address": wanted.addresses}])
    return _of_block(endpoint, block_hash, read_logs(answer, wanted, 0, 1 << 64))


def _logs_of(endpoint: JsonRpcEndpoint, header: Header, wanted: LogFilter) -> list[RawLog]:
    """Return raw logs of one block by its hash; by its height where no hash is taken (EIP-234)."""
    try:
        return logs_by_hash(endpoint, header.hash, wanted)
    except CallRefused as error:
        if error.number not in _NO_HASHES:
            raise
    at = hex(header.number)
    answer = endpoint.call("eth_getLogs", [{"fromBlock": at, "toBlock": at, "address": wanted.addresses}])
    # Asked after the logs: where it is this block still, they were this block's.
    block = read_header(endpoint.call("eth_getBlockByNumber", [at, False]))
    if block is None or block.hash != header.hash:
        raise NotThere(f"{endpoint.name} has another block {header.number} than {header.hash}")
    return _of_block(endpoint, header.hash, read_logs(answer, wanted, header.number, header.number))


def _of_block(endpoint: JsonRpcEndpoint, block_hash: str, logs: list[RawLog]) -> list[RawLog]:
    for log in logs:
        if read_hash(log.get("blockHash"), "blockHash") != block_hash.lower():
            raise DoubtfulAnswer(f"{endpoint.name} gave a log of another block than {block_hash}")
    return logs


def _excluded(header: Header, addresses: Sequence[str]) -> bool:
    bloom = header.logs_bloom
    return header.recomputed and bloom is not None and not any(may_hold(bloom, it) for it in addresses)


def _facts(logs: Sequence[RawLog]) -> list[tuple[int, str]]:
    try:
        return sorted(
            (
                int(log["logIndex"], 16),
                " ".join((log["transactionHash"], log["address"], *log["topics"], log["data"])).lower(),
            )
            for log in logs
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DoubtfulAnswer(f"a log that is not whole: {type(error).__name__} {error}") from error
