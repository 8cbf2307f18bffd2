from __future__ import annotations

import pytest

from shared.errors import ChainUnavailable, DoubtfulAnswer, FinalityViolation
from tests.support.fake_chain import FakeChain
from tests.support.listener import Scene, log


@pytest.mark.parametrize("depth", [1, 7, 60])
def test_a_reorg_publishes_the_removals_then_the_new_logs(depth: int) -> None:
    """What was published of the old blocks is taken back, even though the node has forgotten it."""
    scene = Scene()
    scene.grow(80)
    scene.settle()
    old = scene.canonical()
    scene.chain.reorg(depth, {0: [log(1)], depth - 1: [log(2)]})
    steps = scene.settle()
    assert sum(step.removed for step in steps) == depth
    assert scene.logs(removed=True) == old[-depth:]
    assert scene.logs()[80:] == scene.canonical()[80 - depth :]
    scene.assert_straight()
    assert scene.outcome().superseded == set(old[-depth:])


def test_a_reading_that_lacks_a_log_does_not_keep_it_from_being_taken_back() -> None:
    """A log that was published is taken back with its block, though the node denied it in between."""
    scene = Scene()
    scene.grow(80, logs=2)
    scene.settle()
    scene.chain.provable = False
    scene.grow(2, logs=2)
    scene.settle()
    old = scene.canonical()[-4:]
    scene.chain.lose_log(scene.chain.blocks[-1].logs[0])
    scene.chain.lose_log(scene.chain.blocks[-2].logs[1])
    scene.clock.advance(scene.settings.second_reading_s + 1)
    scene.settle()
    scene.chain.reorg(3, {0: [log(1)], 2: [log(2)]})
    scene.settle()
    assert set(old) <= set(scene.logs(removed=True))
    scene.assert_straight()


@pytest.mark.parametrize("left", [1, 4, 9])
def test_a_reorg_to_a_shorter_chain_is_seen_at_once(left: int) -> None:
    """A lower head that is not of our chain is no node that lags: all above the fork is taken back."""
    scene = Scene()
    scene.grow(80)
    scene.settle()
    old = scene.canonical()
    scene.chain.reorg(10, {0: [log(1)], 3: [log(2)]})
    whole = list(scene.chain.blocks)
    scene.chain.blocks = whole[: len(whole) - 10 + left]
    scene.settle()
    assert scene.logs(removed=True) == old[-10:]
    scene.assert_straight()
    scene.chain.blocks = whole
    scene.settle()
    scene.grow(3)
    scene.settle()
    scene.assert_straight()


def test_a_lower_head_of_our_chain_is_a_node_that_lags() -> None:
    """Blocks that a node has not got for a while are not taken back, however long that lasts."""
    scene = Scene()
    scene.grow(80)
    scene.settle()
    scene.chain.lag = 10
    scene.settle()
    assert scene.logs(removed=True) == []


def test_a_shorter_chain_of_one_endpoint_is_not_believed() -> None:
    """Where the other endpoints have the block of the cursor, one with a shorter chain strays."""
    scene = Scene()
    scene.grow(80)
    scene.settle()
    whole = list(scene.chain.blocks)
    scene.chain.reorg(10)
    scene.chain.blocks = scene.chain.blocks[:-5]
    scene.chain.witness = FakeChain()
    scene.chain.other_votes[80] = [whole[80].header.hash] * 2
    with pytest.raises(DoubtfulAnswer):
        scene.follow.step()
    assert scene.logs(removed=True) == []


def test_a_reorg_while_down_is_found_on_the_way_up() -> None:
    """The window is durable, so a new process sees what changed while there was none."""
    scene = Scene()
    scene.grow(80)
    scene.settle()
    scene.chain.reorg(9)
    scene.grow(5)
    scene.settle(scene.listener())
    scene.assert_straight()


def test_a_reorg_during_back_fill_is_undone() -> None:
    """A reorg that catches the listener in the middle of the past is one like any other."""
    scene = Scene(max_range=10, window=30)
    scene.grow(100)
    for _ in range(8):
        scene.follow.step()
    assert scene.cursor()["readThrough"] == 86
    scene.chain.reorg(25, {i: [log(i)] for i in range(25)})
    scene.grow(20)
    scene.settle()
    scene.assert_straight()


def test_a_chain_that_comes_back_is_live_again() -> None:
    """Blocks that were taken back and return outrank their removal, back and forth."""
    scene = Scene()
    scene.grow(20)
    first = list(scene.chain.blocks)
    scene.settle()
    scene.chain.reorg(5, {0: [log(1)]})
    scene.settle()
    second = list(scene.chain.blocks)
    for blocks in (first, second, first):
        scene.chain.blocks = list(blocks)
        scene.settle()
        scene.assert_straight()


def test_a_chain_that_comes_back_before_the_other_was_read_is_live_again() -> None:
    """The removal and the return fall between the same two values of the counter: it is raised."""
    scene = Scene()
    scene.grow(20)
    first = list(scene.chain.blocks)
    scene.settle()
    scene.chain.reorg(5)
    scene.follow.step()
    scene.chain.blocks = first
    scene.settle()
    scene.assert_straight()


def test_a_return_that_is_handled_after_finality_is_live_again() -> None:
    """The message says which blocks returned, for by then their removal is forgotten."""
    scene = Scene(window=10, prove_blocks=30)
    scene.grow(20)
    first = list(scene.chain.blocks)
    scene.settle()
    scene.chain.reorg(5)
    scene.settle()
    scene.chain.blocks = first
    scene.settle()
    scene.clock.advance(10)
    scene.grow(60)
    scene.settle()
    scene.clock.advance(10)
    scene.settle()
    assert not scene.store.get("chain_heads", "1")["removedBlocks"]
    scene.assert_straight()


def test_a_reorg_deeper_than_the_window_stops_loudly() -> None:
    """Another chain below finality is no reorg: once it has lasted, an error that is not retried."""
    scene = Scene(window=20)
    scene.grow(60)
    scene.settle()
    published = len(scene.messages())
    scene.chain.reorg(30)
    for _ in range(5):
        with pytest.raises(DoubtfulAnswer, match="certified"):
            scene.settle()
        scene.clock.advance(2)
    with pytest.raises(FinalityViolation):
        scene.settle()
    assert len(scene.messages()) == published
    assert scene.cursor()["readThrough"] == 60


@pytest.mark.parametrize("pause_s", [3.0, 11.0])
def test_a_violation_that_passes_stops_nobody(pause_s: float) -> None:
    """A node that tells another history for a while is doubted, however often; what comes after is read."""
    scene = Scene(window=20)
    scene.grow(60)
    scene.settle()
    for _ in range(5):
        ours = list(scene.chain.blocks)
        scene.chain.reorg(30)
        with pytest.raises(DoubtfulAnswer):
            scene.settle()
        scene.clock.advance(pause_s)
        scene.chain.blocks = ours
        scene.grow(1)
        scene.settle()
    assert scene.logs(removed=True) == []
    scene.assert_straight()


@pytest.mark.parametrize("blocks", [50, 200])
def test_a_node_that_comes_to_serve_another_chain_takes_nothing_back(blocks: int) -> None:
    """However long its chain is, and for however long it serves it: it is doubted, and ours goes on after."""
    scene = Scene(window=20)
    scene.grow(60)
    scene.settle()
    ours, other = list(scene.chain.blocks), FakeChain(5)
    other.mine_empty(blocks)
    scene.chain.blocks = list(other.blocks)
    scene.chain.serves(5)
    for _ in range(5):
        with pytest.raises(DoubtfulAnswer, match="chain 5"):
            scene.settle()
        scene.clock.advance(60)
    scene.chain.blocks = ours
    scene.chain.serves(1)
    scene.grow(2)
    scene.settle()
    assert scene.logs(removed=True) == []
    scene.assert_straight()


def test_a_certified_block_that_another_endpoint_still_has_stops_nobody() -> None:
    """One endpoint strays, for as long as it likes: the other bears witness."""
    scene = Scene(window=20)
    scene.grow(60)
    scene.settle()
    certified = scene.chain.blocks[40].header.hash
    scene.chain.reorg(30)
    scene.chain.witness = FakeChain()
    scene.chain.other_votes[40] = [certified]
    for _ in range(5):
        with pytest.raises(DoubtfulAnswer, match="lacks the certified block 40"):
            scene.settle()
        scene.clock.advance(60)


@pytest.mark.parametrize("blocks", [3, 30])
@pytest.mark.parametrize("request_number", range(1, 7))
def test_a_reorg_amid_a_step_mixes_nothing(blocks: int, request_number: int) -> None:
    """Headers of one chain never meet the logs of another."""
    scene = Scene()
    scene.grow(40)
    scene.settle()
    scene.chain.reorg(1)
    scene.grow(blocks)

    def change() -> None:
        scene.chain.reorg(8, {3: [log(1)], 5: [log(2)]})

    scene.chain.before_request(request_number, change)
    for _ in range(4):
        try:
            scene.settle()
        except ChainUnavailable:
            continue
    scene.grow(1)
    scene.settle()
    scene.assert_straight()
