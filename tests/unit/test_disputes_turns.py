"""Turns of what is read again: none is kept waiting by another, nor forgotten with a failure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from shared.domain.completeness import PROVED, SINGLE, WITNESSED
from shared.errors import ChainUnavailable, DoubtfulAnswer, StoreUnavailable
from shared.ports import Query
from tests.support.lies import LIES, disputed_scene, lie_at, number_of
from tests.support.listener import Fuse, Scene, log

if TYPE_CHECKING:
    from collections.abc import Container

    from shared.app.follow_chain import FollowChain
    from shared.domain.blocks import Header
    from shared.ports import Document, RawLog

_SOON_S = 30
_REFUSED_S = 4 * 3_600


def _pass(scene: Scene, seconds: float, step_s: float = 0.5, follow: FollowChain | None = None) -> None:
    for _ in range(int(seconds / step_s)):
        scene.clock.advance(step_s)
        with suppress(ChainUnavailable, StoreUnavailable):
            scene.settle(follow)


def _certificates(scene: Scene) -> list[Document]:
    return [each for _, each in scene.store.query("completeness_certificates", Query())]


def _unproved_in_window(scene: Scene) -> int:
    return sum("grade" in segment for segment in scene.cursor()["window"])


def _refuse(scene: Scene) -> None:
    """Refuse the receipts of all blocks so far that hold logs; others are proved by their blooms."""
    scene.chain.without_receipts = {block.header.hash for block in scene.chain.blocks if block.logs}


def _be_honest(scene: Scene) -> None:
    scene.chain.index_says = lambda raw: [raw]
    scene.chain.without_receipts = set()
    scene.chain.provable = True


def _never_alike(scene: Scene, heights: Container[int]) -> None:
    told = iter(range(1_000_000))

    def says(raw: RawLog) -> list[RawLog]:
        return [raw, {**raw, "logIndex": hex(100 + next(told))}] if number_of(raw) in heights else [raw]

    scene.chain.index_says = says


def test_a_block_of_the_window_that_fails_each_time_does_not_keep_it_secret_that_receipts_are_back() -> None:
    """What was found out in a step that fails afterwards is not found out again."""
    scene = disputed_scene()
    scene.grow(60)
    _refuse(scene)
    lie_at(scene, {5: "made up", 30: "altered"})
    _pass(scene, _REFUSED_S, 15)
    odd = scene.chain.blocks[58].header

    def fail(header: Header) -> None:
        if header == odd:
            raise DoubtfulAnswer("receipts that are not whole")

    scene.chain.before_block = fail
    _pass(scene, 60)
    _be_honest(scene)
    _pass(scene, _SOON_S)
    scene.assert_straight()


@pytest.mark.parametrize("failing", [50, 110])
def test_a_certificate_that_cannot_be_read_holds_up_no_other(failing: int) -> None:
    """Wherever the node fails each time, near the head: what lies above and below it is proved."""
    scene = disputed_scene()
    for lies in ({40: "altered"}, {100: "altered", 40: "altered"}):
        scene.grow(30)
        _pass(scene, 60)
        scene.grow(30)
        _refuse(scene)
        lie_at(scene, lies)
        _pass(scene, 60)
    scene.chain.mine_empty(30)
    _pass(scene, 60)
    odd = scene.chain.blocks[failing].header

    def fail(header: Header) -> None:
        if header == odd:
            raise ChainUnavailable("internal error")

    scene.chain.before_block = fail
    _be_honest(scene)
    before = scene.chain.requests
    _pass(scene, 3_600)
    scene.assert_straight()
    # Three requests a step look at the head.
    assert scene.chain.requests - before < 3 * 7_200 + 2_500


def test_a_listener_that_takes_over_again_does_not_wait_as_long_as_it_had_come_to() -> None:
    """How rarely it tried before says nothing of what another one wrote."""
    scene = disputed_scene()
    scene.grow(5)
    _refuse(scene)
    _pass(scene, 30)
    scene.chain.mine_empty(40)
    _pass(scene, _REFUSED_S, 30)
    other = scene.listener(owner="two")
    scene.clock.advance(scene.settings.lease_s + 1)
    scene.grow(5)
    _refuse(scene)
    lie_at(scene, {48: "altered"})
    _pass(scene, 8, follow=other)
    scene.chain.mine_empty(40)
    _pass(scene, 8, follow=other)
    scene.clock.advance(scene.settings.lease_s + 1)
    _be_honest(scene)
    _pass(scene, _SOON_S)
    scene.assert_straight()


def test_a_certificate_that_grows_holds_up_none_below_it() -> None:
    """One that is always too young to be read again is passed over."""
    scene = disputed_scene()
    scene.grow(3)
    _pass(scene, 3)
    scene.grow(40)
    scene.chain.provable = False
    odd = 10
    _never_alike(scene, {odd})
    _pass(scene, 20)
    scene.chain.index_says = lambda raw: [raw]
    for _ in range(120):
        scene.grow(1)
        _pass(scene, 1)
    [found] = [each for each in _certificates(scene) if each["first"] <= odd <= each["last"]]
    assert found["grade"] == WITNESSED


def test_ranges_that_never_agree_keep_none_from_being_proved() -> None:
    """So many of them that one is always due: what was witnessed has every other turn."""
    scene = disputed_scene()
    apart = 21
    _never_alike(scene, range(1 + apart, 20 * apart, apart))
    for _ in range(20):
        scene.grow(3)
        _refuse(scene)
        scene.chain.mine_empty(apart - 3)
        _pass(scene, 8)
    assert len([each for each in _certificates(scene) if each["grade"] == SINGLE]) > 15
    scene.chain.without_receipts -= {block.header.hash for block in scene.chain.blocks[:apart]}
    _pass(scene, 600)
    assert _certificates(scene)[0]["grade"] == PROVED


@pytest.mark.parametrize("made", [False, True])
def test_a_store_that_fails_when_a_certificate_is_written_ends_nothing(*, made: bool) -> None:
    """Any write of a second reading may fail: what it said is read again, and the listener goes on."""

    def fail() -> None:
        raise StoreUnavailable("no answer")

    for at in range(1, 24):
        scene = disputed_scene()
        scene.grow(20)
        _pass(scene, 20)
        scene.chain.provable = False
        fuse = Fuse(made=made, happens=fail)
        scene.follow = scene.listener(fuse)
        scene.clock.advance(scene.settings.lease_s + 1)
        scene.settle()
        fuse.at = fuse.writes + at
        scene.grow(20)
        _pass(scene, 20)
        _be_honest(scene)
        _pass(scene, 2 * _SOON_S)
        assert fuse.writes > fuse.at
        assert {each["grade"] for each in _certificates(scene)} == {PROVED}


def test_blocks_that_cannot_be_proved_do_not_slow_down_the_others() -> None:
    """Each proof of another makes them due again, and yet what waited longer comes first."""
    scene = disputed_scene(window=64)
    scene.grow(80)
    _refuse(scene)
    _pass(scene, 30)
    assert _unproved_in_window(scene) == 64
    scene.chain.without_receipts = {block.header.hash for block in scene.chain.blocks[18:28]}
    # A request takes so long that a step reads one block.
    scene.chain.before_block = lambda _: scene.clock.advance(0.12)
    _pass(scene, 60)
    assert _unproved_in_window(scene) == 10


def test_a_block_that_waits_behind_others_is_not_read_the_more_often_for_it() -> None:
    """However many proofs made it due before its turn came, it has one turn for that."""
    scene = disputed_scene(window=64)
    scene.grow(20)
    _pass(scene, 20)
    scene.chain.provable = False
    scene.grow(63)
    _pass(scene, 60)
    odd = scene.chain.blocks[-1].header
    scene.chain.without_receipts = {odd.hash}
    scene.chain.provable = True
    readings = []

    def read(header: Header) -> None:
        scene.clock.advance(0.12)
        if header == odd:
            readings.append(header)

    scene.chain.before_block = read
    _pass(scene, 180)
    assert _unproved_in_window(scene) == 1
    assert len(readings) < 180 / 10 + 15


@pytest.mark.parametrize("lie", LIES)
def test_a_late_message_of_a_lot_that_was_proved_in_part_restates_nothing_that_was_not(lie: str) -> None:
    """Beside blocks that their blooms prove a lie was told: arriving last, it does not count either."""
    scene = disputed_scene()
    for at in range(30):
        scene.chain.mine([log(at)] if at % 10 == 5 else [])
    scene.chain.mine_empty(20)
    _refuse(scene)
    scene.settle()
    before = len(scene.messages())
    lie_at(scene, {6: lie})
    _pass(scene, 8)
    late = scene.messages()[before:]
    assert late
    _be_honest(scene)
    _pass(scene, _SOON_S)
    scene.handle([message for message in scene.messages() if message not in late])
    scene.handle(late)
    scene.assert_outcome()


@pytest.mark.parametrize("with_logs", [(20, 60), (20,)])
def test_a_chain_where_nothing_happens_is_right_soon_as_well(with_logs: tuple[int, ...]) -> None:
    """Where the window holds no log of ours, a block of a certificate shows that receipts are back."""
    scene = disputed_scene(max_range=2_000)
    for number in range(1, 101):
        scene.chain.mine([log(number)] if number in with_logs else [])
    _refuse(scene)
    lie_at(scene, {20: "made up"})
    _pass(scene, _REFUSED_S, 15)
    _be_honest(scene)
    _pass(scene, _SOON_S)
    scene.assert_straight()


def test_a_lot_without_a_proof_does_not_end_a_certificate() -> None:
    """Above a lot whose only log cannot be proved a lie of the same certificate is found with the next."""
    scene = disputed_scene(max_range=2_000)
    for number in range(1, 261):
        scene.chain.mine([log(number)] if number in (20, 120, 220) else [])
    _refuse(scene)
    lie_at(scene, {120: "made up"})
    _pass(scene, 30)
    _be_honest(scene)
    scene.chain.without_receipts = {scene.chain.blocks[20].header.hash}
    scene.grow(1)
    _pass(scene, _SOON_S)
    scene.assert_straight()
