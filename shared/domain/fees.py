"""What a block may cost per gas: the next base fee, and the worst that it can be by a deadline.

All figures are wei, as integers. Where a chain's rule is known the next base fee is exact; where only a limit
on its change is known, or nothing, these functions say None for what nobody can tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Final

from shared.errors import InvalidInput

LEAST_GAS_LIMIT: Final = 5000
"""No block's gas limit may be lower (Yellow Paper, block header validity; EIP-1559 repeats it)."""
MOST_BLOCKS: Final = 10_000
"""Longest deadline that is reckoned with, in blocks; past it a worst case means nothing."""


@dataclass(frozen=True, slots=True)
class FeeRules:
    """EIP-1559 with one chain's numbers: the base fee of a block follows from its parent alone.

    A block aims at ``gas limit · target_share / target_of`` of gas (Ethereum: 1/2, elasticity 2); one that
    uses twice that raises the base fee by 1/``change_denominator`` of it. ``floor_wei``: it never goes below.
    ``limit_drift``: a gas limit differs from its parent's by less than that part of it (None: by anything).
    """

    target_of: int
    change_denominator: int
    target_share: int = 1
    floor_wei: int = 0
    limit_drift: int | None = 1024

    def __post_init__(self) -> None:
        if not 0 < self.target_share <= self.target_of or self.change_denominator < 1 or self.floor_wei < 0:
            raise InvalidInput("fee rules: a target, change_denominator or floor_wei that no chain can have")

    def target(self, gas_limit: int) -> int:
        """Gas that a block of this limit aims at."""
        return gas_limit * self.target_share // self.target_of


@dataclass(frozen=True, slots=True)
class GrowthRules:
    """A chain of which only a limit on growth is known: at most ``growth_ppm`` millionths per block.

    ``promised``: the protocol refuses more (Polygon after Lisovo); else it was the most observed, which is no
    promise. ``growth_ppm`` None: unknown. The base fee of such a chain never goes below ``floor_wei``.
    """

    growth_ppm: int | None = None
    promised: bool = False
    floor_wei: int = 0


def next_base_fee(rules: FeeRules, base_fee_wei: int, gas_used: int, gas_limit: int) -> int:
    """Return the base fee of the block after one with these header fields, exactly.

    EIP-1559, `def validate_block`; the floor is that of OP's Jovian (clamped after the formula). Raises
    InvalidInput where the fields cannot be those of a block.
    """
    _check(base_fee_wei >= 0, "base_fee_wei")
    _check(gas_limit >= 1, "gas_limit")
    _check(0 <= gas_used <= gas_limit, "gas_used")
    target = rules.target(gas_limit)
    _check(target > 0, "gas_limit")
    if gas_used > target:
        rise = base_fee_wei * (gas_used - target) // target // rules.change_denominator
        after = base_fee_wei + max(rise, 1)
    else:
        after = base_fee_wei - base_fee_wei * (target - gas_used) // target // rules.change_denominator
    return max(after, rules.floor_wei)


def worst_base_fee(
    rules: FeeRules | GrowthRules, next_base_fee_wei: int, gas_limit: int, blocks: int
) -> int | None:
    """Return the highest base fee that the ``blocks``-th block from now can have; None where nobody knows.

    The first block has ``next_base_fee_wei``; from there every block is full. The integer rule itself is
    applied, with the gas limit whose rounding lets the fee rise most among those that can be reached by then:
    no path of blocks goes higher. ``gas_limit`` is that of the latest block.
    """
    _check(1 <= blocks <= MOST_BLOCKS, "blocks")
    _check(next_base_fee_wei >= 0, "next_base_fee_wei")
    _check(gas_limit >= 1, "gas_limit")
    fee, lowest = next_base_fee_wei, gas_limit
    for _ in range(blocks - 1):
        if isinstance(rules, GrowthRules):
            if rules.growth_ppm is None:
                return None
            fee = max(fee + max(1, fee * rules.growth_ppm // 1_000_000), rules.floor_wei)
        else:
            lowest = lowest_next_limit(rules, lowest)
            full = _steepest_limit(rules, lowest)
            fee = next_base_fee(rules, fee, full, full)
    return fee


def max_fee(
    rules: FeeRules | GrowthRules, next_base_fee_wei: int, gas_limit: int, blocks: int, tip_wei: int
) -> int | None:
    """Return the maxFeePerGas that pays base fee and full tip in any of the next ``blocks`` blocks.

    None where the chain's worst base fee is unknown.
    """
    _check(tip_wei >= 0, "tip_wei")
    worst = worst_base_fee(rules, next_base_fee_wei, gas_limit, blocks)
    return None if worst is None else worst + tip_wei


def effective_tip(max_fee_wei: int, tip_wei: int, base_fee_wei: int) -> int | None:
    """Return what the block's producer gets per gas (EIP-1559); None where the cap is below the base fee."""
    return None if max_fee_wei < base_fee_wei else min(tip_wei, max_fee_wei - base_fee_wei)


def lowest_next_limit(rules: FeeRules, gas_limit: int) -> int:
    """Return the lowest gas limit that may follow this one."""
    if rules.limit_drift is None:
        return min(gas_limit, LEAST_GAS_LIMIT)
    return min(gas_limit, max(gas_limit - max(gas_limit // rules.limit_drift - 1, 0), LEAST_GAS_LIMIT))


def _steepest_limit(rules: FeeRules, lowest: int) -> int:
    """Return the limit, not below ``lowest``, of which a full block exceeds its (rounded) target most.

    Of the limits with one and the same target the largest exceeds it most. That excess, as a share of the
    target, falls as the target grows; but where the target's share is no unit fraction the rounding of the
    limit goes up and down meanwhile, with a period of that share's numerator: one period is looked through.
    """
    common = gcd(rules.target_share, rules.target_of)
    share, whole = rules.target_share // common, rules.target_of // common
    first = max(rules.target(lowest), 1)
    steepest, its_target = 0, 1
    for target in range(first, first + share):
        limit = ((target + 1) * whole - 1) // share
        if limit * its_target > steepest * target:
            steepest, its_target = limit, target
    return steepest


def _check(right: bool, field: str) -> None:  # noqa: FBT001 (the condition is the point of the call)
    if not right:
        raise InvalidInput(f"{field} is out of range")
