"""Dead letters: what is buried, how it is listed, and what a replay publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.topology import MAX_ATTRIBUTE_VALUE_BYTES, TOPOLOGY
from shared.app.deadletters import EVENTS_SOURCE, DeadLetters, FailedAgain, dead_letter
from shared.app.log_batch import LOGS, LogBatch
from shared.domain.events import EVENTS
from shared.domain.metrics import DEAD_LETTERS
from shared.domain.state import STATES
from shared.domain.topics import CHAIN_LOGS, CHAIN_LOGS_DEAD, HANDLE_CHAIN_EVENT
from shared.errors import CorruptEvent, StoreUnavailable, UndecodableLog
from shared.ports import Message
from tests.support.bus import MemoryBus
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.metrics import MemoryMetrics
from tests.support.projection import projection_on
from tests.support.triggers import started_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ports import Delivery, Document

BATCH = LogBatch(LOGS, 1, 3, [{"address": "0x1", "logIndex": "0xffffffe2"}], {"0xb": 5})


def test_the_replay_of_one_log_is_a_message_the_handler_reads() -> None:
    """A buried log comes back as a whole batch with just that log, and nothing of the burial on it."""
    bus = MemoryBus()
    identity = dead_letter(bus, BATCH.as_dict(), UndecodableLog("what is this"))
    assert DeadLetters(bus).replay().replayed == [identity]
    (delivery,) = bus.pull(HANDLE_CHAIN_EVENT, 10)
    assert LogBatch.decode(delivery.message.data).as_dict() == BATCH.as_dict()
    assert delivery.message.attributes == {}
    assert bus.pull(CHAIN_LOGS_DEAD, 10) == []


def test_a_listed_letter_says_why_and_stays() -> None:
    """Listing shows code, detail and payload, and may be done again and again."""
    bus = MemoryBus()
    identity = dead_letter(bus, {"a": 1}, UndecodableLog("no such topic"))
    for _ in range(3):
        (letter,) = DeadLetters(bus).list(10)
        assert (letter.message_id, letter.cause, letter.detail, letter.payload) == (
            identity,
            "undecodable_log",
            "no such topic",
            {"a": 1},
        )


def test_what_the_bus_gave_up_on_is_replayed_as_it_was() -> None:
    """A message out of attempts is listed with its own cause and replayed byte for byte."""
    clock = FakeClock()
    bus = MemoryBus(clock)
    original = Message(b'{"b": 1,  "a":2}', {"trace": "t"})
    bus.publish(CHAIN_LOGS, [original])
    attempts = TOPOLOGY[0].max_attempts
    for _ in range(attempts or 0):
        bus.nack(HANDLE_CHAIN_EVENT, [each.ack_id for each in bus.pull(HANDLE_CHAIN_EVENT, 1)])
        clock.advance(TOPOLOGY[0].max_backoff_s)
    letters = DeadLetters(bus)
    (letter,) = letters.list(10)
    assert (letter.cause, letter.payload) == ("attempts_exhausted", {"a": 2, "b": 1})
    assert str(attempts) in letter.detail
    letters.replay([letter.message_id])
    assert bus.published[-1] == (CHAIN_LOGS, original)


@pytest.mark.parametrize("data", [b"not JSON", b"[1]", b"\xf0\x9d\x84\x9e\x00"])
def test_a_message_that_is_no_json_object_comes_back_as_its_text(data: bytes) -> None:
    """What was buried as raw text is replayed as that text, not as JSON around it."""
    bus = MemoryBus()
    dead_letter(bus, {"raw": data.decode()}, UndecodableLog("no JSON"))
    DeadLetters(bus).replay()
    assert bus.published[-1] == (CHAIN_LOGS, Message(data))


@pytest.mark.parametrize("source", [CHAIN_LOGS, "no such topic"])
def test_a_letter_that_cannot_be_sent_keeps_nobody_back(source: str) -> None:
    """An empty message, which no topic takes, or one of an unknown topic: buried anew, the others go out."""
    bus = MemoryBus()
    raw = "" if source == CHAIN_LOGS else "text"
    for payload in ({"number": 1}, {"raw": raw}, {"number": 2}):
        dead_letter(
            bus, payload, UndecodableLog("x"), source=source if payload == {"raw": raw} else CHAIN_LOGS
        )
    letters = DeadLetters(bus)
    done = letters.replay()
    assert len(done.replayed) == 3
    sent = [orjson.loads(each.message.data)["number"] for each in bus.pull(HANDLE_CHAIN_EVENT, 10)]
    assert sorted(sent) == [1, 2]
    [left] = letters.list(10)
    assert left.payload == {"raw": raw}
    assert left.cause in ("invalid_input", "not_found")
    assert [again.letter for again in done.failed] == [left.message_id]


def test_bytes_that_are_no_text_can_be_listed() -> None:
    """A message of arbitrary bytes that the bus gave up on is shown escaped."""
    bus = MemoryBus()
    bus.publish(CHAIN_LOGS_DEAD, [Message(b"\xff\x00", {"deadLetterSource": CHAIN_LOGS})])
    (letter,) = DeadLetters(bus).list(1)
    assert letter.payload == {"raw": "\\xff\x00"}


@given(st.text(min_size=300, max_size=1500))
def test_the_detail_always_fits_an_attribute(text: str) -> None:
    """However long and whatever its characters, the detail is the beginning of the message and fits."""
    bus = MemoryBus()
    dead_letter(bus, {}, UndecodableLog(text))
    (letter,) = DeadLetters(bus).list(1)
    assert len(letter.detail.encode()) <= 900 < MAX_ATTRIBUTE_VALUE_BYTES
    assert text.encode(errors="replace").decode().startswith(letter.detail)
    assert letter.detail


def test_more_than_a_page_is_listed_up_to_the_limit_and_replayed_whole() -> None:
    """Pages are an affair of the bus: 250 letters are all found, each sent once."""
    bus = MemoryBus()
    for number in range(250):
        dead_letter(bus, {"number": number}, UndecodableLog("x"))
    letters = DeadLetters(bus)
    assert [each.payload["number"] for each in letters.list(120)] == list(range(120))
    assert len(letters.replay().replayed) == 250
    sent = [orjson.loads(each.message.data)["number"] for each in bus.pull(HANDLE_CHAIN_EVENT, 1000)]
    assert sorted(sent) == list(range(250))


def test_a_letter_buried_again_during_the_replay_waits_for_the_next() -> None:
    """A replay whose messages fail at once ends all the same."""

    class Hopeless(MemoryBus):
        """Whatever is published to work comes back as a dead letter at once."""

        def publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
            ids = super().publish(topic, messages)
            if topic == CHAIN_LOGS:
                super().publish(
                    CHAIN_LOGS_DEAD, [Message(each.data, {"cause": "again"}) for each in messages]
                )
            return ids

    bus = Hopeless()
    dead_letter(bus, {"a": 1}, UndecodableLog("x"))
    letters = DeadLetters(bus)
    assert len(letters.replay().replayed) == 1
    assert [each.cause for each in letters.list(10)] == ["again"]


def test_a_replay_that_cannot_publish_leaves_every_letter() -> None:
    """A bus that fails half-way loses nothing: what was not sent is listed again at once."""

    class Failing(MemoryBus):
        """Takes no work."""

        def publish(self, topic: str, messages: Sequence[Message]) -> list[str]:
            if topic == CHAIN_LOGS:
                raise StoreUnavailable("down")
            return super().publish(topic, messages)

    bus = Failing()
    dead_letter(bus, {"a": 1}, UndecodableLog("x"))
    letters = DeadLetters(bus)
    with pytest.raises(StoreUnavailable):
        letters.replay()
    assert len(letters.list(10)) == 1


def test_a_listing_holds_nothing_back_from_another_reader() -> None:
    """Everything that was looked at is due again at once, also past the limit."""
    bus = MemoryBus()
    for _ in range(5):
        dead_letter(bus, {"a": 1}, UndecodableLog("x"))
    DeadLetters(bus).list(2)
    seen: list[Delivery] = bus.pull(CHAIN_LOGS_DEAD, 10)
    assert [each.attempt for each in seen] == [1] * 5


def test_replaying_an_event_projects_it_from_the_store() -> None:
    """Once the stored event is sound, its replayed letter becomes state and is gone."""
    documents, bus = MemoryDocuments(), MemoryBus()
    documents.create(EVENTS, "started-t", started_event("t"))
    dead_letter(bus, {"eventId": "started-t"}, CorruptEvent("x"), source=EVENTS_SOURCE)
    letters = DeadLetters(bus, projection=projection_on(documents))
    assert len(letters.replay().replayed) == 1
    assert (documents.get(STATES, "t") or {})["status"] == "started"
    assert letters.list(10) == []


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        ({"eventId": "edited"}, "corrupt_event"),
        ({"eventId": "deleted"}, "not_found"),
        ({"subject": "documents/rollovers/r"}, "not_found"),
        ({"eventId": None}, "not_found"),
    ],
)
def test_an_event_that_still_cannot_count_is_a_letter_again(payload: dict[str, str], cause: str) -> None:
    """It is buried anew with its cause of now, told of and counted, and those beside it are replayed."""
    documents, bus, metrics = MemoryDocuments(), MemoryBus(), MemoryMetrics()
    edited = {**started_event("t"), "eventId": "edited", "audit": {"eventHash": "00"}}
    documents.create(EVENTS, "edited", edited)
    first = dead_letter(bus, payload, CorruptEvent("x"), source=EVENTS_SOURCE)
    dead_letter(bus, BATCH.as_dict(), UndecodableLog("x"))
    letters = DeadLetters(bus, projection=projection_on(documents), metrics=metrics)
    done = letters.replay()
    assert len(done.replayed) == 2
    (letter,) = letters.list(10)
    assert (letter.cause, letter.payload) == (cause, payload)
    assert done.failed == [FailedAgain(first, letter.message_id, cause, letter.detail)]
    assert metrics.counters == {(DEAD_LETTERS, EVENTS_SOURCE, cause): 1}
    assert [each.message.data for each in bus.pull(HANDLE_CHAIN_EVENT, 10)] == [BATCH.encode()]
    assert documents.count(STATES) == 0


def test_a_replay_while_the_store_is_away_keeps_the_letter() -> None:
    """A retryable error ends the replay; the letter stays with the cause that it had."""

    class Away(MemoryDocuments):
        """A store that cannot be reached."""

        def get(self, collection: str, key: str) -> Document | None:
            raise StoreUnavailable(f"{collection}/{key}")

    bus = MemoryBus()
    dead_letter(bus, {"eventId": "e"}, CorruptEvent("x"), source=EVENTS_SOURCE)
    letters = DeadLetters(bus, projection=projection_on(Away()))
    with pytest.raises(StoreUnavailable):
        letters.replay()
    (letter,) = letters.list(10)
    assert letter.cause == "corrupt_event"
