"""The nearest sequence that never falls, to a measured one that does here and there; and its sure steps."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SURE: Final = 1.282
"""Standard errors that make a difference sure (one-sided 90 %)."""


def rising(values: Sequence[float], weights: Sequence[float]) -> list[tuple[float, float]]:
    """Return the non-decreasing sequence nearest to ``values`` by weighted least squares.

    Each comes with the weight it rests on: neighbours that fall are pooled into their weighted mean until
    none do (pool adjacent violators; Ayer et al. 1955). Weights are above 0.
    """
    return _spread(_pools_of((value, weight, 1) for value, weight in zip(values, weights, strict=True)))


def sure_steps(chances: Sequence[float], weights: Sequence[float]) -> list[tuple[float, float]]:
    """Return the chances as a sequence that rises to their peak, in sure steps only, each with its weight.

    First neighbours that do not surely differ are joined, the least different first (reduced isotonic
    regression; Haiminen, Gionis and Laasonen 2008): what was measured a little lower or higher by accident,
    on few observations, is no step. What then comes after the surest high is as high as that, and what
    falls before it is pooled. Weights count observations.
    """
    pools = [(chance, weight, 1) for chance, weight in zip(chances, weights, strict=True)]
    while len(pools) > 1:
        steps = [abs(_step(low, high)) for low, high in pairwise(pools)]
        least = min(steps)
        if least >= SURE:
            break
        at = steps.index(least)
        pools[at : at + 2] = [_joined(*pools[at : at + 2])]
    peak = max(range(len(pools)), key=lambda at: surely(*pools[at][:2]))
    risen = _spread(_pools_of(pools[: peak + 1]))
    return risen + risen[-1:] * (len(chances) - len(risen))


def surely(chance: float, weight: float) -> float:
    """Return what a chance that rests on so many observations surely is."""
    return chance - SURE * sqrt(max(chance * (1 - chance), 0.0) / weight)


_Pool = tuple[float, float, int]


def _pools_of(parts: Iterable[_Pool]) -> list[_Pool]:
    pools: list[_Pool] = []
    for part in parts:
        pools.append(part)
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            pools[-2:] = [_joined(*pools[-2:])]
    return pools


def _joined(low: _Pool, high: _Pool) -> _Pool:
    weight = low[1] + high[1]
    return (low[0] * low[1] + high[0] * high[1]) / weight, weight, low[2] + high[2]


def _step(low: _Pool, high: _Pool) -> float:
    """Return how many standard errors two chances differ by, were they one."""
    one = _joined(low, high)[0]
    spread = one * (1 - one) * (1 / low[1] + 1 / high[1])
    return (high[0] - low[0]) / sqrt(spread) if spread > 0 else 0.0


def _spread(pools: Sequence[_Pool]) -> list[tuple[float, float]]:
    return [(value, weight) for value, weight, count in pools for _ in range(count)]
