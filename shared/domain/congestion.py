"""How crowded a chain is: what its last blocks used, and what waits to get in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOKED_AT: Final = 5
"""Blocks whose use is averaged."""
NO_LIMIT: Final = 1 << 50
"""Gas limit in the headers of Arbitrum (Nitro `arbos/l2pricing`): a figure that limits nothing."""


class CongestionRules(NamedTuple):
    """Above which share of the gas limit, or which number of pending transactions, a chain is crowded."""

    high_use: float = 0.95
    medium_use: float = 0.70
    high_pending: int = 1000
    medium_pending: int = 500


class Congestion(NamedTuple):
    """``level`` is high, medium, low or unknown; behind it the mean use of the last blocks, and the pending.

    Either is None where the chain or the node cannot say; ``confidence`` is medium where one of them is, or
    where fewer than all of the blocks are known, and low where both is so.
    """

    level: str
    confidence: str
    mean_use: float | None
    blocks: int
    pending: int | None


def congestion(
    rules: CongestionRules, uses: Sequence[float], gas_limit: int, pending: int | None
) -> Congestion:
    """Judge by the use (share of the gas limit) of the last blocks, oldest first, and by what is pending."""
    last = uses[-LOOKED_AT:] if gas_limit < NO_LIMIT else ()
    mean_use = sum(last) / len(last) if last else None
    use, waiting = mean_use or 0.0, pending or 0
    if mean_use is None and pending is None:
        level = "unknown"
    elif use > rules.high_use or waiting > rules.high_pending:
        level = "high"
    elif use > rules.medium_use or waiting > rules.medium_pending:
        level = "medium"
    else:
        level = "low"
    known = (len(last) == LOOKED_AT) + (pending is not None)
    return Congestion(level, ("low", "medium", "high")[known], mean_use, len(last), pending)
