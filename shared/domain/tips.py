"""The tip, learned: what chance a tip gives of being in a block within so many blocks.

Learned from transactions that were seen waiting, and from what recent blocks took. A chance never falls as
the tip rises; it is that of all observations, drawn towards those of the present base fee's regime, and those
towards the latest, each by as much as they are many. Floats are chances; tips stay integers of wei.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

from shared.domain.isotonic import rising
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.fee_blocks import BlockFees

REGIMES: Final = ("quiet", "usual", "busy")
"""The lowest, middle and highest third of the base fees observed."""
BINS: Final = 40
LEAST_IN_BIN: Final = 50
RECENT: Final = 200
"""Observations that count as the latest."""
_DRAW: Final = 20
"""A finer group outweighs a coarser one once it has more observations than this in a bin."""
_DOUBT: Final = 2
"""Weight of what is assumed before anything was observed (Laplace: one success, one failure)."""
_SURE: Final = 1.645
"""Standard errors below a chance at which it is sure (one-sided 95 %): a few lucky tips are no promise."""
AT_MOST_BELOW: Final = 0.01
"""Chance that may be given away against the tip that would be paid otherwise."""
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
    it; low, too, where the present base fee lies beyond all that were observed. Where blocks alone are known
    they are what is counted, and it is never high. ``chance`` is None for a tip below all that were seen.
    """

    tip_wei: int
    chance: float | None
    reached: bool
    confidence: str
    regime: str
    observations: int


class TipModel:
    """Chances by tip, as learned from ``observations`` (oldest first) and ``blocks``, at a base fee.

    ``strange``: that base fee lies more than a quarter beyond all that were observed, so that nothing was
    learned of such times.
    """

    def __init__(
        self, observations: Sequence[TipObservation], blocks: Sequence[BlockFees], base_fee_wei: int
    ) -> None:
        self._observations = observations
        self._entries = [tip for block in blocks if (tip := block.entry_tip_wei) is not None]
        self._base_fee_wei = base_fee_wei
        fees = sorted(seen.base_fee_wei for seen in observations)
        self._bounds = [fees[len(fees) * third // len(REGIMES)] for third in (1, 2)] if fees else []
        self.strange = bool(fees) and not fees[0] * 4 <= base_fee_wei * 5 <= fees[-1] * 25 // 4
        seen = _tops([seen.tip_wei for seen in observations], LEAST_IN_BIN)
        self._tops = sorted({*seen, *_tops(self._entries, 1)})
        self._curves: dict[int, tuple[list[float], float]] = {}

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
        that is chosen, and nothing whose chance is more than ``AT_MOST_BELOW`` less. Raises InvalidInput for
        a wanted chance that is not between 0 and 1, or for less than one block.
        """
        if not 0 < wanted < 1:
            raise InvalidInput("confidence must lie between 0 and 1")
        if not self._tops:
            return None
        curve, best = self._curve(within_blocks)
        goal = min(wanted, best)
        other = None if instead_of_wei is None else self.chance(instead_of_wei, within_blocks)
        if other is not None:
            goal = max(min(goal, other), other - AT_MOST_BELOW)
        at = next(place for place, chance in enumerate(curve) if chance >= goal)
        at = max(at, bisect_right(self._tops, least_wei) - 1)
        support = self._support(self._tops[at])
        return TipChoice(
            tip_wei=max(self._tops[at], least_wei),
            chance=curve[at],
            reached=curve[at] >= wanted,
            confidence=self._confidence(support),
            regime=self.regime,
            observations=support,
        )

    def _confidence(self, support: int) -> str:
        if self.strange or support < MEDIUM_FROM:
            return "low"
        return "high" if support >= HIGH_FROM else "medium"

    def _support(self, tip_wei: int) -> int:
        if not self._observations:
            return min(len(self._entries), HIGH_FROM - 1)
        here = self._regime_of(self._base_fee_wei)
        return sum(
            seen.tip_wei <= tip_wei and self._regime_of(seen.base_fee_wei) == here
            for seen in self._observations
        )

    def _regime_of(self, base_fee_wei: int) -> int:
        if not self._bounds or self._bounds[0] == self._bounds[1] == base_fee_wei:
            return 1
        return bisect_right(self._bounds, base_fee_wei)

    def _curve(self, within_blocks: int) -> tuple[list[float], float]:
        """Return the chance at each bin's top, for so many blocks; and the best that one surely has."""
        if within_blocks < 1:
            raise InvalidInput("within_blocks must be 1 or more")
        if within_blocks not in self._curves:
            here = self._regime_of(self._base_fee_wei)
            regime = [seen for seen in self._observations if self._regime_of(seen.base_fee_wei) == here]
            chances, doubt = self._taken(within_blocks), _DRAW if self._entries else _DOUBT
            sure = 0.0
            for group in (self._observations, regime, self._observations[-RECENT:]):
                drawn = self._drawn(chances, doubt, group, within_blocks)
                chances, doubt = [chance for chance, _ in drawn], _DRAW
                sure = max(_surely(chance, weight) for chance, weight in drawn)
            self._curves[within_blocks] = chances, sure
        return self._curves[within_blocks]

    def _taken(self, within_blocks: int) -> list[float]:
        """Return, for each bin's top, how often one of so many blocks took gas at no more; else 1/2."""
        entries, count = self._entries, len(self._entries) - within_blocks + 1
        if count < 1:
            return [0.5] * len(self._tops)
        lows = sorted(min(entries[at : at + within_blocks]) for at in range(count))
        return [(bisect_right(lows, top) + 1) / (count + 2) for top in self._tops]

    def _drawn(
        self, prior: list[float], doubt: int, group: Sequence[TipObservation], within_blocks: int
    ) -> list[tuple[float, float]]:
        """Draw the chances that were assumed towards what a group of observations shows."""
        counts, inside = [0] * len(self._tops), [0] * len(self._tops)
        for seen in group:
            at = bisect_right(self._tops, seen.tip_wei - 1)
            counts[at] += 1
            inside[at] += seen.blocks_waited <= within_blocks
        weights = [count + doubt for count in counts]
        means = [(got + doubt * p) / w for got, p, w in zip(inside, prior, weights, strict=True)]
        # Dearer tips that fare worse are other senders' (late in a slot, or private): they do not pull down
        # what is sure of cheaper ones, and a dearer tip does no worse than a cheaper.
        peak = max(range(len(means)), key=lambda at: _surely(means[at], weights[at]))
        risen = rising(means[: peak + 1], weights[: peak + 1])
        return risen + risen[-1:] * (len(means) - peak - 1)


def _surely(chance: float, weight: float) -> float:
    """Return what a chance that rests on so many observations surely is."""
    return chance - _SURE * sqrt(max(chance * (1 - chance), 0.0) / weight)


def _tops(tips: Sequence[int], least: int) -> list[int]:
    """Return the highest tip of each bin: bins hold about as many each, and equal tips are never parted."""
    tips = sorted(tips)
    size = max(least, -(-len(tips) // BINS))
    return sorted({tips[min(at + size, len(tips)) - 1] for at in range(0, len(tips), size)})
