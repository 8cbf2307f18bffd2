"""From scored prices to figures: means by regime with their numbers, and intervals by bootstrap."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from shared.app.backtest import horizons, replay, score
from shared.app.backtest_forecast import AHEAD, ForecastScore, score_forecasts
from shared.domain.fee_chains import ETHEREUM
from shared.domain.fees import next_base_fee
from shared.domain.tips import REGIMES
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.app.backtest import Outcome
    from shared.app.backtest_rows import Recording
    from shared.app.fee_strategies import Strategy
    from shared.domain.fee_blocks import BlockFees

DRAWS: Final = 500
LEVEL: Final = 0.95
LEAST_STRETCHES: Final = 8
"""Fewer stretches than this say nothing of how far a mean is to be trusted."""
REFERENCE: Final = "ethers"
"""The strategy that savings are told against."""
ALL: Final = "all"
LEAST_TO_SAVE: Final = 0.01
SAVES, NONE, UNKNOWN = "saves", "none", "unknown"
_GWEI: Final = 10**9


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over ``n`` prices; ``low`` and ``high`` hold it in 95 % of the redraws of stretches of time.

    They are None where there are too few stretches to draw from.
    """

    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Line:
    """One strategy in one regime of base fees; None where the recording does not let a figure be told.

    ``cost_gwei``: base fee of the including block and effective tip, of the prices that got in. ``saving``:
    share by which that is below the reference's, where both got in. ``most``: the most it could be, as no tip
    at all would save no more. ``verdict``: `saves`; `none` where it is not surely above 0, or the base fee
    dominates (less than ``LEAST_TO_SAVE`` of the reference's price is its tip); `unknown`. ``inside``: by
    number of blocks.
    """

    strategy: str
    source: str
    regime: str
    n: int
    cost_gwei: Figure | None
    saving: Figure | None
    most: Figure | None
    verdict: str
    inside: dict[int, Figure | None]
    under_priced: Figure | None


@dataclass(frozen=True, slots=True)
class Report:
    """A back-test's result. ``bounds_wei``: base fees at which quiet ends and busy begins.

    ``forecasts`` of the base fee are scored where headers are recorded; of these, ``transitions`` are from a
    block to its child, and ``exact`` those whose base fee is what Ethereum's rule makes of the parent.
    """

    kind: str
    rows: int
    within_blocks: int
    bounds_wei: tuple[int, int]
    lines: list[Line]
    forecasts: list[ForecastScore]
    transitions: int = 0
    exact: int = 0

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it, wei as decimal strings."""
        return asdict(self) | {"bounds_wei": [str(bound) for bound in self.bounds_wei]}


def backtest(
    recording: Recording, candidates: Sequence[Strategy], within_blocks: int, seed: int = 0
) -> Report:
    """Replay the recording through each strategy and report; the same seed gives the same intervals.

    Raises InvalidInput where the recording is too short for the deadline.
    """
    outcomes = {
        strategy.name: score(recording, replay(recording, strategy, within_blocks), within_blocks)
        for strategy in candidates
    }
    fees = sorted(outcome.base_fee_wei for found in outcomes.values() for outcome in found if outcome)
    if not fees:
        raise InvalidInput(
            f"too few rows for a deadline of {within_blocks} blocks, or no tips in any of them"
        )
    bounds = (fees[len(fees) // 3], fees[len(fees) * 2 // 3])
    reference = outcomes.get(REFERENCE)
    lines = [
        _line(strategy, regime, outcomes[strategy.name], reference, bounds, within_blocks, seed)
        for strategy in candidates
        for regime in (ALL, *REGIMES)
    ]
    rows = len(recording.blocks or recording.waits)
    kind = "headers" if recording.blocks else "waiting transactions"
    forecasts = [score_forecasts(recording.blocks, ahead) for ahead in AHEAD] if recording.blocks else []
    return Report(kind, rows, within_blocks, bounds, lines, forecasts, *_exactness(recording.blocks))


def _exactness(blocks: Sequence[BlockFees]) -> tuple[int, int]:
    """Return how many recorded blocks follow their parent, and how many of these by Ethereum's rule."""
    pairs = [(old, new) for old, new in pairwise(blocks) if new.number == old.number + 1]
    exact = sum(
        next_base_fee(ETHEREUM, old.base_fee_wei, old.gas_used, old.gas_limit) == new.base_fee_wei
        for old, new in pairs
    )
    return len(pairs), exact


def _line(
    strategy: Strategy,
    regime: str,
    outcomes: Sequence[Outcome | None],
    reference: Sequence[Outcome | None] | None,
    bounds: tuple[int, int],
    within_blocks: int,
    seed: int,
) -> Line:
    def here(outcome: Outcome | None) -> bool:
        if outcome is None:
            return False
        return regime in {ALL, REGIMES[bisect_right(bounds, outcome.base_fee_wei)]}

    kept = [outcome for outcome in outcomes if outcome is not None and here(outcome)]

    def figure(value: Callable[[Outcome], float | None]) -> Figure | None:
        pairs = [(outcome.stretch, value(outcome), 1.0) for outcome in kept]
        return ratio([(s, v, w) for s, v, w in pairs if v is not None], seed)

    both = [
        (ours.stretch, ours.cost_wei, theirs.cost_wei, theirs.tip_wei or 0)
        for ours, theirs in zip(outcomes, reference or [None] * len(outcomes), strict=True)
        if ours and theirs and here(ours) and ours.cost_wei is not None and theirs.cost_wei
    ]
    saving = ratio([(at, (theirs - ours) / _GWEI, theirs / _GWEI) for at, ours, theirs, _ in both], seed)
    most = ratio([(at, tip / _GWEI, theirs / _GWEI) for at, _, theirs, tip in both], seed)
    return Line(
        strategy=strategy.name,
        source=strategy.source,
        regime=regime,
        n=len(kept),
        cost_gwei=figure(lambda outcome: None if outcome.cost_wei is None else outcome.cost_wei / _GWEI),
        saving=saving,
        most=most,
        verdict=verdict(saving, most),
        inside={n: figure(partial(_inside, n)) for n in horizons(within_blocks)},
        under_priced=figure(lambda outcome: float(outcome.under_priced)),
    )


def _inside(blocks: int, outcome: Outcome) -> float | None:
    return outcome.inside[blocks]


def verdict(saving: Figure | None, most: Figure | None) -> str:
    """Return in a word what a saving is worth."""
    if saving is None:
        return UNKNOWN
    surely = saving.value if saving.low is None else saving.low
    return NONE if surely <= 0 or most is None or most.value < LEAST_TO_SAVE else SAVES


def ratio(parts: Sequence[tuple[int, float, float]], seed: int) -> Figure | None:
    """Return sum over sum of (stretch, above, below), with the interval of redrawn stretches."""
    if not parts:
        return None
    sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for stretch, above, below in parts:
        sums[stretch][0] += above
        sums[stretch][1] += below
    stretches = list(sums.values())
    whole = sum(part[0] for part in stretches) / sum(part[1] for part in stretches)
    if len(stretches) < LEAST_STRETCHES:
        return Figure(whole, None, None, len(parts))
    chance = random.Random(seed)  # noqa: S311 (a seeded redraw is to be repeatable, not secret)
    drawn = []
    for _ in range(DRAWS):
        picked = chance.choices(stretches, k=len(stretches))
        drawn.append(sum(part[0] for part in picked) / sum(part[1] for part in picked))
    drawn.sort()
    cut = int((1 - LEVEL) / 2 * (DRAWS - 1))
    return Figure(whole, drawn[cut], drawn[-1 - cut], len(parts))
