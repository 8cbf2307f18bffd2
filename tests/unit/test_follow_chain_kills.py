from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.listener import Fuse, Killed, Scene, log

if TYPE_CHECKING:
    from shared.app.follow_chain import FollowChain


def test_two_listeners_one_publishes_and_the_other_takes_over() -> None:
    """The lease decides who publishes; once it has run out the other goes on where the first stopped."""
    scene = Scene()
    scene.grow(10)
    second = scene.listener(owner="two")
    scene.settle()
    assert second.step().standby
    scene.grow(5)
    scene.clock.advance(scene.settings.lease_s + 1)
    scene.settle(second)
    assert scene.follow.step().standby
    assert scene.logs() == scene.canonical()


@pytest.mark.parametrize("made", [False, True])
def test_paused_past_the_lease_at_any_write_moves_nothing(*, made: bool) -> None:
    """One that wakes after another has taken over is refused, and what it still publishes does no harm."""
    refused = set()
    for at in range(1, 6):
        scene = Scene(publish_batch=2)
        fuse = Fuse(made=made)
        first, second = scene.listener(fuse), scene.listener(owner="two")
        scene.grow(10)
        scene.settle(first)

        def meanwhile(scene: Scene = scene, second: FollowChain = second) -> None:
            scene.clock.advance(scene.settings.lease_s + 1)
            scene.chain.reorg(3, {0: [log(1)]})
            scene.settle(second)
            scene.grow(2)
            scene.settle(second)

        fuse.at, fuse.happens = fuse.writes + at, meanwhile
        scene.grow(5)
        refused.add(first.step().standby)
        first.step()
        assert first.step().standby
        assert scene.cursor()["fence"] == 2
        scene.assert_straight()
    assert True in refused


@pytest.mark.parametrize("made", [False, True])
def test_killed_between_any_two_writes_nothing_is_lost(*, made: bool) -> None:
    """Killed at every write in turn, amid a life with reorgs, then restarted: all is straight."""
    at = 0
    fuse = Fuse()
    while fuse.writes >= at:
        at += 1
        fuse = Fuse(at=at, made=made)
        scene = Scene(window=10, max_range=8, publish_batch=2)
        follow = scene.listener(fuse)
        happenings = (
            lambda s: s.grow(30, logs=3),
            lambda s: s.chain.reorg(4, {0: [log(1)], 2: [log(2)]}),
            lambda s: s.grow(2),
            lambda s: s.chain.reorg(3),
            lambda s: s.grow(5),
        )
        for happens in happenings:
            happens(scene)
            try:
                scene.settle(follow)
            except Killed:
                follow = scene.listener()
                scene.chain.reorg(1, {0: [log(3)]})
                scene.settle(follow)
        scene.assert_straight()
    assert at > 60


@pytest.mark.parametrize("made", [False, True])
def test_killed_amid_a_removal_whose_chain_comes_back(*, made: bool) -> None:
    """A removal that was begun is carried through, and what it removed is published again."""
    for at in range(1, 8):
        scene = Scene()
        fuse = Fuse(made=made)
        follow = scene.listener(fuse)
        scene.grow(20)
        scene.settle(follow)
        first = list(scene.chain.blocks)
        scene.chain.reorg(4)
        fuse.at = fuse.writes + at
        with pytest.raises(Killed):
            scene.settle(follow)
        scene.chain.blocks = first
        scene.settle(scene.listener())
        scene.assert_straight()
