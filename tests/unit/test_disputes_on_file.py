"""What is on file of disputed blocks: what it refutes, and what it leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from shared.app.chain_cursor import BlockRead, WindowRead
from shared.app.disputes import DISPUTED, Dispute, Disputes
from shared.app.log_batch import LogBatch
from shared.domain.completeness import PROVED, SINGLE, Segment
from shared.domain.contract import DecodedLog
from shared.domain.events import EVENTS, chain_event, external_event
from shared.domain.log_coordinates import log_coordinates
from shared.domain.system_events import correction_event, restated_event
from shared.errors import InvalidInput
from shared.ports import Query
from tests.support.lies import disputed_scene, made_up, of_another_transaction
from tests.support.listener import CONTRACT, Scene, log, registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.blocks import Header
    from shared.ports import RawLog


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
    scene = disputed_scene()
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
    scene = disputed_scene()
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
    scene = disputed_scene()
    header = scene.chain.mine([log(i) for i in range(7_000)])
    logs = [{**raw, "logIndex": hex(i % 3)} for i, raw in enumerate(scene.chain.blocks[1].logs)]
    pieces = _record(scene, header, logs)
    assert len(pieces) == 3
    assert not [raw for raw in logs if any(each.refutes(_event(raw)) for each in pieces)]
    assert all(any(each.confirms(_event(raw)) for each in pieces) for raw in logs[::100])
    assert any(each.refutes(_event({**logs[0], "logIndex": "0x3"})) for each in pieces)


def test_pieces_of_a_block_refute_no_external_transaction() -> None:
    """A document that lacks some of a block's logs does not know all of its transactions."""
    scene = disputed_scene()
    header = scene.chain.mine([log(i) for i in range(7_000)])
    logs = scene.chain.blocks[1].logs
    pieces = _record(scene, header, logs)
    for raw in (logs[0], logs[3_500], logs[-1], of_another_transaction(logs[0])):
        assert not any(each.refutes(external_event(_event(raw), CONTRACT)) for each in pieces)


def test_what_is_joined_of_a_restated_event_stands_for_the_log() -> None:
    """A correction that gives it to its transfer is no more refuted than the log itself."""
    scene = disputed_scene()
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
    scene = disputed_scene()
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
    scene = disputed_scene()
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
    scene = disputed_scene()
    header = scene.chain.mine([log(7)])
    (raw,) = scene.chain.blocks[1].logs
    (on_file,) = _record(scene, header, [raw])
    sender = "0x" + "99" * 20
    assert not on_file.refutes(external_event(_event(raw), sender))
    assert not on_file.refutes(external_event(_event(made_up(raw)), sender))
    assert on_file.refutes(external_event(_event(of_another_transaction(raw)), sender))


def test_events_of_the_application_are_not_refuted() -> None:
    """Only what claims to be a log of ours can be."""
    scene = disputed_scene()
    header = scene.chain.mine([log(7)])
    (on_file,) = _record(scene, header, [])
    event = _event(scene.chain.blocks[1].logs[0])
    assert on_file.refutes(event)
    assert not on_file.refutes({**event, "audit": None})
    assert not on_file.refutes({**event, "eventType": "rollover.completed"})


@pytest.mark.parametrize("proved", [5, [5], "key"])
def test_a_message_whose_proof_is_no_list_of_keys_is_refused(proved: Any) -> None:
    """The field is named."""
    told = {"kind": "logs", "chainId": 1, "reorgCounter": 0, "timestamps": {}, "logs": [], "proved": proved}
    with pytest.raises(InvalidInput, match="proved"):
        LogBatch.decode(orjson.dumps(told))
