"""What only the embedded bus promises."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shared.adapters.local_bus import LocalBus
from shared.errors import StoreUnavailable
from shared.ports import Message
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

from tests.support.bus_bench import TOPOLOGY, WORK


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
