"""The contract of the Chain port where it tells of fees, on the fake and on a real node."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

from shared.domain.fee_chains import ETHEREUM
from shared.domain.fee_reading import GasQuestion
from shared.domain.fees import next_base_fee
from shared.errors import ChainUnavailable
from shared.local.escrow import calldata
from tests.support.chain import parties, shared_anvil, shared_escrow  # noqa: F401 - fixtures
from tests.support.chain_worlds import (
    INVALID_STATE,
    SENDER,
    AnvilBehindTwo,
    AnvilWorld,
    FakeWorld,
    World,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PERCENTILES = (10, 50)
_numbers = count()


@pytest.fixture(params=["fake", "anvil", "anvil behind two"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Give each implementation its turn."""
    if request.param == "fake":
        yield FakeWorld()
        return
    kind = AnvilWorld if request.param == "anvil" else AnvilBehindTwo
    real = kind(request.getfixturevalue("shared_anvil"), request.getfixturevalue("shared_escrow"))
    yield real
    real.close()


def agreement(world: World, sender: str | None = SENDER) -> GasQuestion:
    """Ask for the gas of an agreement that nobody made yet."""
    data = calldata.agree_send(f"fees-{next(_numbers)}", parties(1, 1))
    return GasQuestion(world.contract, data, sender)


def test_head_and_history_fit_together(world: World) -> None:
    """The head is the latest block, and history ends with it: same base fee and use, the next fee besides."""
    world.mine(3)
    reading = world.chain.fees(4, PERCENTILES)
    head, told = reading.head, reading.history
    assert head.header == world.chain.head()
    assert told is not None
    assert told.newest == head.header.number
    assert told.base_fee_of(head.header.number) == head.base_fee_wei
    assert told.uses[-1] == pytest.approx(head.gas_used / head.gas_limit)
    assert head.base_fee_wei is not None
    following = next_base_fee(ETHEREUM, head.base_fee_wei, head.gas_used, head.gas_limit)
    assert told.base_fee_of(head.header.number + 1) == following
    assert told.base_fee_of(head.header.number + 2) is None
    assert len(told.uses) == 4


def test_tips_are_those_of_blocks_with_transactions(world: World) -> None:
    """A block with a transaction tells its tip at each percentile, an empty one tells none."""
    world.agree(f"fees-{next(_numbers)}")
    world.mine(1)
    told = world.chain.fees(2, PERCENTILES).history
    assert told is not None
    with_transaction, empty = told.tips
    assert list(with_transaction) == list(PERCENTILES)
    assert all(tip >= 0 for tip in with_transaction.values())
    assert empty == {}


def test_more_history_than_there_is(world: World) -> None:
    """A young chain tells what it has, from its first block on."""
    head = world.chain.head().number
    told = world.chain.fees(min(head + 50, 1024), PERCENTILES).history
    assert told is not None
    assert told.newest == head
    assert len(told.uses) == min(head + 1, 1024)


def test_the_node_tells_its_tip_price_and_pool(world: World) -> None:
    """What the node suggests and what waits are numbers of wei and of transactions."""
    reading = world.chain.fees(1, PERCENTILES)
    assert reading.node_tip_wei is not None
    assert reading.node_tip_wei >= 0
    assert reading.gas_price_wei is not None
    assert reading.gas_price_wei > 0
    assert reading.pending == 0
    assert reading.gas == {}


def test_gas_comes_with_the_fees_and_alone(world: World) -> None:
    """A call's gas is told within the batch and by itself, a revert as its data, each question answered."""
    good, anonymous = agreement(world), agreement(world, None)
    bad = GasQuestion(world.contract, calldata.execute_transfer("never agreed"), SENDER)
    questions = [good, bad, anonymous]
    for told in (world.chain.fees(1, PERCENTILES, questions).gas, world.chain.estimate_gas(questions)):
        assert set(told) == set(questions)
        assert told[bad].revert == INVALID_STATE
        assert told[bad].gas is None
        for question in (good, anonymous):
            assert told[question].revert is None
            assert 60_000 < (told[question].gas or 0) < 150_000
    assert world.chain.estimate_gas([]) == {}


def test_a_node_that_is_gone_tells_no_fees(world: World) -> None:
    """No answer is no quote."""
    gone = world.unreachable()
    with pytest.raises(ChainUnavailable):
        gone.fees(1, PERCENTILES)
    with pytest.raises(ChainUnavailable):
        gone.estimate_gas([agreement(world)])


def test_a_node_of_another_chain_tells_no_fees(world: World) -> None:
    """Fees of another chain are none of this one's."""
    with pytest.raises(ChainUnavailable, match="31337"):
        world.expecting(1).fees(1, PERCENTILES)


def test_history_goes_up_to_any_height(world: World) -> None:
    """Fee history of some blocks up to a height below the head says of them what the headers say."""
    world.agree(f"fees-{next(_numbers)}")
    world.mine(3)
    head = world.chain.head().number
    told = world.chain.fee_history(head - 1, 3, PERCENTILES)
    assert told is not None
    assert (told.oldest, told.newest) == (head - 3, head - 1)
    for number, use in enumerate(told.uses, start=told.oldest):
        header = world.chain.head(number)
        assert told.base_fee_of(number) == header.base_fee_wei
        assert use == pytest.approx((header.gas_used or 0) / (header.gas_limit or 1), abs=1e-4)
    assert [bool(tips) for tips in told.tips] == [True, False, False]


def test_history_of_a_block_that_is_not_there(world: World) -> None:
    """A height above the head has no history, and is no reason to leave the node."""
    head = world.chain.head().number
    assert world.chain.fee_history(head + 1000, 2, PERCENTILES) is None
    assert world.chain.head().number == head


def test_a_header_tells_its_fees(world: World) -> None:
    """Base fee, gas used and gas limit are in the headers that are read anyway."""
    world.agree(f"fees-{next(_numbers)}")
    reading = world.chain.fees(1, PERCENTILES).head
    header = world.chain.head()
    assert (header.base_fee_wei, header.gas_used, header.gas_limit) == (
        reading.base_fee_wei,
        reading.gas_used,
        reading.gas_limit,
    )


def test_receipts_tell_what_was_spent(world: World) -> None:
    """A proved block tells, with its logs, what each transaction used and paid, and what it called."""
    sent = world.agree(f"fees-{next(_numbers)}")
    header = world.chain.head()
    (reading,) = world.chain.read_blocks([header], [world.contract])
    spent = reading.spent[sent]
    assert spent.to == world.contract
    assert 40_000 < spent.gas_used < 150_000
    assert spent.price_wei is not None
    assert spent.price_wei >= (header.base_fee_wei or 0)
