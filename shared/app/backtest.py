"""Replaying recorded fees through pricing strategies, and scoring what each would have paid and got.

A strategy is handed what happened up to a moment, prices a transaction then, and what it said is kept before
anything that came later is looked at. Scoring knows what came; strategies never do.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Final

from shared.app.backtest_rows import BLOCK_S
from shared.app.fee_market import Mined, News, NextFee
from shared.domain.fees import effective_tip
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from shared.app.backtest_rows import Recording, Wait
    from shared.app.fee_strategies import Price, Strategy
    from shared.domain.fee_blocks import BlockFees

MOST_WITHIN: Final = 1000
STRETCH_BLOCKS: Final = 50
"""Blocks in a stretch of time: stretches are what the bootstrap draws."""
STRETCH_S: Final = 6 * 3600
"""The same in seconds, for transactions that waited."""
_NEAREST: Final = 30
_LEAST_NEAR: Final = 5
_ALIKE: Final = log(3)
"""Tips up to three times as high or as low are alike."""
_TIE: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one price came to; ``inside``: chance of being in a block within so many blocks, None: not known.

    ``cost_wei`` per gas is the base fee of the block that included it and the effective tip; None where it
    was not included in time or there are no tips; ``tip_wei`` is the tip in it. ``under_priced``: a block
    within the deadline had a base fee above the cap.
    """

    stretch: int
    base_fee_wei: int
    cost_wei: int | None
    tip_wei: int | None
    inside: Mapping[int, float | None]
    under_priced: bool


def horizons(within_blocks: int) -> list[int]:
    """Return the numbers of blocks that inclusion is told for: 1, 2, 5 and the deadline."""
    if not 1 <= within_blocks <= MOST_WITHIN:
        raise InvalidInput(f"within must be from 1 to {MOST_WITHIN} blocks")
    return sorted({1, 2, 5, within_blocks})


def replay(recording: Recording, strategy: Strategy, within_blocks: int) -> list[Price | None]:
    """Return what the strategy would have said, after each block or as each transaction was seen.

    It is given only what came since the last question, by an iterator that ends at that moment.
    """
    horizons(within_blocks)
    if recording.blocks:
        return [strategy.price(iter((block,)), within_blocks) for block in recording.blocks]
    timeline = _Timeline(recording.waits)
    return [strategy.price(timeline.until(wait.received_s), within_blocks) for wait in recording.waits]


def score(recording: Recording, prices: Sequence[Price | None], within_blocks: int) -> list[Outcome | None]:
    """Return what each price came to; None where nothing was said, or the rows end before the deadline."""
    if recording.blocks:
        return [_in_blocks(recording.blocks, at, price, within_blocks) for at, price in enumerate(prices)]
    peers = _Peers(recording.waits)
    pairs = zip(recording.waits, prices, strict=True)
    return [_as_peers(peers, wait, price, within_blocks) for wait, price in pairs]


class _Timeline:
    """Hands out what became known until a moment, in order of time, each thing once."""

    def __init__(self, waits: Sequence[Wait]) -> None:
        # A block's base fee is known when its parent is, one block time or more before it is made.
        fees: dict[int, tuple[float, int]] = {}
        for wait in waits:
            parent = wait.mined_s - BLOCK_S, wait.observation.base_fee_wei
            fees[wait.block] = max(parent, fees.get(wait.block, parent))
        known: list[tuple[float, News]] = [(at, NextFee(block, fee)) for block, (at, fee) in fees.items()]
        known += [(w.mined_s, Mined(w.block, w.gas_used, w.observation)) for w in waits]
        self._known = sorted(known, key=lambda pair: pair[0])
        self._next = 0

    def until(self, moment_s: float) -> Iterator[News]:
        """Yield what became known since the last call, before this moment."""
        while self._next < len(self._known) and self._known[self._next][0] < moment_s:
            self._next += 1
            yield self._known[self._next - 1][1]


def _in_blocks(
    blocks: Sequence[BlockFees], at: int, price: Price | None, within_blocks: int
) -> Outcome | None:
    """Score a price against the blocks that followed.

    A block includes it if the cap pays its base fee, and, where its tips are recorded, if what is left pays
    the tip at which one surely got in.
    """
    following = blocks[at + 1 : at + 1 + max(horizons(within_blocks))]
    whole = len(following) == max(horizons(within_blocks))
    if price is None or not whole or following[-1].number != blocks[at].number + len(following):
        return None
    waited = next((n for n, block in enumerate(following, 1) if _includes(block, price)), None)
    cost = tip = None
    if waited is not None and waited <= within_blocks and price.tip_wei is not None:
        base_fee = following[waited - 1].base_fee_wei
        tip = effective_tip(price.max_fee_wei, price.tip_wei, base_fee) or 0
        cost = base_fee + tip
    return Outcome(
        stretch=at // STRETCH_BLOCKS,
        base_fee_wei=blocks[at].base_fee_wei,
        cost_wei=cost,
        tip_wei=tip,
        inside={n: float(waited is not None and waited <= n) for n in horizons(within_blocks)},
        under_priced=any(price.max_fee_wei < block.base_fee_wei for block in following[:within_blocks]),
    )


def _includes(block: BlockFees, price: Price) -> bool:
    tip = effective_tip(price.max_fee_wei, price.tip_wei or 0, block.base_fee_wei)
    if tip is None:
        return False
    return price.tip_wei is None or tip >= (block.entry_tip_wei or 0)


def _as_peers(peers: _Peers, wait: Wait, price: Price | None, within_blocks: int) -> Outcome | None:
    """Score a price for a transaction sent when another was: it fares as those of about its tip did then."""
    if price is None or price.tip_wei is None:
        return None
    base_fee = wait.observation.base_fee_wei
    paid = effective_tip(price.max_fee_wei, price.tip_wei, base_fee)
    near = peers.near(wait, paid) if paid is not None else []
    inside: dict[int, float | None] = dict.fromkeys(horizons(within_blocks), 0.0 if paid is None else None)
    if near:
        inside = {n: sum(waited <= n for waited in near) / len(near) for n in inside}
    return Outcome(
        stretch=int(wait.received_s // STRETCH_S),
        base_fee_wei=base_fee,
        cost_wei=None if paid is None else base_fee + paid,
        tip_wei=paid,
        inside=inside,
        under_priced=paid is None,
    )


class _Peers:
    """Transactions of the same stretch of time, by their tips."""

    def __init__(self, waits: Sequence[Wait]) -> None:
        self._stretches: dict[int, list[tuple[float, ...]]] = defaultdict(list)
        for wait in waits:
            seen = wait.observation
            self._stretches[int(wait.received_s // STRETCH_S)].append(
                (log(seen.tip_wei + 1), seen.blocks_waited)
            )
        for stretch in self._stretches.values():
            stretch.sort()

    def near(self, wait: Wait, tip_wei: int) -> list[float]:
        """Return how many blocks those with a tip like this waited; none where too few are alike."""
        stretch, wanted = self._stretches[int(wait.received_s // STRETCH_S)], log(tip_wei + 1)
        middle = bisect_left(stretch, (wanted,))
        around = stretch[max(0, middle - _NEAREST) : middle + _NEAREST]
        distances = sorted(abs(tip - wanted) for tip, _ in around)[:_NEAREST]
        reach = min(distances[-1], _ALIKE) + _TIE
        # Equal tips are taken all or not at all: which of them come first must not matter.
        first, last = bisect_left(stretch, (wanted - reach,)), bisect_left(stretch, (wanted + reach,))
        alike = [waited for _, waited in stretch[first:last]]
        return alike if len(alike) >= _LEAST_NEAR else []
