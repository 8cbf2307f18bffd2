"""From headers and fee history to the rows that are kept of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.domain.fee_blocks import BlockFees
from shared.domain.fee_record import FeeRow
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.domain.blocks import Header
    from shared.domain.fee_reading import FeeHistory

_SAME_USE: Final = 1e-4
"""Shares of gas used that differ by less are the same: nodes round them."""


def fee_rows(headers: Iterable[Header], history: FeeHistory | None) -> list[FeeRow]:
    """Return the rows of these blocks, in their order.

    Left out is a block without a base fee (of a legacy chain), or whose figures cannot be those of a block.
    Fee history goes by height: where it does not tell of this very block, its base fee or its gas, the tips
    are unknown.
    """
    rows = []
    for header in headers:
        base_fee, used, limit = header.base_fee_wei, header.gas_used, header.gas_limit
        if base_fee is None or used is None or limit is None:
            continue
        tips = {} if history is None else _tips(history, header.number, base_fee, used / max(limit, 1))
        try:
            fees = BlockFees(header.number, header.timestamp, base_fee, used, limit, tips)
        except InvalidInput:
            continue
        rows.append(FeeRow(fees, header.hash))
    return rows


def _tips(history: FeeHistory, number: int, base_fee_wei: int, use: float) -> Mapping[float, int]:
    at = number - history.oldest
    if not 0 <= at < len(history.uses) or history.base_fees_wei[at] != base_fee_wei:
        return {}
    tips = history.tips[at]
    dearer = [tips[percentile] for percentile in sorted(tips)]
    if abs(history.uses[at] - use) > _SAME_USE or dearer != sorted(dearer):
        return {}
    return tips
