"""What every Bus does: in memory, in the embedded file, and on Google's Pub/Sub emulator."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.local_bus import LocalBus
from shared.adapters.topology import MAX_MESSAGE_BYTES, Subscription
from shared.app.deadletters import DeadLetters, dead_letter
from shared.errors import InvalidInput, NotFound, StoreUnavailable, UndecodableLog
from shared.ports import Bus, Delivery, Message
from tests.support import parts
from tests.support.bus import MemoryBus
from tests.support.clock import FakeClock
from tests.support.pubsub_emulator import PubSubEmulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Pub/Sub's smallest values: 10 s to acknowledge, 5 attempts.
WORK = Subscription("work", "jobs", 10, 0.1, 0.4, max_attempts=5, dead_letter_topic="jobs-dead")
DEAD = Subscription("jobs-dead", "jobs-dead", 10)
TOPOLOGY = (WORK, DEAD, Subscription("first-reader", "news", 10), Subscription("second-reader", "news", 10))


@dataclass
class Bench:
    """A bus, and how time passes for it: by hand, or really where Pub/Sub's own clock decides."""

    bus: Bus
    clock: FakeClock | None
    expire: Callable[[str, list[Delivery]], None]

    def pull_until(self, subscription: str, count: int, within_s: float = 30.0) -> list[Delivery]:
        """Pull until ``count`` messages came, past any back-off."""
        got: list[Delivery] = []
        deadline = time.monotonic() + within_s
        while len(got) < count and time.monotonic() < deadline:
            if self.clock:
                self.clock.advance(WORK.max_backoff_s)
            got += self.bus.pull(subscription, count - len(got))
        return got

    def buried(self, within_s: float = 30.0) -> Delivery:
        """Return the one dead letter; the emulator moves it only when somebody pulls its old subscription."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            assert self.bus.pull("work", 1) == []
            if dead := self.bus.pull("jobs-dead", 1):
                return dead[0]
        raise AssertionError("nothing came to the dead letters")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSubEmulator]:
    """One emulator for the whole run."""
    found = parts.require("pubsub_emulator").found
    assert found
    with PubSubEmulator(found, tmp_path_factory.mktemp("pubsub")) as running:
        yield running


@pytest.fixture(params=["memory", "local", "pubsub"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """One bus of each kind, empty."""
    if request.param == "pubsub":
        yield from _pubsub_bench(request.getfixturevalue("emulator"))
        return
    clock = FakeClock()
    bus: Bus = (
        MemoryBus(clock, TOPOLOGY)
        if request.param == "memory"
        else LocalBus(tmp_path / "store.sqlite", clock, TOPOLOGY)
    )
    yield Bench(bus, clock, lambda _name, _held: clock.advance(WORK.ack_deadline_s))
    bus.close()


def _fresh_project() -> str:
    """Name a project that nobody has used, on an emulator that may have run for days."""
    return f"p-{uuid.uuid4().hex[:20]}"


def _pubsub_bench(emulator: PubSubEmulator) -> Iterator[Bench]:
    from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415 - heavy, and only this bench needs it

    bus = PubSubBus(_fresh_project(), TOPOLOGY, emulator_host=emulator.host, pull_wait_s=0.5)
    bus.ensure_topology()

    def expire(subscription: str, held: list[Delivery]) -> None:
        # A lease cannot be shorter than 10 s, but one that runs can be cut to a second.
        body: dict[str, Any] = {
            "subscription": bus._subscription_path(subscription),
            "ack_ids": [each.ack_id for each in held],
            "ack_deadline_seconds": 1,
        }
        bus._subscriber().modify_ack_deadline(request=body)

    yield Bench(bus, None, expire)
    bus.close()


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


@pytest.mark.parametrize("ask", ["ack", "nack", "release"])
def test_invented_ack_ids_are_invalid(bench: Bench, ask: str) -> None:
    """An ack id that no pull gave out is refused."""
    with pytest.raises(InvalidInput):
        getattr(bench.bus, ask)("work", ["nonsense"])


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


class TestLocal:
    """What only the embedded bus promises."""

    def test_release_is_no_attempt_even_where_attempts_are_counted(self, tmp_path: Path) -> None:
        """A look at a working subscription never buries a message."""
        bus = LocalBus(tmp_path / "s.sqlite", FakeClock(), TOPOLOGY)
        bus.publish("jobs", [Message(b"a"), Message(b"b")])
        for _ in range(7):
            deliveries = bus.pull("work", 10)
            assert [(each.message.data, each.attempt) for each in deliveries] == [(b"a", 1), (b"b", 1)]
            bus.release("work", [each.ack_id for each in deliveries])
        bus.close()

    def test_back_off_doubles_up_to_its_maximum(self, tmp_path: Path) -> None:
        """A refused message is due after 0.1, 0.2, 0.4 and 0.4 s, not sooner."""
        clock = FakeClock()
        bus = LocalBus(tmp_path / "s.sqlite", clock, TOPOLOGY)
        bus.publish("jobs", [Message(b"x")])
        for pause_ms in (100, 200, 400, 400):
            (delivery,) = bus.pull("work", 1)
            bus.nack("work", [delivery.ack_id])
            clock.advance((pause_ms - 1) / 1000)
            assert bus.pull("work", 1) == []
            clock.advance(0.001)
        assert len(bus.pull("work", 1)) == 1
        bus.close()

    def test_a_late_acknowledgement_does_not_touch_the_next_lease(self, tmp_path: Path) -> None:
        """Who lost a lease to another consumer can neither take the message off nor refuse it."""
        clock = FakeClock()
        bus = LocalBus(tmp_path / "s.sqlite", clock, TOPOLOGY)
        bus.publish("jobs", [Message(b"x")])
        (late,) = bus.pull("work", 1)
        clock.advance(WORK.ack_deadline_s)
        (current,) = bus.pull("work", 1)
        for ask in (bus.ack, bus.nack, bus.release):
            ask("work", [late.ack_id])
        assert bus.pull("work", 1) == []
        bus.nack("work", [current.ack_id])
        clock.advance(WORK.max_backoff_s)
        assert bus.pull("work", 1)[0].attempt == 3
        bus.close()

    def test_acknowledged_data_leaves_the_file(self, tmp_path: Path) -> None:
        """Neither messages nor deliveries are left behind once every subscription is done."""
        bus = LocalBus(tmp_path / "s.sqlite", FakeClock(), TOPOLOGY)
        bus.publish("news", [Message(b"x")])
        bus.publish("jobs", [Message(b"y")])
        for subscription in ("first-reader", "second-reader", "work"):
            bus.ack(subscription, [each.ack_id for each in bus.pull(subscription, 10)])
        with bus._file.reading() as connection:
            counts = "SELECT (SELECT count(*) FROM bus_messages), (SELECT count(*) FROM bus_deliveries)"
            assert connection.execute(counts).fetchone() == (0, 0)
        bus.close()

    def test_published_survives_the_death_of_the_process(self, tmp_path: Path) -> None:
        """A process killed right after publish returned has published."""
        path = tmp_path / "s.sqlite"
        program = (
            "import os, sys\n"
            "from shared.adapters.local_bus import LocalBus\n"
            "from shared.ports import Message\n"
            "bus = LocalBus(sys.argv[1])\n"
            "bus.publish('chain-logs', [Message(b'kept'), Message(b'too')])\n"
            "os.kill(os.getpid(), 9)\n"
        )
        killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
        assert killed.returncode == -9
        bus = LocalBus(path)
        got = bus.pull("handle-chain-event", 10)
        assert [each.message.data for each in got] == [b"kept", b"too"]
        bus.close()

    def test_processes_that_open_a_new_file_at_once_all_publish(self, tmp_path: Path) -> None:
        """Several processes may start on a file that does not exist yet."""
        path = tmp_path / "s.sqlite"
        program = (
            "import sys\n"
            "from shared.adapters.local_bus import LocalBus\n"
            "from shared.ports import Message\n"
            "bus = LocalBus(sys.argv[1])\n"
            "sys.stdin.read()\n"
            "for _ in range(20):\n"
            "    bus.publish('chain-logs', [Message(b'x')])\n"
            "bus.close()\n"
        )
        processes = [
            subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE)
            for _ in range(4)
        ]
        for each in processes:
            assert each.stdin
            each.stdin.close()
        assert [each.wait(60) for each in processes] == [0, 0, 0, 0]
        bus = LocalBus(path)
        assert len(bus.pull("handle-chain-event", 1000)) == 80
        bus.close()

    def test_a_file_that_cannot_be_used_is_unavailable(self, tmp_path: Path) -> None:
        """A folder that is missing, and a file that is no database, are StoreUnavailable."""
        (tmp_path / "text").write_text("this is no database, and long enough to be seen as none" * 20)
        for path in (tmp_path / "missing" / "s.sqlite", tmp_path / "text"):
            bus = LocalBus(path)
            with pytest.raises(StoreUnavailable, match="SQLite file"):
                bus.publish("chain-logs", [Message(b"x")])
            bus.close()


class TestPubSub:
    """What only Pub/Sub can get wrong."""

    def test_a_topic_absent_from_the_project_is_not_found(self, emulator: PubSubEmulator) -> None:
        """A project that was never laid out answers NotFound, not an empty subscription."""
        from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415

        bus = PubSubBus(_fresh_project(), TOPOLOGY, emulator_host=emulator.host)
        with pytest.raises(NotFound):
            bus.publish("jobs", [Message(b"x")])
        with pytest.raises(NotFound):
            bus.pull("work", 1)
        bus.close()

    def test_an_unreachable_server_is_unavailable(self) -> None:
        """Nobody listening is StoreUnavailable for a pull too, never an empty answer."""
        from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415

        bus = PubSubBus("p", TOPOLOGY, emulator_host="127.0.0.1:1", request_timeout_s=0.5)
        for ask in (lambda: bus.publish("jobs", [Message(b"x")]), lambda: bus.pull("work", 1)):
            with pytest.raises(StoreUnavailable):
                ask()
        bus.close()

    def test_the_topology_may_be_laid_out_twice(self, emulator: PubSubEmulator) -> None:
        """What is there already is left as it is, with the messages in it."""
        from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415

        bus = PubSubBus(_fresh_project(), TOPOLOGY, emulator_host=emulator.host)
        bus.ensure_topology()
        bus.publish("jobs", [Message(b"x")])
        bus.ensure_topology()
        assert [each.message.data for each in bus.pull("work", 1)] == [b"x"]
        bus.close()

    def test_more_than_one_request_holds_is_published_in_order(self, emulator: PubSubEmulator) -> None:
        """Twelve megabytes and more than a thousand messages are split; every message has its id."""
        from shared.adapters.pubsub import PubSubBus  # noqa: PLC0415

        bus = PubSubBus(_fresh_project(), TOPOLOGY, emulator_host=emulator.host)
        bus.ensure_topology()
        messages = [Message(b"z" * 4_000_000)] * 3 + [Message(str(i).encode()) for i in range(1001)]
        ids = bus.publish("jobs", messages)
        assert len(set(ids)) == 1004
        bus.close()
