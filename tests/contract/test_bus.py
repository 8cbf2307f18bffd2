"""What every Bus does: in memory, in the embedded file, and on Google's Pub/Sub emulator."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.topology import MAX_MESSAGE_BYTES
from shared.app.deadletters import DeadLetters, dead_letter
from shared.errors import InvalidInput, NotFound, UndecodableLog
from shared.ports import Message

if TYPE_CHECKING:
    from tests.support.bus_bench import Bench

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda key: not key.startswith("goog")
)
contents = st.builds(Message, st.binary(max_size=300), st.dictionaries(keys, text, max_size=4)).filter(
    lambda message: message.data or message.attributes
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(contents, min_size=1, max_size=5))
def test_what_is_published_is_delivered(bench: Bench, messages: list[Message]) -> None:
    """Data and attributes come out as they went in, every message once, under the ids publish gave."""
    ids = bench.bus.publish("jobs", messages)
    deliveries = bench.pull_until("work", len(messages))
    bench.bus.ack("work", [each.ack_id for each in deliveries])
    got = {each.message_id: (each.message.data, dict(each.message.attributes)) for each in deliveries}
    assert got == {i: (each.data, dict(each.attributes)) for i, each in zip(ids, messages, strict=True)}
    assert all(each.attempt == 1 for each in deliveries)


def test_nul_and_four_byte_text_survive(bench: Bench) -> None:
    """NUL bytes, empty values and characters beyond the basic plane are kept in data and attributes."""
    message = Message(b"\x00\xff\x00", {"empty": "", "nul\x00": "a\x00b", "clef": "\U0001d11e"})
    bench.bus.publish("jobs", [message])
    (delivery,) = bench.pull_until("work", 1)
    assert (delivery.message.data, delivery.message.attributes) == (message.data, message.attributes)


def test_a_megabyte_goes_through(bench: Bench) -> None:
    """A batch of a megabyte is one message."""
    data = bytes(range(256)) * 4096
    bench.bus.publish("jobs", [Message(data)] * 3)
    assert [each.message.data for each in bench.pull_until("work", 3)] == [data] * 3


def test_published_at_is_aware_and_the_same_at_every_delivery(bench: Bench) -> None:
    """The time of publishing is UTC-aware and stays when the message comes again."""
    bench.bus.publish("jobs", [Message(b"x")])
    (first,) = bench.pull_until("work", 1)
    bench.bus.nack("work", [first.ack_id])
    (second,) = bench.pull_until("work", 1)
    assert first.published_at.utcoffset() is not None
    assert first.published_at == second.published_at


def test_acknowledged_is_gone(bench: Bench) -> None:
    """What was acknowledged does not come again, not even when its lease would have ended."""
    bench.bus.publish("jobs", [Message(b"a"), Message(b"b")])
    deliveries = bench.pull_until("work", 2)
    bench.bus.ack("work", [deliveries[0].ack_id])
    bench.expire("work", deliveries[1:])
    assert [each.message.data for each in bench.pull_until("work", 1)] == [deliveries[1].message.data]
    assert bench.bus.pull("work", 10) == []


def test_unacknowledged_comes_again_after_the_deadline(bench: Bench) -> None:
    """A lease that runs out gives the message back, counted as one more attempt."""
    bench.bus.publish("jobs", [Message(b"x")])
    (first,) = bench.pull_until("work", 1)
    assert bench.bus.pull("work", 10) == []
    bench.expire("work", [first])
    (second,) = bench.pull_until("work", 1)
    assert (second.message_id, second.attempt) == (first.message_id, 2)
    assert second.ack_id != first.ack_id


def test_refused_comes_again_with_the_next_attempt(bench: Bench) -> None:
    """A refusal brings the message back, its attempts counted from 1."""
    bench.bus.publish("jobs", [Message(b"x", {"k": "v"})])
    attempts = []
    for _ in range(4):
        (delivery,) = bench.pull_until("work", 1)
        attempts.append(delivery.attempt)
        bench.bus.nack("work", [delivery.ack_id])
    assert attempts == [1, 2, 3, 4]


def test_out_of_attempts_moves_to_the_dead_letters(bench: Bench) -> None:
    """After the last refusal data and attributes lie in the dead-letter topic with where they came from."""
    bench.bus.publish("jobs", [Message(b"\x00poison", {"k": "v"})])
    for _ in range(5):
        (delivery,) = bench.pull_until("work", 1)
        bench.bus.nack("work", [delivery.ack_id])
    dead = bench.buried()
    assert dead.message.data == b"\x00poison"
    assert dead.message.attributes == {"k": "v", "deadLetterSource": "jobs", "deliveryAttempts": "5"}
    assert bench.bus.pull("work", 10) == []


def test_expired_leases_count_towards_the_dead_letters(bench: Bench) -> None:
    """A message that always kills its handler is buried too."""
    bench.bus.publish("jobs", [Message(b"killer")])
    for _ in range(4):
        (delivery,) = bench.pull_until("work", 1)
        bench.bus.nack("work", [delivery.ack_id])
    held = bench.pull_until("work", 1)
    bench.expire("work", held)
    assert bench.buried().message.data == b"killer"


def test_released_is_due_at_once(bench: Bench) -> None:
    """A look leaves the message where it was (on a subscription of dead letters for every bus)."""
    bench.bus.publish("jobs-dead", [Message(b"x")])
    for _ in range(7):
        (delivery,) = bench.pull_until("jobs-dead", 1)
        assert delivery.attempt == 1
        bench.bus.release("jobs-dead", [delivery.ack_id])


def test_what_is_held_for_less_comes_again_sooner(bench: Bench) -> None:
    """Whoever says that a second is enough keeps a message no longer if nothing more is heard of it."""
    bench.bus.publish("jobs", [Message(b"x")])
    (first,) = bench.pull_until("work", 1)
    bench.bus.hold("work", [first.ack_id], 1)
    if bench.clock:
        bench.clock.advance(0.5)
        assert bench.bus.pull("work", 1) == []
        bench.bus.hold("work", [first.ack_id], 1)
        bench.clock.advance(0.9)
        assert bench.bus.pull("work", 1) == []
        bench.clock.advance(0.2)
    (second,) = bench.pull_until("work", 1)
    assert (second.message_id, second.attempt) == (first.message_id, 2)
    bench.bus.ack("work", [second.ack_id])


def test_every_subscription_has_its_own_copy(bench: Bench) -> None:
    """Acknowledging on one subscription leaves the message on the other."""
    bench.bus.publish("news", [Message(b"x")])
    (first,) = bench.pull_until("first-reader", 1)
    bench.bus.ack("first-reader", [first.ack_id])
    (second,) = bench.pull_until("second-reader", 1)
    assert second.message.data == b"x"


def test_pull_gives_no_more_than_asked(bench: Bench) -> None:
    """The limit holds, and the rest stays for the next."""
    bench.bus.publish("jobs", [Message(str(i).encode()) for i in range(5)])
    assert len(bench.bus.pull("work", 2)) <= 2
    bench.pull_until("work", 3)


@pytest.mark.parametrize("ask", ["publish", "pull", "ack", "nack", "release"])
def test_unknown_names_are_not_found(bench: Bench, ask: str) -> None:
    """A topic or subscription outside the table is NotFound, whatever is asked of it."""
    arguments: dict[str, Any] = {"publish": [Message(b"x")], "pull": 1}
    with pytest.raises(NotFound, match="nowhere"):
        getattr(bench.bus, ask)("nowhere", arguments.get(ask, ["1.1"]))


@pytest.mark.parametrize(
    "message",
    [
        Message(b""),
        Message(b"x" * (MAX_MESSAGE_BYTES + 1)),
        Message(b"x", {"": "v"}),
        Message(b"x", {"k": "v" * 1025}),
        Message(b"x", {"k" * 257: "v"}),
        Message(b"x", {"goog-k": "v"}),
        Message(b"x", {"k": "\ud800"}),
        Message(b"x", {str(i): "v" for i in range(101)}),
    ],
    ids=["empty", "size", "no-name", "value", "name", "goog", "surrogate", "count"],
)
def test_messages_that_pubsub_refuses_are_invalid_everywhere(bench: Bench, message: Message) -> None:
    """A laptop refuses what the cloud refuses, and publishes nothing of that call."""
    with pytest.raises(InvalidInput, match="message"):
        bench.bus.publish("jobs", [Message(b"good"), message])
    assert bench.bus.pull("work", 10) == []


@pytest.mark.parametrize("ask", ["ack", "nack", "release", "hold"])
def test_invented_ack_ids_are_invalid(bench: Bench, ask: str) -> None:
    """An ack id that no pull gave out is refused."""
    with pytest.raises(InvalidInput):
        getattr(bench.bus, ask)("work", ["nonsense"], *([1] if ask == "hold" else []))


def test_two_consumers_never_hold_the_same_lease(bench: Bench) -> None:
    """Consumers side by side share the messages out: none is held by two at once, none is left."""
    bench.bus.publish("jobs", [Message(str(i).encode()) for i in range(60)])
    got: list[str] = []
    lock = threading.Lock()
    deadline = time.monotonic() + 30

    def consume() -> None:
        while time.monotonic() < deadline:
            deliveries = bench.bus.pull("work", 3)
            with lock:
                got.extend(each.message_id for each in deliveries)
                if len(got) >= 60:
                    return

    with ThreadPoolExecutor(4) as consumers:
        for each in [consumers.submit(consume) for _ in range(4)]:
            each.result()
    assert sorted(got) == sorted(set(got))
    assert len(got) == 60


def test_dead_letters_are_listed_and_replayed(bench: Bench) -> None:
    """One dead letter is replayed by its id to the topic it came from; the others stay listed."""
    letters = DeadLetters(bench.bus, "jobs-dead")
    for number in range(3):
        cause = UndecodableLog(f"log {number}")
        dead_letter(bench.bus, {"number": number}, cause, topic="jobs-dead", source="jobs")
    listed = letters.list(10)
    assert [each.payload["number"] for each in listed] == [0, 1, 2]
    assert [(each.cause, each.detail) for each in listed[:1]] == [("undecodable_log", "log 0")]
    done = letters.replay([listed[1].message_id, "404"])
    assert (done.replayed, done.missing) == ([listed[1].message_id], ["404"])
    assert [each.message.data for each in bench.pull_until("work", 1)] == [b'{"number":1}']
    assert [each.payload["number"] for each in letters.list(10)] == [0, 2]
    assert len(letters.replay().replayed) == 2
    assert letters.list(10) == []
