"""What the base fee will be some blocks ahead, said only where saying it has proved better than not to.

The figure starts from the next base fee, which is known, and moves it by what the recorded blocks show of
trend or of falling back to their recent mean. It is judged on the very history that it is made from: each
earlier block's forecast, made from what was known then, against what came. Floats live here only: they are a
forecast, never a price that is paid.
"""

from __future__ import annotations

from itertools import pairwise
from math import exp, fsum, log, sqrt
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.domain.fees import FeeRules, GrowthRules, next_base_fee, worst_base_fee
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.fee_blocks import BlockFees

AVERAGED: Final = 20
"""Blocks in the weighted average that a forecast must beat: the latest weighs 20, the one before 19, …"""
_MEAN_STEP: Final = 2 / (AVERAGED + 1)
_WARM: Final = AVERAGED
_SHRINK: Final = 100
"""The slope counts for little until it rests on well more than this many blocks."""
JUDGED: Final = 800
"""Most forecasts that the judgement looks back on."""
LEAST_CHUNKS: Final = 12
"""Stretches of time that the judgement needs at least; each holds 20 blocks, or twice the blocks ahead."""
SURE: Final = 2.0
"""The mean gain on each baseline, over those stretches, must be this many of its standard errors …"""
LEAST_GAIN: Final = 0.08
"""… and this share of the baseline's error: a gain that is certain but tiny seldom lasts."""
_TAIL: Final = 0.1
"""Share of past errors beyond either end of the interval, which therefore holds 80 % of them."""


class Forecast(NamedTuple):
    """The base fee expected ``ahead`` blocks from the latest, wei; 80 % of past ones fell in the interval.

    ``judged``: past forecasts that it was judged by. Its mean error there is given as a share of that of
    assuming that the latest block's base fee stays (``of_unchanged``), of the weighted average
    (``of_average``) and of assuming that the next block's fee, which is known, stays (``of_next``; 1 where
    the history shows nothing better, and the forecast is just that).
    """

    ahead: int
    base_fee_wei: int
    low_wei: int
    high_wei: int
    judged: int
    of_unchanged: float
    of_average: float
    of_next: float


class _Past(NamedTuple):
    """One earlier forecast: log of it plain and moved, and of what came; and how wrong each was, in wei."""

    plain: float
    moved: float
    came: float
    plain_error: float
    moved_error: float
    unchanged_error: float
    average_error: float


def forecast(history: Sequence[BlockFees], rules: FeeRules | GrowthRules, ahead: int) -> Forecast | None:
    """Return the forecast for the block ``ahead`` after the last of ``history``, or None.

    None: too few consecutive blocks, a base fee of 0, or not surely better than each baseline in the look
    back. ``ahead`` from 2 on, as the next block needs no forecast; InvalidInput otherwise.
    """
    if ahead < 2:  # noqa: PLR2004 (said in the docstring)
        raise InvalidInput("ahead must be 2 or more: the next base fee is known")
    blocks = _unbroken(history)
    if not blocks or any(block.base_fee_wei < 1 for block in blocks):
        return None
    known = [_next(rules, block) for block in blocks]
    past, slope, pull = _look_back(blocks, known, ahead)
    judged = past[-JUDGED:]
    chunk = max(AVERAGED, 2 * ahead)
    moved = _surely([p.plain_error - p.moved_error for p in judged], chunk)
    ours = [p.moved_error if moved else p.plain_error for p in judged]
    for rival in ([p.unchanged_error for p in judged], [p.average_error for p in judged]):
        gains = [theirs - own for theirs, own in zip(rival, ours, strict=True)]
        if sum(gains) < LEAST_GAIN * sum(rival) or not _surely(gains, chunk):
            return None
    middle = log(known[-1]) + (slope * pull if moved else 0.0)
    misses = sorted(p.came - (p.moved if moved else p.plain) for p in judged)
    cut = int(_TAIL * (len(misses) - 1))
    worst = worst_base_fee(rules, known[-1], blocks[-1].gas_limit, ahead)
    return Forecast(
        ahead=ahead,
        base_fee_wei=_within(exp(middle), rules, worst),
        low_wei=_within(exp(middle + misses[cut]), rules, worst),
        high_wei=_within(exp(middle + misses[-1 - cut]), rules, worst),
        judged=len(judged),
        of_unchanged=sum(ours) / sum(p.unchanged_error for p in judged),
        of_average=sum(ours) / sum(p.average_error for p in judged),
        of_next=sum(ours) / sum(p.plain_error for p in judged) if moved else 1.0,
    )


def weighted_average(base_fees: Sequence[int]) -> float:
    """Return the mean of the last base fees, the latest weighing most: the plain forecast to be beaten."""
    last = base_fees[-AVERAGED:]
    return sum(at * fee for at, fee in enumerate(last, 1)) / (len(last) * (len(last) + 1) / 2)


def _averages(base_fees: Sequence[int]) -> list[float]:
    """Return the weighted average at each block, each from the one before it, in whole wei."""
    weight = AVERAGED * (AVERAGED + 1) / 2
    total = weighted = 0
    averages = []
    for at, fee in enumerate(base_fees):
        weighted += AVERAGED * fee - total
        total += fee - (base_fees[at - AVERAGED] if at >= AVERAGED else 0)
        averages.append(weighted / weight)
    return averages


def _look_back(
    blocks: Sequence[BlockFees], known: Sequence[int], ahead: int
) -> tuple[list[_Past], float, float]:
    """Make every earlier forecast from what was known then; also the slope and the pull for the one of now.

    The slope is fitted by least squares through the origin, on the distance of the known next fee from the
    recent mean (``pull``) and what came ``ahead`` blocks later, and drawn to 0 where it rests on little.
    """
    fees = [block.base_fee_wei for block in blocks]
    averages = _averages(fees)
    recent = log(fees[0])
    pulls: list[float] = []
    past: list[_Past] = []
    products = squares = slope = 0.0
    for at, fee in enumerate(fees):
        recent += _MEAN_STEP * (log(fee) - recent)
        pulls.append(log(known[at]) - recent)
        before = at - ahead
        if before >= _WARM:
            products += pulls[before] * (log(fee) - log(known[before]))
            squares += pulls[before] ** 2
            count = before - _WARM + 1
            slope = max(-1.0, min(1.0, products / squares)) * count / (count + _SHRINK) if squares else 0.0
        if at >= _WARM + ahead and at + ahead < len(fees):
            plain, came = log(known[at]), fees[at + ahead]
            moved = plain + slope * pulls[at]
            past.append(
                _Past(
                    plain=plain,
                    moved=moved,
                    came=log(came),
                    plain_error=abs(known[at] - came),
                    moved_error=abs(exp(moved) - came),
                    unchanged_error=abs(fee - came),
                    average_error=abs(averages[at] - came),
                )
            )
    return past, slope, pulls[-1]


def _unbroken(history: Sequence[BlockFees]) -> list[BlockFees]:
    """Return the last blocks that follow each other without a gap."""
    start = 0
    for at, (parent, child) in enumerate(pairwise(history), 1):
        if child.number != parent.number + 1:
            start = at
    return list(history[start:])


def _next(rules: FeeRules | GrowthRules, block: BlockFees) -> int:
    """Return the base fee after this block; where the chain's rule is not exact, that it stays."""
    if isinstance(rules, GrowthRules):
        return block.base_fee_wei
    return max(next_base_fee(rules, block.base_fee_wei, block.gas_used, block.gas_limit), 1)


def _surely(gains: Sequence[float], chunk: int) -> bool:
    """Say whether gains are above 0 beyond chance, by the means of stretches: neighbours prove nothing."""
    starts = range(len(gains) % chunk, len(gains), chunk)
    means = [fsum(gains[at : at + chunk]) / chunk for at in starts]
    if len(means) < LEAST_CHUNKS:
        return False
    # Not by `statistics`: with what that imports, a function starts 8 ms later.
    mean = fsum(means) / len(means)
    deviation = sqrt(fsum((each - mean) ** 2 for each in means) / (len(means) - 1))
    return mean > SURE * deviation / sqrt(len(means))


def _within(fee: float, rules: FeeRules | GrowthRules, worst: int | None) -> int:
    """Round to wei, within what the chain's rule allows."""
    rounded = max(round(fee), rules.floor_wei)
    return rounded if worst is None else min(rounded, worst)
