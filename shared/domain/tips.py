"""The tip, learned: what chance a tip gives of being in a block within so many blocks.

Learned from transactions that were seen waiting, and from what recent blocks took. A chance never falls as
the tip rises, and rises only where that is sure; it is that of all observations, drawn towards those of the
present base fee's regime, and those towards the latest, each by as much as they are many. Floats are chances;
tips stay integers of wei.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, count
from math import sqrt
from typing import TYPE_CHECKING, Final

from shared.domain.isotonic import MOST_JOINED, SURE, sure_steps, surely
from shared.domain.tip_missing import missing_below
from shared.domain.tip_waits import LONGEST, Waits, rests_on, still_waiting, taken_within
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.domain.fee_blocks import BlockFees

REGIMES: Final = ("quiet", "usual", "busy")
"""The lowest, middle and highest third of the base fees observed."""
BINS: Final = 40
LEAST_IN_BIN: Final = 15
RECENT: Final = 100
"""Observations that count as the latest."""
_DRAW: Final = 20
"""The present regime outweighs all of them once it has more observations than this in a bin."""
LATEST_BLOCKS: Final = 40
"""Stretches of the latest blocks' tips to which those of all are drawn."""
LATEST: Final = 60
"""Observations by which it is seen whether a market has turned just now."""
_LEAST_RECENT: Final = 20
"""The latest are looked at by so many together."""
_DOUBT: Final = 2
"""Weight of what is assumed before anything was observed (Laplace: one success, one failure)."""
AT_MOST_BELOW: Final = 0.005
"""Chance that may be given away against the tip that would be paid otherwise: half of the point that may be
lost in the end, as chances are estimates."""
MAY_BE_BELOW: Final = 0.0075
"""The same for what a chance surely is at least: three quarters of that point, as some time is always lost
before it is seen that a market has turned."""
BOUND: Final = 1.3
"""Standard errors below which it surely is not (one-sided 90 %)."""
AT_ONCE: Final = 2
"""Deadlines up to this leave no time for a cheap tip to be taken later."""
SOON: Final = 5
"""Blocks after which the bound no longer counts on more: who waits longer waits for the market to turn."""
HEADROOM_PERCENT: Final = 150
"""Percent of the cheapest sure tip that are paid: a market wanders between what was seen and what comes."""
MORE_PERCENT: Final = 10
"""Percent of the price that may be added to a node's tip which does not have the wanted chance by the very
blocks that it was taken from."""
HIGH_FROM, MEDIUM_FROM = 300, 60
"""Observations of this regime, at this tip or below, from which confidence is high, and medium."""


@dataclass(frozen=True, slots=True)
class TipObservation:
    """A transaction that was mined ``blocks_waited`` blocks after it was seen (1: in the next one); wei."""

    tip_wei: int
    base_fee_wei: int
    blocks_waited: int

    def __post_init__(self) -> None:
        if self.tip_wei < 0 or self.base_fee_wei < 0 or self.blocks_waited < 1:
            raise InvalidInput("an observation has a negative fee, or waited for less than one block")


@dataclass(frozen=True, slots=True)
class TipChoice:
    """The cheapest tip for a wanted chance; ``reached`` False: none surely gives it, this does best.

    ``confidence`` is high, medium or low by the number of observations of the present regime that speak for
    it; low, too, where the present base fee is beyond all that were observed. Blocks whose tips are known
    count instead where they are more, but never make it high. ``chance`` is None for a tip below all that
    were seen.
    """

    tip_wei: int
    chance: float | None
    reached: bool
    confidence: str
    regime: str
    observations: int


class TipModel:
    """Chances by tip, as learned from ``observations`` (oldest first) and ``blocks``, at a base fee.

    ``strange``: that base fee is more than a quarter above all that were observed: nothing was learned of
    times so busy.
    """

    def __init__(
        self, observations: Sequence[TipObservation], blocks: Sequence[BlockFees], base_fee_wei: int
    ) -> None:
        self._observations = observations
        self._entries = [tip for block in blocks if (tip := block.entry_tip_wei) is not None]
        self._base_fee_wei = base_fee_wei
        fees = sorted(seen.base_fee_wei for seen in observations)
        self._bounds = [fees[len(fees) * third // len(REGIMES)] for third in (1, 2)] if fees else []
        self.strange = bool(fees) and base_fee_wei * 4 > fees[-1] * 5
        self._tips = sorted(seen.tip_wei for seen in observations)
        seen = _tops(self._tips, LEAST_IN_BIN)
        self._tops = sorted({*seen, *_tops(self._entries, 1)})
        regime = self._regime_of(base_fee_wei)
        here = [seen for seen in observations if self._regime_of(seen.base_fee_wei) == regime]
        latest = Waits(here[-RECENT:], self._tops, _LEAST_RECENT)
        self._groups = [Waits(observations, self._tops), Waits(here, self._tops), latest]
        self._doubts = (_DRAW if self._entries else _DOUBT, _DRAW, _DRAW)
        self._curves: dict[tuple[int, bool], tuple[list[float], float]] = {}

    @property
    def observed(self) -> int:
        """Number of transactions that it has learned from."""
        return len(self._observations)

    @property
    def regime(self) -> str:
        """The regime of the present base fee among those observed; usual where none were."""
        return REGIMES[self._regime_of(self._base_fee_wei)]

    def chance(self, tip_wei: int, within_blocks: int) -> float | None:
        """Return the chance of being in a block by then; None below every tip that was seen to get in."""
        at = bisect_right(self._tops, tip_wei) - 1
        return None if at < 0 else self._curve(within_blocks)[0][at]

    def cheapest(
        self, wanted: float, within_blocks: int, *, least_wei: int = 0, instead_of_wei: int | None = None
    ) -> TipChoice | None:
        """Return the lowest tip (of ``least_wei`` or more) with the wanted chance; None without any data.

        ``instead_of_wei``: the tip that would be paid otherwise, a node's suggestion. Nothing dearer than
        that is chosen, nothing whose chance is more than ``AT_MOST_BELOW`` less or not surely within
        ``MAY_BE_BELOW`` of it, nothing below the tips that have just been missing, and of a cheaper one
        ``HEADROOM_PERCENT`` as much. Raises InvalidInput for a wanted chance that is not between 0 and 1, or
        for less than one block.
        """
        if not 0 < wanted < 1:
            raise InvalidInput("confidence must lie between 0 and 1")
        if not self._tops:
            return None
        curve, best = self._curve(within_blocks, beside=instead_of_wei is not None)
        goal = min(wanted, best)
        if instead_of_wei is None:
            at = next(place for place, chance in enumerate(curve) if chance >= goal)
            at = max(at, bisect_right(self._tops, least_wei) - 1)
            return self._choice(max(self._tops[at], least_wei), at, curve, wanted)
        # Of the bin that it lies in: at its top, where that chance was seen, it may be a little less.
        top = min(bisect_left(self._tops, instead_of_wei), len(curve) - 1)
        other = curve[top]
        # Where even that one does not have the wanted chance, nothing of it is given away.
        most = goal
        goal = max(min(goal, other), other - AT_MOST_BELOW if other >= wanted else other)
        (surest, likely), seen_wei = (
            self._surest(within_blocks),
            missing_below(self._observations, self._tips, instead_of_wei),
        )
        cheaper = (
            place
            for place in range(top)
            if curve[place] >= goal
            and surest[place] >= likely[top] - MAY_BE_BELOW
            and self._tops[place] >= seen_wei
        )
        at = max(next(cheaper, top), bisect_right(self._tops, least_wei) - 1)
        dearer = None if self._observations or other >= wanted else self._dearer(instead_of_wei, most, curve)
        most_wei = max(instead_of_wei if dearer is None else self._dearest_wei(instead_of_wei), least_wei)
        at = at if dearer is None else max(at, dearer)
        tip = max(self._tops[at] * HEADROOM_PERCENT // 100, least_wei)
        return self._choice(min(tip, most_wei), at, curve, wanted)

    def _dearest_wei(self, instead_of_wei: int) -> int:
        return instead_of_wei + (self._base_fee_wei + instead_of_wei) * MORE_PERCENT // 100

    def _dearer(self, instead_of_wei: int, goal: float, curve: Sequence[float]) -> int | None:
        """Return the place of the cheapest tip above that has this chance, if it adds little to the price."""
        first = bisect_right(self._tops, instead_of_wei)
        fits = range(first, bisect_right(self._tops, self._dearest_wei(instead_of_wei)))
        return next((place for place in fits if curve[place] >= goal), None)

    def _choice(self, tip_wei: int, at: int, curve: Sequence[float], wanted: float) -> TipChoice:
        """Return this tip as a choice, with what is known of the bin it was found in."""
        support = self._support(self._tops[at])
        return TipChoice(
            tip_wei=tip_wei,
            chance=curve[at],
            reached=curve[at] >= wanted,
            confidence=self._confidence(support),
            regime=self.regime,
            observations=support,
        )

    def turned(self, tip_wei: int, other_wei: int, within_blocks: int) -> bool:
        """Say whether of the latest those of this tip up to the other were late more often than dearer ones.

        By more than a hundredth, and by more than accident explains: what was learned is of calmer times.
        """
        latest = [seen for seen in self._observations[-LATEST:] if seen.tip_wei >= tip_wei]
        cheap = [seen.blocks_waited > within_blocks for seen in latest if seen.tip_wei < other_wei]
        dear = [seen.blocks_waited > within_blocks for seen in latest if seen.tip_wei >= other_wei]
        if not cheap or not dear:
            return False
        more = sum(cheap) / len(cheap) - sum(dear) / len(dear)
        one = (sum(cheap) + sum(dear)) / len(latest)
        return more > max(MOST_JOINED, SURE * sqrt(one * (1 - one) * (1 / len(cheap) + 1 / len(dear))))

    def _surest(self, within_blocks: int) -> tuple[list[float], list[float]]:
        """Return each bin's chance within so many blocks (of the first few): surely, and likely."""
        told = still_waiting(
            self._groups, self._beside(within_blocks), min(within_blocks, SOON), self._doubts
        )
        # What is sure of a tip is sure of a dearer one.
        surely = accumulate((1 - late * (1 + BOUND * unsure) for late, unsure in told), max)
        return list(surely), list(accumulate((1 - late for late, _ in told), max))

    def _beside(self, within_blocks: int) -> Iterator[list[float]]:
        """Yield what is assumed where tips are held against each other: what those or dearer ones did.

        Few of a dear tip ever wait for long, and what cheap ones do then, that are stuck, would make every
        tip as unsure. Of deadlines too short to wait no more is assumed than of any tip.
        """
        first = self._groups[0]
        if self._entries or within_blocks <= AT_ONCE:
            return self._assumed()
        return (first.dearer_odds(min(block, LONGEST)) for block in count(1))

    def _confidence(self, support: int) -> str:
        if self.strange or support < MEDIUM_FROM:
            return "low"
        return "high" if support >= HIGH_FROM else "medium"

    def _support(self, tip_wei: int) -> int:
        here = self._regime_of(self._base_fee_wei)
        seen = sum(
            seen.tip_wei <= tip_wei and self._regime_of(seen.base_fee_wei) == here
            for seen in self._observations
        )
        return max(seen, min(len(self._entries), HIGH_FROM - 1))

    def _regime_of(self, base_fee_wei: int) -> int:
        if not self._bounds or self._bounds[0] == self._bounds[1] == base_fee_wei:
            return 1
        return bisect_right(self._bounds, base_fee_wei)

    def _curve(self, within_blocks: int, *, beside: bool = False) -> tuple[list[float], float]:
        """Return the chance at each bin's top, for so many blocks; and the best that one surely has."""
        if within_blocks < 1:
            raise InvalidInput("within_blocks must be 1 or more")
        key = within_blocks, beside
        if key not in self._curves:
            chances = taken_within(
                self._groups,
                self._beside(within_blocks) if beside else self._assumed(),
                within_blocks,
                self._doubts,
            )
            # Dearer tips that fare worse are other senders' (late in a slot, or private): they do not pull
            # down what is sure of cheaper ones, and a dearer tip does no worse than a cheaper.
            steps = sure_steps(chances, rests_on(self._groups, self._doubts))
            best = max(surely(chance, weight) for chance, weight in steps)
            self._curves[key] = [chance for chance, _ in steps], best
        return self._curves[key]

    def _assumed(self) -> Iterator[list[float]]:
        """Yield the odds of each block of waiting before transactions were seen, for each bin's top.

        From how often one of so many blocks took gas at no more, drawn to how often one of the latest did;
        where no blocks' tips are known, from how often a transaction of any tip was taken.
        """
        before = [0.0] * len(self._tops)
        for block in count(1):
            lows = [min(self._entries[at : at + block]) for at in range(len(self._entries) - block + 1)]
            latest = sorted(lows[-LATEST_BLOCKS:])
            if not lows:
                yield [self._groups[0].usual_odds(min(block, LONGEST))] * len(self._tops)
                continue
            lows.sort()
            usual = [(bisect_right(lows, top) + 1) / (len(lows) + 2) for top in self._tops]
            drawn = zip((bisect_right(latest, top) for top in self._tops), usual, strict=True)
            taken = [(hits + _DRAW * share) / (len(latest) + _DRAW) for hits, share in drawn]
            yield [max(0.0, 1 - (1 - now) / (1 - was)) for now, was in zip(taken, before, strict=True)]
            before = [max(now, was) for now, was in zip(taken, before, strict=True)]


def _tops(tips: Sequence[int], least: int) -> list[int]:
    """Return the highest tip of each bin: bins hold about as many each, and equal tips are never parted."""
    tips = sorted(tips)
    size = max(least, -(-len(tips) // BINS))
    return sorted({tips[min(at + size, len(tips)) - 1] for at in range(0, len(tips), size)})
