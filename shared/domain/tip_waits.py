"""How long transactions of a tip wait: block by block, the chance that one that still waits is taken.

Whoever wants to know the chance of five blocks from few observations learns more from how many were taken
in the first, the second, the third, than from how many were within five. Floats are chances.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from math import sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.domain.tips import TipObservation

LONGEST: Final = 20
"""Blocks of waiting that are told apart; the chance of more is not put higher than that of so many."""
_LEAST_LATE: Final = 1e-9


class Waits:
    """Of one group of observations, by bin of tips: who still waited when a block came, and whom it took.

    Neighbouring bins are looked at as one until they hold ``least`` observations: a few that are the latest
    speak for all tips between them.
    """

    def __init__(self, group: Sequence[TipObservation], tops: Sequence[int], least: int = 0) -> None:
        self._left = [[0] * len(tops) for _ in range(LONGEST + 2)]
        self._got = [[0] * len(tops) for _ in range(LONGEST + 2)]
        for seen in group:
            at = bisect_right(tops, seen.tip_wei - 1)
            waited = min(seen.blocks_waited, LONGEST + 1)
            self._left[waited][at] += 1
            self._got[waited][at] += 1
        for block in range(LONGEST, 0, -1):
            left, later = self._left[block], self._left[block + 1]
            self._left[block] = [here + after for here, after in zip(left, later, strict=True)]
        self.spans = _spans(self._left[1], least)
        self._left = [_together(row, self.spans) for row in self._left]
        self._got = [_together(row, self.spans) for row in self._got]
        self.counts = self._left[1]

    def usual_odds(self, block: int) -> float:
        """Return how often a transaction of any tip that still waited was taken in its n-th block."""
        got, left = (sum(row[block][first] for first, _ in self.spans) for row in (self._got, self._left))
        return (got + 1) / (left + 2)

    def dearer_odds(self, block: int) -> list[float]:
        """Return the same of transactions of a bin's tips or dearer ones, of a group whose bins are apart.

        Of cheaper ones that are stuck nothing is learned for a dear one: had it been stuck, it would show.
        """
        got = list(accumulate(reversed(self._got[block])))
        left = list(accumulate(reversed(self._left[block])))
        return [(taken + 1) / (of + 2) for taken, of in zip(reversed(got), reversed(left), strict=True)]

    def waiting(self, block: int) -> list[int]:
        """Return how many of each bin still waited when the n-th block came."""
        return self._left[block]

    def drawn(self, block: int, odds: Sequence[float], doubt: float) -> list[float]:
        """Draw each bin's odds for the n-th block, assumed so far, towards what the group shows."""
        places = zip(self._got[block], self._left[block], odds, strict=True)
        return [(got + doubt * odd) / (left + doubt) for got, left, odd in places]


def taken_within(
    groups: Sequence[Waits], assumed: Iterator[list[float]], within_blocks: int, doubts: Sequence[float]
) -> list[float]:
    """Return each bin's chance of being taken within so many blocks.

    ``assumed`` yields the odds of the first block, the second and so on before anything was observed; the
    groups draw them to themselves one after the other, the later (finer) ones last, each against as many
    observations as its doubt says.
    """
    told = still_waiting(groups, assumed, within_blocks, doubts)
    return [1 - late for late, _ in told]


def still_waiting(
    groups: Sequence[Waits], assumed: Iterator[list[float]], within_blocks: int, doubts: Sequence[float]
) -> list[tuple[float, float]]:
    """Return each bin's chance of waiting longer than so many blocks, and how unsure that is.

    The second is its standard error as a share of it. Each block's odds are a mean of a beta distribution;
    the relative second moment of a product is the product of theirs.
    """
    waiting = [1.0] * len(groups[0].counts)
    spread = [1.0] * len(waiting)
    for block in range(1, min(within_blocks, LONGEST) + 1):
        odds = next(assumed)
        for group, doubt in zip(groups, doubts, strict=True):
            odds = group.drawn(block, odds, doubt)
        for b, (odd, weight) in enumerate(zip(odds, rests_on(groups, doubts, block), strict=True)):
            late = max(1 - odd, _LEAST_LATE)
            waiting[b] *= 1 - odd
            spread[b] *= 1 + odd / (late * (weight + 1))
    return [(late, sqrt(more - 1)) for late, more in zip(waiting, spread, strict=True)]


def rests_on(groups: Sequence[Waits], doubts: Sequence[float], block: int = 1) -> list[float]:
    """Return how many observations each bin's odds of the n-th block rest on, as drawn by ``taken_within``.

    A mean that was drawn to few observations is as unsure as those: their variances add, each with the
    square of its share.
    """
    spread = [0.0] * len(groups[0].counts)
    for at, (group, doubt) in enumerate(zip(groups, doubts, strict=True)):
        counts = group.waiting(block)
        for first, last in group.spans:
            for b in range(first, last):
                # What bins share does not become surer by taking them together.
                count, share = counts[b], last - first
                own = 1 / (count + doubt) if at == 0 else share * count / (count + doubt) ** 2
                spread[b] = spread[b] * (0 if at == 0 else doubt / (count + doubt)) ** 2 + own
    return [1 / each for each in spread]


def _spans(counts: Sequence[int], least: int) -> list[tuple[int, int]]:
    """Return which bins are taken together, as ranges from the first to before the last."""
    spans, first = [], 0
    for last in range(1, len(counts) + 1):
        if sum(counts[first:last]) >= least or last == len(counts):
            spans.append((first, last))
            first = last
    return spans


def _together(row: Sequence[int], spans: Sequence[tuple[int, int]]) -> list[int]:
    return [sum(row[first:last]) for first, last in spans for _ in range(first, last)]
