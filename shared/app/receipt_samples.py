"""Learning from receipts: the gas that each action used, what was paid, and how our own wallets fared."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shared.domain.events import EVENTS
from shared.domain.fee_record import (
    GAS_SAMPLES,
    PAID_SAMPLES,
    TIP_SAMPLES,
    GasSample,
    PaidSample,
    TipSample,
    gas_document,
    gas_samples,
    paid_document,
    paid_samples,
    samples_key,
    tip_document,
    tip_samples,
)
from shared.domain.lifecycle import STEPS
from shared.domain.tips import TipObservation
from shared.domain.transfers import MAPPINGS, mapped_id
from shared.errors import CorruptEvent, UndecodableLog
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from shared.app.chain_cursor import BlockRead
    from shared.domain.contract import DecodedLog, Registry
    from shared.ports import Document, Documents, RawLog, Transaction

_PENDING: Final = ".pending"
_MOST_AHEAD_S: Final = 12.0
"""Seconds by which the application's clock may be ahead of a block's time."""
_MOST_EVENTS: Final = 200
"""Events of a transfer that are looked through for the one that says when a transaction was sent."""


class ReceiptSamples:
    """Keeps ``gas_samples``, ``paid_samples`` and ``tip_samples`` of one chain.

    The same receipts again change nothing.

    A transaction's gas is its action's only where it called the contract itself, for one transfer: the
    action is that of its first log. ``wallets`` (lower-case) are the platform's own: of theirs (of all, if
    none is named) it is kept what they paid. Where an event of the application says when one of theirs was
    sent (`….pending` with its ``transactionHash``), the tip and the blocks that it waited are kept, too.
    """

    def __init__(
        self, documents: Documents, registry: Registry, chain_id: int, wallets: AbstractSet[str] = frozenset()
    ) -> None:
        self._documents = documents
        self._registry = registry
        self._chain_id = chain_id
        self._wallets = wallets

    def add(self, blocks: Iterable[BlockRead], times: Mapping[int, int]) -> None:
        """Learn from the receipts of these blocks; ``times`` are block times by height, as far as known.

        What a reorg has dropped is not taken back: that much gas it did use. Mined again, it counts once.
        """
        gas: dict[str, list[GasSample]] = defaultdict(list)
        tips: list[TipSample] = []
        paid: list[PaidSample] = []
        for block in blocks:
            for name, logs in _by_transaction(block).items():
                first = self._first_step(logs)
                if first is None or STEPS[first.step].action is None:
                    continue
                spent, number = block.spent[name], block.header.number
                contract = str(logs[0]["address"]).lower()
                spec_key, action = f"{self._chain_id}:{contract}", str(STEPS[first.step].action)
                if spent.to == contract:
                    gas[samples_key(spec_key, action)].append(GasSample(name, number, spent.gas_used))
                    price, base_fee = spent.price_wei, block.header.base_fee_wei
                    if self._is_ours(block, name) and price is not None and (base_fee or 0) <= price:
                        of = (name, number, spec_key, action)
                        paid.append(PaidSample(*of, spent.gas_used, price, base_fee or 0))
                seen = self._fared(block, name, first, times)
                if seen is not None:
                    tips.append(TipSample(name, number, seen))
        for key, samples in gas.items():
            self._merge(GAS_SAMPLES, key, samples, gas_samples, gas_document)
        if paid:
            self._merge(PAID_SAMPLES, str(self._chain_id), paid, paid_samples, paid_document)
        if tips:
            self._merge(TIP_SAMPLES, str(self._chain_id), tips, tip_samples, tip_document)

    def _is_ours(self, block: BlockRead, name: str) -> bool:
        return not self._wallets or block.senders.get(name) in self._wallets

    def _first_step(self, logs: Sequence[RawLog]) -> DecodedLog | None:
        """Return what the first log says, if all are of one contract and one transfer."""
        found = []
        for log in logs:
            spec = self._registry.find(self._chain_id, str(log["address"]))
            try:
                decoded = None if spec is None else spec.decode(log)
            except UndecodableLog:
                return None  # its handler makes a dead letter of it
            if decoded is not None:
                found.append(decoded)
        alike = {decoded.transfer_hash for decoded in found}, {str(log["address"]).lower() for log in logs}
        return found[0] if found and all(len(each) == 1 for each in alike) else None

    def _fared(
        self, block: BlockRead, name: str, first: DecodedLog, times: Mapping[int, int]
    ) -> TipObservation | None:
        """Return tip and wait of a transaction that one of the platform's wallets sent, if both are known."""
        base_fee, price = block.header.base_fee_wei, block.spent[name].price_wei
        if block.senders.get(name) not in self._wallets or base_fee is None or price is None:
            return None
        sent_s = self._sent_s(first, name)
        if sent_s is None or price < base_fee:
            return None
        waited = _blocks_since(sent_s, block.header.number, times)
        return None if waited is None else TipObservation(price - base_fee, base_fee, waited)

    def _sent_s(self, first: DecodedLog, name: str) -> float | None:
        mapping = self._documents.get(MAPPINGS, first.transfer_hash)
        transfer = mapped_id(first.transfer_hash, mapping or {})
        if transfer is None:
            return None
        query = Query(where=(("rolloverId", transfer),), limit=_MOST_EVENTS)
        sent = (_sent_at(event, name) for _, event in self._documents.query(EVENTS, query))
        return min((moment for moment in sent if moment is not None), default=None)

    def _merge(
        self,
        collection: str,
        key: str,
        samples: Sequence[Any],
        read: Callable[[Document], list[Any]],
        made: Callable[[Iterable[Any]], Document],
    ) -> None:
        def work(transaction: Transaction) -> None:
            stored = transaction.get(collection, key)
            try:
                before = [] if stored is None else read(stored)
            except CorruptEvent:
                before = []  # changed by hand: learned anew
            document = made([*before, *samples])
            if document != stored:
                transaction.put(collection, key, document)

        self._documents.transaction(work)


def _by_transaction(block: BlockRead) -> dict[str, list[RawLog]]:
    """Return the logs of each transaction whose receipt was read, lowest index first."""
    logs: dict[str, list[RawLog]] = defaultdict(list)
    for log in sorted(block.logs, key=lambda each: int(str(each["logIndex"]), 16)):
        name = str(log["transactionHash"]).lower()
        if name in block.spent:
            logs[name].append(log)
    return logs


def _sent_at(event: Document, name: str) -> float | None:
    data, kind, moment = event.get("data"), event.get("eventType"), event.get("timestamp")
    if not isinstance(data, dict) or not isinstance(kind, str) or not kind.endswith(_PENDING):
        return None
    if str(data.get("transactionHash")).lower() != name or not isinstance(moment, str):
        return None
    try:
        read = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return None if read.tzinfo is None else read.timestamp()


def _blocks_since(sent_s: float, number: int, times: Mapping[int, int]) -> int | None:
    """Return how many blocks came after that moment, up to this one; None where not all are known.

    None, too, where the moment is well after the block: it was written down afterwards, and says nothing.
    """
    waited = 0
    if number in times and sent_s > times[number] + _MOST_AHEAD_S:
        return None
    for height in range(number, -1, -1):
        made_s = times.get(height)
        if made_s is None:
            return None
        if made_s <= sent_s:
            break
        waited += 1
    return max(waited, 1)
