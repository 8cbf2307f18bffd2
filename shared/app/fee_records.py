"""Reading what the listener keeps of fees; quotes go on without it, and say so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar

from shared.domain.fee_record import (
    FEE_HISTORY,
    GAS_SAMPLES,
    TIP_SAMPLES,
    chunk_key,
    chunk_of,
    chunk_rows,
    gas_samples,
    gas_use,
    samples_key,
    tip_samples,
)
from shared.errors import CorruptEvent, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.domain.fee_blocks import BlockFees
    from shared.domain.fee_record import GasUse
    from shared.domain.tips import TipObservation
    from shared.ports import Clock, Documents

_LOG: Final = logging.getLogger("plumbline.quote_gas")
_CHUNKS: Final = 5
"""Chunks of blocks that are read: as far back as the forecast's judgement is worth it at a cold start."""
_MOST_KEPT: Final = 1000
GOOD: Final = "good"
T = TypeVar("T")


class FeeRecords:
    """Reads ``fee_history``, ``tip_samples`` and ``gas_samples``; the latter are kept in mind for a while.

    Nothing that is recorded is indispensable to a quote; ``trouble`` tells what could not be read.
    """

    def __init__(self, documents: Documents, clock: Clock, kept_s: float) -> None:
        self._documents = documents
        self._clock = clock
        self._kept_s = kept_s
        self._gas: dict[str, tuple[float, GasUse | None]] = {}
        self._troubles: dict[tuple[str, str], str] = {}

    def trouble(self, chain_id: int, contract_key: str, action: str) -> str:
        """Return the code of what went wrong when last something was read of these, or ``good``."""
        read = (
            (FEE_HISTORY, str(chain_id)),
            (TIP_SAMPLES, str(chain_id)),
            (GAS_SAMPLES, samples_key(contract_key, action)),
        )
        return next((self._troubles[each] for each in read if each in self._troubles), GOOD)

    def rows(self, chain_id: int, head: int) -> dict[int, BlockFees] | None:
        """Return the rows of the last blocks up to the head's height; None where they cannot be read."""
        last = chunk_of(head)
        keys = [chunk_key(chain_id, chunk) for chunk in range(max(0, last - _CHUNKS + 1), last + 1)]

        def read() -> dict[int, BlockFees] | None:
            found = self._documents.get_many(FEE_HISTORY, keys)
            rows = (row.fees for key in keys if key in found for row in chunk_rows(found[key]))
            return {fees.number: fees for fees in rows if fees.number <= head}

        return self._read((FEE_HISTORY, str(chain_id)), read, None)

    def tips(self, chain_id: int) -> list[TipObservation]:
        """Return the tips and waits of our own transactions, oldest first."""

        def read() -> list[TipObservation]:
            document = self._documents.get(TIP_SAMPLES, str(chain_id))
            return [] if document is None else [sample.observation for sample in tip_samples(document)]

        return self._read((TIP_SAMPLES, str(chain_id)), read, [])

    def gas(self, contract_key: str, action: str) -> GasUse | None:
        """Return how much gas an action used, as receipts say; None where there are none."""
        key, now = samples_key(contract_key, action), self._clock.monotonic_s()
        kept = self._gas.get(key)
        if kept is not None and now - kept[0] < self._kept_s:
            return kept[1]

        def read() -> GasUse | None:
            document = self._documents.get(GAS_SAMPLES, key)
            return None if document is None else gas_use(gas_samples(document))

        use = self._read((GAS_SAMPLES, key), read, None)
        if len(self._gas) >= _MOST_KEPT:
            self._gas.clear()
        self._gas[key] = (now, use)
        return use

    def _read(self, what: tuple[str, str], read: Callable[[], T], without: T) -> T:
        try:
            found = read()
        except (StoreUnavailable, CorruptEvent) as error:
            self._troubles[what] = error.code
            _LOG.warning("fee records not read, quotes go on without them: %s", error)
            return without
        self._troubles.pop(what, None)
        return found
