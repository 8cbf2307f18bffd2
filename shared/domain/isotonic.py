"""The nearest sequence that never falls, to a measured one that does here and there."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def rising(values: Sequence[float], weights: Sequence[float]) -> list[tuple[float, float]]:
    """Return the non-decreasing sequence nearest to ``values`` by weighted least squares.

    Each comes with the weight it rests on: neighbours that fall are pooled into their weighted mean until
    none do (pool adjacent violators; Ayer et al. 1955). Weights are above 0.
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (high, heavy, many), (low, light, few) = pools[-2:]
            pools[-2:] = [((high * heavy + low * light) / (heavy + light), heavy + light, many + few)]
    return [(value, weight) for value, weight, count in pools for _ in range(count)]
