"""What a block tells of fees: the row that is recorded, forecast from and replayed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

ENTRY_PERCENTILE: Final = 10
"""Below this percentile of gas lie the block producer's own transactions, and those paid for otherwise."""


@dataclass(frozen=True, slots=True)
class BlockFees:
    """One block's fee fields; ``timestamp`` in seconds since 1970 (UTC; 0: not told), fees in wei.

    ``tips``: the effective tip at some percentiles of the block's gas (`eth_feeHistory` rewards), by
    percentile from 0 to 100; empty where there are none. Raises InvalidInput for what is no block.
    """

    number: int
    timestamp: int
    base_fee_wei: int
    gas_used: int
    gas_limit: int
    tips: Mapping[float, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("number", "timestamp", "base_fee_wei", "gas_used"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"{name} of a block is negative")
        if self.gas_limit < 1 or self.gas_used > self.gas_limit:
            raise InvalidInput(f"gas_used of block {self.number} is more than its gas_limit, or that is 0")
        if any(tip < 0 for tip in self.tips.values()):
            raise InvalidInput(f"a tip of block {self.number} is negative")

    @property
    def entry_tip_wei(self) -> int | None:
        """Tip at which one surely got in: a tenth of the block's gas paid no more. None where unknown."""
        return self.tip_at(ENTRY_PERCENTILE)

    def tip_at(self, percentile: float) -> int | None:
        """Return the tip at the lowest recorded percentile that is not below this one; None without one."""
        known = [at for at in self.tips if at >= percentile]
        return self.tips[min(known)] if known else None
