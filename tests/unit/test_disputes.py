"""A node that makes logs up or alters them: what is proved of the blocks takes back what was believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.completeness import PROVED
from shared.domain.metrics import DIFFERENCES
from shared.ports import Query
from tests.support.lies import LIES, disputed_scene, lie_at, number_of, wait
from tests.support.listener import log

if TYPE_CHECKING:
    from random import Random

    from shared.ports import RawLog


@pytest.mark.parametrize("prove_blocks", [0, 10_000])
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_of_a_back_fill_is_taken_back(lie: str, prove_blocks: int) -> None:
    """What a range query made up or altered is found out, proved, and put right, however old the range."""
    scene = disputed_scene(prove_blocks=prove_blocks)
    scene.grow(100)
    lie_at(scene, dict.fromkeys(range(3, 80, 7), lie))
    scene.settle()
    # The index lies on where it is asked block by block; a range is honest the second time, or proved.
    if prove_blocks == 0:
        scene.chain.index_says = lambda raw: [raw]
    wait(scene)
    scene.assert_straight()
    assert scene.metrics.counters[DIFFERENCES, "1"] == 1
    assert bool(scene.alerts.sent) == (lie != "hidden")


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_near_the_tip_is_taken_back(lie: str) -> None:
    """While receipts are refused a block of the window is believed, and put right when they come."""
    scene = disputed_scene()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: lie})
    scene.grow(3)
    scene.settle()
    scene.chain.provable = True
    wait(scene)
    scene.assert_straight()


@pytest.mark.parametrize("lie", LIES)
def test_a_difference_is_settled_when_a_proof_comes_later(lie: str) -> None:
    """Two readings that differ without a proof leave the range disputed until one is proved."""
    scene = disputed_scene()
    scene.chain.provable = False
    scene.grow(100)
    lie_at(scene, {40: lie})
    scene.settle()
    scene.chain.index_says = lambda raw: [raw]
    wait(scene)
    certificates = scene.store.query("completeness_certificates", Query())
    (disputed,) = [key for key, each in certificates if each["disputed"]]
    scene.chain.provable = True
    scene.grow(1)
    for _ in range(20):
        scene.clock.advance(20)
        scene.settle()
    scene.assert_straight()
    certificate = scene.store.get("completeness_certificates", disputed)
    assert certificate
    assert (certificate["grade"], certificate["disputed"]) == (PROVED, False)


@pytest.mark.parametrize("lie", LIES)
def test_the_same_lie_told_twice_is_found_out_once_receipts_come_though_no_log_does(lie: str) -> None:
    """Whether blocks can be proved by now is tried now and then, on a chain where nothing of ours happens."""
    scene = disputed_scene()
    scene.chain.provable = False
    lie_at(scene, {40: lie})
    scene.grow(100)
    scene.settle()
    wait(scene)
    scene.handle(scene.messages())
    handled = len(scene.messages())
    scene.chain.provable = True
    wait(scene, 200)
    scene.handle(scene.messages()[handled:])
    scene.assert_outcome()


def test_a_chain_that_cannot_be_proved_is_hardly_asked_for_it() -> None:
    """Ever more rarely, and a lot of blocks at a time."""
    scene = disputed_scene()
    scene.chain.provable = False
    scene.grow(300)
    scene.settle()
    wait(scene)
    before = scene.chain.requests
    steps = 6 * 3_600 // 30
    for _ in range(steps):
        scene.clock.advance(30)
        scene.settle()
    # Each step looks at the head, and at a block of the window; a try is a lot of headers and of blocks.
    assert scene.chain.requests - before < 11 * 2 * 50 + (3 + 2) * steps


def test_a_difference_near_the_tip_is_settled_though_nothing_happens_any_more() -> None:
    """Two readings agree on the truth, a third had lied: the proof is looked for until there is one."""
    scene = disputed_scene()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: "altered"})
    scene.grow(3)
    scene.settle()
    scene.chain.index_says = lambda raw: [raw]
    wait(scene)
    scene.chain.provable = True
    wait(scene, 60)
    scene.assert_straight()


def test_logs_of_empty_blocks_are_taken_back() -> None:
    """A block that holds no log at all refutes what is told of it, and a message says so."""
    scene = disputed_scene()
    for _ in range(50):
        scene.chain.mine([log(len(scene.chain.blocks))])
        scene.chain.mine_empty(1)
    blocks = scene.chain.blocks

    def of_the_next_block(raw: RawLog) -> list[RawLog]:
        after = blocks[number_of(raw) + 1].header
        return [raw, {**raw, "blockNumber": hex(after.number), "blockHash": after.hash}]

    scene.chain.index_says = of_the_next_block
    scene.settle()
    wait(scene)
    assert len(set(scene.logs())) > len(scene.canonical())
    scene.assert_straight()


@given(
    lies=st.dictionaries(st.integers(1, 60), st.sampled_from(sorted(LIES)), max_size=8),
    honest=st.booleans(),
    order=st.randoms(use_true_random=False),
    forks=st.lists(st.integers(1, 6), max_size=2),
)
@settings(max_examples=60, deadline=None)
def test_whatever_an_index_says_the_events_are_the_chains(
    lies: dict[int, str], order: Random, forks: list[int], *, honest: bool
) -> None:
    """Any lies, in any order of delivery, twice, with reorgs in between, end in what the blocks hold."""
    scene = disputed_scene(window=8)
    lie_at(scene, lies)
    scene.grow(60)
    scene.settle()
    if honest:
        scene.chain.index_says = lambda raw: [raw]
    for depth in forks:
        wait(scene, 1)
        scene.chain.reorg(depth, {i: [log(1_000 * depth + i)] for i in range(depth)})
        scene.grow(1)
        scene.settle()
    wait(scene)
    messages = scene.messages() * 2
    order.shuffle(messages)
    scene.handle(messages)
    scene.assert_outcome()
