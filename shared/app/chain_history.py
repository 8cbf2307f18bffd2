"""What the chain can still tell of the past: logs of given transfers, and whether an event is refuted."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shared.domain.events import external_events, is_ours, restated_id
from shared.domain.lifecycle import STEPS
from shared.domain.log_coordinates import hex_number, id_of_log
from shared.errors import ChainUnavailable, RangeRefused, UndecodableLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec, DecodedLog
    from shared.domain.events import Event
    from shared.ports import Chain, RawLog

_HASHES_A_QUERY: Final = 50
"""Transfers asked for in one log query: providers cap the length of a topic list (Alchemy, Infura: 1,000)."""


class ChainHistory:
    """Looks things up on one contract's chain; ``wallets`` are the platform's, lower-case.

    ``believed``: seconds since 1970 beyond which no time that an event claims is believed.
    """

    def __init__(
        self, chain: Chain, spec: ContractSpec, wallets: AbstractSet[str] = frozenset(), *, believed: float
    ) -> None:
        self._chain = chain
        self._spec = spec
        self._wallets = wallets
        self._believed = believed
        self._undecodable: dict[str, str] = {}
        self._topics = sorted({topic for step in STEPS for topic in spec.topics_of(step)})

    def logs_of_transfers(self, searched: Mapping[str, int], last: int) -> dict[str, list[RawLog]]:
        """Return the mapped logs up to block ``last`` of each transfer hash, from its given first block.

        A range that the node refuses is halved; a single block that is refused raises RangeRefused. A log
        that cannot be decoded is left out, and told of by ``undecodable``.
        """
        found: dict[str, list[RawLog]] = defaultdict(list)
        hashes = sorted(searched, key=lambda key: searched[key])
        for at in range(0, len(hashes), _HASHES_A_QUERY):
            chunk = hashes[at : at + _HASHES_A_QUERY]
            for log in self._logs(searched[chunk[0]], last, chunk):
                decoded = self._decoded(log)
                if decoded is not None:
                    found[decoded.transfer_hash].append(log)
        return found

    def _decoded(self, log: RawLog) -> DecodedLog | None:
        try:
            return self._spec.decode(log)
        except UndecodableLog as error:
            place = f"log {log.get('logIndex')} of block {log.get('blockNumber')}"
            self._undecodable[place] = str(error)
            return None

    def undecodable(self) -> dict[str, str]:
        """Return why logs met since the last call could not be decoded, by their place on the chain."""
        met, self._undecodable = self._undecodable, {}
        return met

    def _logs(self, first: int, last: int, hashes: list[str]) -> list[RawLog]:
        if first > last:
            return []
        try:
            wanted = [self._topics, hashes] if self._spec.transfer_topic else [self._topics]
            return self._chain.logs(first, last, [self._spec.address], wanted)
        except RangeRefused:
            if first == last:
                raise
            middle = (first + last) // 2
            return self._logs(first, middle, hashes) + self._logs(middle + 1, last, hashes)

    def headers_of(self, logs: Iterable[RawLog]) -> dict[str, Header]:
        """Return the header of each log's block, by hash; ChainUnavailable where log and chain disagree."""
        wanted = {
            str(log["blockHash"]).lower(): hex_number(log["blockNumber"], "blockNumber") for log in logs
        }
        headers = self._chain.headers(list(wanted.values()))
        for block_hash, header in zip(wanted, headers, strict=True):
            if header is None or header.hash != block_hash:
                raise ChainUnavailable(f"a log's block {wanted[block_hash]} is not the chain's: it moved on")
        return {header.hash: header for header in headers if header is not None}

    def held(
        self, found: Mapping[str, Sequence[RawLog]], headers: Mapping[str, Header]
    ) -> dict[str, list[RawLog]]:
        """Return, by transfer hash, what the blocks of these found logs hold of each transfer.

        A log index may make logs up, alter or hide them: where a block can be proved (one request each), its
        own logs count. Of one that cannot they stay as they were told. Raises ChainUnavailable.
        """
        readings = zip(
            headers, self._chain.read_blocks([*headers.values()], [self._spec.address]), strict=True
        )
        proved = {key: reading.logs for key, reading in readings if reading.proved}
        held = {
            key: [log for log in logs if str(log["blockHash"]).lower() not in proved]
            for key, logs in found.items()
        }
        for log in (log for logs in proved.values() for log in logs):
            decoded = self._decoded(log)
            if decoded is not None and decoded.transfer_hash in held:
                held[decoded.transfer_hash].append(log)
        return held

    def externals_of(self, events: Sequence[Event]) -> list[Event]:
        """Return the events of those transactions of chain events that none of the platform's wallets sent.

        One request a transaction, none where no wallets are configured. A transaction that the node does
        not tell of is passed over: its logs are not held up by it.
        """
        hashes = {event["data"]["transactionHash"] for event in events} if self._wallets else ()
        told = {key: self._chain.transaction(key) for key in sorted(hashes)}
        senders = {key: transaction.sender for key, transaction in told.items() if transaction}
        return external_events(events, senders, self._wallets)

    def is_gone(self, event: Event) -> bool:
        """Say whether the event's block is positively not the chain's, on a majority of the endpoints."""
        data = event.get("data", {})
        block_hash, number = data.get("blockHash"), data.get("blockNumber")
        if not isinstance(block_hash, str) or not isinstance(number, int):
            return False
        votes = self._chain.hashes_at(number)
        return sum(vote != block_hash for vote in votes) * 2 > max(len(votes), 1)

    def refutation(self, event: Event, pin: Header) -> tuple[str, bool]:
        """Return why an event that the contract's state at the pin excludes does not count.

        The second value says whether that is settled; (reason, False) is a contradiction to report, and
        ("", False) means wait: the event may be younger than the pin.
        """
        data = event.get("data", {})
        # What was seen, or the application wrote, after the pinned block may well be true by the next one.
        # A time of the far future would be waited for in vain.
        younger = pin.timestamp < _seconds(event["timestamp"]) <= self._believed
        if data.get("evidence"):
            return ("", False) if younger else ("the contract's state no longer shows the step", True)
        if is_ours(event):
            return self._refuted_log(event)
        if isinstance(data.get("transactionHash"), str):
            return self._refuted_transaction(data["transactionHash"], pin, younger=younger)
        return ("", False) if younger else ("no transaction is given and the contract has not moved", True)

    def _refuted_log(self, event: Event) -> tuple[str, bool]:
        data = event["data"]
        # A correction, or what was restated, stands for another event: the log is that one's.
        told = event["metadata"].get("originalEventId", event["eventId"])
        if self.is_gone(event):
            return f"block {data['blockNumber']} has another hash now", True
        try:
            logs = self._chain.logs_of_block(data["blockHash"], [self._spec.address])
        except ChainUnavailable as error:
            # Endpoints that disagree about one block must not keep all other transfers from their repair.
            return f"block {data['blockNumber']} cannot be read by its hash: {error}", False
        for log in logs:
            if told in (identity := id_of_log(self._spec.chain_id, log), restated_id(identity)):
                return f"its log stands in block {data['blockNumber']}", False
        return f"block {data['blockNumber']} does not hold its log", True

    def _refuted_transaction(self, transaction_hash: str, pin: Header, *, younger: bool) -> tuple[str, bool]:
        transaction = self._chain.transaction(transaction_hash)
        if transaction is None:
            return ("", False) if younger else ("its transaction is not known to the chain", True)
        if transaction.block_number is None or transaction.block_number > pin.number:
            return "", False
        if transaction.ok is False:
            return "its transaction failed", True
        return "its transaction was mined without taking the step", True


def _seconds(timestamp: str) -> float:
    """Return seconds since 1970; what cannot be read counts as long past, without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(timestamp)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
