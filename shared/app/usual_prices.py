"""What the usual libraries and wallets would pay at this very block, beside a quote."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.app.fee_strategies import strategies
from shared.domain.fees import effective_tip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.fee_blocks import BlockFees

_LOOKED_AT = 20
"""Blocks that the hungriest of them looks at (geth)."""


class UsualPrice(NamedTuple):
    """One default: its cap, and what it would pay in the next block, in wei; None where tips are unknown."""

    name: str
    source: str
    max_fee_wei: int
    effective_wei: int | None


def usual_prices(blocks: Sequence[BlockFees], next_base_fee_wei: int, *, tips_paid: bool) -> list[UsualPrice]:
    """Return what each default would put into a transaction now, whatever its deadline: they ask for none.

    ``tips_paid``: the chain takes tips (``ChainFees.tips_paid``); else no default costs more than another.
    """
    prices = []
    for strategy in strategies():
        if strategy.name == "plumbline":
            continue
        price = strategy.price(iter(blocks[-_LOOKED_AT:]), 1)
        if price is None:
            continue
        wanted = price.tip_wei if tips_paid else 0
        tip = None if wanted is None else effective_tip(price.max_fee_wei, wanted, next_base_fee_wei)
        effective = None if tip is None else next_base_fee_wei + tip
        prices.append(UsualPrice(strategy.name, strategy.source, price.max_fee_wei, effective))
    return prices


def saving(ours_wei: int | None, usual: UsualPrice) -> float | None:
    """Return the share of the usual price that ours is below it; None where there is none to be had."""
    if ours_wei is None or usual.effective_wei is None or usual.effective_wei <= ours_wei:
        return None
    return round((usual.effective_wei - ours_wei) / usual.effective_wei, 6)
