"""How much gas an action gets: by an estimate of the very call, else as receipts taught, else a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from shared.domain.fee_reading import GasAnswer
    from shared.domain.fee_record import GasUse

ESTIMATE, RECEIPTS, TABLE, REVERT, UNKNOWN = "estimate", "receipts", "table", "revert", "unknown"
_BUFFER_PERCENT: Final = 20
"""On an estimate, as a neighbour in the block may change what the call meets; and on what receipts say, as
refunds (up to a fifth, EIP-3529) are off the gas used but not off the gas needed."""
_MANY, _SOME = 30, 10
"""Receipts from which confidence is high, and medium."""


class GasLimit(NamedTuple):
    """The limit, and the gas expected to be used; both None where the call reverts, or nothing is known.

    ``l1_gas``: the part of the expected gas that pays for L1 data, where that is so and known. ``use``: what
    receipts say, whichever source was taken. ``because``: why the estimate was not.
    """

    limit: int | None
    expected: int | None
    source: str
    confidence: str
    l1_gas: int | None = None
    use: GasUse | None = None
    because: str | None = None


def gas_limit(
    answer: GasAnswer | None,
    use: GasUse | None,
    table: int | None,
    *,
    block_gas: int,
    real: bool,
    because: str | None = None,
) -> GasLimit:
    """Choose: an estimate is never raised to the table, and a revert is an answer.

    ``block_gas``: the gas limit of a block: with a buffer past it no node takes the transaction.
    ``real``: the call estimated is the one to be sent, with no argument made up. Confidence of an estimate
    is high then, else medium; of receipts high from 30, medium from 10; of the table it is low.
    """
    if answer is not None and answer.revert is not None:
        return GasLimit(None, None, REVERT, "high" if real else "low", use=use)
    if answer is not None and answer.gas is not None:
        confidence = "high" if real else "medium"
        limit = _buffered(answer.gas, block_gas)
        return GasLimit(limit, answer.gas, ESTIMATE, confidence, answer.l1_gas, use)
    because = answer.refused if answer is not None else because
    if use is not None:
        confidence = "high" if use.count >= _MANY else "medium" if use.count >= _SOME else "low"
        limit = _buffered(use.p95, block_gas)
        return GasLimit(limit, use.mean, RECEIPTS, confidence, use=use, because=because)
    source = UNKNOWN if table is None else TABLE
    return GasLimit(table, table, source, "low", because=because)


def _buffered(gas: int, most: int) -> int:
    return max(gas, min(-(-gas * (100 + _BUFFER_PERCENT) // 100), most))
