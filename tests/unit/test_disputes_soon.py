"""How soon what a lying node told is put right, once it is honest and receipts are served."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from shared.domain.completeness import SINGLE
from shared.errors import ChainUnavailable
from shared.ports import Query
from tests.support.lies import LIES, disputed_scene, lie_at
from tests.support.listener import Scene, log

if TYPE_CHECKING:
    from shared.ports import Document

_SOON_S = 30.0
_STEP_S = 0.5


def _pass(scene: Scene, seconds: float) -> None:
    for _ in range(int(seconds / _STEP_S)):
        scene.clock.advance(_STEP_S)
        scene.settle()


def _lie(scene: Scene, lies: dict[int, str], *, alike: bool, seconds: float) -> None:
    """Let the index lie while receipts are refused; not ``alike``: it tells the truth every other time."""
    lie_at(scene, lies)
    lying = scene.chain.index_says
    for at in range(int(seconds)):
        scene.chain.index_says = lying if alike or at % 2 else lambda raw: [raw]
        _pass(scene, 1)


def _certificates(scene: Scene) -> list[Document]:
    return [each for _, each in scene.store.query("completeness_certificates", Query())]


@pytest.mark.parametrize("seconds", [8, 45, 150])
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("lie", LIES)
def test_without_a_new_log_all_is_right_soon_after_receipts_are_back(
    lie: str, seconds: int, *, alike: bool
) -> None:
    """However long they were refused: certificates and the window are proved, though nothing is mined."""
    scene = disputed_scene()
    scene.chain.provable = False
    scene.grow(60)
    _lie(scene, dict.fromkeys(range(3, 60, 7), lie), alike=alike, seconds=seconds)
    scene.chain.index_says = lambda raw: [raw]
    scene.chain.provable = True
    _pass(scene, _SOON_S)
    scene.assert_straight()
    assert not [each for each in _certificates(scene) if each["disputed"]]


def test_a_listener_that_begins_without_receipts_is_right_soon_as_well() -> None:
    """A process that never saw a receipt finds out what another one left disputed."""
    scene = disputed_scene()
    scene.chain.provable = False
    scene.grow(60)
    _lie(scene, {5: "made up", 50: "altered"}, alike=False, seconds=20)
    scene.clock.advance(scene.settings.lease_s + 1)
    scene.follow = scene.listener()
    _pass(scene, 60)
    scene.chain.provable = True
    scene.chain.index_says = lambda raw: [raw]
    _pass(scene, _SOON_S)
    scene.assert_straight()


def _lose_the_connection() -> None:
    raise ChainUnavailable("endpoint 1 hung up")


@pytest.mark.parametrize("unproved", [{5, 55}, {5, 54, 55}, {5, 50, 54, 55}])
def test_one_failure_more_does_not_make_it_late(unproved: set[int]) -> None:
    """That receipts are back is found out by a single block, and not forgotten where a request fails."""
    for at in range(40, 80):
        scene = disputed_scene()
        scene.grow(60)
        scene.chain.without_receipts = {scene.chain.blocks[number].header.hash for number in unproved}
        lie_at(scene, dict.fromkeys(unproved, "made up"))
        for _ in range(60):
            scene.clock.advance(30)
            scene.settle()
        scene.chain.index_says = lambda raw: [raw]
        scene.chain.without_receipts = set()
        scene.chain.before_request(at, _lose_the_connection)
        # What failed has its next turn after ten seconds.
        for _ in range(int((_SOON_S + 10) / _STEP_S)):
            scene.clock.advance(_STEP_S)
            with suppress(ChainUnavailable):
                scene.settle()
        scene.assert_straight()


def test_a_range_that_never_agrees_holds_up_no_other() -> None:
    """What is read otherwise each time is read in turn: above it all is read again, and proved."""
    scene = disputed_scene()
    for provable in (False, True, False, True):
        scene.chain.provable = provable
        scene.grow(20)
        scene.settle()
    assert len([each for each in _certificates(scene) if each["grade"] == SINGLE]) == 2
    odd = scene.chain.blocks[3].header.hash
    told = iter(range(1_000_000))

    def never_alike(raw: Document) -> list[Document]:
        return [raw, {**raw, "logIndex": hex(100 + next(told))}] if raw["blockHash"] == odd else [raw]

    scene.chain.index_says = never_alike
    scene.chain.without_receipts = {odd}
    _pass(scene, 120)
    [single] = [each for each in _certificates(scene) if each["grade"] == SINGLE]
    assert single["first"] <= 3 <= single["last"]


def test_what_another_listener_left_is_read_again_after_a_take_over() -> None:
    """A listener that had nothing left to do looks again when it is the one that listens once more."""
    scene = disputed_scene()
    scene.grow(40)
    _pass(scene, 30)
    scene.chain.provable = False
    other = scene.listener(owner="two")
    scene.clock.advance(scene.settings.lease_s + 1)
    scene.grow(30)
    scene.settle(other)
    assert [each for each in _certificates(scene) if each["grade"] == SINGLE]
    scene.clock.advance(scene.settings.lease_s + 1)
    scene.chain.provable = True
    _pass(scene, 60)
    assert not [each for each in _certificates(scene) if each["grade"] == SINGLE]


def test_blocks_whose_receipts_are_missing_for_good_are_asked_for_ever_more_rarely() -> None:
    """One that cannot be proved among those that can costs a try now and then, not the whole time."""
    scene = disputed_scene()
    scene.grow(60)
    scene.chain.without_receipts = {scene.chain.blocks[20].header.hash}
    _pass(scene, 300)
    before = scene.chain.requests
    for _ in range(720):
        scene.clock.advance(30)
        scene.settle()
    # Each step looks at the head, and at a block that was not proved.
    assert scene.chain.requests - before < (3 + 2) * 720 + 15 * 2 * 50
    scene.chain.mine([log(9_999)])
    scene.settle()
    scene.assert_straight()
