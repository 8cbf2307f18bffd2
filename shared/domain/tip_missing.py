"""Tips that have stopped getting in: what shows first of a market that turns.

Cheap transactions that are stuck in a surge are not seen before it is over; that none is mined any more, of
tips that usually are, is seen at once.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.tips import TipObservation

LONGEST_RUN: Final = 200
"""Latest observations that are looked through."""
ACCIDENT: Final = 0.003
"""Chance below which it is no accident that tips are missing."""


def missing_below(observations: Sequence[TipObservation], tips: Sequence[int], other_wei: int) -> int:
    """Return the tip, up to the other, below which none was mined of late though some usually are.

    0 where there were. ``observations`` are in the order of mining, ``tips`` are theirs, lowest first; wei.
    """
    lowest_wei = other_wei
    for run, seen in enumerate(reversed(observations[-LONGEST_RUN:])):
        share = bisect_left(tips, lowest_wei) / len(tips)
        if (1 - share) ** run < ACCIDENT:
            return lowest_wei
        lowest_wei = min(lowest_wei, seen.tip_wei)
    return 0
