"""What to pay per gas so that an action is in within some blocks, and how sure that is; all in wei."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from shared.domain.fee_outlook import NextFee, WorstFee, worst_fee
from shared.domain.tip_quote import LEAST_TO_LEARN, tip_for
from shared.domain.tips import TipModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.fee_blocks import BlockFees
    from shared.domain.fee_chains import ChainFees
    from shared.domain.tips import TipObservation

MOST_BLOCKS: Final = 1000
"""Longest deadline: some three hours of Ethereum, by which its base fee could be 10^51 times as high."""
WITHIN_BLOCKS: Final = 5
CONFIDENCE: Final = 0.98
"""Chance of inclusion wanted unless the caller says another: the one that the tip rules were judged by."""
SHOWN: Final = (1, 2, 5)
"""Numbers of blocks within which the chance of inclusion is told, besides the caller's own."""
_PATIENT: Final = 20
"""A chance within more blocks than that is at least the one within so many: history teaches no further."""
LEARNED, SEEN, NODE, SETTING = "receipts", "blocks", "node", "setting"


class Tip(NamedTuple):
    """The tip; ``reached``: it surely gives the wanted chance, as far as that is known at all (else None)."""

    wei: int
    source: str
    confidence: str
    reached: bool | None = None
    regime: str | None = None
    observations: int = 0


class FeeQuote(NamedTuple):
    """Caps and chances for one deadline; None for what nobody knows.

    ``chances``: of being in within so many blocks, which beyond the deadline is at least that of the
    deadline. ``expected_wei``: base fee and tip if it gets into the next block, as most do.
    """

    within_blocks: int
    wanted: float
    following: NextFee
    worst: WorstFee | None
    tip: Tip | None
    max_fee_wei: int | None
    expected_wei: int | None
    chances: Mapping[int, float | None]


class FeeMarket:
    """A chain at one head: the ``blocks`` up to it, oldest first, and what was learned of tips."""

    def __init__(
        self,
        chain: ChainFees,
        following: NextFee,
        blocks: Sequence[BlockFees],
        observations: Sequence[TipObservation],
        node_tip_wei: int | None,
    ) -> None:
        self.following = following
        self.blocks = blocks
        self._chain = chain
        self._node_tip_wei = node_tip_wei
        # Few of one's own teach less than the blocks do.
        own = observations if len(observations) >= LEAST_TO_LEARN else ()
        self._model = TipModel(own, blocks, following.reckoned_wei)

    def quote(self, within_blocks: int, wanted: float) -> FeeQuote:
        """Return the quote for a deadline and a wanted chance; InvalidInput for a deadline out of reach."""
        worst = worst_fee(self.following, self.blocks, within_blocks)
        tip = self._tip(within_blocks, wanted)
        known = worst is not None and tip is not None
        return FeeQuote(
            within_blocks=within_blocks,
            wanted=wanted,
            following=self.following,
            worst=worst,
            tip=tip,
            max_fee_wei=worst.wei + tip.wei if known and worst and tip else None,
            expected_wei=self.following.reckoned_wei + tip.wei if tip else None,
            chances=self._chances(tip, worst, within_blocks),
        )

    def _chances(
        self, tip: Tip | None, worst: WorstFee | None, within_blocks: int
    ) -> dict[int, float | None]:
        """Return the chance within each number of blocks; who is in by one of them is in by the next ones."""
        chances: dict[int, float | None] = {}
        surest: float | None = None
        for blocks in sorted({*SHOWN, within_blocks}):
            chance = self._chance(tip, worst, min(blocks, within_blocks))
            if chance is not None:
                surest = max(chance, surest or 0.0)
            chances[blocks] = surest
        return chances

    def _tip(self, within_blocks: int, wanted: float) -> Tip | None:
        if not self._chain.tips:
            return Tip(self._chain.tip_wei, SETTING, "high")
        model, usual = self._model, self._node_tip_wei
        choice = tip_for(model, self.following.reckoned_wei, min(within_blocks, _PATIENT), wanted, usual)
        if choice is None:
            return None if usual is None else Tip(usual, NODE, "low")
        of_node = usual is not None and (model.strange or choice.chance is None)
        source = NODE if of_node else LEARNED if model.observed else SEEN
        return Tip(
            choice.tip_wei, source, choice.confidence, choice.reached, choice.regime, choice.observations
        )

    def _chance(self, tip: Tip | None, worst: WorstFee | None, blocks: int) -> float | None:
        """Return the chance that the tip gets in by then, and that the cap still pays."""
        if tip is None or worst is None:
            return None
        if not self._chain.tips:
            return worst.chance
        chance = self._model.chance(tip.wei, min(blocks, _PATIENT))
        return None if chance is None else chance * (1.0 if worst.chance is None else worst.chance)
