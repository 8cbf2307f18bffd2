"""Markets made up from a seed, in which it is known when any tip would have been taken.

Each block takes tips from a level on, which wanders, jumps in a surge (base fees rise then), and is not the
same for every producer; some blocks take nothing. So a strategy can be scored by what would have happened
to its own price, and not by how others fared.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING, Final

from shared.app.backtest_rows import BLOCK_S, Recording, Wait
from shared.domain.tips import TipObservation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.fee_strategies import Price

GWEI: Final = 10**9
_USUAL: Final = (0.001, 0.01, 0.01, 0.05, 0.1, 0.1, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 3.0, 5.0, 8.0)
"""Tips that senders set, in gwei: round figures, most of them a wallet's default."""
_NEVER: Final = 1 << 200


@dataclass(frozen=True)
class Market:
    """In gwei; every ``surge_every`` blocks on average (0: never) the level is ``surge`` times as high."""

    seed: int
    blocks: int = 700
    base_fee: float = 1.0
    level: float = 0.01
    drift: float = 0.05
    noise: float = 0.6
    surge_every: int = 600
    surge: float = 10.0
    scale: float = 1.0
    per_block: float = 2.0


class FeeWorld:
    """A market played out: ``recording`` is what an observer of transactions wrote down of it."""

    def __init__(self, market: Market) -> None:
        chance = random.Random(market.seed)
        base_fee, level, surge = market.base_fee, 0.0, 0.0
        self.base_fees: list[int] = []
        self._takes: list[int] = []
        for _ in range(market.blocks):
            if market.surge_every and chance.random() < 1 / market.surge_every:
                surge = log(market.surge)
            surge *= 1 - 1 / 30
            level = level * 0.99 + chance.gauss(0, market.drift)
            base_fee *= exp(chance.gauss(0, 0.03) + (0.03 if surge > 0.5 else 0))
            base_fee *= (market.base_fee / base_fee) ** 0.01
            self.base_fees.append(int(base_fee * GWEI))
            least = market.level * exp(level + surge + chance.gauss(0, market.noise))
            self._takes.append(_NEVER if chance.random() < 0.03 else int(least * GWEI))
        self.recording = Recording(waits=tuple(self._waits(market, chance)))

    def waited(self, sent_s: float, price: Price) -> tuple[int | None, int]:
        """Return in how many blocks a price sent then is taken (None: never seen), and what it pays, wei."""
        tip = price.tip_wei or 0
        first = int(sent_s // BLOCK_S) + 1
        for block in range(first, len(self.base_fees)):
            base_fee = self.base_fees[block]
            paid = min(tip, price.max_fee_wei - base_fee)
            if paid >= self._takes[block]:
                return block - first + 1, base_fee + paid
        return None, 0

    def _waits(self, market: Market, chance: random.Random) -> Sequence[Wait]:
        found, moment = [], 2.0 * BLOCK_S
        while moment < (market.blocks - 60) * BLOCK_S:
            moment += chance.expovariate(market.per_block / BLOCK_S)
            tip = int(chance.choice(_USUAL) * market.scale * GWEI)
            block = int(moment // BLOCK_S) + 1
            late = block * BLOCK_S - moment < chance.uniform(0, 1)
            block += late
            while block < market.blocks and self._takes[block] > tip:
                block += 1
            if block < market.blocks:
                mined_s = float(block * BLOCK_S)
                waited = block - int(moment // BLOCK_S)
                seen = TipObservation(tip, self.base_fees[block], waited)
                found.append(Wait(moment, mined_s - moment, block, 21_000, seen))
        return sorted(found, key=lambda wait: (wait.received_s, wait.mined_s))
