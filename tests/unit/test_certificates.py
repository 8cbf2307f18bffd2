from __future__ import annotations

from itertools import pairwise

import pytest

from shared.domain.completeness import PROVED, SINGLE, WITNESSED, Segment, log_digest
from shared.domain.metrics import DIFFERENCES
from shared.ports import Query
from tests.support.fake_chain import FakeChain
from tests.support.listener import CONTRACT, Scene, log, registry


def _certificates(scene: Scene) -> list[Segment]:
    """Return what is certified, after proof that there is no gap and no overlap."""
    found = scene.store.query("completeness_certificates", Query())
    segments = [
        Segment(
            each["first"],
            each["last"],
            each["hash"],
            each["logs"],
            int(each["digest"], 16),
            each["grade"],
            tuple(each["witnesses"]),
        )
        for _, each in found
    ]
    for one, following in pairwise(segments):
        assert following.first == one.last + 1
    return segments


def _wait(scene: Scene, times: int = 40) -> None:
    """Let time pass with nothing new, so that what was read once is read again."""
    for _ in range(times):
        scene.clock.advance(scene.settings.second_reading_s + 1)
        scene.settle()


def _true(scene: Scene, segment: Segment) -> bool:
    """Say whether a certificate tells what the chain holds."""
    blocks = scene.chain.blocks[segment.first : segment.last + 1]
    logs = [raw for block in blocks for raw in block.logs]
    return (segment.hash, segment.logs, segment.digest) == (
        blocks[-1].header.hash,
        len(logs),
        log_digest(logs),
    )


def test_live_blocks_are_certified_as_proved_once_they_are_certain() -> None:
    """What was proved when it was read needs no second reading; it is certified out of the window."""
    scene = Scene(window=16)
    for _ in range(40):
        scene.grow(2)
        scene.settle()
    certified = _certificates(scene)
    assert certified[-1].last == 80 - 16
    assert {segment.grade for segment in certified} == {PROVED}
    assert all(_true(scene, segment) for segment in certified)


def test_back_fill_is_read_once_then_proved() -> None:
    """A range is certified as read once, and proved block by block when nothing else is to be done."""
    scene = Scene(window=16, max_range=30)
    scene.grow(100)
    scene.settle()
    assert {segment.grade for segment in _certificates(scene)} == {SINGLE}
    _wait(scene)
    assert {segment.grade for segment in _certificates(scene)} == {PROVED}
    assert all(_true(scene, segment) for segment in _certificates(scene))
    assert scene.logs() == scene.canonical()


def test_old_ranges_are_witnessed_by_a_second_query() -> None:
    """Too far from the head to be proved block by block, a range is asked for a second time."""
    scene = Scene(window=16, max_range=30, prove_blocks=0)
    scene.grow(100)
    scene.settle()
    _wait(scene)
    (certificate,) = _certificates(scene)
    assert certificate.grade == WITNESSED
    assert certificate.witnesses == ("endpoint 1", "endpoint 1")
    assert scene.logs() == scene.canonical()


def test_a_second_endpoint_witnesses_where_there_is_one() -> None:
    """Another endpoint is asked, and the certificate names both."""
    scene = Scene(window=16, prove_blocks=0)
    scene.grow(100)
    scene.chain.witness = FakeChain()
    scene.chain.witness.blocks = scene.chain.blocks
    scene.settle()
    _wait(scene)
    assert _certificates(scene)[0].witnesses == ("endpoint 1", "endpoint 2")


@pytest.mark.parametrize("prove_blocks", [0, 10_000])
def test_logs_that_a_range_query_lacked_are_published_when_it_is_read_again(prove_blocks: int) -> None:
    """An index that was behind is found out, counted, and what it lacked becomes events."""
    scene = Scene(window=16, prove_blocks=prove_blocks)
    scene.grow(100)
    scene.chain.lose_log(scene.chain.blocks[30].logs[0])
    scene.settle()
    assert len(scene.logs()) == 99
    scene.chain.find_logs_again()
    _wait(scene)
    scene.assert_straight()
    assert scene.metrics.counters[DIFFERENCES, "1"] == 1
    (certificate,) = _certificates(scene)
    assert certificate.grade == PROVED
    assert _true(scene, certificate)


def test_an_index_that_never_has_a_log_is_outdone_by_the_receipts() -> None:
    """Where blocks can be proved no log stays missing, whatever range queries say."""
    scene = Scene(window=16)
    scene.grow(100)
    for block in scene.chain.blocks[1:]:
        scene.chain.lose_log(block.logs[0])
    scene.settle()
    _wait(scene)
    scene.assert_straight()


def test_near_the_tip_a_block_that_cannot_be_proved_is_read_again() -> None:
    """Without receipts a lagging index is found out by a second reading, before finality."""
    scene = Scene(window=16)
    scene.chain.provable = False
    scene.grow(10)
    scene.chain.lose_log(scene.chain.blocks[5].logs[0])
    scene.settle()
    scene.chain.find_logs_again()
    _wait(scene)
    scene.assert_straight()
    grades = [each.get("grade") for each in scene.cursor()["window"][1:]]
    assert set(grades) == {WITNESSED}


def test_an_endpoint_does_not_witness_for_itself_where_it_has_proved_before() -> None:
    """Two readings of one log index that lies agree: near the tip the proof is waited for."""
    scene = Scene(window=16)
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    scene.grow(2)
    scene.chain.lose_log(scene.chain.blocks[4].logs[0])
    scene.settle()
    for _ in range(3):
        scene.clock.advance(scene.settings.second_reading_s * 2 + 1)
        scene.settle()
    assert [each.get("grade") for each in scene.cursor()["window"][-2:]] == [SINGLE, SINGLE]
    scene.chain.provable = True
    _wait(scene)
    scene.assert_straight()
    assert scene.metrics.counters[DIFFERENCES, "1"] == 1
    assert {each.get("grade") for each in scene.cursor()["window"][1:]} == {None}


def test_a_proof_of_a_later_block_is_a_sign_to_read_those_before_again() -> None:
    """Receipts that are served again prove what they were lacking for at once, not at its next turn."""
    scene = Scene(window=16)
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    scene.chain.lose_log(scene.chain.blocks[3].logs[0])
    scene.grow(2)
    scene.chain.lose_log(scene.chain.blocks[4].logs[0])
    scene.settle()
    for _ in range(3):
        scene.clock.advance(scene.settings.second_reading_s * 2 + 1)
        scene.settle()
    scene.chain.provable = True
    scene.grow(1)
    scene.settle()
    scene.assert_straight()
    assert {each.get("grade") for each in scene.cursor()["window"][1:]} == {None}


def test_proof_is_not_waited_for_for_ever() -> None:
    """An endpoint that has proved blocks and never does so again witnesses for itself after a while."""
    scene = Scene(window=16)
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    scene.grow(2)
    _wait(scene, 100)
    assert [each.get("grade") for each in scene.cursor()["window"][-2:]] == [WITNESSED, WITNESSED]


def test_another_endpoint_is_a_witness_at_once() -> None:
    """Where blocks were proved before, a second endpoint that agrees settles what one read."""
    scene = Scene(window=16)
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    scene.chain.witness = FakeChain()
    scene.chain.witness.blocks = scene.chain.blocks
    scene.grow(1)
    _wait(scene, 2)
    assert scene.cursor()["window"][-1]["witnesses"] == ["endpoint 1", "endpoint 2"]


def test_what_was_witnessed_is_proved_once_it_can_be() -> None:
    """A history whose index lied twice while receipts were refused is put right when they come."""
    scene = Scene(window=16, max_range=30)
    scene.chain.provable = False
    scene.grow(100)
    scene.chain.lose_log(scene.chain.blocks[40].logs[0])
    scene.settle()
    _wait(scene)
    assert {segment.grade for segment in _certificates(scene)} == {WITNESSED}
    assert len(scene.logs()) == 99
    scene.chain.provable = True
    scene.grow(1)
    for _ in range(20):
        scene.clock.advance(20)
        scene.settle()
    scene.assert_straight()
    assert {segment.grade for segment in _certificates(scene)} == {PROVED}
    assert all(_true(scene, segment) for segment in _certificates(scene))


def test_nobody_rests_while_something_is_found_lacking() -> None:
    """A node that answers slowly is spared between second readings, but not where they find logs."""
    scene = Scene(window=16, max_range=5)
    scene.grow(100)
    for block in scene.chain.blocks[3:84:5]:
        scene.chain.lose_log(block.logs[0])
    scene.settle()
    scene.chain.find_logs_again()
    begun = scene.clock.monotonic_s()

    def takes_a_second() -> None:
        scene.clock.advance(1)
        scene.chain.before_request(1, takes_a_second)

    takes_a_second()
    while len(set(scene.logs())) < 100:
        scene.settle()
        scene.clock.advance(scene.settings.poll_s)
    # Half of it is polling; with a rest after each reading it takes 730 s.
    assert scene.clock.monotonic_s() - begun < 450


def test_what_cannot_be_proved_after_all_stays_witnessed() -> None:
    """Trying in vain changes no certificate, and does not lengthen the list of its witnesses."""
    scene = Scene(window=16, max_range=30)
    scene.chain.provable = False
    scene.grow(100)
    scene.settle()
    _wait(scene)
    scene.chain.provable = True
    scene.grow(1)
    scene.settle()
    scene.chain.provable = False
    before = _certificates(scene)
    _wait(scene, 100)
    assert _certificates(scene) == before


def test_status_of_the_history_is_told_by_the_lowest_certificates() -> None:
    """Proved through and witnessed through are heights without a hole below."""
    scene = Scene(window=16, max_range=30)
    scene.grow(100)
    scene.settle()
    store = scene.follow._store.certificates
    assert store.through(84) == (0, 0)
    _wait(scene)
    assert store.through(84) == (84, 84)


def test_other_blocks_in_the_past_under_the_same_tip_are_doubted() -> None:
    """A node that contradicts itself about certified blocks is doubted; nothing is published of it."""
    scene = Scene(window=8)
    scene.grow(100)
    scene.settle()
    before = list(scene.chain.blocks)
    scene.chain.reorg(60, {i: [log(i)] for i in range(60)})
    scene.chain.blocks = scene.chain.blocks[:92] + before[92:]
    published = len(scene.messages())
    _wait(scene)
    assert scene.chain.doubts
    assert len(scene.messages()) == published
    scene.chain.blocks = before
    _wait(scene)
    assert {segment.grade for segment in _certificates(scene)} == {PROVED}


def test_a_contract_that_joins_takes_back_what_was_certified_without_it() -> None:
    """Certificates of the time before it say nothing of its logs."""
    other = "0x" + "d1" * 20
    scene = Scene(window=16)
    scene.chain.mine([log(1), log(2, other)])
    scene.grow(100)
    scene.settle()
    _wait(scene)
    scene.registry = registry(CONTRACT, other)
    follow = scene.listener()
    scene.settle(follow)
    assert {segment.grade for segment in _certificates(scene)} == {SINGLE}
    assert sum(segment.logs for segment in _certificates(scene)) == 86


def test_deep_finality_keeps_the_past_joined_and_a_deep_reorg_goes_back_to_it() -> None:
    """Below the window but above finality a reorg is undone from the newest remembered block."""
    scene = Scene(window=8)
    scene.chain._depths["finalized"] = 400
    for _ in range(60):
        scene.grow(10)
        scene.settle()
    assert len(scene.cursor()["window"]) < 40
    assert 400 <= scene.kept_blocks() < 400 + 64
    scene.chain.reorg(300, {i: [log(i)] for i in range(0, 300, 3)})
    scene.grow(1)
    scene.settle()
    scene.assert_straight()
