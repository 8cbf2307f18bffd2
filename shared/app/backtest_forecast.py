"""Scoring the forecast of the base fee over recorded headers: made from the past, held against what came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.domain.fee_chains import ETHEREUM
from shared.domain.fee_forecast import forecast, weighted_average
from shared.domain.fees import FeeRules, next_base_fee

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.fee_blocks import BlockFees

AHEAD: Final = (2, 5, 10)
EVERY: Final = 10
"""A forecast is asked for after each tenth block."""
HISTORY: Final = 1000


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """How forecasts ``ahead`` blocks on did: ``shown`` of ``asked``, and their mean error beside others'.

    ``of_unchanged`` is its share of the error of taking the base fee to stay, ``of_average`` of that of the
    weighted average, ``of_next`` of that of taking the next base fee to stay; ``in_interval`` the share of
    what came that lay within. All None where none was shown.
    """

    ahead: int
    asked: int
    shown: int
    of_unchanged: float | None
    of_average: float | None
    of_next: float | None
    in_interval: float | None


def score_forecasts(
    blocks: Sequence[BlockFees], ahead: int, rules: FeeRules = ETHEREUM, every: int = EVERY
) -> ForecastScore:
    """Ask for a forecast after each ``every``-th block, from the blocks until then, and score those shown."""
    asked = shown = inside = 0
    ours = unchanged = average = following = 0.0
    for at in range(every - 1, len(blocks) - ahead, every):
        asked += 1
        past = blocks[max(0, at + 1 - HISTORY) : at + 1]
        made = forecast(past, rules, ahead)
        if made is None or blocks[at + ahead].number != blocks[at].number + ahead:
            continue
        shown += 1
        came, last = blocks[at + ahead].base_fee_wei, blocks[at]
        stays = next_base_fee(rules, last.base_fee_wei, last.gas_used, last.gas_limit)
        ours += abs(made.base_fee_wei - came)
        unchanged += abs(last.base_fee_wei - came)
        average += abs(weighted_average([block.base_fee_wei for block in past]) - came)
        following += abs(stays - came)
        inside += made.low_wei <= came <= made.high_wei
    return ForecastScore(
        ahead=ahead,
        asked=asked,
        shown=shown,
        of_unchanged=ours / unchanged if unchanged else None,
        of_average=ours / average if average else None,
        of_next=ours / following if following else None,
        in_interval=inside / shown if shown else None,
    )
