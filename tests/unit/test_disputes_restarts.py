"""A node that lies once, and a listener that dies before what it published counts as read."""

from __future__ import annotations

import pytest

from shared.app.disputes import DISPUTED
from shared.ports import Query
from tests.support.lies import LIES, lie_at, wait
from tests.support.listener import Fuse, Killed, Scene
from tests.support.world import Alerts

_MOST_WRITES = 40


def _told_by_one_that_dies(at: int, height: int, lie: str, *, made: bool) -> Scene | None:
    """Return a scene whose listener was killed at a write while its node lied; None: it was done before."""
    scene = Scene(window=16, max_range=30)
    scene.alerts = Alerts()
    scene.grow(60)
    scene.chain.provable = False
    lie_at(scene, {height: lie})
    try:
        scene.settle(scene.listener(Fuse(at, made)))
    except Killed:
        scene.handle(scene.messages())
        scene.chain.index_says = lambda raw: [raw]
        scene.clock.advance(scene.settings.lease_s + 1)
        scene.follow = scene.listener()
        return scene
    return None


@pytest.mark.parametrize("height", [20, 55])
@pytest.mark.parametrize("lie", LIES)
def test_what_was_published_by_one_that_died_is_taken_back(lie: str, height: int) -> None:
    """The next one reads the truth, and finds that something else may have been told: in range and window."""
    for at in range(1, _MOST_WRITES):
        for made in (False, True):
            scene = _told_by_one_that_dies(at, height, lie, made=made)
            if scene is None:
                assert at > 10
                return
            handled = len(scene.messages())
            scene.chain.provable = True
            wait(scene, 20)
            scene.handle(scene.messages()[handled:])
            scene.assert_outcome()
    raise AssertionError("no end of the writes")


@pytest.mark.parametrize("at", range(1, 13))
def test_an_honest_node_is_not_doubted_for_a_kill(at: int) -> None:
    """What is read alike the second time is no dispute: nothing is proved block by block for it."""
    scene = Scene(window=16, max_range=30)
    scene.grow(60)
    with pytest.raises(Killed):
        scene.settle(scene.listener(Fuse(at, made=True)))
    scene.clock.advance(scene.settings.lease_s + 1)
    scene.follow = scene.listener()
    scene.settle()
    assert not any(segment.get("disputed") for segment in scene.cursor()["window"])
    certificates = scene.store.query("completeness_certificates", Query())
    assert not [key for key, each in certificates if each["disputed"]]
    wait(scene, 20)
    scene.assert_straight()
    assert not scene.store.query(DISPUTED, Query())


def test_a_range_that_is_refused_meanwhile_is_read_in_parts() -> None:
    """What cannot be compared as a whole is disputed, and no loop follows."""
    scene = _told_by_one_that_dies(8, 20, "made up", made=True)
    assert scene
    assert scene.cursor()["begun"]
    scene.chain.max_range = 7
    handled = len(scene.messages())
    scene.chain.provable = True
    wait(scene, 20)
    scene.handle(scene.messages()[handled:])
    scene.assert_outcome()
    assert scene.cursor()["begun"] is None


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_of_a_block_that_left_before_it_was_found_out_is_taken_back_when_it_returns(lie: str) -> None:
    """What was told of a block is forgotten with its removal, so that what comes back is proved anew."""
    scene = Scene(window=16, max_range=30)
    scene.alerts = Alerts()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: lie})
    scene.grow(3)
    scene.settle()
    ours = list(scene.chain.blocks)
    scene.chain.reorg(3)
    scene.grow(1)
    scene.settle()
    scene.chain.provable = True
    scene.chain.blocks = ours
    scene.grow(3)
    scene.settle()
    handled = len(scene.messages())
    scene.handle(scene.messages())
    wait(scene)
    scene.handle(scene.messages()[handled:])
    scene.assert_outcome()


def test_a_log_that_was_lacking_when_its_block_returned_counts_again_whenever_it_is_proved() -> None:
    """That its block was taken back is remembered for as long as the block may be read again."""
    scene = Scene(window=8, max_range=30)
    scene.grow(6)
    scene.settle()
    ours = list(scene.chain.blocks)
    scene.chain.reorg(3)
    scene.grow(1)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: "hidden"})
    scene.chain.blocks = ours
    scene.grow(3)
    for _ in range(8):
        scene.clock.advance(2 * scene.settings.second_reading_s)
        scene.settle()
        scene.grow(2)
    scene.settle()
    scene.chain.provable = True
    scene.grow(2)
    wait(scene)
    scene.handle(scene.messages())
    scene.assert_outcome()


@pytest.mark.parametrize("height", [20, 55])
def test_what_a_second_reading_published_before_a_kill_is_taken_back(height: int) -> None:
    """That readings differ is on record before the second one is told of."""
    for at in range(1, _MOST_WRITES):
        scene = Scene(window=16, max_range=30)
        scene.alerts = Alerts()
        scene.grow(60)
        scene.chain.provable = False
        fuse = Fuse()
        scene.follow = scene.listener(fuse)
        scene.settle()
        lie_at(scene, {height: "made up"})
        fuse.at, fuse.made = fuse.writes + at, True
        try:
            wait(scene, 3)
        except Killed:
            scene.handle(scene.messages())
            handled = len(scene.messages())
            scene.chain.index_says = lambda raw: [raw]
            scene.chain.provable = True
            scene.clock.advance(scene.settings.lease_s + 1)
            scene.follow = scene.listener()
            wait(scene, 20)
            scene.grow(20)
            wait(scene, 20)
            scene.handle(scene.messages()[handled:])
            scene.assert_outcome()
            continue
        assert at > 5
        return
    raise AssertionError("no end of the writes")
