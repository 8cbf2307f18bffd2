"""Which tip to pay: the learned one where something was learned of times like these, else the node's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.domain.tips import TipChoice

if TYPE_CHECKING:
    from shared.domain.tips import TipModel

SPARE: Final = 50
"""A fiftieth of the base fee, or of the whole price, is not saved on, if a node's tip is no less: it hardly
costs, and helps should the market turn."""
LEAST_TO_LEARN: Final = 50
"""Observations before which the node's tip is paid."""


def tip_for(
    model: TipModel, base_fee_wei: int, within_blocks: int, wanted: float, usual_wei: int | None
) -> TipChoice | None:
    """Return the tip to pay in the next blocks; None where nothing at all is known.

    ``base_fee_wei``: of the next block. ``usual_wei``: what a node suggests (`eth_maxPriorityFeePerGas`),
    which is paid while fewer than ``LEAST_TO_LEARN`` transactions were seen, or none in times like these,
    where cheaper ones have just been late, or where less would hardly save anything. Dearer it is only where
    nothing but blocks was seen, by which the node's tip has not the wanted chance. Raises InvalidInput as
    ``TipModel.cheapest`` does.
    """
    spare = base_fee_wei // SPARE if usual_wei is None else min(base_fee_wei // SPARE, usual_wei)
    choice = model.cheapest(wanted, within_blocks, least_wei=spare, instead_of_wei=usual_wei)
    if choice is None or usual_wei is None:
        return choice
    if choice.tip_wei > usual_wei:
        return choice
    unlearned = model.strange or 0 < model.observed < LEAST_TO_LEARN
    unsure = unlearned or model.turned(choice.tip_wei, usual_wei, within_blocks)
    if not unsure and (usual_wei - choice.tip_wei) * SPARE > base_fee_wei + usual_wei:
        return choice
    chance = model.chance(usual_wei, within_blocks)
    reached = chance is not None and chance >= wanted
    # Of a suggestion below every tip that was seen to get in nothing is known.
    confidence = "low" if unsure or chance is None else choice.confidence
    return TipChoice(usual_wei, chance, reached, confidence, choice.regime, choice.observations)
