"""What a pricing strategy has seen of the market so far, from the news it was handed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.domain.fee_blocks import BlockFees
from shared.domain.fee_chains import ETHEREUM
from shared.domain.fees import FeeRules, next_base_fee

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.domain.tips import TipObservation

OBSERVED: Final = 4000
"""Transactions that are remembered: the latest."""
BLOCKS: Final = 300
"""Blocks that are remembered: the latest."""
_USUAL_LIMIT: Final = 30_000_000
"""Gas limit reckoned with where a recording has none; it matters by less than a millionth."""


class NextFee(NamedTuple):
    """The base fee of a block that is still to come, as its parent's header determines it."""

    number: int
    base_fee_wei: int


class Mined(NamedTuple):
    """A transaction of a block that is made."""

    block: int
    gas_used: int
    observation: TipObservation


News = BlockFees | NextFee | Mined


class Market:
    """What a strategy has seen so far, kept short."""

    def __init__(self, rules: FeeRules = ETHEREUM) -> None:
        self._rules = rules
        self.next_fee_wei: int | None = None
        self.latest_fee_wei: int | None = None
        self.gas_limit = _USUAL_LIMIT
        self.blocks: deque[BlockFees] = deque(maxlen=BLOCKS)
        self.observations: deque[TipObservation] = deque(maxlen=OBSERVED)
        self.mined: dict[int, list[tuple[int, int]]] = {}

    def take(self, news: Iterator[News]) -> None:
        """Take in what happened."""
        for item in news:
            if isinstance(item, BlockFees):
                self.blocks.append(item)
                self.gas_limit, self.latest_fee_wei = item.gas_limit, item.base_fee_wei
                self.next_fee_wei = next_base_fee(
                    self._rules, item.base_fee_wei, item.gas_used, item.gas_limit
                )
            elif isinstance(item, NextFee):
                self.next_fee_wei = self.latest_fee_wei = item.base_fee_wei
            else:
                self.observations.append(item.observation)
                self.mined.setdefault(item.block, []).append((item.observation.tip_wei, item.gas_used))
                while len(self.mined) > BLOCKS:
                    del self.mined[min(self.mined)]

    def lowest_tips(self, blocks: int, each: int) -> list[int]:
        """Return the lowest tips known of each of the last blocks."""
        if self.mined:
            last = sorted(self.mined)[-blocks:]
            return [tip for number in last for tip, _ in sorted(self.mined[number])[:each]]
        return [min(block.tips.items())[1] for block in list(self.blocks)[-blocks:] if block.tips]

    def tips_at(self, percentile: int, blocks: int) -> list[int]:
        """Return the tip at a percentile of gas of each of the last blocks, as `eth_feeHistory` gives it."""
        if self.mined:
            return [_at_gas(self.mined[number], percentile) for number in sorted(self.mined)[-blocks:]]
        last = (block.tip_at(percentile) for block in list(self.blocks)[-blocks:])
        return [tip for tip in last if tip is not None]

    def node_tip(self) -> int | None:
        """Return what a node's `eth_maxPriorityFeePerGas` says; None without tips.

        go-ethereum `eth/gasprice/gasprice.go` with `eth/ethconfig/config.go` FullNodeGPO: of each of the last
        20 blocks the 3 lowest tips (of those recorded here), of all these the 60th percentile.
        """
        tips = sorted(self.lowest_tips(20, 3))
        return tips[(len(tips) - 1) * 60 // 100] if tips else None


def _at_gas(tips: list[tuple[int, int]], percentile: int) -> int:
    """Return the tip at a percentile of the gas (go-ethereum `eth/gasprice/feehistory.go`)."""
    ordered, gas = sorted(tips), 0
    goal = sum(used for _, used in ordered) * percentile / 100
    for tip, used in ordered:
        gas += used
        if gas >= goal:
            return tip
    return ordered[-1][0]
