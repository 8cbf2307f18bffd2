from __future__ import annotations

import pytest

from shared.app.lease import Lease
from shared.errors import Conflict
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments


class FakeProcesses:
    """Processes named by numbers, of which those in ``ended`` have ended."""

    def __init__(self, this: str | None, ended: set[str]) -> None:
        self.this = this
        self._ended = ended

    def has_ended(self, name: str) -> bool:
        """Say whether it has ended."""
        return name in self._ended


def _pair() -> tuple[FakeClock, Lease, Lease]:
    clock, documents = FakeClock(), MemoryDocuments()
    return clock, Lease(documents, clock, "job", 10, "one"), Lease(documents, clock, "job", 10, "two")


def test_one_holds_it_until_it_is_released() -> None:
    """The second is refused while the first holds it, and gets a higher fence after."""
    _, one, two = _pair()
    with one.held() as lease:
        assert lease.fence == 1
        with pytest.raises(Conflict):
            two.acquire()
    assert one.fence == 0
    assert two.acquire() == 2


def test_a_lease_that_was_not_renewed_is_taken() -> None:
    """Past its time it goes to whoever asks; its former holder learns that, and releases nothing."""
    clock, one, two = _pair()
    one.acquire()
    clock.advance(10)
    assert two.acquire() == 2
    one.release()
    with pytest.raises(Conflict):
        one.renew()
    with pytest.raises(Conflict):
        one.acquire()


def test_renewal_keeps_it() -> None:
    """Renewed often enough it is held for as long as one likes."""
    clock, one, two = _pair()
    one.acquire()
    for _ in range(10):
        clock.advance(6)
        one.renew()
    with pytest.raises(Conflict):
        two.acquire()


def test_renewal_writes_only_when_a_third_has_passed() -> None:
    """Renewing at every turn of a loop costs nothing."""
    clock, documents = FakeClock(), MemoryDocuments()
    lease = Lease(documents, clock, "job", 9)
    lease.acquire()
    lease.renew()
    assert documents.writes == 1
    clock.advance(3)
    lease.renew()
    assert documents.writes == 2


def test_a_lost_lease_is_noticed_by_whoever_sleeps_through_it() -> None:
    """A holder that wakes up after another has come and gone does not hold it either."""
    clock, one, two = _pair()
    one.acquire()
    clock.advance(11)
    with two.held():
        pass
    with pytest.raises(Conflict):
        one.renew()
    assert one.fence == 0


def test_the_block_that_fails_gives_it_back() -> None:
    """An error inside does not keep the next one waiting."""
    _, one, two = _pair()

    def work() -> None:
        with one.held():
            raise KeyError("work")

    with pytest.raises(KeyError, match="work"):
        work()
    assert two.acquire() == 2


def test_nobody_waits_for_a_holder_whose_process_has_ended() -> None:
    """Killed, it gives nothing back; whoever can tell that it is dead takes over, at a higher fence."""
    clock, documents, ended = FakeClock(), MemoryDocuments(), set[str]()
    one = Lease(documents, clock, "job", 10, processes=FakeProcesses("1", ended))
    two = Lease(documents, clock, "job", 10, processes=FakeProcesses("2", ended))
    one.acquire()
    with pytest.raises(Conflict):
        two.acquire()
    ended.add("1")
    with pytest.raises(Conflict):
        Lease(documents, clock, "job", 10).acquire()  # who cannot tell waits
    assert two.acquire() == 2
    clock.advance(4)
    with pytest.raises(Conflict):
        one.renew()


def test_a_holder_that_names_no_process_is_waited_for() -> None:
    """Of a holder elsewhere, or from before processes were named, nothing is known but its time."""
    clock, documents = FakeClock(), MemoryDocuments()
    Lease(documents, clock, "job", 10, processes=FakeProcesses(None, set())).acquire()
    two = Lease(documents, clock, "job", 10, processes=FakeProcesses("2", {"None", ""}))
    with pytest.raises(Conflict):
        two.acquire()
    clock.advance(10)
    assert two.acquire() == 2
