"""A node that makes logs up or alters them: what is proved of the blocks takes back what was believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.app.chain_cursor import BlockRead, WindowRead
from shared.app.disputes import DISPUTED, Dispute, Disputes
from shared.app.log_batch import LogBatch
from shared.domain.completeness import PROVED, SINGLE, Segment
from shared.domain.contract import DecodedLog
from shared.domain.events import EVENTS, SUPERSEDED, chain_event, external_event
from shared.domain.log_coordinates import id_of_log, log_coordinates
from shared.domain.metrics import DIFFERENCES, EVENTS_REFUTED
from shared.domain.state import STATES
from shared.domain.system_events import REFUTED, correction_event, restated_event
from shared.errors import InvalidInput
from shared.ports import Query
from tests.support.listener import CONTRACT, Scene, log, registry
from tests.support.world import Alerts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from shared.domain.blocks import Header
    from shared.ports import RawLog

OTHER_TRANSFER = "0x" + "ee" * 32


def _number(raw: RawLog) -> int:
    return int(raw["blockNumber"], 16)


def made_up(raw: RawLog) -> dict[str, Any]:
    """Return a log of the same transaction that there is not."""
    return {**raw, "logIndex": hex(int(raw["logIndex"], 16) + 50)}


def of_another_transaction(raw: RawLog) -> dict[str, Any]:
    """Return the log as if another transaction had it, at the same index."""
    return {**raw, "transactionHash": "0x" + "ab" * 32}


def altered(raw: RawLog) -> dict[str, Any]:
    """Return the log with another transfer in it."""
    return {**raw, "topics": [raw["topics"][0], OTHER_TRANSFER]}


LIES: dict[str, Callable[[RawLog], Sequence[RawLog]]] = {
    "made up": lambda raw: [raw, made_up(raw)],
    "altered": lambda raw: [altered(raw)],
    "of another transaction": lambda raw: [of_another_transaction(raw)],
    "hidden": lambda _: [],
    "hidden behind one made up": lambda raw: [made_up(raw)],
    "altered and one made up": lambda raw: [altered(raw), made_up(raw)],
}


def wait(scene: Scene, times: int = 40) -> None:
    """Let second readings fall due, so many times."""
    for _ in range(times):
        scene.clock.advance(scene.settings.second_reading_s + 1)
        scene.settle()


def lie_at(scene: Scene, lies: dict[int, str]) -> None:
    """Let the log index tell the lies of these heights."""
    scene.chain.index_says = lambda raw: LIES[lies[_number(raw)]](raw) if _number(raw) in lies else [raw]


def _scene(**settings: Any) -> Scene:
    scene = Scene(**{"window": 16, "max_range": 30, **settings})
    scene.alerts = Alerts()
    return scene


@pytest.mark.parametrize("prove_blocks", [0, 10_000])
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_of_a_back_fill_is_taken_back(lie: str, prove_blocks: int) -> None:
    """What a range query made up or altered is found out, proved, and put right, however old the range."""
    scene = _scene(prove_blocks=prove_blocks)
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
    scene = _scene()
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
    scene = _scene()
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
    scene = _scene()
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
    scene = _scene()
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
    scene = _scene()
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
    scene = _scene()
    for _ in range(50):
        scene.chain.mine([log(len(scene.chain.blocks))])
        scene.chain.mine_empty(1)
    blocks = scene.chain.blocks

    def of_the_next_block(raw: RawLog) -> list[RawLog]:
        after = blocks[_number(raw) + 1].header
        return [raw, {**raw, "blockNumber": hex(after.number), "blockHash": after.hash}]

    scene.chain.index_says = of_the_next_block
    scene.settle()
    wait(scene)
    assert len(set(scene.logs())) > len(scene.canonical())
    scene.assert_straight()


def test_a_message_says_that_blocks_are_proved_to_hold_no_log_at_all() -> None:
    """What was stored of them before goes, though there is nothing to publish."""
    scene = _scene()
    scene.chain.mine_empty(39)
    scene.grow(1)
    scene.chain.mine_empty(100)
    blocks = scene.chain.blocks

    def also_far_above(raw: RawLog) -> list[RawLog]:
        there = blocks[_number(raw) + 15].header
        return [raw, {**raw, "blockNumber": hex(there.number), "blockHash": there.hash}]

    scene.chain.index_says = also_far_above
    scene.settle()
    believed = len(scene.messages())
    scene.handle(scene.messages())
    assert len(scene.outcome().live) > 1
    wait(scene)
    scene.handle(scene.messages()[believed:])
    scene.assert_outcome()


def test_a_lie_that_is_handled_after_its_refutation_is_taken_back() -> None:
    """A message that was under way for long is held against what is on file of its blocks."""
    scene = _scene()
    scene.grow(100)
    lie_at(scene, {40: "made up"})
    scene.settle()
    late = scene.messages()
    wait(scene)
    scene.handle(scene.messages()[len(late) :])
    scene.assert_straight()
    scene.handle(late)
    scene.assert_outcome()
    assert scene.metrics.counters[EVENTS_REFUTED, "1"] == 1


def test_a_state_rests_on_what_is_proved() -> None:
    """A transfer that only a made-up log told of has no step, and what was altered is its own transfer's."""
    scene = _scene()
    scene.grow(100)
    lie_at(scene, {40: "altered"})
    scene.settle()
    scene.handle(scene.messages())
    wrong = scene.store.get(STATES, OTHER_TRANSFER)
    assert wrong
    assert wrong["contractState"]
    wait(scene)
    scene.handle(scene.messages())
    wrong = scene.store.get(STATES, OTHER_TRANSFER)
    assert wrong
    assert not wrong["contractState"]
    right = scene.store.get(STATES, scene.chain.blocks[40].logs[0]["topics"][1])
    assert right
    assert right["contractState"]


def test_what_is_refuted_stays_so_through_reorgs() -> None:
    """A block that leaves and returns brings back what it holds, and nothing that was made up of it."""
    scene = _scene()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: "altered and one made up"})
    scene.grow(3)
    scene.settle()
    scene.chain.provable = True
    wait(scene)
    ours = list(scene.chain.blocks)
    scene.chain.reorg(3, {i: [log(90 + i)] for i in range(3)})
    scene.grow(1)
    scene.settle()
    scene.chain.blocks = ours
    scene.grow(3)
    wait(scene)
    scene.assert_straight()


def test_what_is_restated_of_a_block_that_left_is_taken_back_with_it() -> None:
    """A removal that was handled first is not forgotten."""
    scene = _scene()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: "altered"})
    scene.grow(3)
    scene.settle()
    believed = len(scene.messages())
    scene.chain.provable = True
    wait(scene)
    proved = len(scene.messages())
    scene.chain.reorg(3)
    scene.grow(1)
    scene.settle()
    messages = scene.messages()
    scene.handle([*messages[:believed], *messages[proved:], *messages[believed:proved]])
    scene.assert_outcome()


@pytest.mark.parametrize("order", ["removed, back, proved", "back, removed, proved", "removed, proved, back"])
def test_what_is_restated_of_a_block_that_left_and_returned_counts(order: str) -> None:
    """Whenever the proof is handled, a log of a canonical block is told of."""
    scene = _scene()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: "altered and one made up"})
    scene.grow(3)
    scene.settle()
    handled = len(scene.messages())
    scene.handle(scene.messages())
    parts = {}

    def goes_on(part: str) -> None:
        nonlocal handled
        parts[part] = scene.messages()[handled:]
        handled += len(parts[part])

    scene.chain.provable = True
    wait(scene)
    goes_on("proved")
    ours = list(scene.chain.blocks)
    scene.chain.reorg(3)
    scene.grow(1)
    scene.settle()
    goes_on("removed")
    scene.chain.blocks = ours
    scene.grow(3)
    scene.settle()
    goes_on("back")
    scene.handle(message for part in order.split(", ") for message in parts[part])
    scene.assert_outcome()


def test_the_false_content_stays_on_record() -> None:
    """Nothing is overwritten: the altered event is superseded for good, and the alert names it."""
    scene = _scene()
    scene.grow(100)
    lie_at(scene, {40: "altered"})
    scene.settle()
    wait(scene)
    scene.handle(scene.messages())
    identity = id_of_log(1, scene.chain.blocks[40].logs[0])
    stored = scene.store.get(EVENTS, identity)
    assert stored
    assert stored["data"]["transferHash"] == OTHER_TRANSFER
    found = scene.store.query(EVENTS, Query(where=(("eventType", SUPERSEDED),)))
    assert [each["data"]["targetEventId"] for _, each in found] == [identity]
    assert [each["data"]["verdictSeq"] for _, each in found] == [REFUTED]
    (alert,) = scene.alerts.sent
    assert alert.key == "refuted_events"
    assert alert.detail == {"chainId": 1, "eventIds": [identity]}


def _record(scene: Scene, header: Header, logs: Sequence[RawLog], *contracts: str) -> list[Dispute]:
    """Put on file that a block holds these logs; return what is on file."""
    segment = Segment(header.number, header.number, header.hash, len(logs), 0, PROVED)
    read = WindowRead([segment], [BlockRead(header, logs)] if logs else [])
    disputes = Disputes(scene.store)
    return disputes.on_file(disputes.record(1, [header], read, contracts or [CONTRACT]))


def _event(raw: RawLog) -> dict[str, Any]:
    """Return the event of a raw log, its routing open."""
    coordinates = log_coordinates(1, raw)
    decoded = DecodedLog("executed", raw["topics"][1], {})
    spec: Any = registry(raw["address"]).contracts[0]
    return chain_event(spec, decoded, coordinates, 1_700_000_000)


def test_a_contract_that_was_not_asked_for_is_left_alone() -> None:
    """What is proved is proved of the contracts whose logs were read."""
    other = "0x" + "d1" * 20
    scene = _scene()
    header = scene.chain.mine([log(7), log(8, other)])
    ours, theirs = scene.chain.blocks[1].logs
    (on_file,) = _record(scene, header, [ours], CONTRACT)
    assert not on_file.refutes(_event(theirs))
    assert on_file.refutes(_event(made_up(ours)))
    (on_file,) = _record(scene, header, [ours], CONTRACT.upper().replace("X", "x"), other)
    assert on_file.refutes(_event(theirs))
    assert on_file.confirms(_event(ours))


def test_a_block_of_very_many_logs_is_kept_in_pieces() -> None:
    """No document outgrows the store, and together they refute just what the block does not hold."""
    scene = _scene()
    header = scene.chain.mine([log(i) for i in range(7_000)])
    logs = scene.chain.blocks[1].logs
    pieces = _record(scene, header, logs[:6_500])
    stored = [each for _, each in scene.store.query(DISPUTED, Query())]
    assert [len(each["blocks"][header.hash]["ids"]) for each in stored] == [3_000, 3_000, 500]
    assert max(len(orjson.dumps(each)) for each in stored) < 700_000
    for index, raw in enumerate(logs[2_990:3_010] + logs[6_490:6_510]):
        event = _event(raw)
        assert any(each.refutes(event) for each in pieces) == (index >= 30)
        assert any(each.confirms(event) for each in pieces) == (index < 30)


def test_what_is_on_file_of_later_blocks_is_not_read() -> None:
    """A node that lies all along does not make a message cost more and more: few documents are looked at."""
    scene = Scene()
    disputes = Disputes(scene.store)
    scene.grow(1_200)
    headers = [block.header for block in scene.chain.blocks]
    reads = {header.number: Segment(header.number, header.number, header.hash) for header in headers}
    for at in range(0, 1_200, 20):
        told = headers[at : at + 70]
        disputes.record(1, told, WindowRead([reads[each.number] for each in told], []), [CONTRACT])
    asked: list[int] = []
    query = scene.store.query

    class Counted:
        """The store, counting what a query returns."""

        def query(self, collection: str, wanted: Query) -> Any:
            found = query(collection, wanted)
            asked.append(len(found))
            return found

    counted: Any = Counted()
    for first, last in ((1, 1), (700, 760), (1_190, 1_199), (1_500, 1_600)):
        asked.clear()
        found = Disputes(counted).covering(1, first, last)
        wanted = {header.hash for header in headers[first : last + 1]}
        assert wanted <= {key for each in found for key in each.blocks}
        assert sum(asked) < 30


def test_just_what_is_on_file_of_the_blocks_is_found() -> None:
    """Those at both ends with the rest, however many documents they are."""
    scene = Scene()
    scene.grow(60)
    for block in scene.chain.blocks:
        _record(scene, block.header, block.logs)
    disputes = Disputes(scene.store)
    for first, last in ((5, 5), (5, 6), (7, 45), (0, 60), (61, 70)):
        found = [key for each in disputes.covering(1, first, last) for key in each.blocks]
        assert found == [block.header.hash for block in scene.chain.blocks[first : last + 1]]
    assert not disputes.covering(2, 0, 60)


def test_a_block_numbered_in_each_transaction_refutes_none_of_its_logs_in_pieces() -> None:
    """Of logs that share an index, no document that lacks some of them refutes any."""
    scene = _scene()
    header = scene.chain.mine([log(i) for i in range(7_000)])
    logs = [{**raw, "logIndex": hex(i % 3)} for i, raw in enumerate(scene.chain.blocks[1].logs)]
    pieces = _record(scene, header, logs)
    assert len(pieces) == 3
    assert not [raw for raw in logs if any(each.refutes(_event(raw)) for each in pieces)]
    assert all(any(each.confirms(_event(raw)) for each in pieces) for raw in logs[::100])
    assert any(each.refutes(_event({**logs[0], "logIndex": "0x3"})) for each in pieces)


def test_pieces_of_a_block_refute_no_external_transaction() -> None:
    """A document that lacks some of a block's logs does not know all of its transactions."""
    scene = _scene()
    header = scene.chain.mine([log(i) for i in range(7_000)])
    logs = scene.chain.blocks[1].logs
    pieces = _record(scene, header, logs)
    for raw in (logs[0], logs[3_500], logs[-1], of_another_transaction(logs[0])):
        assert not any(each.refutes(external_event(_event(raw), CONTRACT)) for each in pieces)


def test_what_is_joined_of_a_restated_event_stands_for_the_log() -> None:
    """A correction that gives it to its transfer is no more refuted than the log itself."""
    scene = _scene()
    header = scene.chain.mine([log(7)])
    (raw,) = scene.chain.blocks[1].logs
    (on_file,) = _record(scene, header, [raw])
    for event, false in ((_event(raw), False), (_event(made_up(raw)), True)):
        routed = {**event, "rolloverId": event["data"]["transferHash"]}
        for told in (routed, restated_event(routed)):
            assert on_file.refutes(told) == false
            assert on_file.refutes(correction_event(told, "t")) == false


def test_only_what_is_proved_goes_on_file() -> None:
    """Of neighbours that were not read, or not proved, nothing is said: an empty reading refutes nothing."""
    scene = _scene()
    scene.grow(4)
    headers = [block.header for block in scene.chain.blocks[1:]]
    grades = (PROVED, SINGLE, PROVED)
    segments = [
        Segment(it.number, it.number, it.hash, 0, 0, grade)
        for it, grade in zip(headers, grades, strict=False)
    ]
    disputes = Disputes(scene.store)
    told = disputes.on_file(disputes.record(1, headers, WindowRead(segments, []), [CONTRACT]))
    assert {key for each in told for key in each.blocks} == {headers[0].hash, headers[2].hash}
    assert not disputes.record(1, headers[3:], WindowRead(segments, []), [CONTRACT])


def test_of_very_many_events_of_one_second_those_are_found_that_are_made_up() -> None:
    """However many pages they are, and whatever else lies before, beside and after them."""
    scene = _scene()
    block = scene.chain.mine([log(i) for i in range(600)])
    logs = scene.chain.blocks[1].logs
    (on_file,) = _record(scene, block, logs)
    spec: Any = registry(CONTRACT).contracts[0]
    wanted = set()
    for raw in logs:
        for beyond, seconds in ((0, 0), (1_000, 0), (2_000, -1), (3_000, 1)):
            told = log_coordinates(1, {**raw, "logIndex": hex(int(raw["logIndex"], 16) + beyond)})
            decoded = DecodedLog("executed", raw["topics"][1], {})
            event = chain_event(spec, decoded, told, block.timestamp + seconds)
            scene.store.put(EVENTS, event["eventId"], {**event, "rolloverId": raw["topics"][1]})
            if beyond == 1_000:
                wanted.add(event["eventId"])
    edited = min(wanted)
    scene.store.put(EVENTS, edited, {**(scene.store.get(EVENTS, edited) or {}), "userId": "somebody"})
    found = Disputes(scene.store).made_up(on_file)
    assert {event["eventId"] for event in found} == wanted - {edited}


def test_an_external_transaction_is_refuted_with_all_its_logs() -> None:
    """It hangs on any log of its transaction; where the block holds none, there was no such transaction."""
    scene = _scene()
    header = scene.chain.mine([log(7)])
    (raw,) = scene.chain.blocks[1].logs
    (on_file,) = _record(scene, header, [raw])
    sender = "0x" + "99" * 20
    assert not on_file.refutes(external_event(_event(raw), sender))
    assert not on_file.refutes(external_event(_event(made_up(raw)), sender))
    assert on_file.refutes(external_event(_event(of_another_transaction(raw)), sender))


def test_events_of_the_application_are_not_refuted() -> None:
    """Only what claims to be a log of ours can be."""
    scene = _scene()
    header = scene.chain.mine([log(7)])
    (on_file,) = _record(scene, header, [])
    event = _event(scene.chain.blocks[1].logs[0])
    assert on_file.refutes(event)
    assert not on_file.refutes({**event, "audit": None})
    assert not on_file.refutes({**event, "eventType": "rollover.completed"})


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
    scene = _scene(window=8)
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


@pytest.mark.parametrize("proved", [5, [5], "key"])
def test_a_message_whose_proof_is_no_list_of_keys_is_refused(proved: Any) -> None:
    """The field is named."""
    told = {"kind": "logs", "chainId": 1, "reorgCounter": 0, "timestamps": {}, "logs": [], "proved": proved}
    with pytest.raises(InvalidInput, match="proved"):
        LogBatch.decode(orjson.dumps(told))
