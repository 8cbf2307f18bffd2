"""Tips learned in made-up markets of many kinds, scored by what would have happened to each price."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from shared.app.backtest import replay
from shared.app.fee_strategies import strategies
from tests.support.fee_worlds import GWEI, FeeWorld, Market

WITHIN = 5
_NO_CAP = 1 << 200


@dataclass(frozen=True)
class Score:
    """What a strategy came to: mean price in wei, and the share that was in within the deadline."""

    price: float
    inside: float


def scores(world: FeeWorld, *names: str, within: int = WITHIN) -> dict[str, Score]:
    """Score strategies' tips from the first quarter on, each against the same transactions.

    Caps are left out: base fees of made-up markets follow no rule that a cap could be reckoned by.
    """
    waits = world.recording.waits
    found = {}
    for strategy in strategies():
        if strategy.name not in names:
            continue
        prices = replay(world.recording, strategy, within)
        pairs = [*zip(waits, prices, strict=True)][len(waits) // 4 :]
        priced = [(wait.received_s, price._replace(max_fee_wei=_NO_CAP)) for wait, price in pairs if price]
        told = [world.waited(sent_s, price) for sent_s, price in priced]
        paid = [wei for blocks, wei in told if blocks is not None]
        inside = sum(blocks is not None and blocks <= within for blocks, _ in told) / len(told)
        found[strategy.name] = Score(sum(paid) / len(paid), inside)
    return found


@pytest.mark.parametrize(
    "market",
    [
        Market(1),
        Market(2, base_fee=0.1, level=0.002),
        Market(3, base_fee=0.5, level=0.03, per_block=1.0, blocks=1200),
        Market(6, base_fee=3.0, level=0.01, surge_every=0),
    ],
    ids=["usual", "tenth", "few seen", "no surges"],
)
def test_where_tips_are_worth_saving_they_are_saved(market: Market) -> None:
    """Fifteen percent below the default at equal inclusion, and within a point of the node's suggestion."""
    world = FeeWorld(market)
    found = scores(world, "plumbline", "ethers", "geth")
    assert found["plumbline"].price <= 0.85 * found["ethers"].price
    assert found["plumbline"].inside >= found["ethers"].inside - 0.01
    assert found["plumbline"].inside >= found["geth"].inside - 0.01


@pytest.mark.parametrize(
    "market",
    [
        Market(7, base_fee=30.0, level=0.05),
        Market(8, base_fee=5.0, level=0.05, surge_every=200, surge=30.0),
        Market(4, base_fee=2.0, level=0.02, noise=1.0),
        Market(9, base_fee=1.0, level=0.1, scale=10.0),
        Market(21, base_fee=1.0, level=0.5, drift=0.1, surge_every=300),
        Market(11, base_fee=1.0, level=1.0, noise=1.0),
    ],
    ids=["dear base fee", "storms", "noisy", "high tips", "crowded", "lottery"],
)
def test_inclusion_is_not_saved_on(market: Market) -> None:
    """Whatever the market, at most a point of inclusion is lost to the node's tip, for no more money."""
    world = FeeWorld(market)
    found = scores(world, "plumbline", "geth")
    assert found["plumbline"].inside >= found["geth"].inside - 0.01
    assert found["plumbline"].price <= found["geth"].price * 1.001


MARKETS = {
    "calm": Market(0, surge_every=0),
    "usual": Market(0),
    "crowded": Market(0, level=0.5, drift=0.1, surge_every=300),
    "spiky": Market(0, base_fee=5.0, level=0.05, surge_every=200, surge=30.0),
    "few seen": Market(0, base_fee=0.5, level=0.03, per_block=0.1, blocks=8000),
}


@pytest.mark.parametrize("within", [1, 2, 5, 20])
@pytest.mark.parametrize("kind", MARKETS)
def test_no_deadline_loses_a_point_to_the_node(kind: str, within: int) -> None:
    """Asked for one block or for many, in any market, at most a point is lost to the node's tip."""
    for seed in (102, 105):
        found = scores(FeeWorld(replace(MARKETS[kind], seed=seed)), "plumbline", "geth", within=within)
        assert found["plumbline"].inside >= found["geth"].inside - 0.01


def test_worlds_are_the_same_each_time() -> None:
    """A seed makes one world, and its own transactions waited as it says."""
    first, second = FeeWorld(Market(3, blocks=300)), FeeWorld(Market(3, blocks=300))
    assert first.recording == second.recording
    assert min(first.base_fees) > GWEI // 10
