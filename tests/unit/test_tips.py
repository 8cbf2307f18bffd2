"""Tips: what chance one gives, learned, and the cheapest for a wanted chance."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.fee_blocks import BlockFees
from shared.domain.isotonic import rising
from shared.domain.tip_quote import LEAST_TO_LEARN, tip_for
from shared.domain.tips import AT_MOST_BELOW, TipModel, TipObservation
from shared.errors import InvalidInput

GWEI = 10**9


def seen(
    count: int, seed: int = 1, base_fee_wei: int = GWEI, dear: int = GWEI // 10, slow: int = 20
) -> list[TipObservation]:
    """Make observations: tips from ``dear`` on are in the next block, lower ones wait ``slow`` blocks."""
    chance = random.Random(seed)
    tips = [chance.randrange(1, 2 * dear) for _ in range(count)]
    fees = [base_fee_wei + chance.randrange(base_fee_wei) for _ in range(count)]
    return [TipObservation(t, fee, 1 if t >= dear else slow) for t, fee in zip(tips, fees, strict=True)]


def block(number: int, entry: int) -> BlockFees:
    """Make a block that took gas from this tip on."""
    return BlockFees(number, 12 * number, GWEI, 15_000_000, 30_000_000, {10: entry, 50: 2 * entry})


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 100)), min_size=1, max_size=12))
def test_the_rising_sequence_is_the_nearest(pairs: list[tuple[float, int]]) -> None:
    """It never falls, keeps the weighted mean, and no small move that keeps it rising comes nearer."""
    values, weights = [v for v, _ in pairs], [float(w) for _, w in pairs]
    risen = [value for value, _ in rising(values, weights)]
    assert all(a <= b + 1e-12 for a, b in pairwise(risen))
    total = sum(w * v for v, w in zip(values, weights, strict=True))
    assert sum(w * v for v, w in zip(risen, weights, strict=True)) == pytest.approx(total, abs=1e-9)

    def far(sequence: list[float]) -> float:
        return sum(w * (v - s) ** 2 for v, w, s in zip(values, weights, sequence, strict=True))

    for at in range(len(risen)):
        for step in (-1e-3, 1e-3):
            moved = [r + step if (place >= at) == (step > 0) else r for place, r in enumerate(risen)]
            assert far(risen) <= far(moved) + 1e-9


def test_the_weight_of_a_pool_is_that_of_its_members() -> None:
    """Two that fall become one mean, which rests on both."""
    assert rising([0.2, 0.9, 0.6], [1, 1, 2]) == [(0.2, 1), (pytest.approx(0.7), 3), (pytest.approx(0.7), 3)]


def test_the_cheapest_tip_lies_just_above_what_gets_in() -> None:
    """Where tips from 0.1 gwei get in at once and others do not, the choice is about 0.1 gwei, and sure."""
    model = TipModel(seen(3000), [], GWEI)
    choice = model.cheapest(0.95, 5)
    assert choice is not None
    assert 0.1 * GWEI <= choice.tip_wei < 0.15 * GWEI
    assert choice.reached
    assert (choice.chance or 0) >= 0.95
    assert choice.confidence == "high"
    assert choice.observations > 400


@given(st.integers(0, 2**16), st.integers(1, 5), st.integers(1, 5))
def test_chances_rise_with_tip_and_with_time(seed: int, blocks: int, more: int) -> None:
    """A higher tip never has a lower chance; a chance lies between 0 and 1."""
    chance = random.Random(seed)
    found = [
        TipObservation(chance.randrange(1, GWEI), chance.randrange(1, GWEI), chance.randrange(1, 8))
        for _ in range(150)
    ]
    model = TipModel(found, [], GWEI // 2)
    tips = range(10**7, GWEI + 10**7, 10**7)
    chances = [model.chance(tip, blocks) for tip in tips]
    told = [value for value in chances if value is not None]
    assert told == sorted(told)
    assert all(0 <= value <= 1 for value in told)
    longer = [model.chance(tip, blocks + more) for tip in tips]
    assert (longer[-1] or 0) >= (told[-1] if told else 0) - 0.05


def test_a_tip_below_all_that_were_seen_is_not_guessed() -> None:
    """Nobody can tell the chance of a tip lower than every one that was seen."""
    model = TipModel([TipObservation(GWEI, GWEI, 1)] * 200, [], GWEI)
    assert model.chance(GWEI - 1, 5) is None
    assert (model.chance(GWEI, 5) or 0) > 0.98


def test_a_chance_that_no_tip_gives_is_not_promised() -> None:
    """Where no tip surely gets in within a block, the choice says so, and is not the dearest."""
    chance = random.Random(3)
    found = [TipObservation(chance.randrange(1, GWEI), GWEI, chance.choice((1, 1, 3))) for _ in range(2000)]
    choice = TipModel(found, [], GWEI).cheapest(0.99, 1)
    assert choice is not None
    assert not choice.reached
    assert 0.6 < (choice.chance or 0) < 0.75
    assert choice.tip_wei < 0.9 * GWEI


def test_dear_tips_that_fare_worse_do_not_pull_down_cheap_ones() -> None:
    """Other senders' dear and late transactions leave the chance of what surely gets in as it is."""
    good = [TipObservation(GWEI, GWEI, 1)] * 500
    late = [TipObservation(50 * GWEI, GWEI, 9)] * 100
    model = TipModel(late + good, [], GWEI)
    assert (model.chance(GWEI, 2) or 0) > 0.97
    assert (model.chance(50 * GWEI, 2) or 0) > 0.97


def test_regimes_are_told_apart() -> None:
    """What gets in while it is quiet is no proof for busy times: each regime learns its own tip."""
    quiet = seen(1500, base_fee_wei=GWEI)
    busy = seen(1500, base_fee_wei=9 * GWEI, dear=3 * GWEI)
    chance = random.Random(5)
    found = quiet + busy
    chance.shuffle(found)
    cheap = TipModel(found, [], GWEI).cheapest(0.9, 5)
    dear = TipModel(found, [], 17 * GWEI).cheapest(0.9, 5)
    assert cheap is not None
    assert dear is not None
    assert (cheap.regime, dear.regime) == ("quiet", "busy")
    assert cheap.tip_wei < GWEI
    assert dear.tip_wei > 2.5 * GWEI


def test_a_market_that_turns_is_followed() -> None:
    """Two hundred observations of a dearer market raise the choice above what got in before."""
    calm = seen(3000, dear=GWEI // 10)
    turned = seen(200, seed=2, dear=GWEI)
    before = TipModel(calm, [], GWEI).cheapest(0.9, 5)
    after = TipModel(calm + turned, [], GWEI).cheapest(0.9, 5)
    assert before is not None
    assert after is not None
    assert before.tip_wei < 0.15 * GWEI
    assert after.tip_wei >= 0.9 * GWEI


def test_blocks_alone_are_a_beginning() -> None:
    """From recent blocks' tips alone comes a tip that most windows of blocks would have taken."""
    blocks = [block(n, GWEI if n % 10 else GWEI // 2) for n in range(200)]
    model = TipModel([], blocks, GWEI)
    at_once, patient = model.cheapest(0.9, 1), model.cheapest(0.9, 10)
    assert at_once is not None
    assert patient is not None
    assert at_once.tip_wei == GWEI
    assert patient.tip_wei == GWEI // 2
    assert at_once.confidence == "medium"
    few = TipModel([], blocks[:20], GWEI).cheapest(0.5, 1)
    assert few is not None
    assert few.confidence == "low"


def test_nothing_known_is_no_tip() -> None:
    """Without observations and without tips in the blocks there is no choice."""
    bare = BlockFees(1, 1, GWEI, 1, 2)
    assert TipModel([], [bare], GWEI).cheapest(0.9, 5) is None
    assert TipModel([], [], GWEI).chance(GWEI, 5) is None


def test_confidence_is_low_for_a_base_fee_never_seen() -> None:
    """However many observations there are, far from their base fees they say little."""
    choice = TipModel(seen(3000), [], 10 * GWEI).cheapest(0.9, 5)
    assert choice is not None
    assert choice.confidence == "low"


@pytest.mark.parametrize(("count", "confidence"), [(40, "low"), (500, "medium"), (3000, "high")])
def test_confidence_grows_with_what_was_seen(count: int, confidence: str) -> None:
    """Few observations of this regime at this tip or below give low confidence, many give high."""
    choice = TipModel(seen(count), [], GWEI).cheapest(0.5, 5)
    assert choice is not None
    assert choice.confidence == confidence


def test_never_dearer_nor_much_worse_than_what_would_be_paid() -> None:
    """Beside a node's suggestion the choice costs no more, and its chance is at most a point lower."""
    chance = random.Random(8)
    found = []
    for _ in range(4000):
        tip = chance.randrange(1, 3 * GWEI)
        found.append(TipObservation(tip, GWEI, 1 if chance.random() < min(0.95, tip / GWEI) else 4))
    model = TipModel(found, [], GWEI)
    for wanted in (0.3, 0.9, 0.999):
        for usual in (GWEI // 2, GWEI, 2 * GWEI):
            choice = model.cheapest(wanted, 1, instead_of_wei=usual)
            had = model.chance(usual, 1)
            assert choice is not None
            assert had is not None
            assert choice.tip_wei <= usual
            assert (choice.chance or 0) >= had - AT_MOST_BELOW


def test_a_least_tip_is_kept() -> None:
    """The choice is not below the least that is asked for."""
    choice = TipModel(seen(3000), [], GWEI).cheapest(0.9, 5, least_wei=GWEI // 5)
    assert choice is not None
    assert choice.tip_wei == GWEI // 5


def test_the_node_is_followed_where_nothing_was_learned() -> None:
    """With few observations, or none of times like these, the node's tip is paid, with low confidence."""
    few, strange = TipModel(seen(LEAST_TO_LEARN - 1), [], GWEI), TipModel(seen(3000), [], 9 * GWEI)
    for model, fee in ((few, GWEI), (strange, 9 * GWEI)):
        choice = tip_for(model, fee, 5, 0.9, 2 * GWEI)
        assert choice is not None
        assert (choice.tip_wei, choice.confidence) == (2 * GWEI, "low")


def test_what_was_learned_is_paid_and_never_more_than_the_node_says() -> None:
    """Half as much again as learned, at least a fiftieth of the base fee, at most the node's suggestion."""
    model = TipModel(seen(3000), [], GWEI)
    for usual, paid in ((2 * GWEI, None), (None, None), (GWEI // 100, GWEI // 100)):
        choice = tip_for(model, GWEI, 5, 0.9, usual)
        assert choice is not None
        assert choice.tip_wei == (paid or choice.tip_wei)
        assert paid or 0.1 * GWEI <= choice.tip_wei < 0.225 * GWEI
    spare = tip_for(model, 15 * GWEI, 5, 0.9, 2 * GWEI)
    assert spare is not None
    assert spare.tip_wei >= GWEI * 3 // 10


def test_blocks_are_followed_without_a_node() -> None:
    """From blocks alone, and no suggestion, comes a tip; from nothing comes none."""
    choice = tip_for(TipModel([], [block(n, GWEI) for n in range(200)], GWEI), GWEI, 5, 0.9, None)
    assert choice is not None
    assert choice.tip_wei == GWEI
    assert tip_for(TipModel([], [], GWEI), GWEI, 5, 0.9, 2 * GWEI) is None


def test_a_market_that_has_just_turned_is_paid_as_the_node_says() -> None:
    """Where tips like the learned one have just been late more often than dearer ones, nothing is saved."""
    calm = seen(2000)
    late = [
        TipObservation(GWEI // 5, GWEI, 9) if at % 4 else TipObservation(3 * GWEI, GWEI, 1)
        for at in range(60)
    ]
    for latest, turned in ((late, True), (seen(60, seed=4), False)):
        model = TipModel(calm + latest, [], GWEI)
        assert model.turned(GWEI // 10, 2 * GWEI, 5) == turned
    choice = tip_for(TipModel(calm + late, [], GWEI), GWEI, 5, 0.9, 2 * GWEI)
    assert choice is not None
    assert choice.tip_wei == 2 * GWEI


def test_what_hardly_saves_is_not_saved() -> None:
    """Where the learned tip is less than a fiftieth of the price below the node's, the node's is paid."""
    model = TipModel(seen(3000), [], GWEI)
    for usual, paid in ((GWEI * 13 // 100, GWEI * 13 // 100), (2 * GWEI, None)):
        choice = tip_for(model, 10 * GWEI if paid else GWEI, 5, 0.9, usual)
        assert choice is not None
        assert (choice.tip_wei == usual) == (paid is not None)


@pytest.mark.parametrize("wanted", [0, 1, 1.5, -1, float("nan")])
def test_a_chance_that_is_none_is_refused(wanted: float) -> None:
    """A wanted chance lies between 0 and 1."""
    with pytest.raises(InvalidInput, match="confidence"):
        TipModel(seen(100), [], GWEI).cheapest(wanted, 5)


def test_a_deadline_of_no_blocks_is_refused() -> None:
    """Nothing gets in within no blocks."""
    with pytest.raises(InvalidInput, match="within_blocks"):
        TipModel(seen(100), [], GWEI).cheapest(0.9, 0)


@pytest.mark.parametrize("fields", [(-1, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_an_observation_that_cannot_be_is_refused(fields: tuple[int, int, int]) -> None:
    """Negative fees and waits of less than a block are not learned from."""
    with pytest.raises(InvalidInput):
        TipObservation(*fields)


def test_what_may_be_luck_is_not_saved_on() -> None:
    """Eighty that got in at once prove no chance of one block; two thousand do."""
    chance = random.Random(7)
    dear = [TipObservation(2 * GWEI, GWEI, 1 if chance.random() < 0.95 else 2) for _ in range(1000)]
    for lucky, saved in ((80, False), (2000, True)):
        found = dear + [TipObservation(GWEI // 10, GWEI, 1)] * lucky
        chance.shuffle(found)
        choice = TipModel(found, [], GWEI).cheapest(0.98, 1, instead_of_wei=2 * GWEI)
        assert choice is not None
        assert (choice.tip_wei < 2 * GWEI) == saved


def test_tips_that_are_missing_of_late_are_not_paid() -> None:
    """Where every third was cheap, and of the latest forty none, the lowest tip of those is paid at least."""
    usual = [TipObservation(GWEI // 10 if at % 3 else 2 * GWEI, GWEI, 1) for at in range(600)]
    latest = [TipObservation(GWEI if at % 2 else 2 * GWEI, GWEI, 1) for at in range(40)]
    before = TipModel(usual, [], GWEI).cheapest(0.98, 5, instead_of_wei=2 * GWEI)
    after = TipModel(usual + latest, [], GWEI).cheapest(0.98, 5, instead_of_wei=2 * GWEI)
    assert before is not None
    assert after is not None
    assert before.tip_wei < GWEI // 5
    assert after.tip_wei >= GWEI


def test_blocks_that_would_not_take_the_node_s_tip_are_paid_more() -> None:
    """Where half of the blocks took nothing at the node's tip a little more is paid, if it is a little."""
    blocks = [block(n, GWEI // 100 if n % 2 else GWEI // 50) for n in range(200)]
    for base_fee_wei, paid in ((GWEI, GWEI * 3 // 100), (GWEI // 100, GWEI // 100)):
        choice = tip_for(TipModel([], blocks, base_fee_wei), base_fee_wei, 1, 0.95, GWEI // 100)
        assert choice is not None
        assert choice.tip_wei == paid
